"""Keeps the orders that stay in the books of continuous markets between rounds, and counts why they leave them.

It knows orders, rounds and prices, but no accounts: what it takes off is returned, and the exchange frees the holds.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import numpy.typing as npt

from swarm.market.mechanism import Matched
from swarm.market.orders import LIMIT, REPLACE, Int64, Orders

Bool = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class RestingReport:
    """The counts of orders that stay in the books after a round, and that were taken off since the last, by reason.

    `outside_band`: the reference price moved away; `uncovered`: their owner no longer has what they offer;
    `liquidated`: their owner's margin account is; `frozen`: their owner may not trade.
    """

    resting: int = 0
    expired: int = 0
    outside_band: int = 0
    uncovered: int = 0
    liquidated: int = 0
    frozen: int = 0

    @classmethod
    def together(cls, parts: "Sequence[RestingReport]") -> "RestingReport":
        """Returns the reports of several markets as one."""
        return cls(**{f.name: sum(getattr(part, f.name) for part in parts) for f in fields(cls)})


class RestingOrders:
    """Orders by good and then by the time at which they came, each with the lots it has left.

    `placed_round` and the trader's sequence name one, `good_through` is the last round in which it counts.
    """

    def __init__(self) -> None:
        self.orders = Orders.empty()
        self.uncovered = 0

    def __len__(self) -> int:
        return len(self.orders)

    def of(self, good: int) -> Orders:
        """Returns one good's orders, the oldest first."""
        return self.orders.take(self.orders.good == good)

    def take_off(self, leaving: Bool) -> Orders:
        """Forgets the orders of a mask, and returns them."""
        taken = self.orders.take(leaving)
        self.orders = self.orders.take(~leaving)
        return taken

    def uncovered_rows(self, trader: int, pays_cash: bool, good: int) -> list[int]:
        """Returns the rows of a trader's orders that offer cash, or lots of `good`; the newest first."""
        orders = self.orders
        # Cash covers bids for any good; lots cover asks for their own good alone.
        own = (orders.trader == trader) & ((orders.side > 0) == pays_cash)
        rows = np.flatnonzero(own if pays_cash else own & (orders.good == good))
        newest = rows[np.argsort(orders.placed_round[rows], kind="stable")[::-1]]
        return list(newest.tolist())


def staying(matched: Matched, round_: int, rest_rounds: int) -> Orders:
    """Returns what is left of a good's limit orders that may stay for another round, in the order of service."""
    orders = matched.orders
    left = np.where(matched.in_force, orders.quantity_lots - matched.fill_lots, 0)
    through = good_through(orders, round_, rest_rounds)
    rows = np.flatnonzero((left > 0) & ((orders.kind == LIMIT) | (orders.kind == REPLACE)) & (through > round_))
    kept, nothing = orders.take(rows), np.zeros(len(rows), dtype=np.int64)
    # What rests is a plain limit order for the lots it has left; its round names it together with its sequence.
    return replace(
        kept,
        quantity_lots=left[rows],
        kind=nothing + LIMIT,
        target=nothing,
        target_round=nothing,
        good_through=through[rows],
        placed_round=np.where(kept.placed_round > 0, kept.placed_round, round_),
    )


def expiring(matched: Matched, round_: int) -> int:
    """Returns how many orders that rested are not filled in the last round in which they count."""
    orders = matched.orders
    left = matched.in_force & (matched.fill_lots < orders.quantity_lots)
    return int((left & (orders.placed_round > 0) & (orders.good_through <= round_)).sum())


def good_through(orders: Orders, round_: int, rest_rounds: int) -> Int64:
    """Returns the last round in which each order counts: its own wish, within what the market allows from `round_` on.

    An order that rests keeps the round that it was given when it came.
    """
    longest = round_ + rest_rounds
    wished = np.where(orders.good_through > 0, np.minimum(orders.good_through, longest), longest)
    through: Int64 = np.where(orders.placed_round > 0, orders.good_through, wished)
    return through
