"""A round's goods and costs as postings: units in store and under way, papers for what is ordered and owed, and cash.

Units move between a node's store, the account `under_way` and the customers. Three papers stand beside them in the
ledger, so that what is under way to a node, what it has ordered and what it owes customers is conserved as well: each
is issued and taken back, and a node never has less than none.
"""

from collections.abc import Sequence

import numpy as np

from swarm.errors import ScenarioError
from swarm.market.ledger import CASH, ISSUE
from swarm.scenarios.protocol import Consequence, MarketState, Movement
from swarm.scenarios.supply_chain.flow import Flow, Goods
from swarm.scenarios.supply_chain.network import OUTSIDE, Int64, Network

UNITS, UNDER_WAY, ORDERED, OWED = 1, 2, 3, 4
"""Assets: units of the good, and papers for units under way to a node, ordered by it, and owed to its customers."""

GOODS = ("units", "under_way", "ordered", "owed")
PAPERS = frozenset(GOODS[1:])
ROAD, CUSTOMERS, STORAGE, CARRIER = "under_way", "customers", "storage", "carrier"
ACCOUNTS = (ISSUE, ROAD, CUSTOMERS, STORAGE, CARRIER)
"""The world outside, goods between nodes, and who is paid: for waiting, for store and transport, and for hurrying."""


def move(cause: str, source: Int64 | str, target: Int64 | str, asset: int | Int64, amount: Int64) -> list[Consequence]:
    """Returns a movement of the rows that move something; nothing where none does."""
    # Rows of nothing would only lengthen the journal.
    rows = np.flatnonzero(amount)
    if not len(rows):
        return []
    picked = [side if isinstance(side, str) else side[rows] for side in (source, target)]
    return [Movement(cause, picked[0], picked[1], np.broadcast_to(asset, amount.shape)[rows], amount[rows])]


def opened(network: Network, goods: Goods, purse: Int64) -> list[Consequence]:
    """Returns what a network begins with."""
    # Everything comes from the account that stands for the world outside.
    nodes, under_way = np.arange(len(network)), goods.under_way(network)
    return [
        *move("purse", ISSUE, nodes, CASH, purse),
        *move("start stock", ISSUE, nodes, UNITS, goods.stock),
        *move("under way at the start", ISSUE, ROAD, UNITS, np.array([int(under_way.sum())])),
        *move("under way at the start", ISSUE, nodes, UNDER_WAY, under_way),
        *move("ordered at the start", ISSUE, nodes, ORDERED, goods.on_order(network)),
        *move("owed at the start", ISSUE, nodes, OWED, goods.owed),
    ]


def moved(network: Network, flow: Flow) -> list[Consequence]:
    """Returns the postings of goods and papers that a round's flow comes to, in the order in which it went."""
    nodes, edges = np.arange(len(network)), network.edges
    # Goods and their papers go together: what arrives takes its paper back.
    came = flow.arrived + flow.hurried
    outside = edges.supplier == OUTSIDE
    inner = np.flatnonzero(~outside)
    # What outside sends comes from the account that stands for it; an account is never a negative number.
    from_outside = np.array([int(flow.sent[outside].sum())])
    return [
        *move("arrivals", ROAD, nodes, UNITS, came),
        *move("arrivals", nodes, ISSUE, UNDER_WAY, came),
        *move("demand", ISSUE, nodes, OWED, flow.demand),
        *move("sales", nodes, CUSTOMERS, UNITS, flow.served),
        *move("sales", nodes, ISSUE, OWED, flow.served),
        *move("orders", ISSUE, nodes, ORDERED, flow.ordered),
        *move("shipments", edges.supplier[inner], ROAD, UNITS, flow.sent[inner]),
        *move("shipments from outside", ISSUE, ROAD, UNITS, from_outside),
        *move("shipments", edges.buyer, ISSUE, ORDERED, flow.sent),
        *move("shipments", ISSUE, edges.buyer, UNDER_WAY, flow.sent),
    ]


def paid(
    network: Network, flow: Flow, prices: Int64, cash: Int64, due: Sequence[tuple[str, str, Int64]]
) -> tuple[list[Consequence], Int64]:
    """Returns the postings of a round's cash, and [nodes] what could not be paid.

    `prices` are [nodes] cents of a unit that a node sells. A node pays for goods first, then what is `due` (a cause, an
    account, cents by node), as far as its purse goes; a unit that it cannot pay for is counted and comes all the same.
    """
    nodes, edges = np.arange(len(network)), network.edges
    purse, unpaid = cash.copy(), np.zeros(len(network), dtype=np.int64)
    inner = np.flatnonzero(edges.supplier != OUTSIDE)
    buyer, supplier = edges.buyer[inner], edges.supplier[inner]
    cost = flow.sent[inner] * prices[supplier]
    # A buyer with several suppliers pays one after another, out of what is left.
    # [nodes] cents for all that came over a node's edges.
    bills = np.bincount(buyer, weights=cost, minlength=len(network)).astype(np.int64)
    able = bills[buyer] <= purse[buyer]
    unpaid += np.bincount(buyer[~able], weights=cost[~able], minlength=len(network)).astype(np.int64)
    cost = np.where(able, cost, 0)
    purse -= np.bincount(buyer, weights=cost, minlength=len(network)).astype(np.int64)
    postings = [
        *move("goods paid", buyer, supplier, CASH, cost),
        *move("customers' payments", ISSUE, nodes, CASH, flow.served * prices),
    ]
    # What comes in this round can be spent in the next.
    # Each in turn from what is left, so that no purse is ever below zero.
    for cause, account, cents in due:
        possible = np.minimum(cents, purse)
        unpaid += cents - possible
        purse -= possible
        postings += move(cause, nodes, account, CASH, possible)
    return postings, unpaid


def matched(network: Network, goods: Goods, market: MarketState, round_: int) -> Goods:
    """Returns the goods with the stores that the ledger has; ScenarioError where its papers say otherwise.

    Somebody outside the network may give or take units; what is under way, ordered and owed is the network's alone.
    """
    compared(
        network,
        market,
        round_,
        (
            (UNDER_WAY, "under way", goods.under_way(network)),
            (ORDERED, "ordered", goods.on_order(network)),
            (OWED, "owed to customers", goods.owed),
        ),
    )
    return Goods(market.balances[:, UNITS].copy(), goods.owed, goods.pipe, goods.mail, goods.due)


def compared(network: Network, market: MarketState, round_: int, papers: Sequence[tuple[int, str, Int64]]) -> None:
    """Raises ScenarioError where the ledger has other papers than the network knows: (asset, name, [nodes] units)."""
    for asset, name, known in papers:
        wrong = np.flatnonzero(market.balances[:, asset] != known)
        if len(wrong):
            node = int(wrong[0])
            raise ScenarioError(
                f"scenario supply_chain: round {round_}: {network.names[node]}: the ledger has "
                f"{int(market.balances[node, asset])} units {name}, the network {int(known[node])}; the run is stopped"
            )
