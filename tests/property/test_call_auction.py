"""The call auction against a reference that tries every tick, and the rules of rationing and pairing one by one."""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swarm.market.call_auction import Clearing, Rationing, clear, fill_order, pair
from swarm.market.orders import BUY, SELL, Int64

RATIONINGS: tuple[Rationing, ...] = ("priority", "pro_rata")


@dataclass(frozen=True)
class Order:
    side: int
    limit: int
    quantity: int
    priority: int

    def reaches(self, price: int) -> bool:
        return self.limit >= price if self.side == BUY else self.limit <= price


@dataclass(frozen=True)
class Book:
    orders: tuple[Order, ...]
    reference: int

    def clear(self, rationing: Rationing = "priority") -> Clearing:
        columns = np.array([(o.side, o.limit, o.quantity, o.priority) for o in self.orders], dtype=np.int64)
        side, limit, quantity, priority = columns.reshape(len(self.orders), 4).T.copy()
        return clear(side, limit, quantity, priority, self.reference, rationing)

    def fills(self, rationing: Rationing = "priority") -> list[tuple[Order, int]]:
        return list(zip(self.orders, self.clear(rationing).fill_lots.tolist(), strict=True))

    def lots_at(self, side: int, price: int) -> int:
        return sum(o.quantity for o in self.orders if o.side == side and o.reaches(price))


def books(most_orders: int, highest_price: int, most_lots: int) -> st.SearchStrategy[Book]:
    order = st.builds(
        Order,
        side=st.sampled_from([BUY, SELL]),
        limit=st.integers(1, highest_price),
        quantity=st.integers(1, most_lots),
        priority=st.integers(0, 3) | st.integers(0, 2**63 - 1),
    )
    return st.builds(Book, st.lists(order, max_size=most_orders).map(tuple), st.integers(1, highest_price + 2))


# Ties of volume, imbalance and distance are common only where prices and quantities are few.
TINY = books(most_orders=6, highest_price=6, most_lots=3)
LARGER = books(most_orders=40, highest_price=60, most_lots=100)
HUGE = books(most_orders=4, highest_price=100_000, most_lots=1_000_000)


def for_all_books(check: Callable[[Book], None]) -> Callable[[], None]:
    @settings(max_examples=max(400, settings().max_examples))
    @given(TINY)
    def tiny(book: Book) -> None:
        check(book)

    @given(LARGER | HUGE)
    def larger(book: Book) -> None:
        check(book)

    def test() -> None:
        tiny()
        larger()

    return test


def reference_price(book: Book) -> tuple[int, int]:
    """(price, volume) by trying every tick there is, (0, 0) where nothing trades."""
    highest = max((o.limit for o in book.orders), default=1)
    # In a huge book volume and imbalance change only at a limit, so of the ticks between the nearest ones will do.
    near = {max(o.limit + d, 1) for o in book.orders for d in (-1, 0, 1)} | {book.reference}
    best = min(
        range(1, highest + 1) if highest <= 60 else near,
        key=lambda p: (
            -min(book.lots_at(BUY, p), book.lots_at(SELL, p)),
            abs(book.lots_at(BUY, p) - book.lots_at(SELL, p)),
            abs(p - book.reference),
            p,
        ),
    )
    volume = min(book.lots_at(BUY, best), book.lots_at(SELL, best))
    return (best, volume) if volume else (0, 0)


@for_all_books
def test_the_price_has_most_volume_then_least_imbalance_then_is_nearest_the_reference_then_lower(book: Book) -> None:
    cleared = book.clear()
    assert (cleared.price_ticks, cleared.volume_lots) == reference_price(book)


@for_all_books
def test_rationing_changes_neither_price_nor_volume(book: Book) -> None:
    by_priority, pro_rata = book.clear("priority"), book.clear("pro_rata")
    assert (by_priority.price_ticks, by_priority.volume_lots) == (pro_rata.price_ticks, pro_rata.volume_lots)


