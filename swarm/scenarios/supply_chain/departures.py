"""What the nodes of a network decided in a round, as columns: by which plan each goes, and how it departs from it."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from swarm.scenarios.protocol import Choices, Int64
from swarm.scenarios.supply_chain.form import Replenish
from swarm.scenarios.supply_chain.network import Network
from swarm.scenarios.supply_chain.planning import Estimates, moved
from swarm.scenarios.supply_chain.rules import naming, plan_named

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Departures:
    """What nodes decided in a round, [nodes]: `rule` is the number of a plan, or -1 where it stays as it was."""

    rule: Int64
    deviations: Int64
    hurries: Mask
    skips: Mask
    doubled: Int64

    @classmethod
    def none(cls, nodes: int) -> "Departures":
        """Returns the decisions of a round in which nobody departs from its plan."""
        numbers, marks = np.zeros(nodes, dtype=np.int64), np.zeros(nodes, dtype=np.bool_)
        return cls(np.full(nodes, -1), numbers, marks, marks.copy(), numbers.copy())

    @classmethod
    def of(cls, choices: Choices, nodes: int) -> "Departures":
        """Returns the decisions of a round, one of each node, which is their key: a second one only counts.

        Rules decide by orders, models by letters.
        """
        found = cls.none(nodes)
        decided = np.zeros(nodes, dtype=np.bool_)
        for trader, chosen in zip(choices.trader.tolist(), choices.chosen, strict=True):
            if decided[trader]:
                found.doubled[trader] += 1
                continue
            decided[trader] = True
            found.deviations[trader] = chosen.deviations
            found.hurries[trader], found.skips[trader] = chosen.hurries, chosen.skips
        for trader, plan in zip(choices.orders.trader.tolist(), plan_named(choices.orders).tolist(), strict=True):
            found.doubled[trader] += decided[trader]
            if not decided[trader]:
                decided[trader], found.rule[trader] = True, plan
        return found

    def choices(self) -> Choices:
        """Returns decisions that come to these departures, but for those that were doubled."""
        nodes, ruled = np.flatnonzero(self.departing), np.flatnonzero(self.rule >= 0)
        columns = (self.deviations[nodes].tolist(), self.hurries[nodes].tolist(), self.skips[nodes].tolist())
        return Choices(nodes, tuple(map(Replenish, *columns)), naming(ruled, self.rule[ruled]))

    def applied(self, estimates: Estimates, network: Network) -> None:
        """Moves what plans expect as was decided, and has nodes go by the plans that they named."""
        estimates.rule[:] = np.where(self.rule >= 0, self.rule, estimates.rule)
        moved(estimates, network, self.deviations)

    def without_letters(self, nodes: Mask) -> "Departures":
        """Returns the decisions as if these nodes had followed their plans."""
        return Departures(
            self.rule, np.where(nodes, 0, self.deviations), self.hurries & ~nodes, self.skips & ~nodes, self.doubled
        )

    @property
    def informed(self) -> Mask:
        """Which nodes have had what they expect moved."""
        informed: Mask = self.deviations != 0
        return informed

    @property
    def departing(self) -> Mask:
        """Which nodes depart from their plan."""
        departing: Mask = self.informed | self.hurries | self.skips
        return departing
