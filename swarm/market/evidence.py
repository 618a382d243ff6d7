"""The evidence of one round, as surveillance keeps it by trader and good: what was done, and what it did to prices.

All of it is typed: orders, trades, holdings, tips that name a good and a direction, and news. Nobody's words are read
here. An order's effect on a price is exact, since the round is matched again without it.
"""

from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from swarm.market import mechanism
from swarm.market.config import MarketConfig, Mechanism
from swarm.market.drift import next_ticks
from swarm.market.events import OrdersTaken, Trades
from swarm.market.orders import BUY, CANCEL, SELL, Int64, Orders

Float64 = npt.NDArray[np.float64]

LEAST_SHARE_PERMILLE = 100
"""Orders of less than this share of a side's lots, in 1/1000, are not taken out to see what they did."""


@dataclass(frozen=True, slots=True, eq=False)
class Round:
    """What happened in a round: `orders` with their priorities, those that were refused among them.

    `resting` are the orders that rested in continuous books before it, in the order in which they came.
    `have` is [traders, goods] lots before the round. `tips` is [rows, 3]: who told others that a good will rise (1) or
    fall (-1), and `news` is [rows, 2], a good and the direction in which what befell moves its price. `concerted` is
    [traders], where sellers post prices: the index of collusion of those that a trader's market has, in 1/1000.
    """

    round: int
    orders: Orders
    taken: OrdersTaken
    trades: Trades
    reference_ticks: Int64  # before the round
    have: Int64
    tips: Int64 = field(default_factory=lambda: np.empty((0, 3), dtype=np.int64))
    news: Int64 = field(default_factory=lambda: np.empty((0, 2), dtype=np.int64))
    concerted: Int64 | None = None
    resting: Orders = field(default_factory=Orders.empty)


@dataclass(frozen=True, slots=True, eq=False)
class Traces:
    """A round by trader and good, [traders, goods]; prices in 1/1000 of the reference price before the round.

    `bought` and `sold` are lots. `idle` is the share of a side's lots that the trader asked and that were withdrawn or
    found nobody, above 0 for bids and below for asks, whichever is more.
    `moved` is what the last price would have been less without the trader's orders, and `pushed` the same of the next
    reference price, for its idle orders alone. `bid_ticks` is its highest bid, and `bid_share` its share of all lots
    bid for, at that limit. `beyond` is how far beyond the reference price its orders' limits were, to its own loss and
    by lots. `tipped` is the direction of what it told others.
    """

    round: int
    bought: Int64
    sold: Int64
    idle: Float64
    moved: Float64
    pushed: Float64
    bid_ticks: Int64
    bid_share: Float64
    beyond: Float64  # [traders]
    tipped: Int64
    have: Int64
    signature: Int64  # [traders]: of the trader's whole bundle, 0 for none
    volume_lots: Int64  # [goods]
    concerted: Int64  # [traders]: 0 where nobody posts prices
    news: Int64


def traces(seen: Round, mechanisms: tuple[Mechanism, ...], config: MarketConfig, only: int | None = None) -> Traces:
    """Returns what a round leaves of every trader; with `only`, what orders did to prices is told of one alone."""
    shape = seen.have.shape
    live = seen.orders.take(accepted(seen.orders, seen.taken))
    bought, sold, bids, tipped = (np.zeros(shape, dtype=np.int64) for _ in range(4))
    np.add.at(bought, (seen.trades.buyer, seen.trades.good), seen.trades.quantity_lots)
    np.add.at(sold, (seen.trades.seller, seen.trades.good), seen.trades.quantity_lots)
    idle, moved, pushed = (np.zeros(shape) for _ in range(3))
    resting = still_resting(seen, config)
    for good in np.unique(live.good).tolist():
        book = Book(good, live.take(live.good == good), resting.take(resting.good == good), mechanisms[good])
        _good(book, int(seen.reference_ticks[good]), config, (idle, moved, pushed), only)
    np.maximum.at(bids, (live.trader, live.good), np.where(live.side == BUY, live.limit_ticks, 0))
    shares = _bid_shares(live, bids)
    # Nobody gives more than one tip a round.
    for sender, good, direction in seen.tips.tolist():
        tipped[sender, good] = direction
    concerted = np.zeros(shape[0], dtype=np.int64) if seen.concerted is None else seen.concerted
    volume = np.bincount(seen.trades.good, seen.trades.quantity_lots, shape[1]).astype(np.int64)
    return Traces(
        seen.round, bought, sold, idle, moved, pushed, bids, shares, _beyond(live, seen.reference_ticks, shape[0]),
        tipped, seen.have,
        _signatures(live, shape[0]), volume, concerted, seen.news,
    )  # fmt: skip


def _bid_shares(orders: Orders, highest: Int64) -> Float64:
    """Returns the share of a good's lots bid for that each trader bids for at its highest limit."""
    bids = orders.take((orders.side == BUY) & (orders.kind != CANCEL))
    at = bids.limit_ticks == highest[bids.trader, bids.good]
    lots = np.zeros(highest.shape)
    np.add.at(lots, (bids.trader[at], bids.good[at]), bids.quantity_lots[at])
    return lots / np.maximum(np.bincount(bids.good, bids.quantity_lots, highest.shape[1]), 1.0)[None, :]


def _beyond(orders: Orders, reference: Int64, traders: int) -> Float64:
    """Returns how far each trader's limits lie beyond the reference price, above for bids and below for asks."""
    orders = orders.take(orders.kind != CANCEL)
    price, lots = reference[orders.good], orders.quantity_lots.astype(np.float64)
    over = np.clip(1_000.0 * orders.side * (orders.limit_ticks - price) / price, -1_000.0, 1_000.0)
    weight = np.bincount(orders.trader, lots, traders)
    found: Float64 = np.bincount(orders.trader, lots * over, traders) / np.maximum(weight, 1.0)
    return found


