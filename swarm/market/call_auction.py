"""The uniform-price call auction of one good: arrays in, arrays out.

The clearing price has the most executable volume, then the least imbalance, then lies nearest the reference price,
then is the lower one. The last lots at each side's margin are rationed by priority or pro rata. It knows no accounts.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from swarm.market.orders import BUY, Int64

Rationing = Literal["priority", "pro_rata"]

_NEVER = np.iinfo(np.int64).max


@dataclass(frozen=True, slots=True, eq=False)
class Clearing:
    """The outcome of an auction: `fill_lots` has one entry per order; `price_ticks` is 0 where nothing trades."""

    price_ticks: int
    volume_lots: int
    fill_lots: Int64


def clear(
    side: Int64,
    limit_ticks: Int64,
    quantity_lots: Int64,
    priority: Int64,
    reference_ticks: float,
    rationing: Rationing = "priority",
) -> Clearing:
    """Returns the price at which one good's orders clear, and what each order gets.

    Limits and quantities are positive, and the largest quantity times the sum of all is below 2**63, so that no
    product here leaves an int64 and no sum leaves a float's 53 bits. The time taken grows with the orders and with the
    price levels between the lowest ask and the highest bid; only the orders at the two margins are sorted.
    """
    # Only prices from the lowest ask to the highest bid can trade at all.
    bids = side == BUY
    high = int(np.where(bids, limit_ticks, 0).max(initial=0))
    low = int(np.where(bids, _NEVER, limit_ticks).min(initial=_NEVER))
    if high < low:
        return Clearing(0, 0, np.zeros(len(side), dtype=np.int64))
    # One bin for each side and level, so that one count takes the place of a sort. A side's bins begin with one for
    # bids below `low`, which cannot trade, and end with one for asks above `high`.
    levels = high - low + 1
    bin_ = np.maximum(limit_ticks, low - 1)
    np.minimum(bin_, high + 1, out=bin_)
    bin_ -= low - 1
    bin_ += bids * (levels + 2)
    lots = np.bincount(bin_, quantity_lots, 2 * (levels + 2)).astype(np.int64).reshape(2, levels + 2)
    # [levels] lots: supply is offered at a level or below, demand is wanted there or above.
    supply = lots[0, 1:-1].cumsum()
    demand = lots[1, :0:-1].cumsum()[:0:-1]
    # Three rules narrow the levels down; argmin takes the first, hence the lower price of two equally near ones.
    volume = np.minimum(demand, supply)
    executed = int(volume.max())
    best = np.flatnonzero(volume == executed)
    imbalance = np.abs(demand[best] - supply[best])
    best = best[imbalance == imbalance.min()]
    price = low + int(best[np.argmin(np.abs(best + low - reference_ticks))])
    # Each side has its own marginal level: what is better is filled whole, what is worse not at all.
    last_ask = int(np.searchsorted(supply, executed))
    last_bid = levels - 1 - int(np.searchsorted(demand[::-1], executed))
    better = np.zeros((2, levels + 2), dtype=np.int64)
    better[0, 1 : last_ask + 1] = 1
    better[1, last_bid + 2 :] = 1
    fill = better.ravel()[bin_]
    fill *= quantity_lots
    # What the better levels leave of the volume is shared among the orders of the marginal one.
    for margin, before in (
        (last_ask + 1, supply[last_ask] - lots[0, last_ask + 1]),
        (levels + 2 + last_bid + 1, demand[last_bid] - lots[1, last_bid + 1]),
    ):
        rows = np.flatnonzero(bin_ == margin)
        share = _by_priority if rationing == "priority" else _pro_rata
        fill[rows] = share(quantity_lots[rows], priority[rows], executed - int(before))
    return Clearing(price, executed, fill)


def _by_priority(quantity: Int64, priority: Int64, available: int) -> Int64:
    """Fills orders one by one, the lowest priority number first, until `available` lots are gone; ties go by row."""
    order = np.argsort(priority, kind="stable")
    before = quantity[order].cumsum() - quantity[order]
    fill = np.empty(len(quantity), dtype=np.int64)
    fill[order] = np.clip(available - before, 0, quantity[order])
    return fill


def _pro_rata(quantity: Int64, priority: Int64, available: int) -> Int64:
    """Shares `available` lots in proportion to `quantity`; odd lots go to the largest remainders, then by priority.

    This is Hamilton's method of apportionment. Since `available` is at most the sum, no order gets more than it asked.
    """
    share, remainder = np.divmod(quantity * available, quantity.sum())
    odd_lots = available - int(share.sum())
    share[np.lexsort((priority, -remainder))[:odd_lots]] += 1
    return share


def pair(buy_lots: Int64, sell_lots: Int64) -> tuple[Int64, Int64, Int64]:
    """Returns trades that give both columns of fills, whose sums are equal: rows of buyers, rows of sellers, lots.

    Both sides are walked in the given order, so that there are at most len(buy) + len(sell) - 1 trades.
    """
    # Laid end to end, each side's fills cut the same line of lots; a trade lies between two neighbouring cuts.
    bought = buy_lots.cumsum()
    sold = sell_lots.cumsum()
    if not len(bought) or not len(sold) or bought[-1] != sold[-1]:
        raise ValueError("bids filled and asks filled differ")
    # Both come sorted, so that a stable sort has but to merge them.
    cuts = np.sort(np.concatenate([bought, sold]), kind="stable")
    ends = cuts[np.diff(cuts, prepend=0) > 0]
    lots = np.diff(ends, prepend=0)
    buyer: Int64 = np.searchsorted(bought, ends, side="left").astype(np.int64, copy=False)
    seller: Int64 = np.searchsorted(sold, ends, side="left").astype(np.int64, copy=False)
    return buyer, seller, lots


def fill_order(side: npt.NDArray[np.bool_], fill_lots: Int64, priority: Int64) -> Int64:
    """Returns the rows of one side's filled orders in order of priority, in which trades are paired."""
    rows = np.flatnonzero(side & (fill_lots > 0))
    return rows[np.argsort(priority[rows], kind="stable")]
