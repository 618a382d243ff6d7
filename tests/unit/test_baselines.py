"""Rule-based traders: never at a loss, learning in the right direction, affordable, and the same on any shards."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarm.agents.baselines import (
    BASELINES,
    BaselineName,
    Truthful,
    ZeroIntelligenceConstrained,
    ZeroIntelligencePlus,
    orders_of,
    pricing,
)
from swarm.agents.observation import Barter, Int64, Observation, PrivateViews, PublicView
from swarm.market.orders import BUY, SELL, Orders

GOODS = 4
MAX_ORDERS, MAX_PRICE, MAX_QUANTITY, TICK_CENTS = 3, 150, 5, 10
seeds = st.integers(0, 2**32 - 1)


def observation(seed: int, traders: int = 30, round_: int = 1) -> Observation:
    """A market and traders drawn at random; each makes one good and needs some of the others."""
    dice = np.random.default_rng([seed, round_])
    shape = (traders, GOODS)
    makes = np.arange(traders) % (GOODS + 1) - 1
    own = np.arange(GOODS)[None, :] == makes[:, None]
    need = np.where(own, 0, dice.integers(0, 8, shape) * dice.integers(0, 2, shape))
    spare = np.where(need > 0, 0, dice.integers(0, 8, shape))
    traded = dice.integers(0, 2, GOODS)
    public = PublicView(
        round=round_,
        rounds=50,
        season="spring",
        news=(),
        reference_ticks=dice.integers(1, 100, GOODS),
        change_ticks=dice.integers(-3, 4, GOODS),
        clearing_ticks=dice.integers(1, 100, GOODS) * traded,
        volume_lots=dice.integers(1, 9, GOODS) * traded,
        unfilled_buy_lots=dice.integers(0, 9, GOODS),
        unfilled_sell_lots=dice.integers(0, 9, GOODS),
    )
    private = PrivateViews(
        trader=np.arange(traders),
        cash_cents=dice.integers(0, 10_000, traders),
        have=dice.integers(0, 9, shape),
        bought_lots=dice.integers(0, 3, shape) * traded,
        sold_lots=dice.integers(0, 3, shape) * traded,
        facts=("",) * traders,
        heard=((),) * traders,
        barter=Barter(
            makes=makes,
            need=need,
            spare=spare,
            worth_ticks=dice.integers(1, MAX_PRICE + 1, shape),
            mood=np.full(traders, 50),
        ),
    )
    return Observation(public, private)


def orders(name: BaselineName, seed: int, rounds: int, rows: Int64) -> list[Orders]:
    """What the traders at `rows` order in each round."""
    rule = pricing(name, seed, rows, GOODS)
    ordered = []
    for round_ in range(1, rounds + 1):
        seen = observation(seed, round_=round_)
        part = Observation(seen.public, seen.private.take(rows))
        ordered.append(orders_of(rule, part, MAX_ORDERS, MAX_PRICE, MAX_QUANTITY, TICK_CENTS))
    return ordered


@given(seeds)
def test_truthful_quotes_its_worth(seed: int) -> None:
    seen = observation(seed)
    bids, asks = Truthful().limits(seen)
    assert bids.tolist() == asks.tolist() == seen.private.bartering.worth_ticks.tolist()


@given(seeds)
def test_zi_c_never_quotes_at_a_loss(seed: int) -> None:
    seen = observation(seed)
    worth = seen.private.bartering.worth_ticks
    bids, asks = ZeroIntelligenceConstrained(seed).limits(seen)
    assert (bids >= 1).all()
    assert (bids <= worth).all()
    assert (asks >= worth).all()
    assert (asks <= 2 * np.maximum(worth, seen.public.reference_ticks)).all()


def test_zi_c_draws_over_the_whole_range_and_anew_each_round_good_and_trader() -> None:
    seen = observation(1, traders=2_000)
    private = seen.private.bartered(worth_ticks=np.full((2_000, GOODS), 10))
    public = replace(seen.public, reference_ticks=np.full(GOODS, 7))
    rule = ZeroIntelligenceConstrained(1)
    bids, asks = rule.limits(Observation(public, private))
    assert set(bids.ravel().tolist()) == set(range(1, 11))
    assert set(asks.ravel().tolist()) == set(range(10, 21))
    assert (np.bincount(bids.ravel())[1:] > 650).all(), "of 8,000 draws each of ten prices has about 800"
    later, _ = rule.limits(Observation(replace(public, round=2), private))
    assert (later != bids).mean() > 0.8
    assert (bids[:, 0] != bids[:, 1]).mean() > 0.8
    assert (bids != asks).any()


def test_zip_begins_with_margins_of_5_to_35_percent_and_quotes_them() -> None:
    seen = observation(3, traders=1_000)
    private = seen.private.bartered(worth_ticks=np.full((1_000, GOODS), 100_000))
    rule = ZeroIntelligencePlus(3, private.trader, GOODS)
    limit, same = rule.limits(Observation(seen.public, private))
    assert limit.tolist() == same.tolist()
    buys, sells = private.bartering.need > 0, private.bartering.spare > 0
    assert ((limit[buys] >= 65_000) & (limit[buys] <= 95_000)).all()
    assert ((limit[sells] >= 105_000) & (limit[sells] <= 135_000)).all()
    assert limit[buys].std() > 5_000


@given(seeds)
def test_zip_never_quotes_at_a_loss_and_keeps_its_margins_in_bounds(seed: int) -> None:
    seen = observation(seed)
    rule = ZeroIntelligencePlus(seed, seen.private.trader, GOODS)
    for round_ in range(1, 12):
        seen = observation(seed, round_=round_)
        limit, _ = rule.limits(seen)
        assert (rule.margin >= 0).all()
        assert (rule.margin <= 0.95).all()
        worth, buys, sells = (
            seen.private.bartering.worth_ticks,
            seen.private.bartering.need > 0,
            seen.private.bartering.spare > 0,
        )
        assert (limit >= 1).all()
        assert (limit[buys] <= worth[buys]).all()
        assert (limit[sells] >= worth[sells]).all()


def margin_after(*, side: int, price: int, filled: bool) -> tuple[float, float]:
    """The margin of 100 like traders before and after one round; a lot is worth 100 to each of them."""
    first = observation(4, traders=100)
    lots = np.ones((100, GOODS), dtype=np.int64)
    private = replace(
        first.private, bought_lots=lots * filled * (side == BUY), sold_lots=lots * filled * (side == SELL)
    ).bartered(need=lots * (side == BUY), spare=lots * (side == SELL), worth_ticks=100 * lots)
    rule = ZeroIntelligencePlus(4, private.trader, GOODS)
    rule.margin = np.full((100, GOODS), 0.2)
    rule.limits(Observation(first.public, private))
    before = rule.margin
    public = replace(first.public, round=2, clearing_ticks=np.full(GOODS, price))
    rule.limits(Observation(public, private))
    assert np.sign(rule.margin - before).min() == np.sign(rule.margin - before).max(), "all go the same way"
    return float(before.mean()), float(rule.margin.mean())


@pytest.mark.parametrize(
    ("side", "price", "filled", "way"),
    [
        (BUY, 60, True, 1),  # a bid of 80 bought at 60: less would have done
        (BUY, 95, False, -1),  # a bid of 80 was too low where 95 was paid
        (BUY, 0, False, -1),  # nobody sold at 80
        (SELL, 150, True, 1),  # an ask of 120 sold at 150: more would have been had
        (SELL, 105, False, -1),  # an ask of 120 was too high where 105 was paid
        (SELL, 0, False, -1),  # nobody bought at 120
    ],
)
def test_zip_adapts_its_margin_in_the_right_direction(side: int, price: int, filled: bool, way: int) -> None:
    before, after = margin_after(side=side, price=price, filled=filled)
    assert (after - before) * way > 0.001


def test_zip_learns_faster_from_a_price_that_is_further_away() -> None:
    _, near = margin_after(side=BUY, price=70, filled=True)
    _, far = margin_after(side=BUY, price=40, filled=True)
    assert far > near


def test_zip_learns_nothing_where_it_neither_buys_nor_sells() -> None:
    before, after = margin_after(side=0, price=60, filled=False)
    assert after == before


@given(seeds, st.sampled_from(BASELINES))
def test_orders_are_affordable_within_bounds_and_sensible(seed: int, name: BaselineName) -> None:
    for round_, ordered in enumerate(orders(name, seed, 4, np.arange(30)), start=1):
        private = observation(seed, round_=round_).private
        buys, sells = ordered.side == BUY, ordered.side == SELL
        assert (buys | sells).all()
        spent = np.zeros(len(private), dtype=np.int64)
        np.add.at(spent, ordered.trader[buys], (ordered.limit_ticks * ordered.quantity_lots)[buys] * TICK_CENTS)
        assert (spent <= private.cash_cents).all()
        at = (ordered.trader, ordered.good)
        assert (ordered.quantity_lots <= np.where(buys, private.bartering.need[at], private.bartering.spare[at])).all()
        assert (ordered.good != private.makes[ordered.trader])[buys].all()
        assert (ordered.quantity_lots >= 1).all()
        assert (ordered.quantity_lots <= MAX_QUANTITY).all()
        assert (ordered.limit_ticks >= 1).all()
        assert (ordered.limit_ticks <= MAX_PRICE).all()
        assert len({*zip(ordered.trader.tolist(), ordered.sequence.tolist(), strict=True)}) == len(ordered)
        assert (np.bincount(ordered.trader, minlength=30) <= MAX_ORDERS).all()
        assert (np.bincount(ordered.trader[sells], minlength=30) <= 1).all()


def test_the_ask_is_for_what_brings_most_and_bids_go_where_the_gain_is_widest() -> None:
    seen = observation(0, traders=1)
    private = replace(seen.private, cash_cents=np.array([1_000])).bartered(
        makes=np.array([0]),
        need=np.array([[0, 3, 2, 9]]),
        spare=np.array([[2, 0, 0, 0]]),
        worth_ticks=np.array([[10, 30, 50, 20]]),
    )
    seen = Observation(replace(seen.public, reference_ticks=np.array([10, 25, 20, 19])), private)
    ordered = orders_of(Truthful(), seen, MAX_ORDERS, MAX_PRICE, MAX_QUANTITY, TICK_CENTS)
    rows = [c.tolist() for c in (ordered.good, ordered.side, ordered.limit_ticks, ordered.quantity_lots)]
    # 1,000 cents are 100 ticks: two lots at 50 leave nothing for the next best.
    assert list(zip(*rows, strict=True)) == [(0, SELL, 10, 2), (2, BUY, 50, 2)]


@pytest.mark.parametrize("name", BASELINES)
def test_orders_do_not_depend_on_how_traders_are_split_over_shards(name: BaselineName) -> None:
    by_round = orders(name, 5, 6, np.arange(30))
    parts = [orders(name, 5, 6, rows) for rows in np.split(np.arange(30), [1, 7, 8, 20])]
    for round_, together in enumerate(by_round):
        joined = Orders.concatenate([part[round_] for part in parts]).in_canonical_order()
        expected = together.in_canonical_order()
        for column in Orders.__slots__:
            assert getattr(joined, column).tolist() == getattr(expected, column).tolist()


def test_the_rules_differ_in_price_only() -> None:
    ordered = {name: orders(name, 6, 1, np.arange(30))[0] for name in BASELINES}
    firsts = {
        name: set(zip(o.trader.tolist(), o.good.tolist(), o.side.tolist(), strict=True)) for name, o in ordered.items()
    }
    asks = {name: {row for row in rows if row[2] == SELL} for name, rows in firsts.items()}
    assert asks["zi_c"] == asks["zip"] == asks["truthful"]
    assert len({tuple(o.limit_ticks.tolist()) for o in ordered.values()}) == len(BASELINES)
