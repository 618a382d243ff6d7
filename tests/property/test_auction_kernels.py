"""The two matching kernels against books written for nothing but plainness, on small random batches.

Small batches on few price levels find what large ones hide: ties, exact fits, empty sides, margins that meet.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swarm.bench import exchange as exchange_bench
from swarm.market import call_auction, compiled, continuous
from swarm.market.config import SelfTrade
from swarm.market.orders import BUY, CANCEL, IMMEDIATE_OR_CANCEL, LIMIT, MARKET, REPLACE, SELL

SIDES = st.sampled_from([BUY, SELL])
PRICES = st.one_of(st.integers(1, 6), st.integers(1, 700))


def columns(rows: Sequence[tuple[int, ...]], width: int) -> Any:
    """The columns of `rows`, as int64 arrays."""
    table = np.array(rows, dtype=np.int64).reshape(len(rows), width)
    return [np.ascontiguousarray(column) for column in table.T]


# The call auction


def plain_clear(
    rows: list[tuple[int, int, int, int]], reference: int, rationing: call_auction.Rationing
) -> tuple[int, int, list[int]]:
    """Try every price; serve each side in order, best limit first."""

    def lots(side: int, price: int) -> int:
        return sum(q for s, limit, q, _ in rows if s == side and (limit - price) * side >= 0)

    prices = range(1, 1 + max((limit for _, limit, _, _ in rows), default=0))
    ranked = [
        (-min(lots(BUY, p), lots(SELL, p)), abs(lots(BUY, p) - lots(SELL, p)), abs(p - reference), p) for p in prices
    ]
    best = min(ranked, default=(0, 0, 0, 0))
    volume, price = -best[0], best[3]
    fills = [0] * len(rows)
    if not volume:
        return 0, 0, fills
    for side in (BUY, SELL):
        left = volume
        for limit in sorted({r[1] for r in rows if r[0] == side}, reverse=side == BUY):
            level = [i for i, r in enumerate(rows) if r[0] == side and r[1] == limit]
            offered = sum(rows[i][2] for i in level)
            if rationing == "pro_rata" and offered > left:
                for i in level:
                    fills[i] = rows[i][2] * left // offered
                odd = left - sum(fills[i] for i in level)
                for i in sorted(level, key=lambda i: (-(rows[i][2] * left % offered), rows[i][3], i))[:odd]:
                    fills[i] += 1
                left = 0
                continue
            for i in sorted(level, key=lambda i: (rows[i][3], i)):
                fills[i] = min(left, rows[i][2])
                left -= fills[i]
    return price, volume, fills


@settings(max_examples=500)
@given(
    rows=st.lists(st.tuples(SIDES, st.integers(1, 9), st.integers(1, 8), st.integers(0, 4)), max_size=14),
    reference=st.integers(0, 12),
    rationing=st.sampled_from(["priority", "pro_rata"]),
)
def test_the_call_auction_is_the_plain_one(
    rows: list[tuple[int, int, int, int]], reference: int, rationing: call_auction.Rationing
) -> None:
    side, limit, lots, priority = columns(rows, 4)
    cleared = call_auction.clear(side, limit, lots, priority, reference, rationing)
    found = (cleared.price_ticks, cleared.volume_lots, cleared.fill_lots.tolist())
    assert found == plain_clear(rows, reference, rationing)


# The continuous auction


@dataclass
class PlainOrder:
    row: int
    side: int
    limit: int
    lots: int
    owner: int


def plain_match(
    rows: list[tuple[int, ...]], self_trade: SelfTrade, breaker: tuple[int, int] | None
) -> tuple[list[tuple[int, int, int, int]], list[int], bool]:
    """Keep one list of resting orders and look through all of it every time."""
    book: list[PlainOrder] = []
    trades: list[tuple[int, int, int, int]] = []
    status = [continuous.LIVE] * len(rows)
    for row, (kind, side, limit, lots, owner, target) in enumerate(rows):
        if kind in (CANCEL, REPLACE):
            old = next((o for o in book if o.row == target and o.owner == owner), None)
            if old is None:
                status[row] = continuous.REFUSED
                continue
            book.remove(old)
            status[target] = continuous.CANCELLED if kind == CANCEL else continuous.REPLACED
            if kind == CANCEL:
                continue
        order = PlainOrder(row, side, limit, lots, owner)
        while order.lots:
            against = [o for o in book if o.side != side and (kind == MARKET or (limit - o.limit) * side >= 0)]
            best = min(against, key=lambda o: (o.limit * side, o.row), default=None)
            if best is None:
                break
            if best.owner == owner and self_trade == "cancel_newest":
                status[row] = continuous.PREVENTED
                order.lots = 0
                break
            if best.owner == owner and self_trade == "cancel_oldest":
                status[best.row] = continuous.PREVENTED
                book.remove(best)
                continue
            traded = min(order.lots, best.lots)
            trades.append((best.row, row, best.limit, traded))
            order.lots -= traded
            best.lots -= traded
            if not best.lots:
                book.remove(best)
            if breaker and not breaker[0] <= best.limit <= breaker[1]:
                status[row + 1 :] = [continuous.HALTED] * (len(rows) - row - 1)
                return trades, status, True
        if order.lots and kind in (LIMIT, REPLACE):
            book.append(order)
    return trades, status, False


# The last entry is drawn as how far back the target lies, since most rows drawn at random would name nothing.
COMMANDS = st.lists(
    st.tuples(
        st.sampled_from([LIMIT, LIMIT, LIMIT, MARKET, IMMEDIATE_OR_CANCEL, CANCEL, REPLACE]),
        SIDES,
        PRICES,
        st.integers(1, 8),
        st.integers(0, 2),
        st.integers(-1, 5),
    ),
    max_size=25,
).map(lambda rows: [(*row[:-1], i - row[-1]) for i, row in enumerate(rows)])
POLICIES = st.sampled_from(["none", "cancel_newest", "cancel_oldest"])
BREAKERS = st.one_of(st.none(), st.tuples(st.integers(0, 4), st.integers(3, 8)))


def found(matching: continuous.Matching) -> tuple[list[tuple[int, ...]], list[int], bool]:
    trades = (matching.maker, matching.taker, matching.price_ticks, matching.trade_lots)
    return (
        list(zip(*(column.tolist() for column in trades), strict=True)),
        matching.status.tolist(),
        matching.halted,
    )


@settings(max_examples=500)
@given(rows=COMMANDS, self_trade=POLICIES, breaker=BREAKERS)
def test_the_continuous_auction_is_the_plain_one(
    rows: list[tuple[int, ...]], self_trade: SelfTrade, breaker: tuple[int, int] | None
) -> None:
    table = columns(rows, 6)
    matching = continuous.match(*table, self_trade=self_trade, breaker_ticks=breaker, use_compiled=False)
    assert found(matching) == plain_match(rows, self_trade, breaker)
    lots = np.zeros(len(rows), dtype=np.int64)
    np.add.at(lots, matching.maker, matching.trade_lots)
    np.add.at(lots, matching.taker, matching.trade_lots)
    assert matching.filled_lots.tolist() == lots.tolist()


def same(a: continuous.Matching, b: continuous.Matching) -> bool:
    return all(np.array_equal(getattr(a, name), getattr(b, name)) for name in a.__slots__)


@settings(deadline=None)  # the first example compiles
@given(rows=COMMANDS, self_trade=POLICIES, breaker=BREAKERS)
def test_the_compiled_kernel_gives_the_same(
    rows: list[tuple[int, ...]], self_trade: SelfTrade, breaker: tuple[int, int] | None
) -> None:
    pytest.importorskip("numba")
    options: dict[str, Any] = {"self_trade": self_trade, "breaker_ticks": breaker}
    table = columns(rows, 6)
    assert same(
        continuous.match(*table, **options, use_compiled=True), continuous.match(*table, **options, use_compiled=False)
    )


@pytest.mark.parametrize("self_trade", ["none", "cancel_newest", "cancel_oldest"])
def test_a_large_batch_is_matched_the_same_by_both(self_trade: SelfTrade) -> None:
    pytest.importorskip("numba")
    rng = np.random.default_rng(5)
    n = 60_000
    table = (
        rng.choice([LIMIT, LIMIT, LIMIT, MARKET, IMMEDIATE_OR_CANCEL, CANCEL, REPLACE], n).astype(np.int64),
        rng.choice([BUY, SELL], n).astype(np.int64),
        # Far apart, so that the search for the next price has to leap over blocks.
        np.where(rng.random(n) < 0.5, rng.integers(1, 90_000, n), rng.integers(44_000, 44_050, n)),
        rng.integers(1, 50, n),
        rng.integers(0, 500, n),
        np.arange(n) - rng.integers(1, 400, n),
    )
    # A cancellation by another owner does nothing, so half of them are given the right one.
    owner = np.where(rng.random(n) < 0.5, table[4][table[5]], table[4])
    table = (*table[:4], owner, table[5])
    chosen = continuous.match(*table, self_trade=self_trade)
    assert {continuous.LIVE, continuous.CANCELLED, continuous.REPLACED} <= set(chosen.status.tolist())
    assert same(chosen, continuous.match(*table, self_trade=self_trade, use_compiled=False))


def test_the_search_for_the_next_price_leaps_over_empty_blocks() -> None:
    levels = np.array([1, 300, 90_000, 90_001, 70_000, 90_000], dtype=np.int64)
    side = np.array([BUY, BUY, SELL, SELL, SELL, BUY], dtype=np.int64)
    n = len(levels)
    matching = continuous.match(
        np.array([LIMIT, LIMIT, LIMIT, LIMIT, LIMIT, MARKET], dtype=np.int64),
        side,
        levels,
        np.array([1, 1, 1, 1, 1, 9], dtype=np.int64),
        np.arange(n),
        np.full(n, -1, dtype=np.int64),
    )
    assert matching.price_ticks.tolist() == [70_000, 90_000, 90_001]


def test_the_yardstick_of_the_benchmark_is_a_right_book() -> None:
    batch = exchange_bench.orders(3_000)
    table = (batch.kind, batch.side, batch.limit_ticks, batch.quantity_lots, batch.trader, batch.target)
    book = exchange_bench.python_book(*(c.tolist() for c in table[1:4]))
    assert book == len(continuous.match(*table).maker) > 1_000


def test_limits_too_far_apart_are_an_error() -> None:
    one = np.ones(2, dtype=np.int64)
    with pytest.raises(ValueError, match="price levels"):
        continuous.match(0 * one, one, np.array([1, 1 << 40]), one, one, -one)


def test_a_missing_numba_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "kernel", lambda _: None)
    one = np.ones(1, dtype=np.int64)
    with pytest.raises(ValueError, match="extra `fast`"):
        continuous.match(0 * one, one, one, one, one, -one, use_compiled=True)
