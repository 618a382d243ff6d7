"""Makes trades of one good's orders of a round: the mechanism chosen for it, and the safeguards around both.

It knows orders and prices, but neither accounts nor holds; the exchange settles what comes out.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from swarm.market import call_auction, continuous
from swarm.market.config import MarketConfig, Mechanism, SelfTrade
from swarm.market.orders import BUY, CANCEL, IMMEDIATE_OR_CANCEL, MARKET, REPLACE, Int64, Orders

Bool = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Matched:
    """The outcome of a round for one good; rows are those of `orders`, in the order in which they were served.

    `price_ticks` is the price that the round ends with, 0 where nothing trades. `in_force` says which orders counted to
    the end: not those taken back, replaced, or taken off so that nobody trades with himself. The last four have one
    entry per trade. `halted` says that the circuit breaker tripped.
    """

    orders: Orders
    price_ticks: int
    fill_lots: Int64
    in_force: Bool
    buyer_row: Int64
    seller_row: Int64
    trade_ticks: Int64
    trade_lots: Int64
    halted: bool

    def left_lots(self, side: int) -> Int64:
        """Returns what the orders of one side that are in force did not get, 0 for all others."""
        left: Int64 = np.where(self.in_force & (self.orders.side == side), self.orders.quantity_lots, 0)
        return np.where(left > 0, left - self.fill_lots, 0)


def match(
    orders: Orders, mechanism: Mechanism, reference_ticks: int, config: MarketConfig, resting: Orders | None = None
) -> Matched:
    """Returns what becomes of one good's orders, in canonical order, behind those that rest in a continuous book."""
    if mechanism == "call":
        return _call(orders, reference_ticks, config)
    # The seed's draw takes the part of time: who came first among a round's orders is nobody's doing.
    orders = orders.take(np.argsort(orders.priority, kind="stable"))
    return _continuous(orders if resting is None else _joined(resting, orders), reference_ticks, config)


def take_back(orders: Orders, resting: Orders) -> Matched:
    """Returns a round of a good that is halted: orders that rest can be taken back, and nothing else happens."""
    orders = _joined(resting, orders)
    nothing = np.empty(0, dtype=np.int64)
    return Matched(
        orders=orders,
        price_ticks=0,
        fill_lots=np.zeros(len(orders), dtype=np.int64),
        in_force=_not_taken_back(orders),
        buyer_row=nothing,
        seller_row=nothing,
        trade_ticks=nothing,
        trade_lots=nothing,
        halted=False,
    )


def _joined(resting: Orders, orders: Orders) -> Orders:
    return Orders.concatenate([resting, orders]) if len(resting) else orders


