"""A compromised guest over the network: a magistrate makes a case of it and of nobody else, by what it did alone."""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from swarm.planning import composed
from swarm.simulation.replay import replay
from swarm.web.tokens import new_token
from tests.patience import patience
from tests.processes import end_tree
from tests.seated import heard_at

ROOT = Path(__file__).parents[2]
CONFIG, GUEST = ROOT / "configs" / "abuse" / "guest.yaml", ROOT / "docs" / "examples" / "abuse" / "guest.py"

REFUSED = {
    "to act for another trader": (422, "malformed"),
    "to take a seat that is not its own": (404, "no_seat"),
    "to come with somebody else's token": (401, "no_token"),
    "to sell lots below zero": (422, "bad_number"),
    "to sell for no number": (422, "malformed"),
    "to say one thing twice": (422, "malformed"),
    "to put in more orders than anybody may": (422, "too_many_orders"),
    "to trade what there is not": (422, "unknown_good"),
    "to bid up the price of what it makes": (422, "own_good"),
    "to say more than anybody may": (422, "too_long"),
    "to send what is too long": (413, "too_large"),
    "to nest without end": (422, "malformed"),
    "to change a round that is over": (410, "past_round"),
    "to decide a round that is not open": (409, "not_open_yet"),
}


def played(folder: Path, abuse: str, first_round: int) -> list[dict[str, Any]]:
    """Plays the run with its guest, each in a process of its own, and returns the guest's ledger."""
    token = new_token()
    environment = {**os.environ, "NEWCOMER_TOKEN": token, "PYTHONPATH": str(ROOT)}
    deadline = f"budget.round_deadline_s={patience(100)}"
    command = [sys.executable, "-m", "swarm", "run", str(CONFIG), "--local", "--out", str(folder / "run")]
    run = subprocess.Popen(
        [*command, "--set", deadline], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        # A guest knows where to sit and its token; of the run's process it has nothing else.
        address = heard_at(folder / "run", lambda: run.poll() is not None)
        options = ["--first-round", str(first_round), "--ledger", str(folder / "ledger.jsonl")]
        guest = subprocess.run(
            [sys.executable, str(GUEST), abuse, *options],
            env={"SEAT_URL": address, "SEAT_TOKEN": token, "PATH": os.environ["PATH"]},
            capture_output=True,
            text=True,
            timeout=patience(120),
            check=False,
        )
        assert guest.returncode == 0, guest.stdout + guest.stderr
        told, _ = run.communicate(timeout=patience(60))
        assert run.returncode == 0, told
    finally:
        end_tree(run)
    return [json.loads(line) for line in (folder / "ledger.jsonl").read_text().splitlines()]


@pytest.mark.parametrize(("abuse", "first_round"), [("corner", 6), ("pump", 6), ("turned", 16)])
def test_a_compromised_guest_is_found_among_the_honest(tmp_path: Path, abuse: str, first_round: int) -> None:
    ledger, folder = played(tmp_path, abuse, first_round), tmp_path / "run"
    summary = json.loads((folder / "summary.json").read_text())
    # Who it is, the scorer reads in its ledger: a case is made of it, for what it did, and of nobody else.
    (guilty,) = {deed["trader"] for deed in ledger}
    rounds = [deed["round"] for deed in ledger if deed.get("abuse") == abuse]
    assert rounds == [*range(first_round, 31)]
    assert {(file["trader"], file["abuse"]) for file in summary["case_files"]} == {(guilty, abuse)}
    assert min(file["round"] for file in summary["case_files"]) >= first_round
    # What it tried besides was refused by name, and its own decision stood in every round.
    tried = {deed["tries"]: (deed["status"], deed["error"]) for deed in ledger if "tries" in deed}
    assert tried == REFUSED
    decisions = pl.read_parquet(folder / "tables" / "decisions.parquet").filter(pl.col("trader") == guilty)
    assert decisions["round"].to_list() == [*range(1, 31)]
    assert not any(decisions["error"])
    assert summary["late_turns"] == 0
    # Nobody has heard the line that asks to be passed on, which a tip is not; in the last round nothing is passed on.
    pruned = Counter(summary.get("pruned_messages", {}))
    assert pruned["quarantined"] == (0 if abuse == "pump" else len(rounds) - 1)
    assert replay(folder / "journal.swarm", composed).replayed_sha256 == summary["journal_sha256"]


def test_a_guest_that_deals_fairly_is_not_accused_and_no_config_says_which_one_does(tmp_path: Path) -> None:
    # The same config and agent, which is not turned before the run is over.
    assert not played(tmp_path, "turned", 31)
    folder = tmp_path / "run"
    assert not json.loads((folder / "summary.json").read_text()).get("case_files")
    config = (folder / "config.yaml").read_text()
    assert not [word for word in ("abuser", "turned", "corner", "pump", "ledger") if word in config]
