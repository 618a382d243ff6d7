"""The mind `rule`: a pricing rule of the literature decides on columns, without text and without a model."""

import numpy as np

from swarm.agents.baselines import BaselineName, Learner, orders_of, pricing
from swarm.agents.memory import Memory
from swarm.agents.mind import MindPlugin
from swarm.agents.observation import Observation
from swarm.agents.plan import ShardPlan
from swarm.market.orders import Orders
from swarm.schema import StrictModel


class RuleConfig(StrictModel):
    """A rule that decides."""

    rule: BaselineName
    """The rule's name."""


class RuleMind:
    """Traders whom one rule decides for."""

    def __init__(self, name: str, section: RuleConfig, plan: ShardPlan) -> None:
        self.name = name
        self._plan = plan
        # The numbers of the mind's own traders, whose parameters are drawn by them.
        traders = plan.first_trader + np.flatnonzero([mind == name for mind in plan.minds])
        self._pricing = pricing(section.rule, plan.seed, traders, len(plan.rules.goods))
        self.learns = isinstance(self._pricing, Learner)

    def orders(self, seen: Observation, memory: Memory) -> tuple[Orders, Memory]:
        """Returns the orders of all traders of this mind, and what they have learned by then."""
        rule = self._pricing
        if not isinstance(rule, Learner):
            return self._orders(seen), Memory.empty()
        rule.recall(memory)
        orders = self._orders(seen)
        learned = rule.learned()
        assigned = seen.private.assigned
        if assigned is not None and not assigned.present.all():
            # Who comes back begins anew, as somebody who has learned nothing.
            rule.recall(Memory.empty())
            learned = learned.updated(rule.learned().of(seen.private.trader[~assigned.present]))
        return orders, learned

    def _orders(self, seen: Observation) -> Orders:
        rules = self._plan.rules
        bounds = (rules.max_orders, rules.max_price_ticks, rules.max_quantity_lots)
        return orders_of(self._pricing, seen, *bounds, self._plan.tick_cents)


MIND = MindPlugin(
    name="rule", summary="A pricing rule that asks no model.", Config=RuleConfig, build=RuleMind, barters=True
)
