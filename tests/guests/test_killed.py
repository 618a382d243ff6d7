"""A run's process that is killed in the middle of a round goes on with what guests were told it had accepted."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from swarm.planning import composed
from swarm.simulation.history import read
from swarm.simulation.replay import replay
from tests.patience import patience
from tests.processes import end_tree
from tests.seated import CONFIG, TOKENS, VARIABLES, Reached, all_play, heard_at, play, spare_at_worth

ENVIRONMENT = {**os.environ, **VARIABLES, "PYTHONPATH": str(Path(__file__).parents[2])}
SEATS = (("alice", 0), ("bob", 0), ("bob", 1))


def begun(*arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "swarm", "run", *map(str, arguments)]
    return subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def ended(run: subprocess.Popen[str]) -> None:
    told, _ = run.communicate(timeout=patience(120))
    assert run.returncode == 0, told


def summary(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "summary.json").read_text())
    return found


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The config, and the hash of the run that nobody kills."""
    folder = tmp_path_factory.mktemp("whole")
    (folder / "guest.yaml").write_text(yaml.safe_dump(CONFIG))
    run = begun(folder / "guest.yaml", "--local", "--out", folder / "run")
    try:
        all_play(heard_at(folder / "run"))
        ended(run)
    finally:
        end_tree(run)
    return folder / "guest.yaml", str(summary(folder / "run")["journal_sha256"])


def test_a_run_killed_in_the_middle_of_a_round_loses_and_doubles_no_order(
    tmp_path: Path, undisturbed: tuple[Path, str]
) -> None:
    folder, (config, sha256) = tmp_path / "killed", undisturbed
    run = begun(config, "--local", "--out", folder)
    try:
        address = heard_at(folder)
        for round_ in (1, 2):
            for name, seat in SEATS:
                _decide(address, name, seat, round_)
        # In the third round two have been told that they are heard, and the third has not decided, when it is killed.
        told = [_decide(address, name, seat, 3) for name, seat in SEATS[:2]]
    finally:
        run.kill()
        run.communicate()
    assert read(folder / "journal.swarm").rounds == 2
    run = begun("--resume", folder, "--local")
    try:
        # The old address is still in the folder until the new process is heard, at the same port.
        bob = Reached(address, TOKENS["bob"])
        while (seen := bob.ask("GET", "/v1/observation?seat=0&round=3")) is None or seen[0] != 200:
            assert run.poll() is None, run.communicate()[0]
        assert (seen[1]["round"], seen[1]["decided"]) == (3, True)
        # What was accepted is told again to who asks, and another decision does not take its place.
        for (name, _), (body, answer) in zip(SEATS[:2], told, strict=True):
            reached = Reached(address, TOKENS[name])
            assert reached.ask("POST", "/v1/decision", json.dumps(body).encode()) == answer
            other = json.dumps({**body, "decision_id": "another", "orders": []}).encode()
            assert (refused := reached.ask("POST", "/v1/decision", other)) is not None
            assert refused[0] == 409
        # Only who has not decided does.
        _decide(address, "bob", 1, 3)
        all_play(address)
        ended(run)
    finally:
        end_tree(run)
    assert summary(folder)["journal_sha256"] == sha256
    assert summary(folder)["late_turns"] == 0
    assert replay(folder / "journal.swarm", composed).replayed_sha256 == sha256


def _decide(address: str, name: str, seat: int, round_: int) -> tuple[dict[str, Any], tuple[int, dict[str, Any]]]:
    """Decides one round of a seat, as `play` does, and returns what was sent and answered."""
    reached = Reached(address, TOKENS[name])
    found = reached.ask("GET", f"/v1/observation?seat={seat}&round={round_}")
    assert found is not None
    assert (found[0], found[1]["round"]) == (200, round_)
    body = {"round": round_, "decision_id": f"{seat}-{round_}", "seat": seat, **spare_at_worth(found[1])}
    answer = reached.ask("POST", "/v1/decision", json.dumps(body).encode())
    assert answer is not None
    assert answer[0] == 200
    return body, answer


def test_who_plays_on_notices_no_kill(tmp_path: Path, undisturbed: tuple[Path, str]) -> None:
    folder, (config, sha256) = tmp_path / "killed", undisturbed
    run = begun(config, "--local", "--out", folder)
    try:
        address = heard_at(folder)
        play(Reached(address, TOKENS["alice"]), 0, last=1)
    finally:
        run.kill()
        run.communicate()
    run = begun("--resume", folder, "--local")
    try:
        # Its guests go on asking at the address that they know until somebody answers there.
        all_play(address, share=0.2)
        ended(run)
    finally:
        end_tree(run)
    assert summary(folder)["journal_sha256"] == sha256
