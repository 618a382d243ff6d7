"""The plan that a shard is made from: everything that is the same in all rounds. It holds no state and does nothing."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from swarm.agents.config import BudgetConfig, TradersConfig
from swarm.agents.decision import Rules
from swarm.agents.forms.protocol import Form
from swarm.agents.observation import Observation
from swarm.market.orders import Orders
from swarm.schema import StrictModel

Section = TypeVar("Section", bound=StrictModel)


class OwnRule(Protocol):
    """A rule that a scenario brings along for seats where no model decides; pure, and pickled to shards.

    It looks at `seen.private.columns`, which the same scenario fills, and what its orders mean the scenario says.
    """

    def __call__(self, seed: int, seen: Observation) -> Orders:
        """Returns the orders of the traders that `seen.private` has."""
        ...


@dataclass(frozen=True, slots=True)
class Definition:
    """The meaning of a mind's name: the plug-in that makes it, that plug-in's section, and where in a config it is."""

    plugin: str
    section: StrictModel
    key: str


@dataclass(frozen=True, slots=True)
class ShardPlan:
    """`minds[i]` names what decides for trader `first_trader + i`, and `definitions` says what each name stands for.

    By model, `completion_tokens` is the most tokens of one reply, `form_of` the name of the form that it answers in, of
    those in `forms`, and `cheaper`, where there is a cheaper one of its form, the cheapest. `usd_per_turn` is the most
    that a turn costs, where that is known. `own_rules` are those that the scenario brings along, by name.
    `crews` has the numbers of all traders of a mind whose traders know one another, on whichever shard they are.
    """

    seed: int
    first_trader: int
    minds: tuple[str, ...]
    definitions: Mapping[str, Definition]
    completion_tokens: Mapping[str, int]
    rules: Rules
    scenario_rules: str
    tick_cents: int
    traders: TradersConfig
    budget: BudgetConfig
    forms: Mapping[str, Form[Any]]
    form_of: Mapping[str, str]
    cheaper: Mapping[str, str] = field(default_factory=dict)
    usd_per_turn: Mapping[str, float] = field(default_factory=dict)
    own_rules: Mapping[str, OwnRule] = field(default_factory=dict)
    crews: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    def form(self, model: str) -> Form[Any]:
        """Returns the form that a model answers in."""
        return self.forms[self.form_of[model]]

    def sections(self, kind: type[Section]) -> dict[str, Section]:
        """Returns the minds whose section is of this class, by name."""
        return {name: own.section for name, own in self.definitions.items() if isinstance(own.section, kind)}
