"""The goods of a supply chain at auction: one for each tier and region, and who buys which of them."""

from dataclasses import dataclass

import numpy as np

from swarm.scenarios.supply_chain.network import OUTSIDE, Int64, Network


@dataclass(frozen=True, slots=True, eq=False)
class Wares:
    """The goods by number from 0; `of_node` is what each node sells, [nodes], `over_edge` what is bought, [edges].

    Over an edge to outside nothing is bought at auction, and its ware is -1. Of several edges over which a node buys
    the same ware, `first` marks the one that its goods come over.
    """

    names: tuple[str, ...]
    tier: Int64
    of_node: Int64
    over_edge: Int64
    first: Int64

    def __len__(self) -> int:
        return len(self.names)


def wares_of(network: Network) -> Wares:
    """Returns the goods of a network, each named after its tier and region.

    A node buys in its own region where somebody of its supplier's tier lies there, else in its supplier's.
    """
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
    return Wares(names, np.array([t for t, _ in keys]), of_node, over, first)
