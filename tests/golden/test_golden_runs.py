"""Two runs whose journals are pinned: whoever changes the history of a run has to say so by making them anew.

`python -m pytest tests/golden --regenerate-goldens` does that, and the change of its files shows what else changed.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from swarm.config import compose, resolve
from swarm.llm import engines
from swarm.simulation.journal import JournalReader
from swarm.simulation.loop import run_rounds
from swarm.simulation.market import Market
from swarm.simulation.record import Recorder, RunRecord
from swarm.simulation.replay import replay
from swarm.simulation.traders import LocalTraders

FOLDER = Path(__file__).parent
PINS = FOLDER / "pins.json"
JOURNAL = FOLDER / "scripted.swarm"
TEMPERAMENTS = ("value", "momentum", "maker", "hoarder", "panic")
RUNS: dict[str, dict[str, Any]] = {
    "scripted": {
        "name": "scripted",
        "seed": 7,
        "rounds": 12,
        "population": 40,
        "models": [{"name": f"scripted-{t}", "temperament": t} for t in TEMPERAMENTS],
        "scenario": {
            "name": "wood",
            "shocks": [
                {"kind": "mania", "round": 2, "rounds": 3, "good": "acorns"},
                {"kind": "venture", "round": 3, "rounds": 4, "good": "honey", "size_permille": 200},
                {"kind": "run", "round": 5, "good": "firewood"},
                {"kind": "blight", "round": 8, "rounds": 3, "good": "mushrooms"},
            ],
        },
    },
    "baselines": {
        "name": "baselines",
        "seed": 23,
        "rounds": 10,
        "population": 60,
        "traders": {"minds": {"zi_c": 1, "zip": 1, "truthful": 1}},
        "market": {"rationing": "pro_rata"},
    },
}


def run(name: str, journal: Path | None) -> RunRecord:
    plan, recorder = compose(resolve(RUNS[name])), Recorder()
    market = Market(plan.market, journal)
    traders = LocalTraders(plan.shard, {m.name: engines.in_process(m) for m in plan.models})
    run_rounds(plan, market, traders, (recorder,))
    return recorder.finish(market.close(), {})


def pins_of(name: str, journal: Path | None = None) -> dict[str, Any]:
    """The hash, and figures that say in which direction a changed history went."""
    summary = run(name, journal).summary
    return {key: summary[key] for key in ("journal_sha256", "trades", "volume_lots", "order_rejections", "wealth")}


@pytest.fixture(autouse=True, scope="module")
def _regenerated(request: pytest.FixtureRequest) -> None:
    if not request.config.getoption("--regenerate-goldens"):
        return
    JOURNAL.unlink(missing_ok=True)
    pins = {name: pins_of(name, JOURNAL if name == JOURNAL.stem else None) for name in RUNS}
    PINS.write_text(json.dumps(pins, indent=2) + "\n", encoding="utf-8")


ADVICE = "the history of a run has changed; if on purpose: python -m pytest tests/golden --regenerate-goldens"


@pytest.mark.parametrize("name", RUNS)
def test_a_run_comes_to_its_pinned_journal(name: str) -> None:
    pinned = json.loads(PINS.read_text(encoding="utf-8"))[name]
    assert pins_of(name) == pinned, ADVICE


def test_the_kept_journal_is_written_again_byte_for_byte(tmp_path: Path) -> None:
    run(JOURNAL.stem, tmp_path / "journal")
    assert (tmp_path / "journal").read_bytes() == JOURNAL.read_bytes(), ADVICE


def test_the_kept_journal_replays_to_its_pinned_hash() -> None:
    result = replay(JOURNAL, lambda record: compose(resolve(record)))
    assert result.holds, result.mismatch
    assert result.rounds == RUNS[JOURNAL.stem]["rounds"]
    assert result.recorded_sha256 == json.loads(PINS.read_text(encoding="utf-8"))[JOURNAL.stem]["journal_sha256"]


def test_the_kept_journal_holds_every_kind_of_record_and_shock_and_stays_small() -> None:
    records = list(JournalReader(JOURNAL))
    kinds = {"run", "Transfer", "MoveReference", "decisions", "SubmitOrders", "CloseRound", "round"}
    assert {record[0] for record in records} == kinds
    causes = {record[2] for record in records if record[0] in ("Transfer", "MoveReference")}
    shocks = {s.title for s in compose(resolve(RUNS[JOURNAL.stem])).scenario.shocks}
    assert len(shocks) == 4
    assert shocks <= causes
    assert JOURNAL.stat().st_size < 200_000
