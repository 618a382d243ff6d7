"""The plans by which nodes order when nobody says otherwise: rules of the literature, on columns and in whole numbers.

A node orders up to a level: the demand that its lead time is expected to see, and a safety stock of `z` standard
deviations of it. The rules differ in what they take demand to be. Sterman's mean subject orders otherwise: it anchors
on a forecast and mends a part of what it lacks, and hardly sees what is under way (Sterman 1989, "Modeling managerial
behavior").
"""

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Annotated, Literal, get_args

import numpy as np
import numpy.typing as npt
from pydantic import Field

from swarm.scenarios.supply_chain.flow import Goods
from swarm.scenarios.supply_chain.network import Int64, Network
from swarm.schema import StrictModel

Float64 = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

MICRO = 1_000_000

RuleName = Literal["base_stock", "smoothing", "moving_average", "sterman", "central", "levels", "told"]
RULES: tuple[RuleName, ...] = get_args(RuleName)
RULE_SUMMARIES: dict[RuleName, str] = {
    "base_stock": "a level for the mean demand of the table, which it never estimates anew",
    "smoothing": "a level for demand as it is smoothed exponentially from round to round",
    "moving_average": "a level for the mean demand of the last rounds",
    "sterman": "the mean subject of the beer game: anchors on a forecast, mends in part, forgets what is under way",
    "central": "levels made for the whole network at once, made again every so many rounds or never",
    "levels": "levels as the config gives them, by tier",
    "told": "a level for the true mean demand of each round: what somebody knows who has read the news",
}


Deviations = Annotated[int, Field(ge=-10_000, le=10_000)]
Level = Annotated[int, Field(ge=0, le=1_000_000_000)]


class PlanConfig(StrictModel):
    """The plan that nodes order by, and the figures of all rules."""

    rule: RuleName = "smoothing"
    """What a node goes by whose mind names no other: base_stock, smoothing, moving_average, sterman, central, levels
    or told."""

    z_permille: tuple[Deviations, ...] = Field(default=(1_645,), min_length=1, max_length=100)
    """Safety stock in 1/1000 standard deviations of the lead time's demand: one for all, or one for each tier from the
    customers up."""

    alpha_permille: int = Field(default=50, ge=1, le=1_000)
    """How much of each round's surprise `smoothing` takes into its estimate, in 1/1000."""

    window_rounds: int = Field(default=5, ge=1, le=200)
    """How many rounds `moving_average` looks back on."""

    central_z_permille: tuple[Deviations, ...] = Field(default=(1_581, 924, 500), min_length=1, max_length=100)
    """The safety stock of `central`, as `z_permille`."""

    remake_rounds: int = Field(default=0, ge=0, le=100_000)
    """After how many rounds `central` is made again from what customers have bought since; 0: never."""

    levels: tuple[Level, ...] = Field(default=(), max_length=100)
    """The levels of the rule `levels`, from the customers' tier up."""

    told_rounds: int = Field(default=0, ge=-100_000, le=100_000)
    """How many rounds after a shift of demand `told` knows of it; below 0: before."""

    theta_permille: int = Field(default=360, ge=0, le=1_000)
    """Sterman's subject: the weight of the last demand in its forecast."""

    stock_permille: int = Field(default=260, ge=0, le=1_000)
    """Sterman's subject: the part that it mends of what it lacks."""

    line_permille: int = Field(default=340, ge=0, le=1_000)
    """Sterman's subject: the part that it sees of what is under way."""

    target_permille: int = Field(default=1_500, ge=0, le=100_000)
    """Sterman's subject: the stock that it wants, in 1/1000 of a round's mean demand."""


@dataclass(eq=False)
class Estimates:
    """What plans remember from round to round, by node.

    `rule` is an index into RULES, `micro` the demand that a rule expects, in 1/1000000 units, `recent` [nodes, rounds]
    the last demands, the newest last, of which `seen` are known, and `bought` what customers bought since the central
    plan was made.
    """

    rule: Int64
    micro: Int64
    recent: Int64
    seen: Int64
    central_micro: Int64
    bought: Int64

    @classmethod
    def at_start(cls, network: Network, plan: PlanConfig) -> "Estimates":
        """Returns what all rules know before the first round: the mean demand of the table."""
        n = len(network)
        mean = np.rint(network.mean * MICRO).astype(np.int64)
        zeros = np.zeros(n, dtype=np.int64)
        return cls(
            np.full(n, RULES.index(plan.rule)),
            mean,
            np.zeros((n, plan.window_rounds), dtype=np.int64),
            zeros.copy(),
            mean.copy(),
            zeros.copy(),
        )

    def copy(self) -> "Estimates":
        """Returns the same columns as arrays of its own."""
        return Estimates(*(getattr(self, f.name).copy() for f in fields(self)))


def by_tier(values: tuple[int, ...], network: Network) -> Int64:
    """Returns [nodes]: the value of each node's tier; beyond the last one that one goes on."""
    given = np.array(values, dtype=np.int64)
    column: Int64 = given[np.minimum(network.tier, len(given) - 1)]
    return column


