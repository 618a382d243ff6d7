"""Keeps what an authority has restricted: who may not trade until when, and how many lots one may come to own.

It knows rounds, traders and lots; who restricts them, and why, it does not know.
"""

import numpy as np
import numpy.typing as npt

from swarm.market.orders import BUY, CANCEL, Int64, Orders

FOR_EVER = 1 << 40
"""The round through which an exile is frozen: later than any run's last."""

UNCHANGED = -1
"""Stands for a restriction that stays as it is."""


class Restrictions:
    """By trader: the last round in which its orders are refused, and the most lots it may own of a good, 0 for any."""

    def __init__(self, traders: int) -> None:
        self.frozen_through_round = np.zeros(traders, dtype=np.int64)
        self.cap_lots = np.zeros(traders, dtype=np.int64)

    def change(self, trader: Int64, frozen_through_round: int, cap_lots: int) -> None:
        """Restricts these traders anew, where not UNCHANGED; 0 lifts."""
        # A sentence changes one of the two, and what somebody was sentenced to before stays beside it.
        if frozen_through_round != UNCHANGED:
            self.frozen_through_round[trader] = frozen_through_round
        if cap_lots != UNCHANGED:
            self.cap_lots[trader] = cap_lots

    def frozen(self, round_: int) -> npt.NDArray[np.bool_]:
        """Returns who may not trade in a round, by trader."""
        return self.frozen_through_round >= round_

    def over_cap(self, orders: Orders, owned: Int64, bidding: Int64) -> npt.NDArray[np.bool_]:
        """Returns which orders would bring their trader above its cap, if they and its earlier bids were all filled.

        `owned` and `bidding` are [traders, goods] lots, what it has and what it already bids for.
        """
        # Sales are free, so that who owns too much already can come down.
        cap = self.cap_lots[orders.trader]
        after = owned[orders.trader, orders.good] + bidding[orders.trader, orders.good] + orders.quantity_lots
        over: npt.NDArray[np.bool_] = (cap > 0) & (orders.side == BUY) & (orders.kind != CANCEL) & (after > cap)
        return over

    @property
    def capped(self) -> bool:
        """Tells whether anybody has a cap."""
        return bool(self.cap_lots.any())

    @property
    def any(self) -> bool:
        """Tells whether anybody is or was restricted."""
        return self.capped or bool(self.frozen_through_round.any())

    def stacked(self) -> Int64:
        """Returns a copy of both columns, [2, traders]."""
        return np.stack([self.frozen_through_round, self.cap_lots])

    def restore(self, stacked: Int64) -> None:
        """Goes on from what `stacked` gave."""
        self.frozen_through_round[:], self.cap_lots[:] = stacked


def add_bids(bidding: Int64, orders: Orders) -> None:
    """Adds to [traders, goods] the lots that orders bid for."""
    bids = orders.take((orders.side == BUY) & (orders.kind != CANCEL))
    np.add.at(bidding, (bids.trader, bids.good), bids.quantity_lots)
