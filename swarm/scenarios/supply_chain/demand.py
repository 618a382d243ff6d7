"""What customers ask for in a round: drawn from the seed by node and round, or read from a series.

A shift multiplies the mean demand of a region's customers from a round on. Every draw depends on the seed, the node and
the round alone, so that two runs of one seed meet the same customers, whatever is ordered in them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod

import numpy as np
import numpy.typing as npt

from swarm.scenarios.supply_chain.network import Int64, Network
from swarm.seeding import draw_unit

Float64 = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Shift:
    """A change of demand in a region: from `first_round` to `last_round` it is `permille` / 1000 of what it was."""

    region: int
    first_round: int
    last_round: int
    permille: int


def factor(shifts: Sequence[Shift], one: Shift) -> float:
    """Returns what demand is multiplied by when a shift comes, by it and by all others that hold in its region."""
    held = (s for s in shifts if s.region == one.region and s.first_round <= one.first_round <= s.last_round)
    return prod(s.permille / 1_000 for s in held)


@dataclass(frozen=True, eq=False)
class Demand:
    """The customers of a network; `series` is [rounds, nodes], or None where demand is drawn from Poisson's law.

    Beyond the end of a series its last row goes on.
    """

    network: Network
    seed: int
    shifts: Sequence[Shift] = ()
    series: Int64 | None = None

    def rate_millis(self, round_: int) -> Int64:
        """Returns the mean demand of each node's customers in a round, in 1/1000 units."""
        rate = self.network.demand_millis
        for shift in self.shifts:
            if shift.first_round <= round_ <= shift.last_round:
                rate = np.where(self.network.region == shift.region, rate * shift.permille // 1_000, rate)
        return rate

    def most_millis(self) -> Int64:
        """Returns the highest mean demand of each node's customers, or of a series the most units, in 1/1000."""
        if self.series is not None:
            units: Int64 = self.series.max(axis=0)
            return units * 1_000
        highest = np.ones(len(self.network.regions))
        for one in self.shifts:
            highest[one.region] = max(highest[one.region], factor(self.shifts, one))
        most: Int64 = np.ceil(self.network.demand_millis * highest[self.network.region]).astype(np.int64)
        return most

    def units(self, round_: int) -> Int64:
        """Returns what customers ask of each node in a round."""
        if self.series is not None:
            row: Int64 = self.series[min(round_, len(self.series)) - 1]
            return row
        asked = np.zeros(len(self.network), dtype=np.int64)
        rate, nodes = self.rate_millis(round_), np.flatnonzero(self.network.sells)
        # From the middle of each of a double's 2**53 steps, so that no draw is 0.
        uniform = draw_unit(self.seed, "customers", round_, nodes) + 2.0**-54
        # Nodes of one mean share a table of the law.
        for mean in np.unique(rate[nodes]).tolist():
            own = rate[nodes] == mean
            asked[nodes[own]] = np.searchsorted(self._law(mean), uniform[own])
        return asked

    @cached_property
    def _laws(self) -> dict[int, Float64]:
        return {}

    def _law(self, mean_millis: int) -> Float64:
        """Returns Poisson's cumulative law of a mean."""
        if mean_millis not in self._laws:
            self._laws[mean_millis] = poisson_cdf(mean_millis / 1_000)
        return self._laws[mean_millis]


def poisson(mean: float) -> Float64:
    """Returns Poisson's probabilities of 0, 1, 2, ... up to where less than 1e-15 is left."""
    # Twelve deviations hold all that a double can tell from nothing.
    top = int(mean + 12 * np.sqrt(mean + 1) + 20)
    # In logarithms, since the powers of a large mean leave the range of a double.
    logs = np.concatenate([[0.0], np.cumsum(np.log(mean) - np.log(np.arange(1, top)))]) if mean > 0 else np.zeros(1)
    law: Float64 = np.exp(logs - mean)
    return law


def poisson_cdf(mean: float) -> Float64:
    """Returns Poisson's cumulative probabilities of 0, 1, 2, ..."""
    law: Float64 = np.cumsum(poisson(mean))
    return law
