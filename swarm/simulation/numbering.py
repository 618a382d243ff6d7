"""Makes numbered commands of what scenarios and parties want done, with accounts by number. It knows no market."""

import numpy as np

from swarm.market.commands import Command, MoveReference, Restrict, Transfer
from swarm.scenarios.protocol import Consequence, Movement, Restriction
from swarm.simulation.plan import RunPlan


def market_accounts(plan: RunPlan) -> dict[str, int]:
    """Returns the numbers of the named accounts."""
    return {name: plan.traders + i for i, name in enumerate(plan.market.named_accounts)}


class Numbers:
    """A counter of the run's commands."""

    def __init__(self) -> None:
        self.last = 0

    def next(self) -> int:
        """Returns the number of the next command."""
        self.last += 1
        return self.last

    def command(self, consequence: Consequence, accounts: dict[str, int]) -> Command:
        """Returns the command of a consequence, without the rows that move nothing."""
        number = self.next()
        if isinstance(consequence, Restriction):
            bounds = consequence.frozen_through_round, consequence.cap_lots
            return Restrict(number, consequence.cause, consequence.trader, *bounds)
        if not isinstance(consequence, Movement):
            return MoveReference(number, consequence.cause, consequence.good, consequence.permille)
        # Most scenarios speak of everybody, also of those to whom nothing happens.
        moving = np.flatnonzero(consequence.amount)
        source, target = (
            np.full(len(moving), accounts[side]) if isinstance(side, str) else side[moving]
            for side in (consequence.source, consequence.target)
        )
        return Transfer(
            number, consequence.cause, source, target, consequence.asset[moving], consequence.amount[moving]
        )
