"""Says how far a reference price drifts after a round, by what was left unfilled. Pure, and knows no accounts."""

import numpy as np

from swarm.market.orders import BUY, SELL, Int64
from swarm.market.totals import Totals


def drifted(totals: Totals, reference_ticks: Int64, drift_permille: int, max_price_ticks: int) -> Int64:
    """Returns the reference prices of the next round, [goods]."""
    # From the price of the round, or from the old reference where nothing was traded.
    start = np.where(totals.clearing_ticks > 0, totals.clearing_ticks, reference_ticks)
    columns = (
        start,
        totals.volume_lots,
        totals.unfilled_lots[BUY],
        totals.unfilled_lots[SELL],
        totals.best_bid_ticks,
        totals.best_ask_ticks,
    )
    goods = zip(*(column.tolist() for column in columns), strict=True)
    moved = [
        next_ticks(start, volume, bids, asks, best_bid, best_ask, drift_permille, max_price_ticks)
        for start, volume, bids, asks, best_bid, best_ask in goods
    ]
    return np.array(moved, dtype=np.int64)


def next_ticks(
    start: int, volume: int, unmet_bids: int, unmet_asks: int, best_bid: int, best_ask: int, permille: int, most: int
) -> int:
    """Returns one good's price moved from `start` towards the side left with more unfilled lots.

    The move is in proportion to the excess: `permille` where all lots of one side stayed unfilled. `best_bid` and
    `best_ask` are limits among what was left.
    """
    excess = unmet_bids - unmet_asks
    offered = 2 * volume + unmet_bids + unmet_asks
    # In Python's integers, since a price times all the lots left over may leave an int64; rounded up.
    drift = -(-start * permille * abs(excess) // (1_000 * max(offered, 1)))
    moved = min(max(start + (drift if excess > 0 else -drift), 1), most)
    # A price rises only as far as somebody left over would pay, and falls only as far as one would sell: a price
    # that drifts to where nobody trades would end a market for good.
    return min(max(moved, min(start, best_ask)), max(start, best_bid))