class Planner:
    """The orders of a round by every node's rule; `true_rate(round)` returns the mean demand of nodes in a round."""

    def __init__(self, network: Network, plan: PlanConfig, true_rate: Callable[[int], Float64]) -> None:
        self.network, self.plan = network, plan
        self._true_rate = true_rate
        self._z = by_tier(plan.z_permille, network) / 1_000
        self._central_z = by_tier(plan.central_z_permille, network) / 1_000
        self._levels = by_tier(plan.levels, network) if plan.levels else np.zeros(len(network), dtype=np.int64)

    def level(self, estimates: Estimates, nodes: Int64, told: Float64) -> Int64:
        """Returns the level up to which these nodes order."""
        # The rules differ in the mean that they expect, [nodes]; the level follows from it in one way.
        lead, rule = self.network.lead[nodes], estimates.rule[nodes]
        central, given = RULES.index("central"), RULES.index("levels")
        expected = estimates.micro[nodes] / MICRO
        if (rule == RULES.index("moving_average")).any():
            seen = np.maximum(estimates.seen[nodes], 1)
            mean = estimates.recent[nodes].sum(axis=1) / seen
            expected = np.where((rule == RULES.index("moving_average")) & (estimates.seen[nodes] > 0), mean, expected)
        expected = np.where(rule == RULES.index("told"), told[nodes], expected)
        expected = np.where(rule == central, estimates.central_micro[nodes] / MICRO, expected)
        z = np.where(rule == central, self._central_z[nodes], self._z[nodes])
        over_lead = np.maximum(expected * lead, 0.0)
        level = np.rint(over_lead + z * np.sqrt(over_lead)).astype(np.int64)
        return np.where(rule == given, self._levels[nodes], level)

    def start_stock(self, estimates: Estimates, flowing: Int64) -> Int64:
        """Returns [nodes]: the store that a plan begins with, its level less what already flows to the node."""
        # Sterman's subjects want a stock of its own size, all others what their level lacks.
        everybody = np.arange(len(self.network))
        level = self.level(estimates, everybody, self._true_rate(1))
        sterman = np.rint(self.network.mean * self.plan.target_permille / 1_000).astype(np.int64)
        by_level = np.maximum(level - flowing, 0)
        return np.where(estimates.rule == RULES.index("sterman"), sterman, by_level)

    def ordering(self, round_: int, estimates: Estimates, skips: Mask, informed: Mask) -> Callable[..., Int64]:
        """Returns the plan of a round, which takes what nodes see into `estimates` as it goes.

        Who `skips` orders nothing. Who is `informed` has had what it expects moved in this round, and learns nothing
        from the round's orders: they answer the same news, and fill stores once.
        """
        # Who hears late knows what was true so many rounds ago.
        told = self._true_rate(max(round_ - self.plan.told_rounds, 1))
        mean = self.network.mean

        def orders(nodes: Int64, received: Int64, goods: Goods) -> Int64:
            learns = ~informed[nodes]
            self._learn(estimates, nodes[learns], received[learns])
            position = goods.position(self.network)[nodes]
            wanted = np.maximum(self.level(estimates, nodes, told) - position, 0)
            sterman = estimates.rule[nodes] == RULES.index("sterman")
            if sterman.any():
                own = nodes[sterman]
                wanted[sterman] = self._anchored(estimates.micro[own] / MICRO, mean[own], own, position[sterman], goods)
            return np.where(skips[nodes], 0, wanted)

        return orders

    def _learn(self, estimates: Estimates, nodes: Int64, received: Int64) -> None:
        """Takes what was ordered of these nodes into what they expect."""
        # Nothing is learned by rules that have no weight for a surprise.
        plan, rule = self.plan, estimates.rule[nodes]
        weight = np.select(
            [rule == RULES.index("smoothing"), rule == RULES.index("sterman")],
            [plan.alpha_permille, plan.theta_permille],
            0,
        )
        surprise = received * MICRO - estimates.micro[nodes]
        estimates.micro[nodes] += weight * surprise // 1_000
        if (moving := nodes[rule == RULES.index("moving_average")]).size:
            estimates.recent[moving, :-1] = estimates.recent[moving, 1:]
            estimates.recent[moving, -1] = received[rule == RULES.index("moving_average")]
            estimates.seen[moving] = np.minimum(estimates.seen[moving] + 1, plan.window_rounds)

    def _anchored(self, forecast: Float64, mean: Float64, nodes: Int64, position: Int64, goods: Goods) -> Int64:
        """Returns what Sterman's subjects order: a forecast, and a part of what stock and line lack."""
        # All terms are [nodes] in units; the line is what is ordered and has not come.
        plan, net = self.plan, goods.stock[nodes] - goods.owes(self.network)[nodes]
        line = position - net
        lead = self.network.lead[nodes]
        seen = plan.line_permille / 1_000 * (lead * mean - line)
        lacks = plan.target_permille / 1_000 * mean - net + seen
        return np.maximum(np.rint(forecast + plan.stock_permille / 1_000 * lacks), 0).astype(np.int64)

    def end_round(self, round_: int, estimates: Estimates, demand: Int64) -> None:
        """Makes the central plan again where it is time to, from what customers have bought since."""
        # A plan for all is made from what customers bought, not from what nodes ordered.
        estimates.bought += demand
        every = self.plan.remake_rounds
        if every and round_ % every == 0:
            flow = self.network.through(estimates.bought / every)
            estimates.central_micro[:] = np.rint(flow * MICRO).astype(np.int64)
            estimates.bought[:] = 0


def moved(estimates: Estimates, network: Network, deviations: Int64) -> None:
    """Moves what nodes expect by so many standard deviations of their lead time's demand, once."""
    if not deviations.any():
        return
    # A deviation over the lead time is that much of a round's demand in each of its rounds.
    lead = np.maximum(network.lead, 1)
    for column in (estimates.micro, estimates.central_micro):
        expected = column / MICRO
        by = deviations * np.sqrt(np.maximum(expected, 0.0) * lead) / lead
        column[:] = np.maximum(np.rint((expected + by) * MICRO), 0).astype(np.int64)
    # A mean of the last rounds moves where each of them does.
    sd = np.sqrt(np.maximum(estimates.recent, 0) * lead[:, None]) / lead[:, None]
    estimates.recent[:] = np.maximum(np.rint(estimates.recent + deviations[:, None] * sd), 0).astype(np.int64)
