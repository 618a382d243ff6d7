"""Ways to staff a round: one file each in this folder, with one export named STAFFING, found by the file's name.

A staffing says who of those that are due thinks in a round, and at which of two models. What it chose is journalled,
and a replay goes by that, so that it may look at a clock. It knows traders by number, costs as columns, nothing else.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from swarm.coordination.governor import Costs, Limits, Pace
from swarm.plugins import Plugins


@dataclass(frozen=True, slots=True, eq=False)
class Due:
    """Those who are due in a round, in the order in which they would be asked, with what their turns cost.

    `own` is what they cost at their own models, `cheaper` at the cheaper ones; `rounds_left` counts this round.
    """

    round: int
    rounds_left: int
    traders: int
    own: Costs
    cheaper: Costs


@dataclass(frozen=True, slots=True)
class Spent:
    """What a round came to: tokens and dollars by the recorded calls alone, seconds, and how many were asked."""

    pace: Pace
    tokens: float
    usd: float
    seconds: float
    asked: int


class Staffing(Protocol):
    """Says who thinks in a round."""

    def assign(self, due: Due) -> Pace:
        """Returns how many of those who are due are asked, the first first, and at which level."""
        ...

    def settle(self, spent: Spent) -> None:
        """Takes over what a round came to, under the pace that held in it."""
        ...


@dataclass(frozen=True, slots=True)
class StaffingPlugin:
    """The one export of a staffing's file.

    `build(limits, spent, calm)` makes one that goes on with what was spent; `calm` is the share of traders that is
    expected to be due in an ordinary round.
    """

    name: str
    summary: str
    build: Callable[[Limits, tuple[float, float], float], Staffing]


PLUGINS = Plugins("swarm.coordination.staffing", "STAFFING", "staffing")


def find(name: str) -> StaffingPlugin:
    """Returns the plug-in of this name; ConfigError if there is none."""
    found: StaffingPlugin = PLUGINS.find(name, "traders.staffing")
    return found
