"""The form `orders`: a table of the market, the trader's own figures, and an answer that is a JSON object of orders."""

import sys
from typing import Any

from swarm.agents import prompt
from swarm.agents.decision import Decision, Reading, read_reply
from swarm.agents.forms.protocol import FormPlugin, FormTerms
from swarm.agents.observation import Observation, PublicView
from swarm.agents.prompt import Prompt


class OrdersForm:
    """Asks a trader of a barter for its orders."""

    name = "orders"
    stands = True

    def __init__(self, terms: FormTerms) -> None:
        self._rules = terms.rules
        self._tick_cents = terms.tick_cents
        self._system = terms.system(self.name, prompt.answer_text(terms.rules))
        self._schema = terms.rules.schema()
        self._template = terms.own
        self._shared: tuple[PublicView | None, str] = (None, "")

    def system(self) -> str:
        """Returns the setting, the market's rules and the form of an answer."""
        return self._system

    def shared(self, public: PublicView) -> str:
        """Returns the round's digest."""
        # All prompts of a round begin with the same text, which is made once.
        if self._shared[0] is not public:
            self._shared = public, prompt.public_text(public, self._rules.goods)
        return self._shared[1]

    def render(self, seen: Observation, row: int, budget: int) -> Prompt | None:
        """Returns one trader's prompt within `budget` tokens; None where it is too long even without gossip."""
        own = self._own(seen, row)
        return prompt.render(self._system, self.shared(seen.public), own, seen.private.heard[row], budget)

    def longest(self, seen: Observation, row: int) -> int:
        """Returns the tokens of a trader's prompt without gossip."""
        own = self._own(seen, row)
        rendered = prompt.render(self._system, self.shared(seen.public), own, (), sys.maxsize)
        return rendered.tokens if rendered else 0

    def _own(self, seen: Observation, row: int) -> str:
        own = prompt.private_text(seen.private, row, self._rules.goods, self._tick_cents)
        return prompt.own_part(own, seen.private, row, self._template)

    def schema(self, seen: Observation, row: int) -> dict[str, Any]:
        """Returns the schema of a decision, the same for all."""
        return self._schema

    def read(self, text: str, cut: bool, seen: Observation, row: int) -> Reading[Decision]:
        """Returns the decision that a reply holds, or what is wrong with it."""
        barter = seen.private.barter
        return read_reply(text, cut, self._rules, -1 if barter is None else int(barter.makes[row]))


FORM = FormPlugin("orders", "A JSON object of orders, gossip and how long they stand.", OrdersForm)
