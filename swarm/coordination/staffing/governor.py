"""As many are asked as a run's budget allows, first who has waited longest, and at cheaper models where it is short."""

from swarm.coordination.governor import Governor, Limits, Pace
from swarm.coordination.staffing import Due, Spent, StaffingPlugin


class Governed:
    """A `Staffing` that keeps a run within the limits of its budget."""

    def __init__(self, governor: Governor) -> None:
        self._governor = governor

    def assign(self, due: Due) -> Pace:
        """Returns the pace that the governor chooses."""
        return self._governor.choose(due.rounds_left, due.own, due.cheaper)

    def settle(self, spent: Spent) -> None:
        """Tells the governor what was spent."""
        self._governor.keep(spent.pace, spent.tokens, spent.usd, spent.seconds, spent.asked)


def _build(limits: Limits, spent: tuple[float, float], calm: float) -> Governed:
    return Governed(Governor(limits, spent, calm))


STAFFING = StaffingPlugin("governor", "Keeps a run within its budget.", _build)