def accepted(orders: Orders, taken: OrdersTaken) -> npt.NDArray[np.bool_]:
    """Returns which orders were not refused."""
    span = 1 + max(int(orders.sequence.max(initial=0)), int(taken.rejected_sequence.max(initial=0)))
    refused = taken.rejected_trader * span + taken.rejected_sequence
    known: npt.NDArray[np.bool_] = ~np.isin(orders.trader * span + orders.sequence, refused)
    return known


def asked_lots(seen: Round, trader: int, good: int, side: int) -> int:
    """Returns for how many lots of a good a trader has put in orders on one side that were taken."""
    orders = seen.orders.take(accepted(seen.orders, seen.taken))
    own = (orders.trader == trader) & (orders.good == good) & (orders.side == side)
    return int(orders.quantity_lots[own].sum())


def still_resting(seen: Round, config: MarketConfig) -> Orders:
    """Returns the orders that rested before a round and were matched in it: not those past their time, or too far off.

    Who was frozen or liquidated in that very round has its orders taken off, too, which evidence does not tell.
    """
    resting = seen.resting
    lowest, highest = mechanism.allowed_ticks(seen.reference_ticks, config.band_permille, config.max_price_ticks)
    within = (resting.limit_ticks >= lowest[resting.good]) & (resting.limit_ticks <= highest[resting.good])
    return resting.take(within & (resting.good_through >= seen.round))


@dataclass(frozen=True, slots=True, eq=False)
class Book:
    """One good's orders of a round, those that rested before it, and how they are matched."""

    good: int
    orders: Orders
    resting: Orders
    kind: Mechanism

    def matched(self, reference: int, config: MarketConfig, without: int | None = None) -> mechanism.Matched:
        """Returns the round as it was, or as it had been without the orders of one trader."""
        orders, resting = self.orders, self.resting
        if without is not None:
            orders, resting = orders.take(orders.trader != without), resting.take(resting.trader != without)
        return mechanism.match(orders, self.kind, reference, config, resting)


def _good(
    book: Book, reference: int, config: MarketConfig, into: tuple[Float64, Float64, Float64], only: int | None
) -> None:
    """Fills in what one good's orders did: matched once as they were, and once without each trader's, or one's."""
    (idle, moved, pushed), good, orders = into, book.good, book.orders
    whole = book.matched(reference, config)
    served = whole.orders
    # Orders that were taken back are idle as those are that found nobody; a CANCEL itself asks for nothing. What goes
    # on resting was idle in the round in which it came.
    nothing = (served.kind == CANCEL) | (served.placed_round > 0)
    left = np.where(nothing, 0, served.quantity_lots - whole.fill_lots)
    asked = {side: max(int(served.quantity_lots[served.side == side].sum()), 1) for side in (BUY, SELL)}
    of_side = [np.bincount(served.trader, left * (served.side == s), len(idle)) / asked[s] for s in (BUY, SELL)]
    idle[:, good] = np.where(of_side[0] >= of_side[1], of_side[0], -of_side[1])
    price, after = _prices(whole, reference, config)
    for trader in np.unique(orders.trader).tolist() if only is None else [only]:
        own, others = served.trader == trader, orders.trader != trader
        shares = [1_000 * int(served.quantity_lots[own & (served.side == s)].sum()) // asked[s] for s in (BUY, SELL)]
        # Who asks for little moves little, and nearly all do.
        if max(shares) < LEAST_SHARE_PERMILLE:
            continue
        if whole.fill_lots[own].any():
            plain, _ = _prices(book.matched(reference, config, trader), reference, config)
            moved[trader, good] = 1_000.0 * (price - plain) / reference
        names = served.sequence[own & (left > 0)]
        if len(names):
            kept = replace(book, orders=orders.take(others | ~np.isin(orders.sequence, names)))
            _, plain = _prices(kept.matched(reference, config), reference, config)
            pushed[trader, good] = 1_000.0 * (after - plain) / reference


def _prices(matched: mechanism.Matched, reference: int, config: MarketConfig) -> tuple[int, int]:
    """Returns the price that a good's round ends with, and the reference price of the next one."""
    price, limit = matched.price_ticks or reference, matched.orders.limit_ticks
    # What found nobody decides where the reference price drifts.
    bids, asks = matched.left_lots(BUY), matched.left_lots(SELL)
    after = next_ticks(
        price,
        int(matched.trade_lots.sum()),
        int(bids.sum()),
        int(asks.sum()),
        int(limit[bids > 0].max(initial=1)),
        int(limit[asks > 0].min(initial=config.max_price_ticks)),
        config.drift_permille,
        config.max_price_ticks,
    )
    return price, after


def _signatures(orders: Orders, traders: int) -> Int64:
    """Returns a number for each trader's bundle of orders, the same for the same bundle and 0 for none."""
    # By trader, its orders without their sequence: in which order they were put in says nothing.
    found: dict[int, list[tuple[int, int, int, int]]] = {}
    columns = (orders.trader, orders.good, orders.side, orders.limit_ticks, orders.quantity_lots)
    for trader, *order in zip(*(column.tolist() for column in columns), strict=True):
        found.setdefault(trader, []).append((order[0], order[1], order[2], order[3]))
    signature = np.zeros(traders, dtype=np.int64)
    for trader, bundle in found.items():
        # Python's hash of numbers in tuples is the same in every process.
        signature[trader] = hash(tuple(sorted(bundle))) or 1
    return signature
