"""Supply chains as runs: published figures, conservation, one order per node and round, and what agents change."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import swarm
from swarm.agents.decision import DecisionError
from swarm.config_file import resolve
from swarm.market.orders import Orders
from swarm.planning import compose, composed
from swarm.report.sections.supply import in_words
from swarm.report.sections.supply import supply as section
from swarm.runtime.play import Shown, play
from swarm.scenarios.protocol import Choices
from swarm.scenarios.supply_chain import books
from swarm.scenarios.supply_chain.chain import SupplyChain
from swarm.scenarios.supply_chain.demand import Demand
from swarm.scenarios.supply_chain.form import Replenish
from swarm.scenarios.supply_chain.planning import PlanConfig
from swarm.scenarios.supply_chain.simulate import simulate
from swarm.scenarios.supply_chain.table import read_table
from swarm.simulation.loop import RoundOutcome
from swarm.simulation.replay import replay
from tests.playing import Outcomes

BY_PLAN = {"define": {"own": {"mind": "own", "rule": "plan"}}, "minds": {"own": 1}}

READER: dict[str, Any] = {
    "models": [{"name": "reader", "engine": "scripted", "temperament": "value"}],
    "traders": {"minds": {"reader": 1}, "standing": {"max_rounds": 1_000}},
}


def config(rounds: int = 36, population: int = 4, **keys: Any) -> Any:
    scenario = {"name": "supply_chain", **keys.pop("scenario", {"network": "beer_game"})}
    return resolve(
        {"seed": 5, "rounds": rounds, "population": population, "scenario": scenario, "traders": BY_PLAN} | keys
    )


def played(folder: Path | None = None, **keys: Any) -> tuple[SupplyChain, list[RoundOutcome]]:
    outcomes = Outcomes()
    chain = play(config(**keys), outcomes, journals_in=folder).plan.run.scenario
    assert isinstance(chain, SupplyChain)
    return chain, outcomes.rounds


def test_the_beer_game_by_its_optimal_board_costs_180(tmp_path: Path) -> None:
    # Targets of 28, 28, 28 and 20 beside the four cases that the board expects.
    plan = {"rule": "levels", "levels": [32, 32, 32, 24]}
    chain, rounds = played(tmp_path, scenario={"network": "beer_game", "plan": plan})
    counts = chain.trader_columns()
    cost = (counts["holding_cents"] + counts["backlog_cents"]) / 100
    assert cost.tolist() == [36, 44, 52, 48]
    assert not counts["unpaid_cents"].any()
    # What was paid is what has left the purses for store and for waiting.
    paid = dict(zip(chain.named_accounts, rounds[-1].named_balances[:, 0].tolist(), strict=True))
    assert paid[books.STORAGE] + sum(counts["backlog_cents"]) == 18_000
    assert paid[books.CUSTOMERS] == sum(counts["backlog_cents"])
    again = replay(tmp_path / "journal.swarm", composed)
    assert again.holds, again.mismatch


def test_the_ledger_costs_what_the_simulation_does() -> None:
    scenario = {"network": "tree", "plan": {"rule": "smoothing"}}
    chain, _ = played(rounds=60, population=25, scenario=scenario)
    alone = simulate(chain.network, PlanConfig(), Demand(chain.network, 5), 60)
    counts = chain.trader_columns()
    total = sum(int(counts[f"{part}_cents"].sum()) for part in ("holding", "transit", "backlog"))
    assert total / 60 == pytest.approx(alone.total, rel=1e-12)


@pytest.mark.parametrize("rule", ["base_stock", "moving_average", "sterman", "central", "told"])
def test_a_rule_has_seats_of_its_own(rule: str) -> None:
    traders = {"define": {"own": {"mind": "own", "rule": rule}}, "minds": {"own": 1}}
    chain, rounds = played(rounds=30, population=25, scenario={"network": "tree"}, traders=traders)
    demand = Demand(chain.network, 5)
    # The plan of the config made the start; the seats' rule has ordered ever since.
    assert chain.last is not None
    assert (chain.last.departures.rule >= 0).all()
    assert rounds[-1].trader_columns["ordered_units"].sum() > 0.5 * sum(demand.units(r).sum() for r in range(1, 31))


def choices(chain: SupplyChain, *chosen: tuple[int, Replenish]) -> Choices:
    return Choices(np.array([node for node, _ in chosen]), tuple(what for _, what in chosen), Orders.empty())


def test_a_round_that_is_resolved_twice_orders_once(tmp_path: Path) -> None:
    chain, rounds = played()
    state = rounds[-1].state
    nothing = choices(chain)
    first, second = (chain.resolve(37, nothing, state).consequences for _ in range(2))
    assert [m.amount.tolist() for m in first] == [m.amount.tolist() for m in second]  # type: ignore[union-attr]


def test_a_second_decision_of_a_node_in_a_round_is_counted_and_does_nothing() -> None:
    chain, rounds = played()
    state, skip = rounds[-1].state, Replenish(skips=True)
    once, twice = choices(chain, (0, skip)), choices(chain, (0, skip), (0, Replenish(deviations=2)))
    amounts = [[m.amount.tolist() for m in chain.resolve(37, c, state).consequences] for c in (once, twice)]  # type: ignore[union-attr]
    assert amounts[0] == amounts[1]
    assert chain._next is not None
    assert chain._next[1].counts.doubled_orders.tolist() == [1, 0, 0, 0]


def test_an_order_that_is_cancelled_and_made_again_five_times_keeps_its_quantity() -> None:
    chain, rounds = played()
    state = rounds[-1].state
    ordered = []
    for _ in range(5):
        chain.resolve(37, choices(chain, (0, Replenish(skips=True))), state)
        chain.resolve(37, choices(chain), state)
        assert chain._next is not None
        ordered.append(int(chain._next[0].flow.ordered[0]))
    assert len(set(ordered)) == 1


def test_a_lead_time_of_fifty_rounds_keeps_orders_bounded_by_the_position() -> None:
    table = "node,supplier,lead_time,holding,backlog,demand\nshop,outside,50,10,90,5"
    network = read_table(table, 200)
    found = simulate(network, PlanConfig(rule="base_stock"), Demand(network, 3), 200)
    # What is under way counts, so nobody orders more than customers ask for in the long run.
    assert found.orders.mean() == pytest.approx(5, rel=0.1)
    assert found.orders.max() <= 25


def test_two_suppliers_get_one_need_between_them() -> None:
    table = "node,supplier,lead_time,holding,backlog,demand,share\nshop,a,1,1,9,5,700\nshop,b,2,1,,,300\n"
    table += "a,outside,1,1,,,\nb,outside,1,1,,,"
    chain, rounds = played(rounds=50, population=3, scenario={"network": "table", "table": table})
    assert chain.last is not None
    over = chain.last.flow.ordered_over[chain.network.edges.buyer == 0]
    assert over.sum() == chain.last.flow.ordered[0]
    received = rounds[-1].trader_columns["received_units"]
    assert received[1] / (received[1] + received[2]) == pytest.approx(0.7, abs=0.05)


def test_a_start_stock_below_zero_is_in_the_ledger_as_owed() -> None:
    head = "node,supplier,lead_time,holding,backlog,demand,start_stock\n"
    table = f"{head}shop,outside,2,1,9,0.001,-7\nstall,outside,2,1,9,0.001,0"
    _, rounds = played(rounds=2, population=2, scenario={"network": "table", "table": table})
    assert rounds[0].state.balances[0, books.OWED] == 7


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("B", Replenish(1)),
        (' "e". ', Replenish(-2)),
        ('{"answer": "F"}', Replenish(hurries=True)),
        ("H", DecisionError.BAD_CHOICE),
        ("AB", DecisionError.BAD_CHOICE),
        ("A" + 64 * " ", DecisionError.BAD_CHOICE),
    ],
)
def test_a_letter_is_read_bare_quoted_or_in_an_object(text: str, read: object) -> None:
    asking = config(rounds=5, **READER)
    shown = Shown()
    play(asking, traders=shown.asking)
    assert compose(asking).run.shard.form("reader").read(text, False, shown.seen[0], 0).outcome == read


def test_a_letter_moves_what_the_plan_expects_once_and_takes_the_rounds_orders_for_no_demand() -> None:
    chain, rounds = played(rounds=20, population=25, scenario={"network": "tree"})
    before = chain._kept.estimates.micro.copy()
    # Everybody hears of more, so that retailers' orders fill their stores in the same round.
    heard = choices(chain, *((node, Replenish(deviations=1)) for node in range(25)))
    chain.resolve(21, heard, rounds[-1].state)
    assert chain._next is not None
    flow, after = chain._next[0].flow, chain._next[1].estimates.micro
    warehouses = np.flatnonzero(chain.network.tier == 1)
    assert (flow.received[warehouses] > 1.2 * before[warehouses] / 1e6).all()
    lead = np.maximum(chain.network.lead, 1)
    assert (after - before) / 1e6 == pytest.approx(np.sqrt(before / 1e6 * lead) / lead, rel=1e-3)
    # Who follows its plan goes on learning.
    chain.resolve(21, choices(chain), rounds[-1].state)
    assert (chain._next[1].estimates.micro != before).any()


def test_expediting_brings_the_next_rounds_goods_for_a_fee() -> None:
    chain, rounds = played()
    state = rounds[-1].state
    chain.resolve(37, choices(chain, (0, Replenish(hurries=True))), state)
    assert chain._next is not None
    flow, counts = chain._next[0].flow, chain._next[1].counts
    assert flow.hurried[0] > 0
    fee = counts.expedite_cents[0] - chain._kept.counts.expedite_cents[0]
    assert fee == flow.hurried[0] * chain.config.expedite_cents


SHIFT = {"region": "coast", "first_round": 11, "permille": 1_600}


def test_nodes_are_asked_when_news_concerns_them_and_otherwise_hardly_ever() -> None:
    scenario = {"network": "tree", "shifts": [SHIFT], "band_permille": 0}
    chain, rounds = played(rounds=20, population=25, scenario=scenario, **READER)
    asked = [outcome.staffed.asked for outcome in rounds]
    concerned = int((chain.network.region == chain.network.regions.index("coast")).sum())
    assert asked[0] == 25
    assert concerned <= asked[10] < 25
    assert sum(asked) == asked[0] + asked[10]
    assert rounds[10].staffed.due["called"] == asked[10]


def test_who_is_concerned_in_part_alone_need_not_be_asked() -> None:
    scenario = {"network": "tree", "shifts": [SHIFT], "band_permille": 0, "concerned_permille": 1_000}
    chain, rounds = played(rounds=12, population=25, scenario=scenario, **READER)
    own = chain.network.sells & (chain.network.region == chain.network.regions.index("coast"))
    assert rounds[10].staffed.asked == own.sum()
    assert 0 < own.sum() < 20


def test_what_a_reader_decides_is_kept_and_what_it_was_worth_is_told() -> None:
    scenario = {"network": "tree", "shifts": [SHIFT]}
    run = play(config(rounds=60, population=25, scenario=scenario, **READER))
    found = run.record.summary["supply"]
    (line,) = found["news"]
    assert line["round"] == 11 and line["departed"] > 0
    assert line["worth_backlog_cents_a_round"] > 0
    assert found["cents_a_round"]["total"] != found["plan_alone"]["total"]
    assert found["bound_cents_a_round"] is None
    parts = {part.title for part in section(run.record)}
    assert {"What it cost", "The news", "Stock-outs"} < parts
    table = run.record.tables["supply"]
    assert table.height == 60 * 3


def test_without_departures_a_run_costs_what_its_plan_alone_does() -> None:
    found = play(config(rounds=30, population=25, scenario={"network": "tree"})).record.summary["supply"]
    assert found["cents_a_round"]["total"] == found["plan_alone"]["total"]
    assert found["bound_cents_a_round"] is not None
    assert found["news"] == []


def test_a_fork_goes_on_with_the_goods_that_are_under_way(tmp_path: Path) -> None:
    swarm.run(config(rounds=20, population=25, scenario={"network": "tree"}), out=tmp_path / "run", local=True)
    changes = {"scenario.plan.z_permille": [3_000]}
    other = swarm.fork(tmp_path / "run", 10, out=tmp_path / "fork", changes=changes, local=True)
    again = replay(tmp_path / "fork" / "journal.swarm", composed)
    assert again.holds, again.mismatch
    assert other.summary["supply"]["plan_alone"] is None


def test_a_lie_is_news_and_demand_stays_as_it_was() -> None:
    chain, _ = played(rounds=12, population=25, scenario={"network": "tree", "shifts": [SHIFT | {"happens": False}]})
    assert len(chain.setup.news) == 1
    assert chain.setup.demand.rate_millis(12) is chain.network.demand_millis


@pytest.mark.parametrize(
    ("worth", "waiting", "true", "departed", "words"),
    [
        (2_000.0, 2_130.0, True, 18, ("It came true. It paid", "1.3 more for store", "21.3 less for waiting")),
        (-3_000.0, 5_600.0, True, 23, ("did harm", "86.0 more for store", "more was stored than")),
        (-3_000.0, 0.0, False, 23, ("did not come true", "did harm", "demand stayed as it was")),
        (-3_000.0, -4_000.0, True, 9, ("did harm", "10.0 less for store", "too little was left")),
        (0.0, 0.0, True, 0, ("Nobody departed",)),
        (None, None, True, 5, ("cannot be told",)),
    ],
)
def test_what_a_line_came_to_is_said_in_words(
    worth: float | None, waiting: float | None, true: bool, departed: int, words: tuple[str, ...]
) -> None:
    told = {"worth_cents_a_round": worth, "worth_backlog_cents_a_round": waiting}
    sentence = in_words(told | {"came_true": true, "departed": departed})
    assert all(part in sentence for part in words), sentence
