"""What no policy can do better: the optimal echelon levels and cost of serial systems, and a bound for trees.

Serial: Clark and Scarf 1960, in the recursion of Chen and Zheng 1994 ("Lower bounds for multi-echelon stochastic
inventory systems"). Tree: the same with the stock of alike nodes pooled, as if it could be shared out anew in every
round (Federgruen and Zipkin 1984); no policy costs less, and none need reach it. Both hold for demand that does not
change; goods under way are counted at the sender's rate.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from swarm.scenarios.supply_chain.demand import poisson
from swarm.scenarios.supply_chain.network import Network

Float64 = npt.NDArray[np.float64]

TAIL_DEVIATIONS = 4
STEPS, DEMAND_STEPS = 1_000, 100
"""The grid of normal demand: levels over all lead times' demand, and demand over one lead time."""


@dataclass(frozen=True, slots=True)
class Optimum:
    """The least cost of a round, and the echelon levels that reach it, the stage at the customers first."""

    cost: float
    levels: tuple[float, ...]


@dataclass(frozen=True, slots=True, eq=False)
class _Law:
    """Demand over some rounds on a grid: `values` and their `weights`, which sum to one."""

    values: Float64
    weights: Float64


@dataclass(frozen=True, slots=True)
class Normal:
    """Normal demand of a round."""

    mean: float
    deviation: float

    def over(self, rounds: float) -> _Law:
        """Returns the demand of some rounds in steps, cut off where a tail of four deviations begins, and at 0."""
        law = NormalDist(self.mean * rounds, self.deviation * math.sqrt(rounds))
        low, high = max(law.inv_cdf(_TAIL), 0.0), law.inv_cdf(1 - _TAIL)
        values: Float64 = np.linspace(low, high, DEMAND_STEPS + 1)
        half = (high - low) / DEMAND_STEPS / 2
        cdf = np.array([law.cdf(value + half) for value in values.tolist()])
        # What lies beyond the ends belongs to the first and the last step.
        cdf[-1] = 1.0
        return _Law(values, np.diff(cdf, prepend=0.0))

    def grid(self, rounds: float) -> tuple[float, float, float]:
        """Returns the least level, the highest, and the step, for all lead times together."""
        law = NormalDist(self.mean * rounds, self.deviation * math.sqrt(rounds))
        low, high = law.inv_cdf(_TAIL), law.inv_cdf(1 - _TAIL)
        return low - high, high, (2 * high - low) / STEPS


@dataclass(frozen=True, slots=True)
class Poisson:
    """Poisson's demand of a round, in whole units."""

    mean: float

    def over(self, rounds: float) -> _Law:
        """Returns the demand of some rounds, cut off where less than the tail is left."""
        weights = poisson(self.mean * rounds)
        top = int(np.searchsorted(np.cumsum(weights), 1 - _TAIL)) + 1
        kept = weights[:top].copy()
        kept[-1] = 1.0 - kept[:-1].sum()
        return _Law(np.arange(top, dtype=np.float64), kept)

    def grid(self, rounds: float) -> tuple[float, float, float]:
        """Returns the least level, the highest, and the step, for all lead times together."""
        high = float(len(self.over(rounds).values) - 1)
        return -1 - high, high, 1.0


_TAIL = 1 - NormalDist().cdf(TAIL_DEVIATIONS)


def serial_optimum(
    echelon_holding: Sequence[float], lead_times: Sequence[float], backlog: float, demand: Normal | Poisson
) -> Optimum:
    """Returns the optimum of a serial line; all sequences begin at the stage that sells to customers.

    Costs are those of goods in store and under way less what customers wait for, by echelon rates.
    """
    low, high, step = demand.grid(sum(lead_times))
    levels: Float64 = low + step * np.arange(round((high - low) / step) + 1, dtype=np.float64)
    penalty = backlog + sum(echelon_holding)
    below = penalty * np.maximum(-levels, 0.0)
    found: list[float] = []
    cost = 0.0
    for stage, (holding, lead) in enumerate(zip(echelon_holding, lead_times, strict=True)):
        owned = holding * levels + below
        law = demand.over(lead)
        # [levels, demands]: where a level less a demand lies on the grid.
        index = np.rint((levels[:, None] - law.values[None, :] - low) / step).astype(np.int64)
        inside = owned[np.maximum(index, 0)]
        far: Float64 = (low + step * index).astype(np.float64)
        beyond = _far_below(far, stage, echelon_holding, lead_times, penalty, demand.mean)
        expected = np.where(index >= 0, inside, beyond) @ law.weights
        best = int(expected.argmin())
        found.append(float(levels[best]))
        cost = float(expected[best])
        # A stage above cannot help it beyond its own best level.
        below = expected[np.minimum(np.arange(len(levels)), best)]
    return Optimum(cost, tuple(found))


