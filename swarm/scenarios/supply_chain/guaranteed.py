"""What safety stock costs at least in a tree whose nodes promise service times: the guaranteed-service model.

A node promises that what is ordered of it comes within its service time, for demand up to a bound; it needs store for
what is asked for while it waits itself. By dynamic programming over the tree (Graves and Willems 2000, "Optimizing
strategic safety stock placement in supply chains"). It is theory beside plans; no run goes by it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import inf

import numpy as np
import numpy.typing as npt

Float64 = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Stage:
    """A node of the tree: the cost of a unit in store, its own rounds of work, and the stages that it `supplies`.

    `waits` are rounds until outside delivers to it, `promises` the most that it may let its customers wait, `deviation`
    that of its own customers' demand, and `safety` how many deviations it promises to bear.
    """

    holding: float
    rounds: int
    supplies: tuple[int, ...] = ()
    waits: int = 0
    promises: int | None = None
    deviation: float = 0.0
    safety: float = 1.0


@dataclass(frozen=True)
class Guaranteed:
    """The stages of a tree, by index; a stage has each neighbour once, and there is one way between any two."""

    stages: Sequence[Stage]

    @cached_property
    def suppliers(self) -> tuple[tuple[int, ...], ...]:
        """The stages that supply each one."""
        return tuple(
            tuple(i for i, other in enumerate(self.stages) if k in other.supplies) for k in range(len(self.stages))
        )

    def longest(self, k: int) -> int:
        """Returns the rounds that a stage needs at most if nobody before it has anything in store."""
        return self.stages[k].rounds + max([self.longest(i) for i in self.suppliers[k]], default=self.stages[k].waits)

    def variance(self, k: int) -> float:
        """Returns the variance of what is asked of a stage in a round."""
        own = self.stages[k]
        return own.deviation**2 + sum(self.variance(j) for j in own.supplies)

    def cost(self) -> float:
        """Returns what safety stock costs at least in a round."""
        return float(self._table(0, None).min())

    def _table(self, k: int, parent: int | None) -> Float64:
        """Returns [inbound, outbound]: the least cost of a stage and all behind it, away from `parent`."""
        own = self.stages[k]
        most = self.longest(k)
        # [inbound, 1] and [1, outbound] service times in rounds.
        inbound, outbound = np.arange(most - own.rounds + 1)[:, None], np.arange(most + 1)[None, :]
        uncovered = inbound + own.rounds - outbound
        possible = (uncovered >= 0) & (inbound >= own.waits)
        if own.promises is not None:
            possible &= outbound <= own.promises
        stock = own.safety * np.sqrt(self.variance(k) * np.maximum(uncovered, 0))
        table = np.where(possible, own.holding * stock, inf)
        # A supplier promises at most what the stage reckons with, and a buyer reckons with at least what it promises.
        for i in self.suppliers[k]:
            if i != parent:
                best = np.minimum.accumulate(self._table(i, k).min(axis=0))
                table += best[np.minimum(inbound, len(best) - 1)]
        for j in own.supplies:
            if j != parent:
                best = np.minimum.accumulate(self._table(j, k).min(axis=1)[::-1])[::-1]
                table += best[np.minimum(outbound, len(best) - 1)]
        return table
