"""The uniform-price call auction of one good: arrays in, arrays out.

The clearing price has the most executable volume, then the least imbalance, then lies nearest the reference price,
then is the lower one. The last lots at each side's margin are rationed by priority or pro rata.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from swarm.market.orders import BUY, Int64

Rationing = Literal["priority", "pro_rata"]


@dataclass(frozen=True, slots=True, eq=False)
class Clearing:
    """What an auction came to: `fill_lots` has one entry per order, and `price_ticks` is 0 where nothing trades."""

    price_ticks: int
    volume_lots: int
    fill_lots: Int64


def clear(
    side: Int64,
    limit_ticks: Int64,
    quantity_lots: Int64,
    priority: Int64,
    reference_ticks: int,
    rationing: Rationing = "priority",
) -> Clearing:
    """Clear one good's orders.

    Limits and quantities are positive, and the largest quantity times the sum of all is below 2**63, so that no
    product here leaves an int64 and no sum leaves a float's 53 bits.
    """
    fill = np.zeros(len(side), dtype=np.int64)
    bids = np.flatnonzero(side == BUY)
    asks = np.flatnonzero(side != BUY)
    if not len(bids) or not len(asks) or limit_ticks[bids].max() < limit_ticks[asks].min():
        return Clearing(0, 0, fill)
    low = int(limit_ticks[asks].min())
    high = int(limit_ticks[bids].max())
    demand = _at_or_above(limit_ticks[bids], quantity_lots[bids], low, high)
    supply = _at_or_below(limit_ticks[asks], quantity_lots[asks], low, high)
    volume = np.minimum(demand, supply)
    best = np.flatnonzero(volume == volume.max())
    imbalance = np.abs(demand[best] - supply[best])
    best = best[imbalance == imbalance.min()]
    price = low + int(best[np.argmin(np.abs(best + low - reference_ticks))])
    executed = int(volume[best[0]])
    for rows, better in ((bids, -1), (asks, 1)):
        fill[rows] = _ration(limit_ticks[rows] * better, quantity_lots[rows], priority[rows], executed, rationing)
    return Clearing(price, executed, fill)


def _at_or_above(limit_ticks: Int64, quantity_lots: Int64, low: int, high: int) -> Int64:
    """Lots bid at each price of low..high or above it; a bid below `low` cannot trade and is left out."""
    rows = limit_ticks >= low
    levels = np.bincount(limit_ticks[rows] - low, quantity_lots[rows], high - low + 1)
    return levels[::-1].cumsum()[::-1].astype(np.int64)


def _at_or_below(limit_ticks: Int64, quantity_lots: Int64, low: int, high: int) -> Int64:
    """Lots asked at each price of low..high or below it; an ask above `high` cannot trade and is left out."""
    rows = limit_ticks <= high
    levels = np.bincount(limit_ticks[rows] - low, quantity_lots[rows], high - low + 1)
    return levels.cumsum().astype(np.int64)


def _ration(rank: Int64, quantity: Int64, priority: Int64, executed: int, rationing: Rationing) -> Int64:
    """Fills of one side, best `rank` (lower is better) first, until `executed` lots are given out."""
    order = np.lexsort((priority, rank))
    before = quantity[order].cumsum() - quantity[order]
    fill = np.empty(len(rank), dtype=np.int64)
    fill[order] = np.clip(executed - before, 0, quantity[order])
    if rationing == "priority":
        return fill
    margin = rank == rank[order[np.flatnonzero(before < executed)[-1]]]
    fill[margin] = _pro_rata(quantity[margin], priority[margin], int(fill[margin].sum()))
    return fill


def _pro_rata(quantity: Int64, priority: Int64, available: int) -> Int64:
    """Share `available` lots in proportion to `quantity`; odd lots go to the largest remainders, then by priority."""
    share, remainder = np.divmod(quantity * available, quantity.sum())
    odd_lots = available - int(share.sum())
    share[np.lexsort((priority, -remainder))[:odd_lots]] += 1
    return share


def pair(buy_lots: Int64, sell_lots: Int64) -> tuple[Int64, Int64, Int64]:
    """Match two columns of fills with equal sums into trades: (row of the buyer, row of the seller, lots).

    Both sides are walked in the given order, so that there are at most len(buy) + len(sell) - 1 trades.
    """
    bought = buy_lots.cumsum()
    sold = sell_lots.cumsum()
    if not len(bought) or not len(sold) or bought[-1] != sold[-1]:
        raise ValueError("bids filled and asks filled differ")
    ends = np.union1d(bought, sold)
    ends = ends[ends > 0]
    lots = np.diff(ends, prepend=0)
    buyer = np.searchsorted(bought, ends, side="left")
    seller = np.searchsorted(sold, ends, side="left")
    return buyer.astype(np.int64), seller.astype(np.int64), lots.astype(np.int64)


def fill_order(side: npt.NDArray[np.bool_], fill_lots: Int64, priority: Int64) -> Int64:
    """Rows of one side's filled orders in order of priority, which is how trades are paired."""
    rows = np.flatnonzero(side & (fill_lots > 0))
    return rows[np.argsort(priority[rows], kind="stable")]
