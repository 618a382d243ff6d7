"""One round of a supply network as a pure function of columns: goods arrive, customers buy, nodes order and deliver.

The round goes from the customers up, so that a node orders once it knows what was ordered of it: an order reaches its
supplier in the same round where the edge has no delay. It knows no ledger, no money and no trader's mind.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from swarm.scenarios.supply_chain.network import NO_LIMIT, OUTSIDE, Int64, Network

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Goods:
    """What lies and moves in a network between two rounds, in units.

    `stock` and `owed` (to customers) are [nodes]. `pipe` is [edges, rounds], what arrives at the buyer in so many
    rounds, `mail` the same of orders that have not reached the supplier, and `due` is [edges], what the supplier owes.
    """

    stock: Int64
    owed: Int64
    pipe: Int64
    mail: Int64
    due: Int64

    @classmethod
    def at_start(cls, network: Network, stock: Int64, flowing: Int64) -> "Goods":
        """Returns goods with `stock` in store, and of each round's mean flow over an edge as much in each round."""
        edges, longest = network.edges, int(network.edges.lead.max())
        # Every round that an order or its goods are under way has one round's flow.
        pipe = np.where(np.arange(longest) < edges.lead[:, None], flowing[:, None], 0)
        mail = np.where(np.arange(max(int(edges.delay.max()), 1)) < edges.delay[:, None], flowing[:, None], 0)
        return cls(stock.copy(), network.start_backlog.copy(), pipe, mail, np.zeros(len(edges), dtype=np.int64))

    def on_order(self, network: Network) -> Int64:
        """Returns [nodes]: what each node has ordered and its suppliers have not sent."""
        return by_node(network.edges.buyer, self.mail.sum(axis=1) + self.due, len(network))

    def under_way(self, network: Network) -> Int64:
        """Returns [nodes]: what is under way to each node."""
        return by_node(network.edges.buyer, self.pipe.sum(axis=1), len(network))

    def owes(self, network: Network) -> Int64:
        """Returns [nodes]: what each node owes customers and other nodes."""
        inner = network.edges.supplier >= 0
        return self.owed + by_node(network.edges.supplier[inner], self.due[inner], len(network))

    def position(self, network: Network) -> Int64:
        """Returns [nodes]: in store, under way and on order, less what is owed."""
        return self.stock + self.under_way(network) + self.on_order(network) - self.owes(network)

    def copy(self) -> "Goods":
        """Returns the same columns as arrays of its own."""
        return Goods(*(getattr(self, f.name).copy() for f in fields(self)))


@dataclass(frozen=True, slots=True, eq=False)
class Flow:
    """What moved in a round: [nodes] but for `sent` and `ordered_over`, which are [edges].

    `served_at_once` is what customers got in the round in which they asked, `received` what was ordered of a node, and
    `wanted` and `sent_on` what its buyers could have had and got. `hurried` units came a round before their time, and
    `by_road` units were bought in another region.
    """

    arrived: Int64
    hurried: Int64
    demand: Int64
    served: Int64
    served_at_once: Int64
    received: Int64
    ordered: Int64
    ordered_over: Int64
    sent: Int64
    wanted: Int64
    sent_on: Int64
    by_road: Int64


Plan = Callable[[Int64, Int64, Goods], Int64]
"""Returns what nodes order, given their numbers, what was ordered of them in the round, and all goods as they are."""


def play(
    network: Network, goods: Goods, demand: Int64, priority: Int64, hurries: Mask, plan: Plan
) -> tuple[Goods, Flow]:
    """Returns the goods after a round, and what moved.

    `demand` is what customers ask of each node. Where a supplier is short, buyers of lower `priority` ([nodes]) are
    served first, each in full as far as it goes. Who `hurries` gets what is due in the next round at once.
    """
    edges, n = network.edges, len(network)
    goods = goods.copy()
    arrived, hurried = arrive(network, goods, hurries)
    received = _mail(network, goods)
    # Customers come before other nodes.
    # What is in store belongs first to those who wait already.
    available = np.maximum(goods.stock - goods.owed, 0)
    at_once = np.minimum(available, demand)
    goods.owed[:] += demand
    served = np.minimum(goods.stock, goods.owed)
    goods.stock[:] -= served
    goods.owed[:] -= served
    received += demand
    # Level after level from the customers up: deliver what is there, then order what is lacking.
    ordered = np.zeros(n, dtype=np.int64)
    over, sent = np.zeros(len(edges), dtype=np.int64), np.zeros(len(edges), dtype=np.int64)
    wanted = np.zeros(n, dtype=np.int64)
    for nodes, delivers, orders in zip(
        network.levels, network.edges_by_supplier_level, network.edges_by_buyer_level, strict=True
    ):
        _deliver(network, goods, delivers, priority, sent, wanted)
        ordered[nodes] = plan(nodes, received[nodes], goods)
        over[orders] = split(ordered[edges.buyer[orders]], network, orders)
        _order(network, goods, orders, over[orders], received, sent)
    # What outside has sent at once, too, is under way by now.
    np.add.at(goods.pipe, (np.arange(len(edges)), edges.lead - 1), sent)
    inner = edges.supplier >= 0
    sent_on = by_node(edges.supplier[inner], sent[inner], n)
    none = np.zeros(n, dtype=np.int64)
    return goods, Flow(arrived, hurried, demand, served, at_once, received, ordered, over, sent, wanted, sent_on, none)


