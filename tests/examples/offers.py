"""A form of markets that asks for one number: which of some offers a trader makes, each of one lot near the price."""

import sys
from collections.abc import Sequence
from typing import Any

from swarm.agents.decision import Decision, DecisionError, OrderWish, Reading
from swarm.agents.forms.protocol import FormPlugin, FormTerms
from swarm.agents.observation import Observation, PublicView
from swarm.agents.prompt import Prompt, public_text, render
from swarm.llm.engines.scripted.policy import Policy
from swarm.llm.protocol import Message
from swarm.llm.temperament import Temperament


class OffersForm:
    name, stands = "offers", False

    def __init__(self, terms: FormTerms) -> None:
        self.terms, self.goods = terms, terms.rules.goods

    def offers(self, seen: Observation, row: int) -> list[OrderWish]:
        """Returns a bid for a lot of each good that it can pay for, and an ask for each that it has."""
        price, have = seen.public.reference_ticks.tolist(), seen.private.have[row].tolist()
        purse = int(seen.private.cash_cents[row]) // self.terms.tick_cents
        rows = [*zip(self.goods, price, have, strict=True)]
        bids = [OrderWish(side="buy", good=good, price=p, quantity=1) for good, p, _ in rows if p <= purse]
        return bids + [OrderWish(side="sell", good=good, price=p, quantity=1) for good, p, n in rows if n]

    def system(self) -> str:
        return f"{self.terms.setting}\nAnswer with the number of one line of OFFERS and nothing else; 0 passes."

    def shared(self, public: PublicView) -> str:
        return public_text(public, self.goods)

    def render(self, seen: Observation, row: int, budget: int) -> Prompt | None:
        lines = [f"{i} {o.side} one {o.good} at {o.price}" for i, o in enumerate(self.offers(seen, row), 1)]
        heard = seen.private.heard[row]
        return render(self.system(), self.shared(seen.public), "OFFERS", heard, budget, "\n".join(["0 pass", *lines]))

    def longest(self, seen: Observation, row: int) -> int:
        rendered = self.render(seen, row, sys.maxsize)
        return rendered.tokens if rendered else 0

    def schema(self, seen: Observation, row: int) -> dict[str, Any]:
        return {"type": "integer", "minimum": 0, "maximum": len(self.offers(seen, row)), "title": self.name}

    def read(self, text: str, cut: bool, seen: Observation, row: int) -> Reading[Decision]:
        offers, number = self.offers(seen, row), text.strip()
        if cut or not (number.isascii() and number.isdigit()) or len(number) > 3 or int(number) > len(offers):
            return Reading(DecisionError.BAD_NUMBER)
        return Reading(Decision(orders=(offers[int(number) - 1],) if int(number) else ()))


def offer(temperament: Temperament, messages: Sequence[Message], seed: int, schema: dict[str, Any]) -> str:
    return str(1 + seed % schema["maximum"]) if schema["maximum"] else "0"


FORM = FormPlugin("offers", "The number of one of some offers.", OffersForm)
POLICY = Policy("offers", lambda schema: schema.get("title") == "offers", offer, {})
