"""Ways to staff a round: one file each in this folder, with one export named STAFFING, found by the file's name.

A staffing says who of those that are due thinks in a round, and at which model. What it chose is journalled, and a
replay goes by that, so that it may look at a clock. It may also charge traders for what their turns took; that it works
out from recorded tokens alone, so that a replay comes to the same cents. It knows traders by number, costs as columns,
nothing else. Who is due it does not say: a decision stands until something wakes its trader (`coordination.standing`),
whatever the staffing, and standing orders are put in for whoever it leaves out; so the two are parts of their own.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, Self, runtime_checkable

import numpy as np

from swarm.coordination.assignment import Chosen, Int64
from swarm.coordination.bids import Brief
from swarm.coordination.governor import Costs, Limits, Pace
from swarm.errors import ConfigError
from swarm.plugins import Plugins
from swarm.schema import StrictModel, checked

KEY = "traders.staffing"
"""Where a config says how a run is staffed."""


@dataclass(frozen=True, slots=True, eq=False)
class Due:
    """The traders that are due in a round, by number, in the order in which they would be asked.

    `rounds_left` counts this round.
    """

    round: int
    rounds_left: int
    trader: Int64


@dataclass(frozen=True, slots=True, eq=False)
class TurnCosts:
    """The cost of the turns of those who are due, in their order: at their `own` models, or at the `cheaper` ones."""

    own: Costs
    cheaper: Costs


@dataclass(frozen=True, slots=True)
class Paced:
    """The cost of a round: its pace, tokens, dollars, the seconds of its decisions, and how many were asked."""

    pace: Pace
    tokens: float
    usd: float
    seconds: float
    asked: int


@dataclass(frozen=True, slots=True, eq=False)
class Spent:
    """The calls of models in a round, as the journal has them: a row for each, `model` being an index into `models`.

    `turn_trader` and `text` are the turns that they were made in, a row for each, and `gained` is [traders] cents by
    which what each one traded left it better off, where traders say what goods are worth to them.
    """

    round: int
    models: tuple[str, ...]
    trader: Int64
    model: Int64
    prompt_tokens: Int64
    completion_tokens: Int64
    turn_trader: Int64 = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    text: tuple[str, ...] = ()
    gained: Int64 | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Charges:
    """Cents that traders owe to the account COMPUTE for a cause; below zero are those that it gives back to them."""

    cause: str
    trader: Int64
    cents: Int64


class Staffing(Protocol):
    """A staffing, which says who thinks in a round, at which model, and what that costs a trader."""

    def assign(self, due: Due, costs: TurnCosts) -> Pace | Chosen:
        """Returns who is asked: a pace is short for the first so many at a level, Chosen names each and its model."""
        ...

    def keep(self, paced: Paced) -> None:
        """Takes over what a round came to, the seconds too; nothing but `assign` may depend on it."""
        ...

    def settle(self, spent: Spent, earned: Int64) -> Sequence[Charges]:
        """Returns what is charged after a round, once for each; it follows from what the journal has, in order.

        `earned` is [traders] cents that their trades brought in.
        """
        ...


@runtime_checkable
class Briefs(Protocol):
    """A staffing that also tells minds what they bid by."""

    def brief(self, chosen: Chosen, task: Callable[[int], str]) -> Brief | None:
        """Returns what those who bid in a round are told; a replay does not ask."""
        ...


@runtime_checkable
class Succeeds(Protocol):
    """A staffing that goes on where the one before it ended, when a run is forked."""

    def succeed(self, before: Self) -> None:
        """Takes over what the staffing before has learned."""
        ...


@dataclass(frozen=True, slots=True)
class Setup:
    """The facts that a staffing of one market is built from.

    `spent` has the tokens and dollars of the rounds so far, `calm` is the share of traders that is expected to be due
    in an ordinary round, and `usd_per_million` has by model the prices of prompts and replies. `minds` names what
    decides for each trader.
    """

    seed: int
    traders: int
    limits: Limits
    spent: tuple[float, float]
    calm: float
    usd_per_million: Mapping[str, tuple[float, float]]
    minds: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StaffingPlugin:
    """The one export of a staffing's file: `build(section, setup)` makes one, and `section` is a `Config`.

    `models(section)` names the models that it may choose beside the minds' own; `charges` says whether it wants the
    account COMPUTE, and `keeps_budget` whether it holds a run within its budget. `mind` is a kind of mind that it
    brings along, of its own name and section, and `imports(section)` a package that it imports, with the optional part
    of ours that has it.
    """

    name: str
    summary: str
    Config: type[StrictModel]
    build: Callable[[Any, Setup], Staffing]
    models: Callable[[Any], tuple[str, ...]] = lambda _: ()
    charges: bool = False
    keeps_budget: bool = False
    mind: str | None = None
    imports: Callable[[Any], tuple[str, str] | None] = lambda _: None


class NoKeys(StrictModel):
    """The section of a staffing that has no keys of its own."""


PLUGINS = Plugins("swarm.coordination.staffing", "STAFFING", "staffing")


def read(given: Mapping[str, Any] | None, governed: bool) -> tuple[StaffingPlugin, Any]:
    """Returns the plug-in that a config names, and its section; ConfigError where one is wrong.

    Without a name everybody is asked or, where the budget is to be `governed`, as many as it allows.
    """
    section = dict(given or {"name": "governor" if governed else "everybody"})
    plugin: StaffingPlugin = PLUGINS.find(str(section.pop("name", "")), f"{KEY}.name")
    if governed and not plugin.keeps_budget:
        raise ConfigError(
            f"{KEY}.name",
            f"{plugin.name} keeps no budget, and `budget` has a limit of the run",
            "name governor, or leave out budget.run_tokens, run_usd and seconds_per_round",
        )
    return plugin, checked(plugin.Config, section, f"{KEY}.")


def models_of(given: Mapping[str, Any] | None) -> tuple[str, ...]:
    """Returns the models that the staffing of a config may choose beside the minds' own."""
    if not given:
        return ()
    plugin, section = read(given, False)
    return plugin.models(section)


def mind_of(given: Mapping[str, Any] | None) -> tuple[str, str, StrictModel] | None:
    """Returns the name, the kind and the section of the mind that the staffing of a config brings along, if it does."""
    if not given:
        return None
    plugin, section = read(given, False)
    return (plugin.name, plugin.mind, section) if plugin.mind else None
