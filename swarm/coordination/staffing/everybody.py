"""Everybody who is due is asked, at its own models, whatever it costs."""

from swarm.coordination.governor import Level, Limits, Pace
from swarm.coordination.staffing import Due, Spent, StaffingPlugin


class Everybody:
    """A `Staffing` that holds nobody back."""

    def assign(self, due: Due) -> Pace:
        """Returns that all are asked."""
        return Pace(Level.ALL, due.traders)

    def settle(self, spent: Spent) -> None:
        """Takes no note of what was spent."""


def _build(limits: Limits, spent: tuple[float, float], calm: float) -> Everybody:
    return Everybody()


STAFFING = StaffingPlugin("everybody", "Asks everybody who is due.", _build)
