"""Asks as many as a run's budget allows, first who has waited longest, and at cheaper models where it is short."""

from collections.abc import Sequence

from swarm.coordination.assignment import Int64
from swarm.coordination.governor import Governor, Pace
from swarm.coordination.staffing import Charges, Due, NoKeys, Paced, Setup, Spent, StaffingPlugin, TurnCosts


class Governed:
    """A `Staffing` that keeps a run within the limits of its budget."""

    def __init__(self, governor: Governor) -> None:
        self._governor = governor

    def assign(self, due: Due, costs: TurnCosts) -> Pace:
        """Returns the pace that the governor chooses."""
        return self._governor.choose(due.rounds_left, costs.own, costs.cheaper)

    def keep(self, paced: Paced) -> None:
        """Tells the governor what was spent."""
        self._governor.keep(paced.pace, paced.tokens, paced.usd, paced.seconds, paced.asked)

    def settle(self, spent: Spent, earned: Int64) -> Sequence[Charges]:
        """Charges nobody: the budget is the run's."""
        return ()


def _build(section: NoKeys, setup: Setup) -> Governed:
    return Governed(Governor(setup.limits, setup.spent, setup.calm))


STAFFING = StaffingPlugin("governor", "Keeps a run within its budget.", NoKeys, _build, keeps_budget=True)
