"""What one market can do, several can: lend, have traders come and go, rest orders, be resumed, forked and replayed."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from swarm.agents.observation import Observation
from swarm.config_file import resolve
from swarm.market.ledger import ISSUE, ROAD
from swarm.market.margin import BANK, DEFAULTS, LENDER
from swarm.planning import compose, composed
from swarm.report.page import render
from swarm.runtime.fork import fork
from swarm.runtime.play import play
from swarm.runtime.ports import IN_THIS_PROCESS
from swarm.runtime.run import RunResult, Session
from swarm.simulation.folder import RunFolder
from swarm.simulation.loop import RoundOutcome
from swarm.simulation.parties.road import RegionState, Road, Travellers
from swarm.simulation.plan import RunPlan
from swarm.simulation.population import DEPARTED
from swarm.simulation.region import region_of
from swarm.simulation.replay import replay
from swarm.simulation.traders import Gathered, TradersPort
from swarm.simulation.world_record import WorldRecorder
from tests.refusals import refused

NAMES = ("east", "north", "west")
CONFIG: dict[str, Any] = {
    "name": "lands",
    "seed": 5,
    "rounds": 10,
    "population": 31,
    "models": [{"name": "calm", "temperament": "value"}, {"name": "wild", "temperament": "panic", "fault_rate": 0.2}],
    "traders": {"minds": {"calm": 1, "wild": 1, "zip": 2, "zi_c": 2}},
    "regions": {"names": list(NAMES), "travellers": 4},
}
MARGIN = {"market": {"margin": {"initial_permille": 200, "maintenance_permille": 150, "interest_ppm": 20_000}}}
STEPS = [{"from_round": 1, "traders": 20}, {"from_round": 4, "traders": 31}, {"from_round": 7, "traders": 9}]
KINDS: dict[str, dict[str, Any]] = {
    "plain": {},
    "margin": MARGIN,
    "coming and going": {"population": STEPS},
    "margin, coming and going": {**MARGIN, "population": STEPS},
    "resting orders": {"market": {"mechanism": "continuous", "rest_rounds": 3}},
    "all at once": {
        "market": {**MARGIN["market"], "mechanism": "continuous", "rest_rounds": 3},
        "population": STEPS,
        "regions": CONFIG["regions"] | {"abroad": "own"},
    },
}


class Accounts:
    """Holds every round of every market against what must always be."""

    def __init__(self) -> None:
        self.rounds: list[RoundOutcome] = []

    def started(self, *_: object) -> None:
        pass

    def round_done(self, outcome: RoundOutcome) -> None:
        self.rounds.append(outcome)
        assert outcome.road is not None
        on_the_road = np.zeros_like(outcome.road.under_way)
        for own in outcome.of:
            there = own.plan.there(own.round)
            assert not own.state.balances[~there].any(), "who is absent owns something"
            assert own.state.owed is None or not own.state.owed[~there].any(), "who is absent owes something"
            assert not (own.state.balances.sum(axis=0) + own.named_balances.sum(axis=0)).any()
            on_the_road += own.named_balances[own.plan.market.named_accounts.index(ROAD)]
        assert (on_the_road == outcome.road.under_way).all()
        owed = [own.state.owed.sum() for own in outcome.of if own.state.owed is not None]
        assert outcome.state.owed is None or outcome.state.owed.sum() == sum(owed)


def session(folder: Path, stop_after: int | None = None) -> Session:
    calls = 0

    def stop() -> bool:
        nonlocal calls
        calls += 1
        return stop_after is not None and calls > stop_after

    return Session(IN_THIS_PROCESS, RunFolder(folder), stop=stop, report=False)


def journals(folder: Path) -> list[bytes]:
    return [(folder / "regions" / name / "journal.swarm").read_bytes() for name in NAMES]


@pytest.fixture(scope="module", params=KINDS, ids=list(KINDS))
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path]:
    config = CONFIG | KINDS[request.param]
    folder = tmp_path_factory.mktemp("world") / "run"
    assert session(folder).execute(resolve(config)).finished
    return config, folder


World = tuple[dict[str, Any], Path]


def test_what_leaves_one_market_comes_to_another_and_who_is_absent_has_nothing(world: World) -> None:
    accounts = Accounts()
    played = play(resolve(world[0]), accounts)
    assert len(accounts.rounds) == played.rounds == 10
    assert played.journal_sha256 == RunFolder(world[1]).recorded_sha256()
    assert not any(flow["unexplained"] for flow in played.summary["conservation"].values())
    assert sum(played.summary["regions"]["carried_lots"].values()) > 0


def test_it_replays_whole_and_region_by_region(world: World, tmp_path: Path) -> None:
    recorder = WorldRecorder()
    result = replay(RunFolder(world[1]).journals, composed, (recorder,))
    assert result.holds, result.mismatch
    assert result.replayed_sha256 == RunFolder(world[1]).recorded_sha256()
    again = recorder.finish(result.closings, {})
    for name, table in RunFolder(world[1]).read_record().tables.items():
        clocks = [c for c in table.columns if c.endswith("_s")]
        assert again.tables[name].drop(clocks).equals(table.drop(clocks)), name
    for name in NAMES:
        shutil.copytree(world[1] / "regions" / name, tmp_path / name)
        assert replay(tmp_path / name / "journal.swarm", composed).holds


def test_it_is_stopped_and_goes_on_to_the_same_journals(world: World, tmp_path: Path) -> None:
    for stop_after in (2, 5, 8):
        folder = tmp_path / str(stop_after)
        assert not session(folder, stop_after).execute(resolve(world[0])).finished
        assert session(folder).resume().finished
        assert journals(folder) == journals(world[1])


def forked(parent: Path, folder: Path, at_round: int, *changes: str) -> RunResult:
    fork(RunFolder(parent), at_round, changes, RunFolder(folder))
    return session(folder).resume()


def test_a_fork_that_changes_nothing_goes_the_same_way(world: World, tmp_path: Path) -> None:
    forked(world[1], tmp_path / "fork", 5)
    plain = replay(RunFolder(world[1]).journals, composed)
    same = replay(RunFolder(tmp_path / "fork").journals, composed)
    assert plain.holds
    assert same.holds, same.mismatch
    before, after = (RunFolder(f).read_record().tables["trades"] for f in (world[1], tmp_path / "fork"))
    assert before.equals(after)


@pytest.mark.parametrize("change", ["seed=9", "regions.fee_permille=90", "traders.minds={zip: 1}", "rounds=14"])
def test_a_fork_has_another_future_of_one_past(world: World, tmp_path: Path, change: str) -> None:
    folder = tmp_path / "fork"
    result = forked(world[1], folder, 5, change)
    assert result.finished
    summary = result.record.summary
    parent = RunFolder(world[1]).read_record()
    for table in ("trades", "road", "regions"):
        past = [tables.filter(tables["round"] <= 5) for tables in (parent.tables[table], result.record.tables[table])]
        assert past[0].equals(past[1]), table
    assert [(at, changes) for at, _, changes in summary["forks"]] == [(5, [change])]
    assert not any(flow["unexplained"] for flow in summary["conservation"].values())
    replayed = replay(RunFolder(folder).journals, composed)
    assert replayed.holds, replayed.mismatch
    assert replayed.replayed_sha256 == summary["journal_sha256"]
    assert "fork" in render(result.record).lower()


def test_a_fork_of_a_fork_is_resumed_wherever_it_stopped(world: World, tmp_path: Path) -> None:
    forked(world[1], tmp_path / "one", 3, "seed=9")
    fork(RunFolder(tmp_path / "one"), 6, ("regions.capacity_lots=2",), RunFolder(tmp_path / "two"))
    shutil.copytree(tmp_path / "two", tmp_path / "whole")
    assert session(tmp_path / "whole").resume().finished
    assert not session(tmp_path / "two", 2).resume().finished
    result = session(tmp_path / "two").resume()
    assert result.finished
    assert journals(tmp_path / "two") == journals(tmp_path / "whole")
    assert [at for at, _, _ in result.record.summary["forks"]] == [3, 6]


def test_lands_seats_and_travellers_stay_when_a_fork_has_another_seed() -> None:
    past = compose(resolve(CONFIG))
    future = compose(resolve(CONFIG | {"seed": 9}), past)
    assert (past.travellers.seat == future.travellers.seat).all()
    for before, after in zip(past.markets, future.markets, strict=True):
        assert before.seed != after.seed
        assert before.market.opening_reference_ticks == after.market.opening_reference_ticks


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ("regions.travellers=3", "regions.travellers"),
        ("regions.names=[east, north, south]", "regions.names"),
        ("regions.tilt_permille=0", "regions.tilt_permille"),
        ("regions.roads=[[east, west]]", "regions.roads"),
        ("population=40", "population"),
        ("regions=null", "regions"),
    ],
)
def test_a_fork_that_would_move_seats_is_refused_and_leaves_nothing(
    world: World, tmp_path: Path, change: str, key: str
) -> None:
    with refused(key):
        fork(RunFolder(world[1]), 4, (change,), RunFolder(tmp_path / "fork"))
    assert not (tmp_path / "fork").exists()


def test_the_schedule_is_split_as_the_population_is() -> None:
    plan = compose(resolve(CONFIG | {"population": STEPS}))
    for round_, total in ((1, 20), (4, 31), (7, 9)):
        natives = [int(own.there(round_)[: region_of(own).natives].sum()) for own in plan.markets]
        assert sum(natives) == plan.run.present(round_) == total
        assert max(natives) - min(natives) <= 1
        # A traveller is there at both its seats or at none.
        for region, seat in zip(plan.travellers.region.tolist(), plan.travellers.seat.tolist(), strict=True):
            home, away = (plan.markets[r].there(round_)[s] for r, s in zip(region, seat, strict=True))
            assert home == away


def test_who_goes_leaves_what_it_has_at_both_seats_and_nothing_under_way() -> None:
    accounts = Accounts()
    play(resolve(CONFIG | {"population": STEPS}), accounts)
    plan = compose(resolve(CONFIG | {"population": STEPS}))
    gone = plan.run.there(6) & ~plan.run.there(7)
    assert gone.sum() == 22
    departed = [
        own.named_balances[own.plan.market.named_accounts.index(DEPARTED)].sum() for own in accounts.rounds[6].of
    ]
    assert all(left > 0 for left in departed)


class Greedy:
    """Traders who put in for three times of what they would, which they must borrow for."""

    def __init__(self, plan: RunPlan, traders: TradersPort) -> None:
        self.traders = traders

    def decide(self, seen: Observation) -> Gathered:
        gathered = self.traders.decide(seen)
        orders = gathered.baseline_orders
        return replace(gathered, baseline_orders=replace(orders, quantity_lots=3 * orders.quantity_lots))


class Debts(Accounts):
    """Counts who owes in which market, and looks that no debtor sends anything away."""

    def __init__(self) -> None:
        super().__init__()
        self.guests = self.natives = self.left_in_debt = 0

    def round_done(self, outcome: RoundOutcome) -> None:
        super().round_done(outcome)
        for own in outcome.of:
            assert own.state.owed is not None
            owing = own.state.owed.sum(axis=1) > 0
            self.natives += int(owing[: region_of(own.plan).natives].sum())
            self.guests += int(owing[region_of(own.plan).natives :].sum())
            self.left_in_debt += int((owing & ~own.plan.there(own.round + 1)).sum())


@pytest.mark.parametrize("population", [31, STEPS])
def test_every_market_lends_and_who_owes_keeps_what_secures_it(population: Any, tmp_path: Path) -> None:
    watch = Debts()
    config = resolve(CONFIG | MARGIN | {"population": population, "traders": {"minds": {"zi_c": 1}}})
    played = play(config, watch, traders=Greedy, journals_in=tmp_path)
    assert watch.natives > 0
    assert watch.guests > 0
    assert population == 31 or watch.left_in_debt > 0
    assert not any(flow["unexplained"] for flow in played.summary["conservation"].values())
    for own in played.plan.markets:
        assert {BANK, LENDER, DEFAULTS, ISSUE, ROAD} <= set(own.market.named_accounts)
    replayed = replay(RunFolder(tmp_path).journals, composed)
    assert replayed.holds, replayed.mismatch
    assert replayed.replayed_sha256 == played.journal_sha256


def test_nothing_leaves_a_seat_that_owes_or_what_is_on_hold() -> None:
    regions = [
        RegionState(np.array([[1_000, 8], [0, 0]]), np.array([5]), np.array([[8], [0]]), np.array([[cents], [0]]))
        for cents in (0, 1_000)
    ]
    regions[0] = replace(regions[0], spare=np.zeros((2, 1), dtype=np.int64))
    regions[1] = replace(regions[1], reference_ticks=np.array([50]))
    road = Road(Travellers(np.array([[0, 1]]), np.array([[0, 1]])), 2, 1, 10, 8, 100)
    assert road.move(regions) == [[], []]


@pytest.mark.parametrize("later", [[], [{"from_round": 3, "traders": 5}]])
def test_a_region_is_never_left_with_nobody_to_trade_with(later: list[dict[str, int]]) -> None:
    population = [{"from_round": 1, "traders": 31}, *later] if later else 5
    with refused("regions", "two"):
        resolve(CONFIG | {"population": population})
