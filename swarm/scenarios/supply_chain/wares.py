"""The goods of a supply chain at auction: one for each tier and region, and who buys which of them."""

from dataclasses import dataclass, fields
from functools import cached_property

import numpy as np
import numpy.typing as npt

from swarm.scenarios.supply_chain.network import OUTSIDE, Int64, Network

Mask = npt.NDArray[np.bool_]


BY_ROAD_ROUNDS = 1
"""Rounds from a purchase in another region to its goods, however long the way from the node's own suppliers is."""


@dataclass(frozen=True, slots=True, eq=False)
class Wares:
    """The goods by number from 0; `of_node` is what each node sells, [nodes], `over_edge` what is bought, [edges].

    Over an edge to outside nothing is bought at auction, and its ware is -1. Of several edges over which a node buys
    the same ware, `first` marks the one that its goods come over. `elsewhere` marks the wares of other regions that may
    come over an edge by road, [edges, wares].
    """

    names: tuple[str, ...]
    of_node: Int64
    over_edge: Int64
    first: Int64
    elsewhere: Mask

    def __len__(self) -> int:
        return len(self.names)

    @property
    def trading(self) -> Mask:
        """Which edges a ware comes over."""
        trading: Mask = (self.over_edge >= 0) & (self.first == np.arange(len(self.first)))
        return trading

    def bought(self, hurried: Mask, reference_ticks: Int64) -> Int64:
        """Returns [edges]: the ware that is bid for; over `hurried` edges that of another region which is cheapest."""
        ticks = np.where(self.elsewhere, reference_ticks[: len(self)], np.iinfo(np.int64).max)
        by_road = hurried & self.elsewhere.any(axis=1)
        return np.where(by_road, ticks.argmin(axis=1), self.over_edge)


def wares_of(network: Network) -> Wares:
    """Returns the goods of a network, each named after its tier and region.

    A node buys in its own region where somebody of its supplier's tier lies there, else in its supplier's.
    """
    # Numbered by tier and then by region, whatever the order of the table.
    keys = sorted({(int(t), int(r)) for t, r in zip(network.tier, network.region, strict=True)})
    number = {key: i for i, key in enumerate(keys)}
    of_node = np.array([number[int(t), int(r)] for t, r in zip(network.tier, network.region, strict=True)])
    edges = network.edges
    over = np.full(len(edges), -1, dtype=np.int64)
    first = np.zeros(len(edges), dtype=np.int64)
    seen: dict[tuple[int, int], int] = {}
    # Edges in their order, so that the first one of a pair is the same in every run.
    for edge, (buyer, supplier) in enumerate(zip(edges.buyer.tolist(), edges.supplier.tolist(), strict=True)):
        if supplier == OUTSIDE:
            first[edge] = edge
            continue
        at_home = (int(network.tier[supplier]), int(network.region[buyer]))
        over[edge] = number.get(at_home, int(of_node[supplier]))
        first[edge] = seen.setdefault((buyer, int(over[edge])), edge)
    names = tuple(f"{network.tiers[t]}-{network.regions[r]}".replace(" ", "-") for t, r in keys)
    return Wares(names, of_node, over, first, _elsewhere(edges.buyer, over, first, np.array([t for t, _ in keys])))


def _elsewhere(buyer: Int64, over: Int64, first: Int64, tier: Int64) -> Mask:
    """Returns [edges, wares]: which wares may come over an edge by road; a node bids for no ware over two edges."""
    found = np.zeros((len(over), len(tier)), dtype=np.bool_)
    seen: set[tuple[int, int]] = set()
    for edge in np.flatnonzero((over >= 0) & (first == np.arange(len(over)))).tolist():
        key = int(buyer[edge]), int(tier[over[edge]])
        # Over one edge of a node and tier alone, and never what it buys anyway.
        if key not in seen:
            found[edge] = tier == key[1]
            found[edge, over[(buyer == key[0]) & (over >= 0)]] = False
        seen.add(key)
    return found


@dataclass(frozen=True, eq=False)
class TradedNetwork(Network):
    """A network whose nodes trade: what is asked of a ware is asked of all who sell it, in equal parts.

    Its edges say of which tier a node buys and how long that is under way, and no longer of whom.
    """

    @classmethod
    def of(cls, network: Network) -> "TradedNetwork":
        """Returns the network of a table as one whose nodes trade; ValueError where tiers are no levels."""
        for tier, title in enumerate(network.tiers):
            depths = set(network.depth[network.tier == tier].tolist())
            if len(depths) > 1:
                raise ValueError(f"nodes of the tier {title!r} stand at {len(depths)} levels above the customers")
        return cls(**{f.name: getattr(network, f.name) for f in fields(network)})

    @cached_property
    def wares(self) -> Wares:
        """The goods that its nodes trade in."""
        return wares_of(self)

    @cached_property
    def sellers(self) -> Int64:
        """How many nodes sell each ware, [wares]."""
        return np.bincount(self.wares.of_node, minlength=len(self.wares))

    def through(self, demand: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Returns what passes each node on average where customers ask for `demand` of it, both [nodes]."""
        flow, edges, wares = demand.astype(np.float64).copy(), self.edges, self.wares
        # Each level asks for wares, and all who sell them pass on the same.
        for rows in self.edges_by_buyer_level:
            inner = rows[wares.over_edge[rows] >= 0]
            part = flow[edges.buyer[inner]] * edges.share_permille[inner] / 1_000
            asked = np.bincount(wares.over_edge[inner], weights=part, minlength=len(wares))
            flow += (asked / np.maximum(self.sellers, 1))[wares.of_node]
        return flow