def split(quantity: Int64, network: Network, rows: Int64) -> Int64:
    """Returns what goes over each of these edges where their buyers order `quantity` in all, by their shares.

    Parts are rounded so that those of a buyer sum to what it orders.
    """
    share = network.edges.share_permille[rows]
    # Most networks have one supplier to a node, and nothing to share.
    if (share == 1_000).all():
        return quantity
    buyer = network.edges.buyer[rows]
    part = np.zeros(len(rows), dtype=np.int64)
    # Running shares, so that no unit is lost or doubled by rounding: [0, 333, 667, 1000] of 10 is 3, 4, 3.
    before: dict[int, int] = {}
    for i, (node, own, whole) in enumerate(zip(buyer.tolist(), share.tolist(), quantity.tolist(), strict=True)):
        start = before.get(node, 0)
        part[i] = (whole * (start + own) + 500) // 1_000 - (whole * start + 500) // 1_000
        before[node] = start + own
    return part


def arrive(network: Network, goods: Goods, hurries: Mask) -> tuple[Int64, Int64]:
    """Puts into store what arrives, and moves all that is under way a round nearer."""
    edges, n = network.edges, len(network)
    arrived = by_node(edges.buyer, goods.pipe[:, 0], n)
    goods.pipe[:, :-1] = goods.pipe[:, 1:]
    goods.pipe[:, -1] = 0
    # Who hurries has two rounds' goods at once, and none of them in the next one.
    hurried = np.zeros(n, dtype=np.int64)
    if hurries.any():
        rows = np.flatnonzero(hurries[edges.buyer])
        hurried = by_node(edges.buyer[rows], goods.pipe[rows, 0], n)
        goods.pipe[rows, 0] = 0
    goods.stock[:] += arrived + hurried
    return arrived, hurried


def _mail(network: Network, goods: Goods) -> Int64:
    """Delivers the orders that reach their suppliers; returns [nodes] what came in."""
    edges = network.edges
    # Orders to outside come in here, too: it owes them until it sends, in the same round.
    came = goods.mail[:, 0].copy()
    goods.mail[:, :-1] = goods.mail[:, 1:]
    goods.mail[:, -1] = 0
    goods.due[:] += came
    inner = edges.supplier >= 0
    return by_node(edges.supplier[inner], came[inner], len(network))


def _deliver(network: Network, goods: Goods, rows: Int64, priority: Int64, sent: Int64, wanted: Int64) -> None:
    """Sends over these edges what their suppliers have, buyer after buyer by priority."""
    if not len(rows):
        return
    edges = network.edges
    # [edges] by supplier, and of one supplier by priority.
    supplier = edges.supplier[rows]
    order = rows[np.lexsort((priority[edges.buyer[rows]], supplier))]
    supplier, due = edges.supplier[order], goods.due[order]
    wanted += by_node(supplier, due, len(network))
    have = (
        goods.stock
        if (network.capacity == NO_LIMIT).all()
        else np.where(network.capacity == NO_LIMIT, goods.stock, np.minimum(goods.stock, network.capacity))
    )
    # Running sums begin anew at each supplier: what lies before its first edge is taken off.
    run = np.cumsum(due)
    first = np.searchsorted(supplier, supplier)
    until = np.minimum(run - (run[first] - due[first]), have[supplier])
    part = np.diff(until, prepend=0)
    part[first == np.arange(len(order))] = until[first == np.arange(len(order))]
    sent[order] = part
    goods.due[order] -= part
    goods.stock[:] -= by_node(supplier, part, len(network))


def _order(network: Network, goods: Goods, rows: Int64, quantity: Int64, received: Int64, sent: Int64) -> None:
    """Places orders over these edges; outside delivers at once what has reached it."""
    edges = network.edges
    # An order with a delay goes by mail; any other is with its supplier at once.
    delay, outside = edges.delay[rows], edges.supplier[rows] == OUTSIDE
    mailed = delay > 0
    goods.mail[rows[mailed], delay[mailed] - 1] += quantity[mailed]
    goods.due[rows[~mailed]] += quantity[~mailed]
    inner = rows[~mailed & ~outside]
    received += by_node(edges.supplier[inner], quantity[~mailed & ~outside], len(network))
    # Outside never lacks anything.
    makers = rows[outside]
    sent[makers] = goods.due[makers]
    goods.due[makers] = 0


def by_node(node: Int64, amount: Int64, nodes: int) -> Int64:
    """Returns the sums of `amount` by node."""
    # Weights are doubles, which hold every whole number up to 2**53.
    return np.bincount(node, weights=amount, minlength=nodes).astype(np.int64)
