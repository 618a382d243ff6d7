"""Supply chains that are stopped, resumed, forked, sharded and replayed, by contracts and at auction."""

import re
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import swarm
from swarm.config_file import resolve
from swarm.errors import ConfigError, ScenarioError
from swarm.llm import engines
from swarm.market.ledger import ISSUE
from swarm.market.orders import Orders
from swarm.planning import compose, composed
from swarm.runtime.play import Shown, play
from swarm.runtime.ports import RunsOn
from swarm.runtime.run import Session
from swarm.scenarios.protocol import Choices
from swarm.scenarios.supply_chain import books
from swarm.scenarios.supply_chain.auction import SupplyMarket
from swarm.scenarios.supply_chain.chain import SupplyChain
from swarm.scenarios.supply_chain.departures import Departures
from swarm.scenarios.supply_chain.form import Replenish
from swarm.scenarios.supply_chain.news import exposure
from swarm.simulation.facets.supply import COSTS
from swarm.simulation.folder import RunFolder
from swarm.simulation.history import read
from swarm.simulation.loop import RoundOutcome
from swarm.simulation.plan import RunPlan
from swarm.simulation.record import RunRecord
from swarm.simulation.replay import replay
from swarm.simulation.supply_again import played_again
from swarm.simulation.traders import TradersPort
from tests.playing import Moody, Outcomes, SplitTraders

MODES = ("contracts", "market")
ROUNDS = 14
SHIFT = {"region": "coast", "first_round": 5, "permille": 1_600}
RULES = {"tick_cents": 10, "max_quantity_lots": 1_000}


def config(mode: str, rounds: int = ROUNDS, population: int = 25, **keys: Any) -> Any:
    scenario = {"name": "supply_chain", "mode": mode, "shifts": [SHIFT], **keys.pop("scenario", {})}
    return resolve(
        {
            "seed": 5,
            "rounds": rounds,
            "population": population,
            "scenario": scenario,
            "market": RULES,
            "models": [{"name": "reader", "engine": "scripted", "temperament": "value"}],
            "traders": {"minds": {"reader": 1}},
            **keys,
        }
    )


class Departed(Outcomes):
    """A watcher that keeps what nodes decided, too."""

    def __init__(self) -> None:
        super().__init__()
        self.departures: dict[int, Departures] = {}

    def round_done(self, outcome: RoundOutcome) -> None:
        """Keeps a round."""
        super().round_done(outcome)
        chain = outcome.plan.scenario
        assert isinstance(chain, SupplyChain) and chain.last is not None
        self.departures[outcome.round] = chain.last.departures


@cache
def whole(mode: str) -> tuple[RunRecord, Departed]:
    outcomes = Departed()
    return play(config(mode), outcomes).record, outcomes


@pytest.mark.parametrize("mode", MODES)
def test_a_run_that_is_stopped_and_resumed_orders_as_if_it_never_was(mode: str, tmp_path: Path) -> None:
    calls = iter(range(100))
    folder = RunFolder(tmp_path / "run")
    Session(RunsOn(local=True), folder, stop=lambda: next(calls) > 6, report=False).execute(config(mode))
    found = Session(RunsOn(local=True), folder, report=False).resume().record.summary
    assert found["rounds"] == ROUNDS
    record, _ = whole(mode)
    assert found["journal_sha256"] == record.summary["journal_sha256"]
    assert found["supply"]["doubled_orders"] == 0
    again = replay(tmp_path / "run" / "journal.swarm", composed)
    assert again.holds, again.mismatch


KILLED_IN = 7
KILL_ITSELF = """
import os, signal, sys
from pathlib import Path
from swarm.planning import compose
from tests.unit import test_supply_runs as own

mode, folder = sys.argv[1:]
kind = type(compose(own.config(mode)).run.scenario)
lives = kind.after_clearing

def killed(self, round_, *more):
    if round_ == own.KILLED_IN:
        os.kill(os.getpid(), signal.SIGKILL)
    return lives(self, round_, *more)

kind.after_clearing = killed
own.Session(own.RunsOn(local=True), own.RunFolder(Path(folder)), report=False).execute(own.config(mode))
"""


