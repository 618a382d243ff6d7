"""Twelve runs whose hashes are pinned: whoever changes the history of a run says so by making the pins anew.

Four of the journals are kept whole, so that a change of their form is seen as one; the others are made and replayed.

`python -m pytest tests/golden --regenerate-goldens` does that, and the change of its files shows what else changed.
"""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from swarm.config_file import resolve
from swarm.planning import compose, composed
from swarm.runtime.play import play
from swarm.simulation.journal import JournalReader
from swarm.simulation.journal_disk import head_path
from swarm.simulation.market import Market
from swarm.simulation.plan import Fork, RunPlan, WorldPlan
from swarm.simulation.record import RunRecord
from swarm.simulation.replay import replay
from tests.playing import Phased

FOLDER = Path(__file__).parent
PINS = FOLDER / "pins.json"
JOURNAL = FOLDER / "scripted.swarm"
KEPT = ("scripted", "patient", "passing", "forked")
"""The runs whose journals are kept."""

JOURNAL_BYTES = {"scripted": 240_000}
"""How long a kept journal may be, if not OTHER_BYTES."""

OTHER_BYTES = 60_000
SOFTWARE = "golden"
"""The version that these runs are made with, so that a release changes no pin."""

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
    "learners": {"seed": 1, "rounds": 12, "population": 10, "traders": {"minds": {"zip": 1}}},
    "pairs": {"seed": 2, "rounds": 20, "population": 2, "traders": {"minds": {"truthful": 1}}},
    "garbled": {
        "seed": 3,
        "rounds": 4,
        "population": 10,
        "models": [{"name": "m", "temperament": "panic", "fault_rate": 0.6}],
    },
    "narrow": {
        "seed": 4,
        "rounds": 8,
        "population": 12,
        "traders": {"minds": {"zi_c": 1}},
        "market": {"max_price_ticks": 30, "max_quantity_lots": 2, "max_orders_per_round": 1},
        "scenario": {"name": "wood", "start_price_ticks": {"honey": 30}},
    },
    "silent": {
        "seed": 5,
        "rounds": 4,
        "population": 9,
        "models": [{"name": "m", "temperament": "hoarder"}, {"name": "n", "temperament": "maker"}],
        "traders": {"hears": 0, "minds": {"m": 1, "n": 1, "zip": 1}},
    },
    "poor": {
        "seed": 6,
        "rounds": 10,
        "population": 15,
        "traders": {"minds": {"zip": 1, "truthful": 1}},
        "scenario": {
            "name": "wood",
            "start_pebbles": 20,
            "shocks": [{"kind": "run", "round": 2, "good": "honey"}, {"kind": "mania", "round": 4, "good": "berries"}],
        },
    },
}
RUNS["patient"] = {
    "seed": 8,
    "rounds": 10,
    "population": 16,
    "models": [
        {"name": "m", "temperament": "value", "usd_per_million_prompt_tokens": 4.0},
        {"name": "n", "temperament": "maker", "fault_rate": 0.2, "usd_per_million_prompt_tokens": 1.0},
        {"name": "o", "temperament": "panic", "form": "menu"},
    ],
    "traders": {"standing": {"max_rounds": 3}},
    "budget": {"run_tokens": 40_000, "run_usd": 0.06},
}
"""Standing orders within a budget: who is asked, and at which level, follows from the record."""

RUNS["passing"] = {
    "seed": 9,
    "rounds": 12,
    "population": [
        {"from_round": 1, "traders": 12},
        {"from_round": 4, "traders": 16},
        {"from_round": 7, "traders": 6},
        {"from_round": 10, "traders": 14},
    ],
    "models": [{"name": "m", "temperament": "maker"}, {"name": "o", "temperament": "value", "form": "menu"}],
    "traders": {"minds": {"m": 1, "o": 1, "zip": 1}, "standing": {"max_rounds": 2}},
    "market": {"mechanism": "continuous", "rest_rounds": 3},
    "scenario": {"name": "wood", "shocks": [{"kind": "venture", "round": 5, "rounds": 3, "good": "honey"}]},
}
"""Traders who come, go and come back, with orders that rest and orders that stand."""

