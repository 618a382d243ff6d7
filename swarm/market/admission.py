"""Tells what an order must satisfy before anybody looks at its trader's balances.

It knows an order's fields, the market's bounds and what has happened to goods and traders, but no accounts and no book.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from swarm.market.config import MarketConfig
from swarm.market.events import Rejection
from swarm.market.orders import BUY, CANCEL, LIMIT, MARKET, REPLACE, SELL, Int64, Orders

Bool = npt.NDArray[np.bool_]
REASONS = tuple(Rejection)
_CODES = {rejection: number for number, rejection in enumerate(REASONS, start=1)}


@dataclass(frozen=True, slots=True, eq=False)
class Admission:
    """The state of a market that decides which orders are admitted.

    `lowest_ticks`, `highest_ticks` and `halted_through_round` are by good; `submitted_round` (the last round for which
    a trader sent orders), `liquidated` and `frozen` are by trader.
    """

    config: MarketConfig
    lowest_ticks: Int64
    highest_ticks: Int64
    halted_through_round: Int64
    submitted_round: Int64
    liquidated: npt.NDArray[np.bool_]
    frozen: npt.NDArray[np.bool_]
    last_closed_round: int

    def refusals(self, orders: Orders, round_: int) -> Int64:
        """Returns a number per order: 0, or the `code` of the gravest reason why it is refused.

        The orders are in canonical order.
        """
        reason = np.zeros(len(orders), dtype=np.int64)
        # From the mildest to the gravest: what comes later overwrites, so that each order has one reason.
        for wrong, rejection in (*self._unfit(orders, round_), *self._barred(orders, round_)):
            if wrong.any():
                reason[wrong] = code(rejection)
        return reason

    def _unfit(self, orders: Orders, round_: int) -> Iterator[tuple[Bool, Rejection]]:
        """Yields which orders are wrong in themselves, or for their good; what no order can be is not looked for."""
        config, goods = self.config, len(self.lowest_ticks)
        # Numbers of nothing are brought within the columns first, and refused below.
        good = np.clip(orders.good, 0, goods - 1)
        limited, sized = (orders.kind != CANCEL) & (orders.kind != MARKET), orders.kind != CANCEL
        limit, lots = orders.limit_ticks, orders.quantity_lots
        if (self.halted_through_round >= round_).any():
            # What rests can be taken back also while nothing is traded.
            takes_back = (orders.kind == CANCEL) & (orders.target_round > 0)
            yield (self.halted_through_round[good] >= round_) & ~takes_back, Rejection.HALTED
        yield (orders.good_through != 0) & (orders.good_through < round_), Rejection.EXPIRED
        outside = (limit < self.lowest_ticks[good]) | (limit > self.highest_ticks[good])
        yield limited & outside, Rejection.OUTSIDE_BAND
        if config.quantity_step_lots > 1:
            yield sized & (lots % config.quantity_step_lots != 0), Rejection.BAD_QUANTITY
        yield sized & ((lots < 1) | (lots > config.max_quantity_lots)), Rejection.BAD_QUANTITY
        if config.price_step_ticks > 1:
            yield limited & (limit % config.price_step_ticks != 0), Rejection.BAD_PRICE
        yield limited & ((limit < 1) | (limit > config.max_price_ticks)), Rejection.BAD_PRICE
        yield (orders.kind < LIMIT) | (orders.kind > REPLACE), Rejection.BAD_KIND
        yield (orders.side != BUY) & (orders.side != SELL), Rejection.BAD_SIDE
        yield (orders.good < 0) | (orders.good >= goods), Rejection.UNKNOWN_GOOD

    def _barred(self, orders: Orders, round_: int) -> Iterator[tuple[Bool, Rejection]]:
        """Yields which orders come from traders, or at a time, of whom none is taken; they are sorted by trader."""
        traders = len(self.submitted_round)
        known = (orders.trader >= 0) & (orders.trader < traders)
        trader = np.clip(orders.trader, 0, traders - 1)
        again = self.submitted_round[trader] >= round_
        again &= known
        again[1:] |= (orders.trader[1:] == orders.trader[:-1]) & (orders.sequence[1:] == orders.sequence[:-1])
        yield again, Rejection.DUPLICATE
        for marked, rejection in ((self.liquidated, Rejection.LIQUIDATED), (self.frozen, Rejection.FROZEN)):
            if marked.any():
                yield marked[trader], rejection
        if round_ <= self.last_closed_round:
            yield np.ones(len(orders), dtype=np.bool_), Rejection.STALE_ROUND
        yield ~known, Rejection.UNKNOWN_TRADER

    def with_worst_price(self, orders: Orders) -> Orders:
        """Returns the orders with limits for market orders: the worst that the band allows, which is held for them."""
        if (orders.kind == LIMIT).all():
            return orders
        step = self.config.price_step_ticks
        good = np.clip(orders.good, 0, len(self.lowest_ticks) - 1)
        # Rounded towards the reference price, so that the limit is a whole step within the band.
        highest, lowest = self.highest_ticks[good] // step, -(-self.lowest_ticks[good] // step)
        worst = np.where(orders.side == BUY, highest, lowest) * step
        return replace(
            orders,
            limit_ticks=np.where(orders.kind == MARKET, np.maximum(worst, step), orders.limit_ticks),
            quantity_lots=np.where(orders.kind == CANCEL, 0, orders.quantity_lots),
        )


def code(rejection: Rejection) -> int:
    """Returns the number of a reason, 1 for the first; 0 stands for an order that is not refused."""
    return _CODES[rejection]


def not_resting(orders: Orders, round_: int) -> Orders:
    """Returns orders as they come in: none of them rests, and one of this very round is named without its round."""
    if not (orders.placed_round.any() or orders.target_round.any()):
        return orders
    of_this_round = orders.target_round == round_
    return replace(
        orders,
        placed_round=np.zeros(len(orders), dtype=np.int64),
        target_round=np.where(of_this_round, 0, orders.target_round),
    )


def rank_within_trader(trader: Int64) -> Int64:
    """Returns 0, 1, 2, ... within each run of equal entries of a sorted column."""
    if not len(trader):
        return trader
    new = np.ones(len(trader), dtype=np.bool_)
    np.not_equal(trader[1:], trader[:-1], out=new[1:])
    if new.all():
        return np.zeros(len(trader), dtype=np.int64)
    starts = np.flatnonzero(new)
    return np.arange(len(trader)) - np.repeat(starts, np.diff(starts, append=len(trader)))