def allowed_ticks(reference_ticks: Int64, permille: int | None, max_price_ticks: int) -> tuple[Int64, Int64]:
    """Returns the lowest and highest price within `permille` / 1000 of each reference, or the market's bounds."""
    if permille is None:
        return np.ones_like(reference_ticks), np.full_like(reference_ticks, max_price_ticks)
    low = -(-reference_ticks * (1_000 - permille) // 1_000)
    high = reference_ticks * (1_000 + permille) // 1_000
    return np.maximum(low, 1), np.minimum(high, max_price_ticks)


def _breaker(reference_ticks: int, config: MarketConfig) -> tuple[int, int]:
    low, high = allowed_ticks(np.array([reference_ticks]), config.halt_permille, config.max_price_ticks)
    return int(low[0]), int(high[0])


def _call(orders: Orders, reference_ticks: int, config: MarketConfig) -> Matched:
    # Orders leave before the price is sought: those taken back, and those that would meet their own trader's.
    in_force = _not_taken_back(orders)
    if config.self_trade != "none":
        rows = np.flatnonzero(in_force)
        crossing = own_crossings(orders.trader[rows], orders.side[rows], orders.limit_ticks[rows], config.self_trade)
        in_force[rows[crossing]] = False
    standing = orders.take(in_force)
    # The auction counts in steps of price and quantity, so that its price and the shares it gives are whole steps.
    cleared = call_auction.clear(
        standing.side,
        _in_steps(standing.limit_ticks, config.price_step_ticks),
        _in_steps(standing.quantity_lots, config.quantity_step_lots),
        standing.priority,
        reference_ticks / config.price_step_ticks,
        config.rationing,
    )
    price = cleared.price_ticks * config.price_step_ticks
    fill = np.zeros(len(orders), dtype=np.int64)
    fill[in_force] = cleared.fill_lots * config.quantity_step_lots
    # Who buys from whom does not matter at one price; the seed's priority pairs them, so that it is not the batch's.
    buys = call_auction.fill_order(orders.side == BUY, fill, orders.priority)
    sells = call_auction.fill_order(orders.side != BUY, fill, orders.priority)
    if cleared.volume_lots:
        buyer, seller, lots = call_auction.pair(fill[buys], fill[sells])
    else:
        buyer = seller = lots = np.empty(0, dtype=np.int64)
    low, high = _breaker(reference_ticks, config)
    return Matched(
        orders=orders,
        price_ticks=price,
        fill_lots=fill,
        in_force=in_force,
        buyer_row=buys[buyer],
        seller_row=sells[seller],
        trade_ticks=np.full(len(lots), price, dtype=np.int64),
        trade_lots=lots,
        halted=price > 0 and not low <= price <= high,
    )


def _in_steps(values: Int64, step: int) -> Int64:
    return values if step == 1 else values // step


def _continuous(orders: Orders, reference_ticks: int, config: MarketConfig) -> Matched:
    matching = continuous.match(
        # A market order has been given the worst price that the band allows, and was held for at that.
        np.where(orders.kind == MARKET, IMMEDIATE_OR_CANCEL, orders.kind),
        orders.side,
        orders.limit_ticks,
        orders.quantity_lots,
        orders.trader,
        _target_rows(orders),
        self_trade=config.self_trade,
        breaker_ticks=None if config.halt_permille is None else _breaker(reference_ticks, config),
    )
    # The kernel knows makers and takers; the ledger asks for buyers and sellers.
    came_to_buy = orders.side[matching.taker] == BUY
    live = (matching.status == continuous.LIVE) | (matching.status == continuous.HALTED)
    return Matched(
        orders=orders,
        price_ticks=int(matching.price_ticks[-1]) if len(matching.maker) else 0,
        fill_lots=matching.filled_lots,
        in_force=live & (orders.kind != CANCEL),
        buyer_row=np.where(came_to_buy, matching.taker, matching.maker),
        seller_row=np.where(came_to_buy, matching.maker, matching.taker),
        trade_ticks=matching.price_ticks,
        trade_lots=matching.trade_lots,
        halted=matching.halted,
    )


def _target_rows(orders: Orders) -> Int64:
    """Returns the rows of the orders that CANCELs and REPLACEs name by trader, round and sequence; -1 for none."""
    target = np.full(len(orders), -1, dtype=np.int64)
    naming = np.flatnonzero(orders.kind >= CANCEL)
    if not len(naming):
        return target
    # Few traders take orders back, so only the rows of these few are looked up one by one.
    possible = np.flatnonzero(np.isin(orders.trader, orders.trader[naming]))
    identity = (orders.trader, orders.placed_round, orders.sequence)
    named = zip(*(column[possible].tolist() for column in identity), strict=True)
    rows = dict(zip(named, possible.tolist(), strict=True))
    for row in naming.tolist():
        named_by_it = int(orders.trader[row]), int(orders.target_round[row]), int(orders.target[row])
        target[row] = rows.get(named_by_it, -1)
    return target


def _not_taken_back(orders: Orders) -> Bool:
    """Returns which orders are left for a call once CANCELs and REPLACEs have had their effect, in canonical order."""
    in_force = np.ones(len(orders), dtype=np.bool_)
    naming = np.flatnonzero(orders.kind >= CANCEL).tolist()
    target = _target_rows(orders) if naming else orders.target
    for row in naming:
        old = int(target[row])
        effective = 0 <= old < row and bool(in_force[old])
        if effective:
            in_force[old] = False
        in_force[row] = effective and orders.kind[row] == REPLACE
    return in_force


def own_crossings(trader: Int64, side: Int64, limit_ticks: Int64, policy: SelfTrade) -> Bool:
    """Returns which orders must go so that no trader's bid meets its own ask, whatever the clearing price.

    Rows are in canonical order, which is also the order in which a trader's orders came. `cancel_newest` takes off an
    order that crosses an earlier one still standing; `cancel_oldest` one that is crossed by any later one.
    """
    crossing = np.zeros(len(trader), dtype=np.bool_)
    if not len(trader):
        return crossing
    # [orders]: the index of each order's trader among those present, and its rank among that trader's orders.
    new = np.concatenate([[True], trader[1:] != trader[:-1]])
    group = np.cumsum(new) - 1
    nth = np.arange(len(trader)) - np.flatnonzero(new)[group]
    best_bid = np.zeros(group[-1] + 1, dtype=np.int64)
    best_ask = np.full(group[-1] + 1, np.iinfo(np.int64).max)
    # All traders' first orders at once, then all second ones: a batch has few ranks and many traders.
    ranks = range(int(nth.max()) + 1)
    for rank in ranks if policy == "cancel_newest" else reversed(ranks):
        rows = np.flatnonzero(nth == rank)
        own, limit, buys = group[rows], limit_ticks[rows], side[rows] == BUY
        crossing[rows] = np.where(buys, limit >= best_ask[own], limit <= best_bid[own])
        # An order that goes because it is the newer one no longer stands in anybody's way.
        stands = ~crossing[rows] if policy == "cancel_newest" else np.ones(len(rows), dtype=np.bool_)
        bid, ask = stands & buys, stands & ~buys
        best_bid[own[bid]] = np.maximum(best_bid[own[bid]], limit[bid])
        best_ask[own[ask]] = np.minimum(best_ask[own[ask]], limit[ask])
    return crossing