FORKS: dict[str, tuple[str, int, dict[str, Any]]] = {
    "forked": ("learners", 5, {"market": {"rationing": "pro_rata"}, "rounds": 9}),
    "refitted": ("silent", 2, {"seed": 55, "rounds": 3, "traders": {"hears": 2, "minds": {"n": 1, "truthful": 1}}}),
}
"""Futures that leave another run after a round, for another config."""
NAMES = (*RUNS, *FORKS)


def plan_of(name: str) -> RunPlan:
    """The plan of a run, or of a fork with the past that it shares."""
    if name in RUNS:
        return replace(compose(resolve(RUNS[name])).run, software=SOFTWARE)
    parent, round_, changes = FORKS[name]
    future = compose(resolve(RUNS[parent] | changes)).run
    return replace(plan_of(parent), fork=Fork(round_, "0" * 64, tuple(changes), future))


def kept(name: str) -> Path:
    """Where the journal of a run lies."""
    return FOLDER / f"{name}.swarm"


def run(name: str, journal: Path | None) -> RunRecord:
    """The record of a run, whose journal is kept where one is named."""
    plan = plan_of(name)
    return play(
        resolve(plan.config_record),
        plan=WorldPlan.of(plan),
        traders=lambda plan, _: Phased(plan),
        new_market=lambda plan, _: Market(plan, journal),
    ).record


def pins_of(name: str, journal: Path | None = None) -> dict[str, Any]:
    """The hash, and figures that say in which direction a changed history went."""
    summary = run(name, journal).summary
    return {key: summary[key] for key in ("journal_sha256", "trades", "volume_lots", "order_rejections", "wealth")}


@pytest.fixture(autouse=True, scope="module")
def _regenerated(request: pytest.FixtureRequest) -> None:
    if not request.config.getoption("--regenerate-goldens"):
        return
    for name in KEPT:
        kept(name).unlink(missing_ok=True)
    pins = {name: pins_of(name, kept(name) if name in KEPT else None) for name in NAMES}
    for name in KEPT:
        head_path(kept(name)).unlink()
    PINS.write_text(json.dumps(pins, indent=2) + "\n", encoding="utf-8")


ADVICE = "the history of a run has changed; if on purpose: python -m pytest tests/golden --regenerate-goldens"


@pytest.mark.parametrize("name", NAMES)
def test_a_run_comes_to_its_pinned_journal_and_replays(name: str, tmp_path: Path) -> None:
    pinned = json.loads(PINS.read_text(encoding="utf-8"))[name]
    assert pins_of(name, tmp_path / "journal") == pinned, ADVICE
    result = replay(tmp_path / "journal", composed)
    assert result.holds, result.mismatch
    assert result.replayed_sha256 == pinned["journal_sha256"]
    if name in KEPT:
        # Record by record, since how long ones are packed depends on the compressor of the machine.
        made, pinned_journal = (
            [payload for _, payload in JournalReader(path).payloads()] for path in (tmp_path / "journal", kept(name))
        )
        assert made == pinned_journal, ADVICE


@pytest.mark.parametrize("name", KEPT)
def test_a_kept_journal_replays_to_its_pinned_hash_and_stays_small(name: str) -> None:
    result = replay(kept(name), composed)
    assert result.holds, result.mismatch
    assert result.rounds == plan_of(name).last.rounds
    assert result.recorded_sha256 == json.loads(PINS.read_text(encoding="utf-8"))[name]["journal_sha256"]
    assert kept(name).stat().st_size < JOURNAL_BYTES.get(name, OTHER_BYTES)


def test_twelve_histories_are_pinned_and_four_kept_whole() -> None:
    assert set(json.loads(PINS.read_text(encoding="utf-8"))) == set(NAMES)
    assert {path.stem for path in FOLDER.glob("*.swarm")} == set(KEPT)
    assert (len(NAMES), len(KEPT)) == (12, 4)


def test_the_kept_journal_holds_every_kind_of_record_and_shock() -> None:
    records = list(JournalReader(JOURNAL))
    kinds = {"RunBegan", "Transfer", "MoveReference", "Decided", "SubmitOrders", "CloseRound", "RoundEnded"}
    assert {record[0] for record in records} == kinds
    causes = {record[2] for record in records if record[0] in ("Transfer", "MoveReference")}
    shocks = {s.title for s in compose(resolve(RUNS[JOURNAL.stem])).run.scenario.shocks}
    assert len(shocks) == 4
    assert shocks <= causes
