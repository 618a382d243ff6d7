"""What all begin with: creatures as the scenario says, and those who lend as the market's config does."""

import numpy as np

from swarm.market.ledger import CASH, ISSUE
from swarm.market.margin import BANK, LENDER
from swarm.scenarios.protocol import Consequence, Movement
from swarm.simulation.plan import RunPlan


def opening(plan: RunPlan) -> list[Consequence]:
    """Returns what a market hands out before its first round."""
    given, lends = plan.scenario.opening(), plan.market.config.margin
    if lends is None:
        return given
    goods = 1 + np.arange(len(plan.scenario.goods))
    lots = np.full_like(goods, lends.lender_lots)
    cash = np.array([CASH]), np.array([lends.bank_pebbles * 100])
    return [*given, Movement("capital", ISSUE, BANK, *cash), Movement("capital", ISSUE, LENDER, goods, lots)]
