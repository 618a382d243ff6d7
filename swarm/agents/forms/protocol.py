"""What a form must offer. It knows no model, no engine and no clock; all its functions are pure.

Asking, replaying, teaching and showing call the same functions, so that what is read is what was asked.
"""

from typing import Any, Protocol, TypeVar

from swarm.agents.decision import Reading
from swarm.agents.observation import Observation, PublicView
from swarm.agents.prompt import Prompt

D = TypeVar("D")


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
