"""The mind `listener`: a rule that quotes what a lot is worth to it, and believes tips of whom it does not distrust.

It reads what was said to it as any trader's prompt has it, and its own line of regard; it asks no model.
"""

import re

import numpy as np
from pydantic import Field

from swarm.agents.baselines import Truthful, orders_of
from swarm.agents.memory import Memory
from swarm.agents.mind import MindPlugin
from swarm.agents.observation import Observation
from swarm.agents.plan import ShardPlan
from swarm.coordination.messages import UP, subject
from swarm.market.orders import Orders
from swarm.schema import StrictModel

_REGARD = re.compile(r"([\w-]+(?: \d+)?) ([+-]\d+)")


class ListenerConfig(StrictModel):
    """A trader that believes tips."""

    sways_permille: int = Field(default=300, ge=0, le=5_000)
    """How far a lot's worth follows a tip, beyond the reference price, in 1/1000 of that."""

    lots: int = Field(default=3, ge=1, le=1_000)
    """How many lots it wants of a good that is to rise."""

    distrusts_at: int = Field(default=-2, ge=-9, le=9)
    """It ignores whoever it regards as little as this, or less; needs `traders.memory`."""


class Listener:
    """Traders who go by what they need, and by what they hear."""

    learns = False

    def __init__(self, name: str, section: ListenerConfig, plan: ShardPlan) -> None:
        self.name, self.config = name, section
        self._plan = plan

    def orders(self, seen: Observation, memory: Memory) -> tuple[Orders, Memory]:
        """Returns the orders of all traders of this mind."""
        rules, barter = self._plan.rules, seen.private.bartering
        worth, need, spare = (column.copy() for column in (barter.worth_ticks, barter.need, barter.spare))
        for row in range(len(seen.private)):
            for good, side in self._believed(seen, row):
                price, sways = int(seen.public.reference_ticks[good]), self.config.sways_permille
                if side == UP:
                    # What will rise is bought, and kept.
                    worth[row, good] = max(worth[row, good], price * (1_000 + sways) // 1_000)
                    need[row, good] = max(need[row, good], self.config.lots)
                    spare[row, good] = 0
                else:
                    worth[row, good] = min(worth[row, good], price * 1_000 // (1_000 + sways))
                    need[row, good] = 0
        private = seen.private.bartered(worth_ticks=np.maximum(worth, 1), need=need, spare=spare)
        bounds = (rules.max_orders, rules.max_price_ticks, rules.max_quantity_lots, self._plan.tick_cents)
        return orders_of(Truthful(), Observation(seen.public, private), *bounds), Memory.empty()

    def _believed(self, seen: Observation, row: int) -> list[tuple[int, int]]:
        """Returns the goods that a trader has heard of and which way they will go, of those it trusts."""
        line = seen.private.words[row][1] if seen.private.words else ""
        regards = {name: int(regard) for name, regard in _REGARD.findall(line.removeprefix("REGARD "))}
        found = []
        for heard in seen.private.heard[row]:
            # Without a name before it nobody can be held to what was said.
            speaker, _, said = heard.partition(": ")
            good, side = subject(said or heard, self._plan.rules.goods)
            if side and regards.get(speaker, 0) > self.config.distrusts_at:
                found.append((good, side))
        return found


MIND = MindPlugin(
    name="listener",
    summary="A rule that believes tips of those whom it does not distrust; it asks no model.",
    Config=ListenerConfig,
    build=Listener,
    barters=True,
)
