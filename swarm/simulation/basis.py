"""What one market's round was decided and cleared from, from which it can be cleared again with other orders.

It is kept for those who look on, and holds references alone: nothing is copied until somebody asks.
"""

from dataclasses import dataclass

from swarm.agents.observation import Observation
from swarm.market.counterfactual import Counterfactual
from swarm.market.exchange import Exchange
from swarm.market.orders import Orders
from swarm.simulation.market import MarketAnswer, new_exchange
from swarm.simulation.plan import RunPlan


@dataclass(frozen=True, slots=True, eq=False)
class RoundBasis:
    """What everybody was shown, the orders of all with their priorities, and the market before them."""

    seen: Observation
    orders: Orders
    before: MarketAnswer

    def counterfactual(self, plan: RunPlan) -> Counterfactual:
        """Returns the round as one that can be cleared again; orders that rest and older debts are left out."""
        return Counterfactual(as_it_stood(plan, self.before), self.seen.public.round, self.orders)


def as_it_stood(plan: RunPlan, before: MarketAnswer) -> Exchange:
    """Returns an exchange with what everybody had before a round: [traders, assets] and [named accounts, assets]."""
    market = new_exchange(plan.market)
    traders, assets = before.state.balances.shape
    market.ledger.balances[:traders, :assets] = before.state.balances
    market.ledger.balances[traders:, :assets] = before.named
    market.reference_ticks = before.state.reference_ticks.copy()
    return market