def _far_below(
    level: Float64, stage: int, holding: Sequence[float], leads: Sequence[float], penalty: float, mean: float
) -> Float64:
    """Returns the cost of a level so low that everything waits: linear in it."""
    cost = -penalty * (level - mean * sum(leads[:stage]))
    for i in range(stage + 1):
        cost = cost + holding[i] * (level - mean * sum(leads[i:stage]))
    return cost


def tree_bound(network: Network) -> Optimum | None:
    """Returns a bound on the cents of a round for a tree whose nodes are alike in each tier; None for all others."""
    tiers = _alike(network)
    if tiers is None:
        return None
    levels: list[float] = []
    below: Float64 = np.empty(0)
    slope = 0.0
    for depth, nodes in enumerate(network.levels):
        first = int(nodes[0])
        mean = float(network.mean[first]) * float(network.lead[first])
        deep = depth + 1 < len(network.levels)
        above = int(network.levels[depth + 1][0]) if deep else -1
        # An echelon's rate is what a unit costs more here than at the node above.
        own = float(network.holding_cents[first]) - (float(network.holding_cents[above]) if deep else 0.0)
        span = np.arange(int(mean + 12 * math.sqrt(mean + 1) + 20) * 2)
        law = poisson(mean)
        units = np.arange(len(law))
        if depth == 0:
            penalty = float(network.backlog_cents[first] + network.holding_cents[first])
            cost = np.array([penalty * (law * np.maximum(units - y, 0)).sum() for y in span.tolist()])
        else:
            pooled = _pooled(below, tiers[depth], len(span))
            cost = np.array([(law * _extended(pooled, slope, y - units)).sum() for y in span.tolist()])
        below = own * (span - mean) + cost
        slope = float(below[0] - below[1])
        levels.append(float(below.argmin()))
    return Optimum(len(network.levels[-1]) * float(below.min()), tuple(levels))


def _alike(network: Network) -> list[int] | None:
    """Returns how many buyers each node of a depth has, where it is a tree of nodes that are alike; else None."""
    edges = network.edges
    if len(edges) != len(network) or edges.delay.any() or (network.start_backlog > 0).any():
        return None
    columns = (network.holding_cents, network.backlog_cents, network.demand_millis, network.lead, network.tier)
    fans: list[int] = []
    buyers = np.bincount(edges.supplier[edges.supplier >= 0], minlength=len(network))
    for nodes in network.levels:
        if any(len(np.unique(column[nodes])) > 1 for column in (*columns, buyers)):
            return None
        fans.append(int(buyers[nodes[0]]))
    # Customers buy at the bottom alone, and what is under way costs what it would at its sender.
    inner = edges.supplier >= 0
    by_sender = network.transit_cents[edges.buyer[inner]] == network.holding_cents[edges.supplier[inner]]
    bottom = not network.sells[network.depth > 0].any() and not network.backlog_cents[network.depth > 0].any()
    free = (network.transit_cents[edges.buyer[~inner]] == 0).all()
    return fans if bottom and free and bool(by_sender.all()) and (network.capacity < 0).all() else None


def _pooled(cost: Float64, nodes: int, most: int) -> Float64:
    """Returns the least cost of so many alike nodes that share 0, 1, 2, ... units evenly, as far as they want them."""
    together = np.arange(most)
    each, rest = together // nodes, together % nodes
    last = len(cost) - 1
    shared = (nodes - rest) * cost[np.minimum(each, last)] + rest * cost[np.minimum(each + 1, last)]
    shared[nodes * int(cost.argmin()) :] = nodes * cost.min()
    return shared


def _extended(cost: Float64, slope: float, at: npt.NDArray[np.int64]) -> Float64:
    """Returns a cost at whole numbers, below 0 by its slope there."""
    return np.where(at >= 0, cost[np.clip(at, 0, len(cost) - 1)], cost[0] - slope * at)
