"""Supply chains that are stopped, resumed, forked, sharded and replayed, by contracts and at auction."""

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
from swarm.runtime.play import play
from swarm.runtime.ports import RunsOn
from swarm.runtime.run import Session
from swarm.scenarios.protocol import Choices
from swarm.scenarios.supply_chain import books
from swarm.scenarios.supply_chain.auction import SupplyMarket
from swarm.scenarios.supply_chain.form import Replenish
from swarm.simulation.folder import RunFolder
from swarm.simulation.plan import RunPlan
from swarm.simulation.record import RunRecord
from swarm.simulation.replay import replay
from swarm.simulation.traders import TradersPort
from tests.playing import Outcomes, SplitTraders

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


@cache
def whole(mode: str) -> tuple[RunRecord, Outcomes]:
    outcomes = Outcomes()
    return play(config(mode), outcomes).record, outcomes


@pytest.mark.parametrize("mode", MODES)
def test_a_run_that_is_stopped_and_resumed_orders_as_if_it_never_was(mode: str, tmp_path: Path) -> None:
    calls = iter(range(100))
    folder = RunFolder(tmp_path / "run")
    Session(RunsOn(local=True), folder, stop=lambda: next(calls) > 6).execute(config(mode))
    found = Session(RunsOn(local=True), folder).resume().record.summary
    assert found["rounds"] == ROUNDS
    record, _ = whole(mode)
    assert found["journal_sha256"] == record.summary["journal_sha256"]
    assert found["supply"]["doubled_orders"] == 0
    again = replay(tmp_path / "run" / "journal.swarm", composed)
    assert again.holds, again.mismatch


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


def test_at_auction_units_are_conserved_over_all_wares() -> None:
    _, outcomes = whole("market")
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
