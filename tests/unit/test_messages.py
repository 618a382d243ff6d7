"""How lines of words are read, and what a clearing leaves for traders to offer."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarm.coordination.messages import (
    DOWN,
    GOSSIP,
    NO_GOOD,
    OFFER,
    TIP,
    UP,
    Messages,
    left_over,
    sent,
    shingles,
    subject,
)
from swarm.market.commands import CloseRound, SubmitOrders, Transfer
from swarm.market.config import MarketConfig
from swarm.market.events import OrdersTaken, Rejection, RoundCleared, Trades
from swarm.market.exchange import Exchange
from swarm.market.ledger import ISSUE
from swarm.market.orders import BUY, CANCEL, LIMIT, SELL, Orders

GOODS = ("acorns", "honey", "firewood")
HONEY = 1


def columns(*values: list[int]) -> list[np.ndarray]:
    return [np.array(v, dtype=np.int64) for v in values]


def orders(*rows: tuple[int, int, int, int, int, int], kind: int = LIMIT) -> Orders:
    """Orders of (trader, sequence, good, side, limit, lots)."""
    trader, sequence, good, side, limit, lots = np.array(rows, dtype=np.int64).T
    nothing = np.zeros(len(rows), dtype=np.int64)
    return Orders(trader, sequence, good, side, limit, lots, nothing, nothing + kind, nothing)


def taken(*rejected: tuple[int, int]) -> OrdersTaken:
    trader, sequence = columns([r[0] for r in rejected], [r[1] for r in rejected])
    return OrdersTaken(1, 0, trader, sequence, (Rejection.INSUFFICIENT_CASH,) * len(rejected))


def trades(*rows: tuple[int, int, int, int]) -> Trades:
    """Trades of (good, lots, buyer, seller)."""
    good, lots, buyer, seller = (np.array([r[c] for r in rows], dtype=np.int64) for c in range(4))
    return Trades(good, good * 0 + 20, lots, buyer, seller)


def plain(found: Orders) -> list[tuple[int, ...]]:
    return list(
        zip(
            *(c.tolist() for c in (found.trader, found.good, found.side, found.limit_ticks, found.quantity_lots)),
            strict=True,
        )
    )


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("honey will rise, mark my words", (HONEY, UP)),
        ("HONEY WILL FALL!", (HONEY, DOWN)),
        ("honey is short", (HONEY, UP)),
        ("honey is plenty", (HONEY, DOWN)),
        ("quiet days for honey", (HONEY, 0)),
        ("I hear honey will rise. Rising honey!", (HONEY, UP)),
        ("honey will rise and then fall", (HONEY, 0)),
        ("honey will not rise", (HONEY, 0)),
        ("honey won't rise", (HONEY, 0)),
        ("honey won\N{RIGHT SINGLE QUOTATION MARK}t rise", (HONEY, 0)),
        ("acorns will rise, honey too", (NO_GOOD, 0)),
        ("everything will fall", (NO_GOOD, 0)),
        ("honeymoon prices will rise", (NO_GOOD, 0)),
        ("the sunrise over honey", (HONEY, 0)),
        ("", (NO_GOOD, 0)),
    ],
)
def test_a_line_is_a_tip_where_it_names_one_good_and_one_direction(line: str, expected: tuple[int, int]) -> None:
    assert subject(line, GOODS) == expected


def test_a_good_whose_name_has_several_words_or_is_itself_a_direction_is_found() -> None:
    assert subject("oak fall prices will rise", ("oak fall", "honey")) == (0, 0), "its name holds a direction"
    assert subject("plenty will rise", ("plenty", "honey")) == (0, UP)
    assert subject("frozen_peas will fall", ("frozen_peas",)) == (0, DOWN)


@given(st.text(max_size=80), st.permutations(GOODS))
def test_any_line_can_be_read(line: str, goods: list[str]) -> None:
    good, side = subject(line, tuple(goods))
    assert -1 <= good < len(goods)
    assert side in (UP, DOWN, 0)
    assert good != NO_GOOD or side == 0
    assert len(shingles(line)) >= 1
    assert all(0 <= h < 2**64 for h in shingles(line))


def test_lines_share_the_pairs_of_words_that_they_share() -> None:
    rise, again = set(shingles("honey will rise")), set(shingles("Honey   will RISE, mark my words"))
    assert rise < again
    assert len(rise) == 2
    assert len(again) == 5
    assert len(rise & set(shingles("honey will fall"))) == 1
    assert not rise & set(shingles("acorns are short"))
    assert shingles("honey") == shingles("HONEY!") != shingles("acorns")
    assert shingles("...") != shingles("!")


def test_hashes_of_words_are_the_same_on_every_platform() -> None:
    assert shingles("honey") == (7_830_445_354_197_885_948,)


def test_messages_are_in_the_order_of_their_senders_and_silence_is_none() -> None:
    offers = orders((4, 0, 0, SELL, 20, 3), (1, 0, HONEY, BUY, 34, 2))
    found = sent(7, np.array([1, 3, 4]), ["honey will rise", "", "hm"], GOODS, offers)
    assert found.round == 7
    assert found.sender.tolist() == [1, 1, 4, 4]
    assert found.kind.tolist() == [TIP, OFFER, GOSSIP, OFFER]
    assert found.good.tolist() == [HONEY, HONEY, NO_GOOD, 0]
    assert found.side.tolist() == [UP, BUY, 0, SELL]
    assert found.text == ("honey will rise", "wants 2 honey at 34", "hm", "sells 3 acorns at 20")
    assert len(sent(7, np.array([1]), [""], GOODS, Orders.empty())) == 0
    assert len(Messages.none(3)) == 0


def test_columns_of_messages_have_one_length() -> None:
    one = np.zeros(1, dtype=np.int64)
    with pytest.raises(ValueError, match="differ in length"):
        Messages(1, one, one, one, np.zeros(2, dtype=np.int64), ("a",))


def test_what_was_not_filled_is_offered_at_the_least_generous_limit() -> None:
    book = orders(
        (1, 0, HONEY, BUY, 30, 4),
        (1, 1, HONEY, BUY, 34, 3),
        (2, 0, 0, SELL, 18, 5),
        (2, 1, 0, SELL, 21, 1),
    )
    found = left_over(book, taken(), trades((HONEY, 5, 1, 9), (0, 2, 8, 2)))
    assert plain(found) == [(1, HONEY, BUY, 30, 2), (2, 0, SELL, 21, 4)]


def test_refused_and_cancelled_orders_and_those_that_were_filled_are_not_offered() -> None:
    book = orders((1, 0, HONEY, BUY, 30, 4), (1, 1, 0, BUY, 20, 9), (2, 0, 0, SELL, 18, 5), (3, 0, 0, SELL, 18, 5))
    found = left_over(book, taken((1, 1), (3, 0)), trades((0, 5, 7, 2)))
    assert plain(found) == [(1, HONEY, BUY, 30, 4)]
    assert not len(left_over(orders((1, 0, 0, BUY, 1, 1), kind=CANCEL), taken(), trades()))
    assert not len(left_over(Orders.empty(), taken(), trades()))


def test_of_several_goods_the_one_with_most_lots_left_is_offered_and_the_first_of_two_alike() -> None:
    book = orders((1, 0, 2, BUY, 30, 4), (1, 1, 0, SELL, 20, 6), (2, 0, 2, BUY, 9, 1), (2, 1, HONEY, BUY, 8, 1))
    assert plain(left_over(book, taken(), trades((0, 1, 5, 1)))) == [(1, 0, SELL, 20, 5), (2, HONEY, BUY, 8, 1)]


def test_what_was_dealt_for_a_trader_that_had_no_such_order_is_left_out() -> None:
    book = orders((1, 0, HONEY, BUY, 30, 4), (5, 0, HONEY, SELL, 30, 4))
    forced = trades((HONEY, 3, 1, 4), (2, 7, 5, 1), (HONEY, 1, 0, 9))
    assert plain(left_over(book, taken(), forced)) == [(1, HONEY, BUY, 30, 1), (5, HONEY, SELL, 30, 4)]


@given(st.integers(0, 2**32), st.sampled_from(["call", "continuous"]))
def test_what_an_exchange_leaves_over_adds_up_to_what_it_says_was_unfilled(seed: int, mechanism: str) -> None:
    rng = np.random.default_rng(seed)
    traders, goods = 6, 3
    config = MarketConfig.model_validate({"mechanism": mechanism, "max_orders_per_round": 1})
    exchange = Exchange(config, traders, np.full(goods, 20), (ISSUE,))
    who = np.repeat(np.arange(traders), goods + 1)
    assets = np.tile(np.arange(goods + 1), traders)
    exchange.handle(Transfer(1, "endowment", np.full(len(who), traders), who, assets, np.where(assets, 5, 90_000)))
    n = traders
    book = Orders(
        np.arange(n),
        np.zeros(n, dtype=np.int64),
        rng.integers(0, goods, n),
        np.where(rng.random(n) < 0.5, BUY, SELL),
        rng.integers(15, 26, n),
        rng.integers(1, 8, n),
        rng.permutation(n),
    )
    was_taken, cleared = exchange.handle(SubmitOrders(2, 1, book)), exchange.handle(CloseRound(3, 1))
    assert isinstance(was_taken, OrdersTaken)
    assert isinstance(cleared, RoundCleared)
    found = left_over(book, was_taken, cleared.trades)
    for side, unfilled in ((BUY, cleared.unfilled_buy_lots), (SELL, cleared.unfilled_sell_lots)):
        rows = found.side == side
        assert np.bincount(found.good[rows], found.quantity_lots[rows], goods).tolist() == unfilled.tolist()
    assert len(set(found.trader.tolist())) == len(found)