@pytest.mark.parametrize("mode", MODES)
def test_a_run_that_is_killed_in_the_middle_of_a_round_orders_once(mode: str, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    died = subprocess.run([sys.executable, "-c", KILL_ITSELF, mode, folder.path], check=False)
    assert died.returncode == -signal.SIGKILL
    history = read(folder.path / "journal.swarm")
    # The round's orders are on file, and the round is not over.
    assert history.rounds == KILLED_IN - 1
    assert history.unfinished > 0
    found = Session(RunsOn(local=True), folder, report=False).resume().record.summary
    record, _ = whole(mode)
    assert found["journal_sha256"] == record.summary["journal_sha256"]
    assert found["supply"] == record.summary["supply"]
    assert found["supply"]["doubled_orders"] == 0


@pytest.mark.parametrize("mode", MODES)
def test_two_shards_in_any_order_order_once(mode: str) -> None:
    def traders(plan: RunPlan, _: TradersPort) -> SplitTraders:
        return SplitTraders(plan.shard, engines.all_in_process(plan.models), 2, True)

    record, _ = whole(mode)
    other = play(config(mode), traders=traders).record
    assert other.summary["journal_sha256"] == record.summary["journal_sha256"]
    assert other.summary["supply"] == record.summary["supply"]
    assert record.summary["supply"]["doubled_orders"] == 0


@pytest.mark.parametrize("mode", MODES)
def test_a_fork_goes_on_with_what_is_under_way_and_keeps_its_mode(mode: str, tmp_path: Path) -> None:
    swarm.run(config(mode), out=tmp_path / "run", local=True)
    swarm.fork(tmp_path / "run", 7, out=tmp_path / "fork", changes={"scenario.plan.z_permille": [3_000]}, local=True)
    again = replay(tmp_path / "fork" / "journal.swarm", composed)
    assert again.holds, again.mismatch
    other = {"scenario.mode": next(name for name in MODES if name != mode)}
    with pytest.raises(ConfigError, match="goods") as refused:
        swarm.fork(tmp_path / "run", 7, out=tmp_path / "other", changes=other, local=True)
    assert refused.value.key == "scenario"


def test_a_ledger_that_says_otherwise_than_the_network_stops_the_run() -> None:
    _, outcomes = whole("contracts")
    chain, state = outcomes.rounds[-1].plan.scenario, outcomes.rounds[-1].state
    balances = state.balances.copy()
    balances[3, books.UNDER_WAY] += 1
    nobody = Choices(np.zeros(0, dtype=np.int64), (), Orders.empty())
    with pytest.raises(ScenarioError, match=rf"{chain.network.names[3]}.*under way.*stopped"):  # type: ignore[attr-defined]
        chain.resolve(ROUNDS + 1, nobody, replace(state, balances=balances))


@cache
def hurried() -> tuple[RunRecord, Outcomes]:
    """Returns a run at auction in which everybody hurries in every round."""
    outcomes = Outcomes()

    def traders(plan: RunPlan, _: TradersPort) -> SplitTraders:
        return SplitTraders(plan.shard, {"reader": Moody("hurries")}, 2)

    return play(config("market"), outcomes, traders=traders).record, outcomes


@pytest.mark.parametrize("run", [lambda: whole("market"), hurried], ids=["at home", "by road"])
def test_at_auction_units_are_conserved_over_all_wares(run: Callable[[], tuple[RunRecord, Outcomes]]) -> None:
    _, outcomes = run()
    chain = outcomes.rounds[-1].plan.scenario
    assert isinstance(chain, SupplyMarket)
    named, wares = outcomes.rounds[-1].named_balances, slice(1, len(chain.wares) + 1)
    outside, road, customers = (
        named[chain.named_accounts.index(name), wares] for name in (ISSUE, books.ROAD, books.CUSTOMERS)
    )
    stores = outcomes.rounds[-1].state.balances[:, wares]
    # By ware and over all of them: what is outside below zero lies somewhere inside.
    assert (outside + road + customers + stores.sum(axis=0) == 0).all()
    # A node's store is of its own ware, however much it bought of others.
    others = stores.copy()
    others[np.arange(len(stores)), chain.wares.of_node] = 0
    assert not others.any()
    assert road.sum() == chain._kept.goods.pipe.sum()
    counts = chain.trader_columns()
    assert customers.sum() == counts["demand_units"].sum() - chain._kept.goods.owed.sum()
    # What hurrying costs is what the carrier got.
    carrier = named[chain.named_accounts.index(books.CARRIER), 0]
    assert carrier == counts["expedite_cents"].sum() - counts["unpaid_cents"].sum()


@pytest.mark.parametrize("mode", MODES)
def test_a_run_that_is_played_again_comes_to_itself_and_tells_what_news_was_worth(mode: str) -> None:
    record, outcomes = whole(mode)
    chain = outcomes.rounds[-1].plan.scenario
    assert isinstance(chain, SupplyChain)
    decided = outcomes.departures
    again = played_again(outcomes.rounds[-1].plan, chain, ROUNDS, decided)
    assert again == {name: int(column.sum()) for name, column in chain.trader_columns().items()}
    found = record.summary["supply"]
    (line,) = found["news"]
    # Nobody follows the line in another run, and the rest is as it was.
    heard = exposure(chain.network, chain.setup.news[0].region) > 0
    without = {**decided, line["round"]: decided[line["round"]].without_letters(heard)}
    other = played_again(outcomes.rounds[-1].plan, chain, ROUNDS, without)
    parts = [f"{part}_cents" for part in COSTS]
    more = sum(other[part] - again[part] for part in parts) / ROUNDS
    assert line["worth_cents_a_round"] == pytest.approx(more, abs=0.02)
    assert more != 0
    assert found["plan_alone"]["total"] != found["cents_a_round"]["total"]


def test_what_would_take_too_long_to_play_again_is_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("swarm.simulation.facets.supply.MOST_PLAYED", 2 * 25 * ROUNDS)
    found = play(config("market")).record.summary["supply"]
    assert found["plan_alone"] is not None
    assert found["news"][0]["departed"] > 0
    assert found["news"][0]["worth_cents_a_round"] is None
    monkeypatch.setattr("swarm.simulation.facets.supply.MOST_PLAYED", 25 * ROUNDS)
    assert play(config("market")).record.summary["supply"]["plan_alone"] is None


def test_who_hurries_at_auction_buys_in_another_region_and_has_it_in_the_next_round() -> None:
    record, outcomes = hurried()
    chain, state = outcomes.rounds[-1].plan.scenario, outcomes.rounds[-1].state
    assert isinstance(chain, SupplyMarket) and chain.last is not None
    # Everybody had all that it bought on the road for a round alone, and paid for it.
    flow = chain.last.flow
    assert 0 < flow.by_road.sum() <= flow.arrived.sum()
    assert (flow.arrived >= flow.by_road).all()
    assert (chain._haste_cents(flow) == 600 * flow.by_road + 300 * flow.hurried).all()
    assert record.summary["supply"]["cents_a_round"]["expedite"] > 0
    # One node alone hurries: what it lacks is bid for once, where it is cheapest.
    nobody = chain.resolve(ROUNDS + 1, Choices(np.zeros(0, dtype=np.int64), (), Orders.empty()), state).orders
    node = int(nobody.trader[(nobody.side > 0) & (chain.network.tier[nobody.trader] == 0)][0])
    row = int(np.flatnonzero(chain.wares.trading & (chain.network.edges.buyer == node))[0])
    prices = replace(state, reference_ticks=np.arange(len(chain.goods), 0, -1) * 100)
    one = Choices(np.array([node]), (Replenish(hurries=True),), Orders.empty())
    orders = chain.resolve(ROUNDS + 1, one, prices).orders
    bids = orders.good[(orders.trader == node) & (orders.side > 0)].tolist()
    others = np.flatnonzero(chain.wares.elsewhere[row])
    assert bids == [others[-1]]
    assert not chain.wares.elsewhere[row, chain.wares.over_edge[row]]
    assert {chain.goods[ware].split("-")[0] for ware in others} == {"warehouse"}
    # Nobody else buys otherwise than at home.
    rest = (orders.trader != node) & (orders.side > 0)
    at_home = set(zip(chain.network.edges.buyer.tolist(), chain.wares.over_edge.tolist(), strict=True))
    assert set(zip(orders.trader[rest].tolist(), orders.good[rest].tolist(), strict=True)) <= at_home


def test_the_menu_says_where_goods_can_be_had_by_road() -> None:
    shown = Shown()
    asking = config("market", rounds=5)
    play(asking, traders=shown.asking)
    form = compose(asking).run.shard.form("reader")
    prompt = form.render(shown.seen[0], 24, 1 << 30)
    assert prompt is not None
    assert re.search(
        r"F expedite: .*, and what you lack from warehouse-\w+ for 6.00 a unit more", prompt.messages[-1].content
    )


def test_at_auction_what_is_asked_twice_orders_once() -> None:
    _, outcomes = whole("market")
    chain, state = outcomes.rounds[-1].plan.scenario, outcomes.rounds[-1].state
    nobody = Choices(np.zeros(0, dtype=np.int64), (), Orders.empty())
    skip = Choices(np.array([7]), (Replenish(skips=True),), Orders.empty())
    # Cancelled and made again five times, a need stays what it is.
    found, orders = [], Orders.empty()
    for _ in range(5):
        assert not (chain.resolve(ROUNDS + 1, skip, state).orders.trader[_buys(chain, skip, state)] == 7).any()
        orders = chain.resolve(ROUNDS + 1, nobody, state).orders
        found.append((orders.trader.tolist(), orders.quantity_lots.tolist(), orders.limit_ticks.tolist()))
    assert all(one == found[0] for one in found)
    # One bid for each buyer and ware.
    keys = list(zip(orders.trader.tolist(), orders.good.tolist(), orders.side.tolist(), strict=True))
    assert len(keys) == len(set(keys))


def _buys(chain: Any, choices: Choices, state: Any) -> Any:
    return chain.resolve(ROUNDS + 1, choices, state).orders.side > 0


def test_a_shortage_moves_the_price_before_the_stores_are_empty() -> None:
    nothing = {"shifts": [], "plan": {"rule": "smoothing"}}
    moved = {"shifts": [SHIFT | {"announced": None}], "plan": {"rule": "smoothing"}}
    paid = []
    for scenario in (nothing, moved):
        outcomes = Outcomes()
        chain: Any = play(config("market", rounds=20, scenario=scenario), outcomes).plan.run.scenario
        ware = chain.goods.index("warehouse-coast")
        paid.append([int(outcome.cleared.clearing_ticks[ware]) for outcome in outcomes.rounds[5:]])
    assert np.mean(paid[1]) > 1.05 * np.mean(paid[0])


def test_at_auction_what_was_bid_for_in_vain_is_made_up_for() -> None:
    rush = SHIFT | {"last_round": 8, "permille": 3_000, "announced": None}
    outcomes = Outcomes()
    scenario = {"shifts": [rush], "plan": {"rule": "base_stock"}}
    chain: Any = play(config("market", rounds=32, scenario=scenario), outcomes).plan.run.scenario
    short = [int(outcome.cleared.unfilled_buy_lots.sum()) for outcome in outcomes.rounds]
    # A shortage of some rounds is over some rounds after them, and is not handed on for ever.
    assert max(short[:14]) > 100
    assert max(short[-5:]) < 10
    assert chain._kept.goods.owed.sum() < 10


def test_at_auction_two_suppliers_get_one_need_and_long_lead_times_stay_bounded() -> None:
    table = (
        "node,supplier,lead_time,tier,holding,backlog,demand,share\nshop,a,1,shop,1,9,5,700\nshop,b,2,shop,1,,,300\n"
    )
    table += "a,outside,1,maker,1,,,\nb,outside,1,importer,1,,,"
    scenario = {"network": "table", "table": table, "shifts": []}
    chain: Any = play(config("market", rounds=40, population=3, scenario=scenario)).plan.run.scenario
    received = chain.trader_columns()["received_units"]
    assert received[1] / (received[1] + received[2]) == pytest.approx(0.7, abs=0.05)
    # Of one need each supplier gets its part, and no more than the need is bid for.
    ordered = chain.trader_columns()["ordered_units"]
    assert ordered[0] == received[1] + received[2]
    assert ordered[0] / 40 == pytest.approx(5, rel=0.1)
    far = "node,supplier,lead_time,tier,holding,backlog,demand\nshop,a,50,shop,1,9,5\na,outside,1,maker,1,,"
    outcomes = Outcomes()
    scenario = {"network": "table", "table": far, "shifts": []}
    chain = play(config("market", rounds=120, population=2, scenario=scenario), outcomes).plan.run.scenario
    assert outcomes.rounds[-1].trader_columns["ordered_units"][0] / 120 == pytest.approx(5, rel=0.15)


@pytest.mark.parametrize(
    ("market", "scenario", "key"),
    [
        ({"max_quantity_lots": 20}, {}, "market.max_quantity_lots"),
        ({"max_price_ticks": 100}, {}, "market.max_price_ticks"),
        ({"max_orders_per_round": 1}, {}, "market.max_orders_per_round"),
        ({"mechanism": "continuous"}, {}, "market.mechanism"),
    ],
)
def test_a_market_that_is_too_narrow_is_refused(market: dict[str, Any], scenario: dict[str, Any], key: str) -> None:
    with pytest.raises(ConfigError) as refused:
        compose(config("market", scenario=scenario, market=RULES | market))
    assert refused.value.key == key


def test_tiers_that_are_no_levels_cannot_trade() -> None:
    table = "node,supplier,lead_time,tier,holding,backlog,demand\na,b,1,one,1,9,5\nb,outside,1,one,1,,"
    with pytest.raises(ConfigError, match="tier 'one'") as refused:
        compose(config("market", population=2, scenario={"network": "table", "table": table, "shifts": []}))
    assert refused.value.key == "scenario.mode"
