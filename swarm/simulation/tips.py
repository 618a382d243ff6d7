"""Reads tips of parties out of their acts, and tells who believed one: by what it put in as orders, and nothing else.

It is the same for every mind, so that rules and models are compared by one measure.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from swarm.coordination.messages import subject
from swarm.market.evidence import Round, accepted
from swarm.market.orders import Int64
from swarm.simulation.party import Act, Say

TOLD = "what was told of"
"""How the cause of a price begins that a tip has moved at settlement."""


@dataclass(frozen=True, slots=True, eq=False)
class PartyTip:
    """A tip of a party: to whom, of which good, and whether its price will rise (1) or fall (-1)."""

    hearers: Int64
    good: int
    side: int


def tip_of(act: Act, goods: tuple[str, ...]) -> PartyTip | None:
    """Returns the tip that an act is; None where it is none."""
    if not isinstance(act, Say):
        return None
    good, side = subject(act.text, goods)
    return PartyTip(np.asarray(act.to), good, side) if side else None


def believers(seen: Round, tip: PartyTip) -> npt.NDArray[np.bool_]:
    """Returns, by hearer, who asked for more lots on the tip's side of the good than on the other.

    Who is told that a good will rise bids for it, and who is told that it will fall offers it.
    """
    orders = seen.orders.take(accepted(seen.orders, seen.taken))
    own = orders.take(orders.good == tip.good)
    net = np.zeros(len(seen.have), dtype=np.int64)
    np.add.at(net, own.trader, own.side * own.quantity_lots)
    found: npt.NDArray[np.bool_] = tip.side * net[tip.hearers] > 0
    return found
