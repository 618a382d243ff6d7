"""A supply network as columns: nodes, the edges over which they order, and the order in which a round reaches them.

It is read from a table of rows (`table`) or made by one of the shapes below. What a round does with it, and what things
cost in words, it does not know.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

Int64 = npt.NDArray[np.int64]

OUTSIDE = -1
"""The supplier of those that make or import their goods: it always has enough."""

NO_LIMIT = -1
PLANNED = -(2**62)
"""A start stock that the plan fills in."""


@dataclass(frozen=True, slots=True, eq=False)
class Edges:
    """The edges of a network: `buyer` orders of `supplier`, of several suppliers each its share in 1/1000.

    An order is with the supplier after `delay` rounds, and its goods with the buyer `lead` rounds after they were sent.
    """

    buyer: Int64
    supplier: Int64
    lead: Int64
    delay: Int64
    share_permille: Int64

    def __len__(self) -> int:
        return len(self.buyer)


@dataclass(frozen=True, eq=False)
class Network:
    """The nodes of a supply network, by number; `edges` are sorted by supplier.

    Rates are cents for each unit and round: for what lies in store, for what is under way to the node, and for what it
    owes customers or other nodes. `demand_millis` is the customers' mean demand in 1/1000 units a round, 0 where no
    customer buys. `capacity` is the most that a node sends on in a round, or NO_LIMIT; `start_stock` may be PLANNED.
    """

    names: tuple[str, ...]
    tier: Int64
    tiers: tuple[str, ...]
    region: Int64
    regions: tuple[str, ...]
    demand_millis: Int64
    holding_cents: Int64
    transit_cents: Int64
    backlog_cents: Int64
    capacity: Int64
    start_stock: Int64
    start_backlog: Int64
    edges: Edges

    def __len__(self) -> int:
        return len(self.names)

    @cached_property
    def depth(self) -> Int64:
        """How far each node is from those that order of nobody's behalf: 0 for a node without nodes below it."""
        depth = np.zeros(len(self), dtype=np.int64)
        # Edges to outside make nobody deeper.
        inner = self.edges.supplier >= 0
        buyer, supplier = self.edges.buyer[inner], self.edges.supplier[inner]
        # A network without cycles is settled after as many passes as it is deep.
        for _ in range(len(self)):
            before = depth.copy()
            np.maximum.at(depth, supplier, depth[buyer] + 1)
            if (before == depth).all():
                break
        return depth

    @cached_property
    def levels(self) -> tuple[Int64, ...]:
        """The nodes by depth, those nearest to customers first."""
        return tuple(np.flatnonzero(self.depth == depth) for depth in range(int(self.depth.max()) + 1))

    @cached_property
    def edges_by_supplier_level(self) -> tuple[Int64, ...]:
        """The edges over which the nodes of each level deliver."""
        edges = self.edges
        at = np.where(edges.supplier >= 0, self.depth[edges.supplier], -1)
        return tuple(np.flatnonzero(at == depth) for depth in range(len(self.levels)))

    @cached_property
    def edges_by_buyer_level(self) -> tuple[Int64, ...]:
        """The edges over which the nodes of each level order."""
        at = self.depth[self.edges.buyer]
        return tuple(np.flatnonzero(at == depth) for depth in range(len(self.levels)))

    @cached_property
    def lead(self) -> Int64:
        """The rounds from an order to its goods for each node; of several suppliers the longest."""
        # An order's way counts as well as the goods'.
        lead = np.zeros(len(self), dtype=np.int64)
        np.maximum.at(lead, self.edges.buyer, self.edges.lead + self.edges.delay)
        return lead

    @cached_property
    def sells(self) -> npt.NDArray[np.bool_]:
        """Which nodes sell to customers."""
        return self.demand_millis > 0

    def through(self, demand: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Returns what passes each node where customers ask for `demand` of it, both [nodes]."""
        # [nodes] units; each level hands on what its customers and the levels below ask of it.
        flow = demand.astype(np.float64).copy()
        edges = self.edges
        for rows in self.edges_by_buyer_level:
            inner = rows[edges.supplier[rows] >= 0]
            np.add.at(flow, edges.supplier[inner], flow[edges.buyer[inner]] * edges.share_permille[inner] / 1_000)
        return flow

    @cached_property
    def mean(self) -> npt.NDArray[np.float64]:
        """The mean demand of each node in units a round, customers' and other nodes' together."""
        return self.through(self.demand_millis / 1_000)

    @property
    def owed_at_start(self) -> int:
        """The units that customers are owed when the run begins."""
        return int(self.start_backlog.sum())


def sorted_edges(edges: Edges) -> Edges:
    """Returns the edges by supplier and buyer."""
    # Suppliers first, so that a supplier's buyers stand together.
    order = np.lexsort((edges.buyer, edges.supplier))
    return Edges(
        edges.buyer[order],
        edges.supplier[order],
        edges.lead[order],
        edges.delay[order],
        edges.share_permille[order],
    )
