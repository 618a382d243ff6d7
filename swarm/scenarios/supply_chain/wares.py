"""The goods of a supply chain at auction: one for each tier and region, and who buys which of them."""

from dataclasses import dataclass, fields
from functools import cached_property

import numpy as np
import numpy.typing as npt

from swarm.scenarios.supply_chain.network import OUTSIDE, Int64, Network


@dataclass(frozen=True, slots=True, eq=False)
class Wares:
    """The goods by number from 0; `of_node` is what each node sells, [nodes], `over_edge` what is bought, [edges].

    Over an edge to outside nothing is bought at auction, and its ware is -1. Of several edges over which a node buys
    the same ware, `first` marks the one that its goods come over.
    """

    names: tuple[str, ...]
    of_node: Int64
    over_edge: Int64
    first: Int64

    def __len__(self) -> int:
        return len(self.names)


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
    return Wares(names, of_node, over, first)


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
