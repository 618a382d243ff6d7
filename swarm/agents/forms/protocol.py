"""The protocol of a form: one file with one export `FORM` of type `FormPlugin`. All its functions are pure.

Asking, replaying, teaching and showing call the same functions, so that what is read is what was asked. A form knows no
model, no engine and no clock; what it needs of an engine, it names.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar, runtime_checkable

from swarm.agents.decision import Reading, Rules
from swarm.agents.observation import Observation, PublicView
from swarm.agents.prompt import Prompt, filled

D = TypeVar("D")

TEMPLATED = ("judge", "menu", "orders")
"""The forms whose system message a user may replace."""

SYSTEM_PARTS = ("setting", "answer")
"""What a system message is made of, each called in a template by its name in braces."""


class Form(Protocol[D]):
    """One way to ask for a decision of type `D`; `row` is a row of `seen.private`.

    `stands` says whether a decision in this form can say for how long it stands; what cannot stands as the config says.
    """

    name: str
    stands: bool

    def system(self) -> str:
        """Returns what never changes during a run."""
        ...

    def shared(self, public: PublicView) -> str:
        """Returns the round's text, byte for byte the same for every trader."""
        ...

    def render(self, seen: Observation, row: int, budget: int) -> Prompt | None:
        """Returns one trader's prompt within `budget` tokens; None where it is too long even without gossip."""
        ...

    def longest(self, seen: Observation, row: int) -> int:
        """Returns the tokens that a prompt of this trader takes at most, without gossip."""
        ...

    def schema(self, seen: Observation, row: int) -> dict[str, Any]:
        """Returns the JSON schema of an answer."""
        ...

    def read(self, text: str, cut: bool, seen: Observation, row: int) -> Reading[D]:
        """Returns what an answer comes to, `cut` if it ended at its limit of tokens; never raises."""
        ...


@runtime_checkable
class Branches(Protocol):
    """A form whose model writes nothing, and says yes or no to several texts behind one prompt.

    Such a form needs an engine that scores (`swarm.llm.protocol.SCORES`), and reads the scores as its answer. The
    tokens of its prompts count all branches.
    """

    def branches(self, seen: Observation, row: int) -> tuple[str, ...]:
        """Returns the texts that are scored, each directly behind the prompt."""
        ...


@dataclass(frozen=True, slots=True)
class FormTerms:
    """The terms a form is made from: all that is the same for every trader of a market in every round.

    `setting` is the scenario's rules, with which a prompt begins, and `templates` are a user's own texts by name.
    """

    setting: str
    seed: int
    rules: Rules
    tick_cents: int
    templates: Mapping[str, str] = field(default_factory=dict)

    def system(self, form: str, answer: str) -> str:
        """Returns the system message of a form: the setting and how to answer, or as the user's template has them."""
        template = self.templates.get(f"{form}.system", "{setting}\n{answer}")
        return filled(template, dict(zip(SYSTEM_PARTS, (self.setting, answer), strict=True)))

    @property
    def own(self) -> str:
        """The user's template of what a trader knows of itself; empty where there is none."""
        return self.templates.get("own", "")


@dataclass(frozen=True, slots=True)
class FormPlugin:
    """The one export of a form's file. The key `form` of a model's entry calls it by its name.

    `barters` says whether it has to know what traders make, need and can spare. `needs` names what an engine must be
    able to do beyond writing (`EnginePlugin.abilities`), which is checked before a run. `ballot` says that councils can
    vote in it, as the form then brings along (`swarm.agents.ballots.Votable`).
    """

    name: str
    summary: str
    build: Callable[[FormTerms], Form[Any]]
    barters: bool = False
    needs: frozenset[str] = frozenset()
    ballot: bool = False