@for_all_books
def test_bids_and_asks_filled_are_the_volume_and_no_fill_is_too_large_or_worse_than_its_limit(book: Book) -> None:
    for rationing in RATIONINGS:
        cleared = book.clear(rationing)
        filled = {BUY: 0, SELL: 0}
        for order, lots in zip(book.orders, cleared.fill_lots.tolist(), strict=True):
            assert 0 <= lots <= order.quantity
            assert lots == 0 or order.reaches(cleared.price_ticks)
            filled[order.side] += lots
        assert filled[BUY] == filled[SELL] == cleared.volume_lots


@for_all_books
def test_a_better_price_is_filled_whole_before_a_worse_one_gets_a_lot(book: Book) -> None:
    for rationing in RATIONINGS:
        fills = book.fills(rationing)
        for worse, got in fills:
            for better, lots in fills:
                if got and better.side == worse.side and better.limit * better.side > worse.limit * worse.side:
                    assert lots == better.quantity


@for_all_books
def test_at_equal_price_priority_is_served_first_and_rows_break_its_ties(book: Book) -> None:
    fills = [((o.side, o.limit), (o.priority, row), o, lots) for row, (o, lots) in enumerate(book.fills())]
    for level, index, _, got in fills:
        for other_level, other_index, earlier, lots in fills:
            if got and level == other_level and other_index < index:
                assert lots == earlier.quantity


def level_of(book: Book, side: int, limit: int) -> tuple[list[tuple[int, Order, int]], int, int]:
    """The (row, order, fill) at one price of one side when shared pro rata, lots given out there, lots offered."""
    rows = [(i, o, lots) for i, (o, lots) in enumerate(book.fills("pro_rata")) if (o.side, o.limit) == (side, limit)]
    return rows, sum(lots for _, _, lots in rows), sum(o.quantity for _, o, _ in rows)


@for_all_books
def test_pro_rata_shares_are_within_one_lot_of_exact_proportion(book: Book) -> None:
    for side, limit in {(o.side, o.limit) for o in book.orders}:
        rows, given_out, offered = level_of(book, side, limit)
        for _, order, lots in rows:
            assert abs(lots - Fraction(order.quantity * given_out, offered)) < 1


