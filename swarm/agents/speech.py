"""The form in which a model is asked to speak for a trader that has decided: a thought and one line of gossip.

It is no form of a decision: what was decided is told, and whatever is answered moves no order.
"""

from collections.abc import Mapping
from typing import Any

from swarm.agents import prompt
from swarm.agents.decision import Decision, DecisionError, Reading, find_value
from swarm.agents.observation import Observation, PublicView
from swarm.agents.prompt import Prompt

ASK = (
    "You are a trader who has decided already. Say as JSON what you think of it in a few words "
    '("thought"), and what you tell your neighbours about the market in a short line ("gossip").'
)
"""What a model is told behind the setting; small ones copy an example, so there is none."""

MOST_CHARS = 80
"""Longest thought and longest line, in characters."""

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {key: {"type": "string", "maxLength": MOST_CHARS} for key in ("thought", "gossip")},
    "required": ["thought", "gossip"],
    "additionalProperties": False,
}


class SpeechForm:
    """Asks for what traders say; `decided` has by row of an observation what each has decided."""

    name = "speech"
    stands = False

    def __init__(self, setting: str, goods: tuple[str, ...], tick_cents: int, decided: Mapping[int, Decision]) -> None:
        self._system = f"{setting}\n{ASK}"
        self._goods = goods
        self._tick_cents = tick_cents
        self._decided = decided
        self._shared: tuple[PublicView | None, str] = (None, "")

    def system(self) -> str:
        """Returns the setting and the form of an answer."""
        return self._system

    def shared(self, public: PublicView) -> str:
        """Returns the round's digest."""
        # All prompts of a round begin with the same text, which is made once.
        if self._shared[0] is not public:
            self._shared = public, prompt.public_text(public, self._goods)
        return self._shared[1]

    def render(self, seen: Observation, row: int, budget: int) -> Prompt | None:
        """Returns one trader's prompt within `budget` tokens; None where it is too long even without gossip."""
        heard, ending = seen.private.heard[row], f"\nDECIDED {decided_text(self._decided[row])}"
        return prompt.render(self._system, self.shared(seen.public), self._own(seen, row), heard, budget, ending)

    def longest(self, seen: Observation, row: int) -> int:
        """Returns the tokens of a trader's prompt without gossip."""
        rendered = self.render(seen, row, 2**31)
        return rendered.tokens if rendered else 0

    def schema(self, seen: Observation, row: int) -> dict[str, Any]:
        """Returns the schema of an answer, the same for all."""
        return SCHEMA

    def read(self, text: str, cut: bool, seen: Observation, row: int) -> Reading[Any]:
        """Returns the thought and the line that a reply holds, or what is wrong with it."""
        found = find_value(text, cut)
        if isinstance(found, DecisionError):
            return Reading(found)
        said, repairs = found
        if not isinstance(said, dict) or not all(isinstance(said.get(key), str) for key in SCHEMA["required"]):
            return Reading(DecisionError.WRONG_SHAPE)
        return Reading((said["thought"][:MOST_CHARS], said["gossip"][:MOST_CHARS]), repairs)

    def _own(self, seen: Observation, row: int) -> str:
        """What a trader knows of itself, without the table that a decision needs."""
        lines = prompt.private_text(seen.private, row, self._goods, self._tick_cents).split("\n")
        told = [line for line in lines if line.split(" ")[0] not in ("STOCK", *self._goods)]
        return "\n".join(told)


def decided_text(decision: Decision) -> str:
    """Returns the orders of a decision in words."""
    orders = [f"{order.side} {order.quantity} {order.good} at {order.price}" for order in decision.orders]
    return ", ".join(orders) or "to wait"
