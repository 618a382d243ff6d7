"""The staffing of docs/architecture.md runs for ten rounds, replays, and is the same however traders are spread."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from swarm.config_file import resolve
from swarm.coordination.assignment import OWN, Chosen
from swarm.coordination.governor import Pace
from swarm.coordination.staffing import Charges, Due, TurnCosts
from swarm.errors import ConfigError
from swarm.explain import explain
from swarm.llm import engines
from swarm.market.records import RecordError
from swarm.planning import compose, composed
from swarm.plugins import VARIABLE
from swarm.runtime.play import Played, play
from swarm.runtime.ports import IN_THIS_PROCESS
from swarm.runtime.run import Session
from swarm.scenarios.protocol import MarketState
from swarm.simulation import history
from swarm.simulation.compute import COMPUTE, charged
from swarm.simulation.entries import from_record, to_record
from swarm.simulation.folder import RunFolder
from swarm.simulation.loop import RoundOutcome
from swarm.simulation.replay import replay
from tests.examples.tariff import Tariff
from tests.playing import Outcomes, SplitTraders

CONFIG: dict[str, Any] = {
    "seed": 6,
    "rounds": 10,
    "population": 16,
    "models": [
        {"name": "dear", "temperament": "value", "fault_rate": 0.1},
        {"name": "kept", "temperament": "maker"},
    ],
    "traders": {"minds": {"dear": 3, "zip": 1}, "staffing": {"name": "tariff", "cheaper": "kept"}},
}
REGIONS = {"regions": {"names": ["east", "west"], "travellers": 2}, "population": 24}
STEPS = {"population": [{"from_round": 1, "traders": 16}, {"from_round": 4, "traders": 9}]}


@pytest.fixture(autouse=True)
def _at_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "tests.examples.tariff")


def staffed(**keys: Any) -> dict[str, Any]:
    return {"traders": CONFIG["traders"] | {"staffing": {"name": "tariff", "cheaper": "kept"} | keys}}


def played(folder: Path, **changes: Any) -> tuple[Played, list[RoundOutcome]]:
    """Plays ten rounds, and replays them from the journals alone."""
    outcomes = Outcomes()
    result = play(resolve(CONFIG | changes), outcomes, journals_in=folder)
    again = replay({name: RunFolder(folder).market(name).journal for name in result.plan.names}, composed)
    assert again.holds, again.mismatch
    assert (again.rounds, again.replayed_sha256) == (10, result.journal_sha256)
    return result, outcomes.rounds


@pytest.mark.parametrize("changes", [{}, REGIONS, STEPS, {"market": {"mechanism": "continuous", "rest_rounds": 3}}])
def test_half_are_asked_at_the_cheaper_model_and_all_pay(tmp_path: Path, changes: dict[str, Any]) -> None:
    result, rounds = played(tmp_path, **changes)
    paid = 0
    for outcome in rounds:
        for market in outcome.of or (outcome,):
            turns, there = market.gathered.turns, market.plan.there(outcome.round)
            asked = np.flatnonzero([mind == "dear" for mind in market.plan.minds] & there)
            assert turns.trader.tolist() == asked.tolist()
            at = np.array(turns.models)[turns.calls.model]
            assert (at == "kept").sum() == len(asked) // 2
            paid += int(((turns.prompt_tokens + turns.completion_tokens) * 10 // 1000).sum())
    told = result.summary["compute"]
    assert told["paid_cents"] + told["unpaid_cents"] == paid > 0
    cash = next(iter(result.summary["conservation"].values()))
    assert cash["in_other_accounts"][COMPUTE] == told["paid_cents"]
    assert cash["unexplained"] == 0


def test_what_a_trader_cannot_pay_is_not_taken_and_is_counted(tmp_path: Path) -> None:
    result, rounds = played(tmp_path, **staffed(cents_per_1000_tokens=100_000))
    assert result.summary["compute"]["unpaid_cents"] > 0
    assert all((outcome.state.balances >= 0).all() for outcome in rounds)
    assert result.summary["conservation"]["cash"]["unexplained"] == 0


@pytest.mark.parametrize("shards", [1, 8])
def test_a_run_does_not_depend_on_how_its_traders_are_spread(shards: int) -> None:
    config = resolve(CONFIG)
    clients = {m.name: engines.in_process(m) for m in compose(config).run.models}
    split = play(config, traders=lambda plan, _: SplitTraders(plan.shard, clients, shards, True))
    assert split.journal_sha256 == play(config).journal_sha256


def test_a_run_that_stopped_goes_on_to_the_same_journal(tmp_path: Path) -> None:
    asked = iter([False] * 4 + [True] * 100)
    folder = RunFolder(tmp_path / "run")
    Session(IN_THIS_PROCESS, folder, stop=lambda: next(asked), report=False).execute(resolve(CONFIG))
    assert 0 < history.read(folder.market("").journal).rounds < 10
    finished = Session(IN_THIS_PROCESS, folder, report=False).resume()
    assert finished.record.summary["journal_sha256"] == play(resolve(CONFIG)).journal_sha256


def test_a_run_that_nobody_staffs_has_neither_the_account_nor_the_key() -> None:
    config = resolve(CONFIG | {"traders": {"minds": {"dear": 1}}})
    result = play(config)
    assert "staffing" not in config.history_record()["traders"]
    assert COMPUTE not in result.plan.run.market.named_accounts
    assert "compute" not in result.summary
    named = config.model_copy(update={"traders": config.traders.model_copy(update={"staffing": {"name": "everybody"}})})
    assert play(named).tables["trades"].equals(result.tables["trades"])


@pytest.mark.parametrize(
    ("staffing", "budget", "line"),
    [
        ({"name": "tarif"}, {}, r"traders\.staffing\.name.*everybody.*governor.*tariff"),
        ({}, {}, r"traders\.staffing\.cheaper"),
        ({"name": "tariff", "cheaper": "none"}, {}, r"traders\.staffing.*no model.*known: dear, kept"),
        ({"name": "tariff", "cheaper": "kept", "colour": 1}, {}, r"traders\.staffing\.colour"),
        ({"name": "everybody"}, {"run_tokens": 1_000}, r"traders\.staffing\.name.*governor"),
    ],
)
def test_a_staffing_that_cannot_be_is_refused_with_its_key(
    staffing: dict[str, Any], budget: dict[str, Any], line: str
) -> None:
    traders = {"minds": {"dear": 1}, "staffing": staffing or {"name": "tariff"}}
    with pytest.raises(ConfigError, match=line):
        resolve(CONFIG | {"traders": traders, "budget": budget})


def test_the_journal_has_who_was_asked_and_is_read_strictly(tmp_path: Path) -> None:
    _, rounds = played(tmp_path)
    record = to_record(rounds[0].gathered.entry(1))
    length, *columns, models = record[-1]
    read = from_record(record)
    assert to_record(read) == record
    assert models == ["kept"]
    assert record[:-1] == to_record(from_record(record[:-1]))
    for wrong in (None, [], [length + 1, *columns, models], [length, *columns[::-1], models], [length, *columns, []]):
        with pytest.raises(RecordError, match="chosen"):
            from_record([*record[:-1], wrong])


def test_charges_take_what_is_free_and_give_back_what_there_is() -> None:
    state = MarketState(np.array([[50, 0], [10, 0], [0, 0]]), np.array([1]), held=np.array([[20, 0], [0, 0], [0, 0]]))
    both = charged(
        [
            Charges("tokens", np.array([0, 1, 1]), np.array([40, 5, 3])),
            Charges("refund", np.array([1, 2]), np.array([-30, -20])),
        ],
        state,
        2,
    )
    assert (both.paid_cents, both.given_back_cents, both.unpaid_cents) == (38, 40, 10 + 10)
    taken, given = both.movements
    assert (taken.source.tolist(), taken.amount.tolist()) == ([0, 1], [30, 8])  # type: ignore[union-attr]
    assert (given.source, given.amount.tolist()) == (COMPUTE, [30, 10])


@pytest.mark.parametrize("half", [False, True])
def test_only_what_departs_from_everybody_at_its_own_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, half: bool
) -> None:
    def assign(self: Tariff, due: Due, costs: TurnCosts) -> Chosen | Pace:
        trader = np.sort(due.trader)[: len(due.trader) // 2 if half else None]
        return Chosen(trader, np.full(len(trader), OWN))

    monkeypatch.setattr(Tariff, "assign", assign)
    _, rounds = played(tmp_path)
    assert [outcome.gathered.chosen is not None for outcome in rounds] == [half] * 10
    assert {len(outcome.gathered.turns) for outcome in rounds} == {6 if half else 12}
    assert {outcome.staffed.held_back for outcome in rounds} == {6 if half else 0}


@pytest.mark.parametrize(
    "chosen",
    [Chosen(np.array([999]), np.array([OWN])), Chosen(np.arange(0), np.arange(0), ("x",))],
)
def test_a_staffing_that_chooses_what_there_is_not_says_so(monkeypatch: pytest.MonkeyPatch, chosen: Chosen) -> None:
    monkeypatch.setattr(Tariff, "assign", lambda *_: chosen)
    with pytest.raises(ConfigError, match=r"traders\.staffing.*tariff chose"):
        play(resolve(CONFIG))


def test_the_key_is_explained() -> None:
    (key,) = [key for key in explain("wood") if key.key == "traders.staffing"]
    assert "governor" in key.meaning