@for_all_books
def test_odd_lots_go_to_the_largest_remainders_then_by_priority(book: Book) -> None:
    for side, limit in {(o.side, o.limit) for o in book.orders}:
        rows, given_out, offered = level_of(book, side, limit)
        claims = sorted(
            (-(o.quantity * given_out % offered), o.priority, row, lots - o.quantity * given_out // offered)
            for row, o, lots in rows
        )
        odd = [extra for _, _, _, extra in claims]
        assert odd == sorted(odd, reverse=True)


@for_all_books
def test_nothing_trades_in_an_uncrossed_book_and_something_does_in_a_crossed_one(book: Book) -> None:
    bids = [o.limit for o in book.orders if o.side == BUY]
    asks = [o.limit for o in book.orders if o.side == SELL]
    crossed = bool(bids) and bool(asks) and max(bids) >= min(asks)
    cleared = book.clear()
    assert (cleared.volume_lots > 0) == (cleared.price_ticks > 0) == bool(cleared.fill_lots.any()) == crossed


@for_all_books
def test_the_order_of_rows_does_not_matter_where_priorities_differ(book: Book) -> None:
    orders = tuple(Order(o.side, o.limit, o.quantity, i) for i, o in enumerate(book.orders))
    for rationing in RATIONINGS:
        forward = Book(orders, book.reference).clear(rationing).fill_lots.tolist()
        backward = Book(orders[::-1], book.reference).clear(rationing).fill_lots.tolist()
        assert forward == backward[::-1]


@pytest.mark.parametrize(
    ("orders", "reference", "price", "fills"),
    [
        # Any price of 20..30 has volume 3 and leaves 2 bid: the reference decides.
        ([(BUY, 30, 5, 1), (SELL, 20, 3, 1)], 24, 24, [3, 3]),
        ([(BUY, 30, 5, 1), (SELL, 20, 3, 1)], 99, 30, [3, 3]),
        ([(BUY, 30, 5, 1), (SELL, 20, 3, 1)], 1, 20, [3, 3]),
        # Only 4 has volume 3, though the reference is far from it.
        ([(BUY, 5, 2, 1), (SELL, 3, 2, 1), (BUY, 4, 1, 2), (SELL, 4, 1, 2)], 9, 4, [2, 2, 1, 1]),
        # Volume is 2 from 4 to 10, but from 7 on nobody is left over.
        ([(BUY, 10, 2, 1), (BUY, 6, 1, 1), (SELL, 4, 2, 1)], 5, 7, [2, 0, 2]),
        # Both margins are rationed by priority, a lower number first.
        ([(BUY, 8, 2, 9), (BUY, 8, 2, 3), (SELL, 8, 2, 7), (SELL, 8, 1, 5)], 8, 8, [1, 2, 2, 1]),
    ],
)
def test_books_worked_out_by_hand(
    orders: list[tuple[int, int, int, int]], reference: int, price: int, fills: list[int]
) -> None:
    book = Book(tuple(Order(*o) for o in orders), reference)
    cleared = book.clear()
    assert reference_price(book)[0] == cleared.price_ticks == price
    assert cleared.fill_lots.tolist() == fills


@st.composite
def two_sides(draw: st.DrawFn) -> tuple[list[int], list[int]]:
    """Fills of two sides, zeros among them, with one sum."""
    buys = draw(st.lists(st.integers(0, 5) | st.integers(0, 10**12), min_size=1, max_size=8))
    cuts = sorted(draw(st.lists(st.integers(0, sum(buys)), max_size=7)))
    return buys, [b - a for a, b in zip([0, *cuts], [*cuts, sum(buys)], strict=True)]


@given(two_sides())
def test_pairing_gives_every_row_its_fill_in_few_trades(sides: tuple[list[int], list[int]]) -> None:
    buys, sells = sides
    buyer, seller, lots = pair(np.array(buys, dtype=np.int64), np.array(sells, dtype=np.int64))
    assert (lots > 0).all()
    assert len(lots) <= len(buys) + len(sells) - 1
    assert len({*zip(buyer.tolist(), seller.tolist(), strict=True)}) == len(lots)
    for rows, wanted in ((buyer, buys), (seller, sells)):
        got = np.zeros(len(wanted), dtype=np.int64)
        np.add.at(got, rows, lots)
        assert got.tolist() == wanted
        assert (np.diff(rows) >= 0).all()


@pytest.mark.parametrize(("buys", "sells"), [([1], [2]), ([], [1]), ([3], []), ([1, 1], [1, 2])])
def test_pairing_refuses_sides_that_differ(buys: list[int], sells: list[int]) -> None:
    with pytest.raises(ValueError, match="differ"):
        pair(np.array(buys, dtype=np.int64), np.array(sells, dtype=np.int64))


@given(TINY | LARGER)
def test_filled_orders_are_paired_in_order_of_priority_then_row(book: Book) -> None:
    fills: Int64 = book.clear().fill_lots
    priority = np.array([o.priority for o in book.orders], dtype=np.int64)
    for side in (BUY, SELL):
        mask = np.array([o.side == side for o in book.orders], dtype=np.bool_)
        wanted = [(o.priority, row) for row, o in enumerate(book.orders) if o.side == side and fills[row]]
        assert fill_order(mask, fills, priority).tolist() == [row for _, row in sorted(wanted)]


def test_rows_break_the_ties_of_priority_in_a_book_of_hundreds() -> None:
    priority = np.arange(300) % 3
    paired = fill_order(np.ones(300, dtype=np.bool_), np.ones(300, dtype=np.int64), priority)
    assert paired.tolist() == sorted(range(300), key=lambda row: (row % 3, row))
