"""The measures of a run, against small histories worked out by hand; and what a debt does to wealth and to a prompt."""

from typing import Any

import numpy as np
import polars as pl
import pytest

from swarm.config import RunConfig
from swarm.config_file import resolve
from swarm.planning import compose
from swarm.report import sections
from swarm.report.parts import Table
from swarm.report.wording import plain
from swarm.runtime.play import play
from swarm.scenarios.protocol import MarketState, with_debts
from swarm.simulation.facets.traders import wealth_cents
from swarm.simulation.measures import MEANINGS, MIN_RETURNS, measures
from swarm.simulation.plan import RunPlan


def config(**keys: Any) -> RunConfig:
    return resolve({"population": 6, "traders": {"minds": {"zip": 1}}, **keys})


def plan_of(**keys: Any) -> RunPlan:
    return compose(config(**keys)).run


def tables(
    good: str, paid: list[int], before: list[int], lots: list[int], sold: list[tuple[int, int]]
) -> dict[str, pl.DataFrame]:
    prices = {"good": [good] * len(paid), "clearing_ticks": paid, "reference_before_ticks": before}
    trades = {"good": [good] * len(sold), "seller": [s for s, _ in sold], "quantity_lots": [n for _, n in sold]}
    return {"prices": pl.DataFrame({**prices, "volume_lots": lots}), "trades": pl.DataFrame(trades)}


def test_each_measure_is_what_its_sentence_says() -> None:
    plan = plan_of()
    good, opening = plan.scenario.goods[0], int(plan.scenario.opening_reference_ticks[0])
    paid = [2 * opening, 0, opening, opening // 2]
    history = tables(good, paid, [opening, opening, 2 * opening, opening], [3, 0, 1, 2], [(0, 3), (1, 1), (0, 2)])
    found = measures(plan, history, 0.25)
    assert list(found) == list(MEANINGS)
    # The round without a trade has no price and counts for nothing.
    distance = opening + (opening - opening // 2)
    assert found["relative_absolute_deviation"]["by_good"] == {good: pytest.approx(distance / 3 / opening, abs=1e-6)}
    assert found["relative_deviation"]["market"] == pytest.approx(
        (opening - opening + opening // 2) / 3 / opening, abs=1e-6
    )
    error = (opening + opening + (opening - opening // 2)) / 3 / (4 * opening / 3)
    assert found["price_error"]["market"] == pytest.approx(error, abs=1e-6)
    assert found["seller_concentration"]["market"] == pytest.approx((5 / 6) ** 2 + (1 / 6) ** 2, abs=1e-6)
    assert found["volume_lots"] == {"market": 6, "by_good": {good: 6, **dict.fromkeys(plan.scenario.goods[1:], 0)}}
    assert found["gini_of_wealth"] == {"market": 0.25}
    assert found["efficiency"] == {"market": None}
    assert found["tail_index"] == {"market": None}


def test_a_tail_is_told_from_enough_returns_alone() -> None:
    plan, draw = plan_of(), np.random.default_rng(1)
    # A Pareto tail of exponent 3, up and down, so that prices stay where integers are fine enough.
    size = (1e-3 * (1 - draw.random(2 * MIN_RETURNS)) ** (-1 / 3)).clip(max=0.5)
    paid = np.rint(1e9 * np.exp(np.cumsum(size * np.tile([1, -1], MIN_RETURNS)))).astype(int).tolist()
    for many in (MIN_RETURNS, 2 * MIN_RETURNS):
        history = tables(plan.scenario.goods[0], paid[:many], paid[:many], [1] * many, [(0, 1)])
        index = measures(plan, history, 0.0)["tail_index"]["market"]
        assert index is None if many == MIN_RETURNS else 2.2 < index < 4.2


@pytest.mark.parametrize("scenario", ["wood", "double_auction"])
def test_every_run_has_its_measures_in_the_summary_and_the_report(scenario: str) -> None:
    record = play(config(rounds=5, scenario={"name": scenario})).record
    quality = record.summary["quality"]
    assert set(quality) == set(MEANINGS)
    assert (quality["efficiency"]["market"] is not None) == (scenario == "double_auction")
    assert quality["volume_lots"]["market"] == record.summary["volume_lots"]
    (section,) = [section for section in sections.shown(record) if section.key == "quality"]
    (table,) = section.parts
    assert isinstance(table, Table)
    # What cannot be told has no row, and is named in one line.
    values = {name: (one["market"], *one.get("by_good", {}).values()) for name, one in quality.items()}
    told = [name for name, found in values.items() if any(value is not None for value in found)]
    assert [row[-1] for row in table.rows] == [MEANINGS[name] for name in MEANINGS if name in told]
    assert all(plain(name) in table.caption for name in set(MEANINGS) - set(told))
    assert {len(row) for row in table.rows} == {len(table.head)}


def test_wealth_is_what_is_left_when_debts_are_paid() -> None:
    plan = plan_of()
    assets = 1 + len(plan.scenario.goods)
    balances, owed = np.full((6, assets), 10), np.zeros((6, assets), dtype=np.int64)
    owed[2, 0], owed[2, 1] = 4, 3
    reference = np.arange(2, assets + 1)
    alone = wealth_cents(plan, MarketState(balances, reference))
    net = wealth_cents(plan, MarketState(balances, reference, owed))
    assert (alone - net).tolist() == [0, 0, 4 + 3 * 2 * plan.market.config.tick_cents, 0, 0, 0]


def test_who_owes_is_told_so_and_nobody_else() -> None:
    owed = np.array([[0, 0, 0], [150, 0, 2], [0, 1, 0]])
    state = MarketState(np.zeros((3, 3), dtype=np.int64), np.array([5, 5]), owed)
    told = with_debts(("YOU are rich", "YOU are poor", ""), state, ("acorns", "honey"), 100)
    assert told == ("YOU are rich", "YOU are poor\nYOU OWE 2 pebbles, 2 honey", "YOU OWE 1 acorns")
    assert with_debts(("a",), MarketState(state.balances, state.reference_ticks), ("acorns", "honey"), 100) == ("a",)
