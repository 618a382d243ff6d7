"""The mind `own`: a rule that the scenario brings along decides, without text and without a model."""

from pydantic import Field

from swarm.agents.memory import Memory
from swarm.agents.mind import MindPlugin
from swarm.agents.observation import Observation
from swarm.agents.plan import ShardPlan
from swarm.market.orders import Orders
from swarm.schema import StrictModel


class OwnConfig(StrictModel):
    """A rule of the scenario that decides."""

    rule: str = Field(min_length=1, max_length=40)
    """The rule's name, as the scenario calls it."""


class OwnMind:
    """Traders whom one of the scenario's rules decides for."""

    learns = False

    def __init__(self, name: str, section: OwnConfig, plan: ShardPlan) -> None:
        self.name = name
        self._seed = plan.seed
        self._rule = plan.own_rules[section.rule]

    def orders(self, seen: Observation, memory: Memory) -> tuple[Orders, Memory]:
        """Returns the orders of all traders of this mind, who learn nothing."""
        return self._rule(self._seed, seen), Memory.empty()


MIND = MindPlugin(name="own", summary="A rule of the scenario that asks no model.", Config=OwnConfig, build=OwnMind)
