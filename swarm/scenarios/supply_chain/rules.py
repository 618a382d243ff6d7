"""The rules of nodes that no model decides for: each names by which plan its node orders, and nothing else.

A rule's order says so by its limit, the number of the plan from 1 on; what is ordered follows from the plan.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from swarm.agents.observation import Observation
from swarm.agents.plan import OwnRule
from swarm.market.orders import BUY, Int64, Orders
from swarm.scenarios.supply_chain.planning import RULES

AS_PLANNED = "plan"
"""The rule of nodes that go by the plan of the config."""


@dataclass(frozen=True, slots=True)
class By:
    """Orders by the plan of this number, or by that of the config where it is -1."""

    plan: int

    def __call__(self, seed: int, seen: Observation) -> Orders:
        """Returns one order for each node; none where it goes by the plan of the config."""
        trader = seen.private.trader
        return Orders.empty() if self.plan < 0 else naming(trader, np.full(len(trader), self.plan))


def all_rules() -> Mapping[str, OwnRule]:
    """Returns the rules by name."""
    return {AS_PLANNED: By(-1)} | {str(name): By(number) for number, name in enumerate(RULES)}


def naming(trader: Int64, plan: Int64) -> Orders:
    """Returns an order of each of these nodes that names its plan."""
    ones = np.ones_like(trader)
    return Orders(trader, 0 * ones, 0 * ones, BUY * ones, plan + 1, ones, 0 * ones)


def plan_named(orders: Orders) -> Int64:
    """Returns the number of the plan that each order names; -1 where it names none that there is."""
    number = orders.limit_ticks - 1
    return np.where((number >= 0) & (number < len(RULES)), number, -1)
