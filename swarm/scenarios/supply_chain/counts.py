"""What the nodes of a network have come to so far: sums by node that tables, summaries and reports are made from."""

from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from swarm.scenarios.supply_chain.flow import Flow, Goods
from swarm.scenarios.supply_chain.network import Int64, Network

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Counts:
    """Sums over the rounds so far, [nodes]: cents by what they were paid for, and units.

    `served_at_once_units` are those of `demand_units` that customers got in the round of asking. A stock-out is a round
    after which a node owes somebody; it has one cause: the node's own order (it had skipped one or expected less than
    its plan), its supplier (who owed it), or else demand.
    """

    holding_cents: Int64
    transit_cents: Int64
    backlog_cents: Int64
    expedite_cents: Int64
    unpaid_cents: Int64
    demand_units: Int64
    served_at_once_units: Int64
    received_units: Int64
    ordered_units: Int64
    expedited_units: Int64
    stockouts_own_order: Int64
    stockouts_supplier: Int64
    stockouts_demand: Int64
    doubled_orders: Int64

    @classmethod
    def none(cls, nodes: int) -> "Counts":
        """Returns the sums of no rounds."""
        return cls(*np.zeros((len(fields(cls)), nodes), dtype=np.int64))

    def plus(self, **more: Int64) -> "Counts":
        """Returns the sums with a round's added."""
        return Counts(**{f.name: getattr(self, f.name) + more.get(f.name, 0) for f in fields(self)})

    def columns(self) -> dict[str, Int64]:
        """Returns the sums by name."""
        return {f.name: getattr(self, f.name) for f in fields(self)}


def stockouts(network: Network, goods: Goods, flow: Flow, lowered: Mask, short: Mask | None = None) -> dict[str, Int64]:
    """Returns which nodes owed somebody after a round, by cause; `lowered` are those whose own choice was to have less.

    `short` are those that got less than they asked for, where no supplier owes it.
    Where a node with neither fault owes, demand over its lead time was more than its level.
    """
    edges = network.edges
    # The first that holds is the cause, so that the three add up to all stock-outs.
    owing = goods.owes(network) > 0
    waiting = np.bincount(edges.buyer, weights=goods.due, minlength=len(network)) > 0 if short is None else short
    own = owing & lowered
    supplier = owing & ~lowered & waiting
    rest = owing & ~lowered & ~waiting
    return {
        "stockouts_own_order": own.astype(np.int64),
        "stockouts_supplier": supplier.astype(np.int64),
        "stockouts_demand": rest.astype(np.int64),
    }
