"""An exchange of two goods, one matched in a call and one continuously, under random orders of all kinds."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from swarm.market.commands import CloseRound, SubmitOrders, Transfer, from_record, to_record
from swarm.market.config import MarketConfig, Mechanism, SelfTrade
from swarm.market.events import OrdersTaken, Rejection, RoundCleared, Trades
from swarm.market.exchange import Exchange
from swarm.market.ledger import CASH, ISSUE
from swarm.market.mechanism import own_crossings
from swarm.market.orders import BUY, CANCEL, IMMEDIATE_OR_CANCEL, LIMIT, MARKET, REPLACE, SELL, Orders

TRADERS = 5
REFERENCE = 20
CALL, CONTINUOUS = 0, 1


def exchange(config: MarketConfig, mechanisms: tuple[Mechanism, ...] = ("call", "continuous")) -> Exchange:
    made = Exchange(config, TRADERS, np.full(len(mechanisms), REFERENCE), (ISSUE,), mechanisms)
    traders = np.arange(TRADERS)
    issue = np.full(TRADERS, made.ledger.account(ISSUE))
    for number, (asset, amount) in enumerate([(CASH, 20_000_000), *((g + 1, 500) for g in range(len(mechanisms)))]):
        assets, amounts = np.full(TRADERS, asset), np.full(TRADERS, amount)
        made.handle(Transfer(number + 1, "endowment", issue, traders, assets, amounts))
    return made


def batch(*rows: tuple[int, ...]) -> Orders:
    """Orders of (trader, sequence, good, side, limit, lots, priority, kind, target)."""
    return Orders(*np.array(rows, dtype=np.int64).reshape(len(rows), 9).T)


def play(market: Exchange, round_: int, *batches: Orders) -> tuple[list[OrdersTaken], RoundCleared]:
    taken = []
    for orders in batches:
        event = market.handle(SubmitOrders(market.last_number + 1, round_, orders))
        assert isinstance(event, OrdersTaken)
        taken.append(event)
    cleared = market.handle(CloseRound(market.last_number + 1, round_))
    assert isinstance(cleared, RoundCleared)
    return taken, cleared


def listed(trades: Trades) -> list[tuple[int, ...]]:
    """(good, price, lots, buyer, seller) of each trade."""
    table = (trades.good, trades.price_ticks, trades.quantity_lots, trades.buyer, trades.seller)
    return list(zip(*(column.tolist() for column in table), strict=True))


CONFIGS = st.builds(
    MarketConfig,
    max_price_ticks=st.just(60),
    max_orders_per_round=st.just(8),
    price_step_ticks=st.sampled_from([1, 3]),
    quantity_step_lots=st.sampled_from([1, 5]),
    rationing=st.sampled_from(["priority", "pro_rata"]),
    self_trade=st.sampled_from(["none", "cancel_newest", "cancel_oldest"]),
    band_permille=st.sampled_from([None, 300]),
    halt_permille=st.sampled_from([None, 100]),
    halt_rounds=st.just(2),
)
ROWS = st.lists(
    st.tuples(
        st.integers(0, TRADERS - 1),
        st.sampled_from([CALL, CONTINUOUS]),
        st.sampled_from([BUY, SELL]),
        st.integers(12, 28),
        st.integers(1, 20),
        st.integers(0, 3),
        st.sampled_from([LIMIT, LIMIT, LIMIT, MARKET, IMMEDIATE_OR_CANCEL, CANCEL, REPLACE]),
        st.integers(0, 3),
    ),
    max_size=30,
)


@settings(max_examples=150)
@given(config=CONFIGS, rounds=st.lists(ROWS, min_size=1, max_size=3))
def test_what_must_hold_under_all_orders_and_safeguards(
    config: MarketConfig, rounds: list[list[tuple[int, ...]]]
) -> None:
    market = exchange(config)
    closed: list[int] = [0, 0]
    for round_, rows in enumerate(rounds, start=1):
        counted = [0] * TRADERS
        orders = []
        for trader, *rest in rows:
            orders.append((trader, counted[trader], *rest))
            counted[trader] += 1
        reference = market.reference_ticks.copy()
        given_orders = batch(*orders)
        taken, cleared = play(market, round_, given_orders)
        # The ledger checks sums and signs after every command; holds must all be gone.
        assert not market.ledger.held.any()
        refused = {
            (int(t), int(s)): reason
            for t, s, reason in zip(
                taken[0].rejected_trader, taken[0].rejected_sequence, taken[0].rejected_reason, strict=True
            )
        }
        limits: dict[tuple[int, int, int], list[int]] = {}
        for trader, sequence, good, side, limit, lots, _, kind, _ in orders:
            reason = refused.get((trader, sequence))
            if round_ <= closed[good]:
                assert reason is not None
            if reason or kind == CANCEL:
                continue
            assert lots % config.quantity_step_lots == 0
            if kind != MARKET:
                assert limit % config.price_step_ticks == 0
                assert not config.band_permille or abs(limit - reference[good]) * 1000 <= reference[good] * 300
            worst = limit if kind != MARKET else 60 if side == BUY else 1
            limits.setdefault((trader, good, side), []).append(worst)
        for good, price, lots, buyer, seller in listed(cleared.trades):
            assert round_ > closed[good]
            assert price % config.price_step_ticks == 0
            assert lots > 0
            assert lots % config.quantity_step_lots == 0
            # A market order's limit is the band's edge, so it is bound by the band as well.
            assert not config.band_permille or abs(price - reference[good]) * 1000 <= reference[good] * 300 + 3000
            assert max(limits[buyer, good, BUY]) >= price >= min(limits[seller, good, SELL])
            assert config.self_trade == "none" or buyer != seller
        for good in cleared.halted:
            outside = [p for g, p, *_ in listed(cleared.trades) if g == good and abs(p - reference[good]) * 10 > 20]
            assert outside or config.halt_permille
            closed[good] = round_ + 2
        assert bool(cleared.halted) <= bool(config.halt_permille)


@given(
    rows=st.lists(st.tuples(st.integers(0, 2), st.sampled_from([BUY, SELL]), st.integers(1, 5)), max_size=12),
    policy=st.sampled_from(["cancel_newest", "cancel_oldest"]),
)
def test_own_crossings_are_those_of_one_order_after_another(
    rows: list[tuple[int, int, int]], policy: SelfTrade
) -> None:
    rows = sorted(rows, key=lambda row: row[0])
    standing: list[int] = []
    for i, (trader, side, limit) in enumerate(rows):
        crossed = [
            j for j in standing if rows[j][0] == trader and rows[j][1] != side and (limit - rows[j][2]) * side >= 0
        ]
        if policy == "cancel_oldest":
            standing = [j for j in standing if j not in crossed]
        if policy == "cancel_oldest" or not crossed:
            standing.append(i)
    trader_column, side_column, limit_column = np.array(rows, dtype=np.int64).reshape(len(rows), 3).T
    crossing = own_crossings(trader_column, side_column, limit_column, policy)
    assert np.flatnonzero(~crossing).tolist() == standing


@given(rows=ROWS, cuts=st.lists(st.integers(0, TRADERS), min_size=1, max_size=3), seed=st.integers(0, 9))
def test_how_a_round_is_cut_into_batches_changes_nothing(
    rows: list[tuple[int, ...]], cuts: list[int], seed: int
) -> None:
    config = MarketConfig(max_price_ticks=60, max_orders_per_round=8, halt_permille=300)
    # Few prices and priorities, so that who comes first is often a tie.
    orders = batch(
        *(
            (trader, i, good, side, 19 + limit % 3, lots, priority, *rest)
            for i, (trader, good, side, limit, lots, priority, *rest) in enumerate(rows)
        )
    )
    whole = exchange(config)
    play(whole, 1, orders)
    parts = np.random.default_rng(seed).permutation(len(cuts) + 1)
    shard = np.searchsorted(np.sort(cuts), orders.trader, side="right")
    cut = exchange(config)
    play(cut, 1, *(orders.take(shard == part) for part in parts))
    assert np.array_equal(whole.ledger.balances, cut.ledger.balances)
    assert np.array_equal(whole.reference_ticks, cut.reference_ticks)


def test_a_continuous_good_trades_at_each_resting_orders_price() -> None:
    orders = batch(
        (0, 0, CONTINUOUS, SELL, 22, 2, 10, LIMIT, 0),
        (1, 0, CONTINUOUS, SELL, 21, 2, 20, LIMIT, 0),
        (2, 0, CONTINUOUS, BUY, 25, 3, 30, LIMIT, 0),
    )
    _, cleared = play(exchange(MarketConfig()), 1, orders)
    assert listed(cleared.trades) == [(CONTINUOUS, 21, 2, 2, 1), (CONTINUOUS, 22, 1, 2, 0)]
    assert cleared.clearing_ticks.tolist() == [0, 22]
    assert cleared.unfilled_sell_lots.tolist() == [0, 1]


def test_priority_and_not_arrival_says_who_comes_first() -> None:
    orders = batch(
        (0, 0, CONTINUOUS, SELL, 22, 1, 90, LIMIT, 0),
        (1, 0, CONTINUOUS, SELL, 22, 1, 10, LIMIT, 0),
        (2, 0, CONTINUOUS, BUY, 25, 1, 50, LIMIT, 0),
    )
    _, cleared = play(exchange(MarketConfig()), 1, orders)
    assert listed(cleared.trades) == [(CONTINUOUS, 22, 1, 2, 1)]


def test_orders_are_taken_back_and_replaced_in_both_mechanisms() -> None:
    for good in (CALL, CONTINUOUS):
        orders = batch(
            (0, 0, good, SELL, 20, 5, 1, LIMIT, 0),
            (0, 1, good, SELL, 21, 2, 1, REPLACE, 0),
            (1, 0, good, SELL, 18, 5, 2, LIMIT, 0),
            (1, 1, good, SELL, 0, 10**9, 2, CANCEL, 0),  # needs neither a limit nor lots
            (1, 2, good, SELL, 18, 5, 2, REPLACE, 0),  # too late: its target is gone
            (2, 0, good, BUY, 25, 9, 3, LIMIT, 0),
            (3, 0, good, SELL, 18, 9, 4, CANCEL, 7),  # names nothing
        )
        _, cleared = play(exchange(MarketConfig(max_orders_per_round=8)), 1, orders)
        # In a call the lone seller's 21 and the buyer's 25 leave the price to the reference price, which is nearer 21.
        assert listed(cleared.trades) == [(good, 21, 2, 2, 0)], good
        assert cleared.unfilled_buy_lots[good] == 7


def test_a_market_order_trades_within_the_band_and_is_held_for_its_edge() -> None:
    market = exchange(MarketConfig(band_permille=100, max_quantity_lots=10_000))
    orders = batch(
        (0, 0, CONTINUOUS, SELL, 22, 5, 1, LIMIT, 0),
        (1, 0, CONTINUOUS, SELL, 23, 5, 2, LIMIT, 0),
        (2, 0, CONTINUOUS, BUY, 0, 9, 3, MARKET, 0),
        (3, 0, CALL, SELL, 17, 9, 3, LIMIT, 0),
        (4, 0, CONTINUOUS, BUY, 0, 9_999, 4, MARKET, 0),  # 22 pebbles each is more than it has
    )
    (taken,), cleared = play(market, 1, orders)
    assert taken.rejected_trader.tolist() == [1, 3, 4]
    assert taken.rejected_reason == (
        Rejection.OUTSIDE_BAND,
        Rejection.OUTSIDE_BAND,
        Rejection.INSUFFICIENT_CASH,
    )
    assert listed(cleared.trades) == [(CONTINUOUS, 22, 5, 2, 0)]


def test_a_tripped_breaker_stops_a_good_and_lets_it_back() -> None:
    for good in (CALL, CONTINUOUS):
        market = exchange(MarketConfig(halt_permille=100, halt_rounds=2, drift_permille=0))
        rows = batch(
            (0, 0, good, SELL, 24, 1, 1, LIMIT, 0),
            (1, 0, good, BUY, 24, 1, 2, LIMIT, 0),
            (2, 0, 1 - good, SELL, 20, 1, 1, LIMIT, 0),
            (3, 0, 1 - good, BUY, 20, 1, 2, LIMIT, 0),
            (4, 0, good, BUY, 19, 3, 3, LIMIT, 0),
        )
        _, first = play(market, 1, rows)
        assert first.unfilled_buy_lots[good] == 3
        assert first.halted == (good,)
        assert len(first.trades.good) == 2  # the trade that trips it stands
        for round_ in (2, 3):
            (taken,), cleared = play(market, round_, rows)
            assert taken.rejected_reason == (Rejection.HALTED,) * 3
            assert cleared.trades.good.tolist() == [1 - good]
        _, again = play(market, 4, rows)
        assert len(again.trades.good) == 2
        assert again.halted == ()  # 24 is the price it reopens at


def test_steps_bind_orders_and_the_price_between_them() -> None:
    market = exchange(MarketConfig(price_step_ticks=5, quantity_step_lots=10))
    orders = batch(
        (0, 0, CALL, SELL, 15, 20, 1, LIMIT, 0),
        (1, 0, CALL, BUY, 30, 20, 2, LIMIT, 0),
        (2, 0, CALL, BUY, 31, 20, 2, LIMIT, 0),
        (3, 0, CALL, BUY, 30, 25, 2, LIMIT, 0),
    )
    (taken,), cleared = play(market, 1, orders)
    assert taken.rejected_reason == (Rejection.BAD_PRICE, Rejection.BAD_QUANTITY)
    assert listed(cleared.trades) == [(CALL, 20, 20, 1, 0)]


def test_a_trader_does_not_trade_with_itself_in_either_mechanism() -> None:
    kept = {"none": 5, "cancel_newest": 0, "cancel_oldest": 0}
    for policy in ("none", "cancel_newest", "cancel_oldest"):
        for good in (CALL, CONTINUOUS):
            market = exchange(MarketConfig(self_trade=policy))
            orders = batch((0, 0, good, SELL, 20, 5, 1, LIMIT, 0), (0, 1, good, BUY, 20, 5, 1, LIMIT, 0))
            _, cleared = play(market, 1, orders)
            assert cleared.volume_lots[good] == kept[policy]
            sells, buys = cleared.unfilled_sell_lots[good], cleared.unfilled_buy_lots[good]
            assert (sells, buys) == {"none": (0, 0), "cancel_newest": (5, 0), "cancel_oldest": (0, 5)}[policy]


def test_an_unknown_kind_is_refused() -> None:
    (taken,), _ = play(exchange(MarketConfig()), 1, batch((0, 0, CALL, BUY, 20, 1, 1, 9, 0)))
    assert taken.rejected_reason == (Rejection.BAD_KIND,)


def test_all_kinds_survive_the_journals_form() -> None:
    command = SubmitOrders(3, 1, batch((0, 0, CALL, BUY, 20, 1, 1, REPLACE, 4), (1, 2, CALL, SELL, 2, 1, 1, LIMIT, 0)))
    again = from_record(to_record(command))
    assert to_record(again) == to_record(command)
