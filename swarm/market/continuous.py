"""The continuous double auction of one good with price-time priority: arrays in, arrays out.

Time is the index in the arrays: row 0 comes first. Who comes first is the caller's business; the exchange orders a
round's batch by the priority that the seed drew. A trade is made at the price of the order that rested. It knows
neither accounts nor rounds.

One function walks through the rows. It is written so that Python runs it on lists and numba, where it is installed,
compiles it for arrays; so there is one set of rules and both give the same result.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from swarm.market import compiled
from swarm.market.config import SelfTrade
from swarm.market.orders import BUY, CANCEL, IMMEDIATE_OR_CANCEL, MARKET, Int64

MAX_LEVELS = 1 << 24
"""Price levels between the lowest and the highest limit of a batch; each takes 16 bytes."""

_POLICIES: dict[SelfTrade, int] = {"none": 0, "cancel_newest": 1, "cancel_oldest": 2}
_BLOCK_BITS = 8
# Compiling takes seconds once per machine, which smaller batches never earn back.
_COMPILED_FROM = 50_000

LIVE = 0
"""The order is in force: filled, partly filled, or resting."""
CANCELLED = 1
"""Its owner took it back, or the rest of it."""
REPLACED = 2
"""It goes on under the row of the order that replaced it."""
PREVENTED = 3
"""It, or the rest of it, was taken off so that its owner does not trade with itself."""
REFUSED = 4
"""It names an order that is no longer in force."""
HALTED = 5
"""The circuit breaker stopped trading before its turn."""


@dataclass(frozen=True, slots=True, eq=False)
class Matching:
    """The outcome of a batch.

    The first four arrays have one entry per trade, in the order of time: rows of the order that rested and of the one
    that came, price and lots. `filled_lots` and `status` have one entry per row. A row that stays LIVE has
    `quantity_lots - filled_lots` left: resting, or, of an order that does not rest, unmet. `halted` says whether the
    circuit breaker stopped trading.
    """

    maker: Int64
    taker: Int64
    price_ticks: Int64
    trade_lots: Int64
    filled_lots: Int64
    status: Int64
    halted: bool


def match(
    kind: Int64,
    side: Int64,
    limit_ticks: Int64,
    quantity_lots: Int64,
    owner: Int64,
    target: Int64,
    *,
    self_trade: SelfTrade = "none",
    breaker_ticks: tuple[int, int] | None = None,
    use_compiled: bool | None = None,
) -> Matching:
    """Returns the trades of one good's orders, matched row by row, beginning with an empty book.

    `target` is the row that a CANCEL or a REPLACE means, any other number for none; it must lie before its own row and
    have the same owner. A REPLACE takes what is left of its target off the book and is a new order in its own row, with
    its own side, limit and quantity and behind all others at its limit; it is refused when nothing is left. A MARKET
    order has no limit; it and an IMMEDIATE_OR_CANCEL never rest. Limits and quantities of orders are positive. Trading
    stops after the first trade at a price outside `breaker_ticks` (lowest and highest, both allowed).

    `use_compiled` None takes the compiled kernel for large batches if numba is installed; the result is the same.
    """
    n = len(kind)
    level, low, high = _levels(kind, side, limit_ticks)
    width = high - low + 3
    # Bids and asks lie in one row of queues, each side beginning with its best price, as `_walk` explains.
    queue = np.where(side == BUY, width - 1 - level, width + level)
    lowest, highest = (low, high) if breaker_ticks is None else breaker_ticks
    settings = (_POLICIES[self_trade], width, int(breaker_ticks is not None), lowest - low + 1, highest - low + 1)
    columns: tuple[Any, ...] = (kind, queue, quantity_lots.copy(), owner, _own_earlier(kind, owner, target))
    walk: Any = compiled.kernel(_walk) if use_compiled or (use_compiled is None and n >= _COMPILED_FROM) else None
    if walk is None and use_compiled:
        raise ValueError("there is no compiled kernel without numba: install the extra `fast`")
    blank: Any
    if walk is None:
        # Python reads an element of a list several times as fast as one of an array.
        walk, blank, columns = _walk, _blank_list, tuple(c.tolist() for c in columns)
    else:
        blank, columns = _blank_array, tuple(np.ascontiguousarray(c) for c in columns)
    # Every trade uses up one of its two orders, so there are fewer than n.
    status, next_, taker, maker, lots = (blank(n) for _ in range(5))
    head, tail, live = (blank(size) for size in (2 * width, 2 * width, (2 * width >> _BLOCK_BITS) + 1))
    trades, halted = walk(*columns, *settings, status, next_, head, tail, live, taker, maker, lots)
    taker, maker, lots = (np.array(column[:trades], dtype=np.int64) for column in (taker, maker, lots))
    filled = np.bincount(taker, lots, n) + np.bincount(maker, lots, n) if trades else np.zeros(n)
    return Matching(
        maker=maker,
        taker=taker,
        price_ticks=level[maker] + (low - 1),
        trade_lots=lots,
        filled_lots=filled.astype(np.int64),
        status=np.asarray(status, dtype=np.int64),
        halted=bool(halted),
    )


def _levels(kind: Int64, side: Int64, limit_ticks: Int64) -> tuple[Int64, int, int]:
    """Returns each order's price level, and the lowest and highest limit; the lowest has level 1.

    An order without a limit gets the level that is most generous to the other side.
    """
    priced = (kind != CANCEL) & (kind != MARKET)
    limits = limit_ticks if priced.all() else limit_ticks[priced]
    low, high = (int(limits.min()), int(limits.max())) if len(limits) else (1, 1)
    if high - low + 3 > MAX_LEVELS:
        raise ValueError(f"limits span {high - low + 1} price levels; at most {MAX_LEVELS - 2} are possible")
    level = limit_ticks - (low - 1)
    if len(limits) < len(kind):
        level = np.where(priced, level, np.where(side == BUY, high - low + 1, 1))
    return level, low, high


def _own_earlier(kind: Int64, owner: Int64, target: Int64) -> Int64:
    """Returns, for each row, the row that it takes off: an earlier one of its own owner, or -1."""
    known = np.full(len(kind), -1, dtype=np.int64)
    naming = np.flatnonzero(kind > IMMEDIATE_OR_CANCEL)
    naming = naming[(target[naming] >= 0) & (target[naming] < naming)]
    naming = naming[owner[target[naming]] == owner[naming]]
    known[naming] = target[naming]
    return known


def _blank_list(n: int) -> list[int]:
    return [0] * n


def _blank_array(n: int) -> Int64:
    return np.zeros(n, dtype=np.int64)


def _walk(
    kind: list[int],
    queue: list[int],
    left: list[int],
    owner: list[int],
    target: list[int],
    policy: int,
    width: int,
    guarded: int,
    lowest: int,
    highest: int,
    status: list[int],
    next_: list[int],
    head: list[int],
    tail: list[int],
    live: list[int],
    taker: list[int],
    maker: list[int],
    lots: list[int],
) -> tuple[int, int]:
    """Fills `status`, `taker`, `maker` and `lots`; returns the number of trades, and 1 if the breaker stopped trading.

    The book is one row of queues: those below `width` hold bids, from the highest price to the lowest, the others asks,
    from the lowest to the highest. So either side's best queue is its first, an order of queue q trades with queues up
    to 2 * width - 1 - q of the other side, and the last queue of each side, which no order has, ends every search.

    `head` is the first row of a queue plus one, or 0 for an empty queue, `tail` its last row, and `next_` leads on from
    row to row. An order that is taken off the book only loses its lots and is unlinked when its turn comes. `live`
    counts the queues in use of each block of 256, so that the search for the next best price leaps over empty blocks.
    """
    # Nobody bids or asks yet: the best queue of each side is its last, which is marked as in use for ever.
    best_bid = width - 1
    best_ask = 2 * width - 1
    for end in (best_bid, best_ask):
        head[end] = 1
        live[end >> _BLOCK_BITS] += 1
    trades = 0
    for row in range(len(kind)):
        order_kind = kind[row]
        # A CANCEL or REPLACE first takes the order off that it names, or is refused.
        if order_kind > IMMEDIATE_OR_CANCEL:
            old = target[row]
            if old < 0 or left[old] == 0:
                status[row] = REFUSED
                left[row] = 0
                continue
            left[old] = 0
            if order_kind == CANCEL:
                status[old] = CANCELLED
                left[row] = 0
                continue
            status[old] = REPLACED
        # `reach` is the last queue of the other side at whose price this order still trades.
        here = queue[row]
        reach = 2 * width - 1 - here
        best = best_ask if here < width else best_bid
        if best <= reach:
            quantity = left[row]
            halted = False
            while best <= reach and quantity > 0:
                # The oldest order of the best queue; one without lots was taken off, and is only passed over.
                resting = head[best] - 1
                available = left[resting]
                if available > 0:
                    if policy > 0 and owner[resting] == owner[row]:
                        # Its own order: the newer one goes, this row, or the older one.
                        if policy == 1:
                            status[row] = PREVENTED
                            quantity = 0
                            break
                        status[resting] = PREVENTED
                        left[resting] = 0
                    else:
                        taker[trades] = row
                        maker[trades] = resting
                        if available > quantity:
                            lots[trades] = quantity
                            left[resting] = available - quantity
                            quantity = 0
                        else:
                            lots[trades] = available
                            left[resting] = 0
                            quantity -= available
                        trades += 1
                        # The trade that trips the breaker stands; it is the last one.
                        if guarded > 0:
                            price = best - width if best >= width else width - 1 - best
                            if price < lowest or price > highest:
                                halted = True
                                break
                        if left[resting] > 0:
                            break
                # The resting order is used up: its queue goes on with the next order, the book with the next queue.
                following = next_[resting]
                head[best] = following
                if following == 0:
                    live[best >> _BLOCK_BITS] -= 1
                    while head[best] == 0:
                        if live[best >> _BLOCK_BITS] == 0:
                            best = ((best >> _BLOCK_BITS) + 1) << _BLOCK_BITS
                        else:
                            best += 1
            if here < width:
                best_ask = best
            else:
                best_bid = best
            left[row] = quantity
            if halted:
                for later in range(row + 1, len(kind)):
                    status[later] = HALTED
                return trades, 1
            if quantity == 0:
                continue
        if MARKET <= order_kind <= IMMEDIATE_OR_CANCEL:
            left[row] = 0
            continue
        # What is left rests at the end of its queue.
        if head[here] == 0:
            head[here] = row + 1
            live[here >> _BLOCK_BITS] += 1
            if here < width:
                best_bid = min(best_bid, here)
            else:
                best_ask = min(best_ask, here)
        else:
            next_[tail[here]] = row + 1
        tail[here] = row
    return trades, 0
