"""Asks everybody who is due, at its own models, whatever it costs."""

from collections.abc import Sequence

from swarm.coordination.assignment import Int64
from swarm.coordination.governor import Level, Pace
from swarm.coordination.staffing import Charges, Due, NoKeys, Paced, Setup, Spent, StaffingPlugin, TurnCosts


class Everybody:
    """A `Staffing` that holds nobody back."""

    def assign(self, due: Due, costs: TurnCosts) -> Pace:
        """Returns that all are asked."""
        return Pace(Level.ALL, len(due.trader))

    def keep(self, paced: Paced) -> None:
        """Takes no note of what was spent."""

    def settle(self, spent: Spent, earned: Int64) -> Sequence[Charges]:
        """Charges nobody."""
        return ()


def _build(section: NoKeys, setup: Setup) -> Everybody:
    return Everybody()


STAFFING = StaffingPlugin("everybody", "Asks everybody who is due.", NoKeys, _build)
