"""The form `price`: a seller answers with the letter of a price, beside each of which stands what it would earn."""

import sys
from typing import Any

import numpy as np

from swarm.agents.decision import DecisionError, Reading
from swarm.agents.forms.protocol import FormTerms
from swarm.agents.observation import Observation, PublicView
from swarm.agents.prompt import Prompt, render
from swarm.llm.strict import answer_in
from swarm.market.orders import Int64
from swarm.scenarios.duopoly.demand import Float64
from swarm.scenarios.duopoly.rules import RIVAL_PRICE

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


class PriceForm:
    """Asks a seller for its price; what it reads is the price's number, from 0 on."""

    name = "price"
    stands = False

    def __init__(self, terms: FormTerms, prices_ticks: Int64, earned_ticks: Int64) -> None:
        """`earned_ticks` is [own price, rival's price]."""
        self._system = (
            f"{terms.setting}\nAnswer with the letter of a price and nothing else.\n"
            "EARNS: what you earn in this round at a price if your rival keeps its last one."
        )
        self._prices, self._earned = prices_ticks.tolist(), earned_ticks
        self._letters = LETTERS[: len(self._prices)]

    def system(self) -> str:
        """Returns the setting and the form of an answer."""
        return self._system

    def shared(self, public: PublicView) -> str:
        """Returns the round and the news."""
        news = [f"NEWS {' '.join(line.split())}" for line in public.news]
        return "\n".join([f"ROUND {public.round} of {public.rounds}", *news])

    def render(self, seen: Observation, row: int, budget: int) -> Prompt | None:
        """Returns one seller's prompt within `budget` tokens; None where it is too long even without gossip."""
        rival = int(seen.private.columns[RIVAL_PRICE][row])
        rows = zip(self._letters, self._prices, self._earned[:, rival].tolist(), strict=True)
        listed = "\n".join(["PRICES letter price EARNS", *(f"{a} {price} {earned}" for a, price, earned in rows)])
        own = seen.private.facts[row]
        return render(self._system, self.shared(seen.public), own, seen.private.heard[row], budget, listed)

    def longest(self, seen: Observation, row: int) -> int:
        """Returns the tokens of a seller's prompt without gossip."""
        rendered = self.render(seen, row, sys.maxsize)
        return rendered.tokens if rendered else 0

    def schema(self, seen: Observation, row: int) -> dict[str, Any]:
        """Returns the schema of an answer: one of the letters."""
        return {"type": "string", "enum": list(self._letters), "title": self.name}

    def read(self, text: str, cut: bool, seen: Observation, row: int) -> Reading[int]:
        """Returns the number of the price that a letter names, bare, quoted, or in an object as its `answer`."""
        if cut:
            return Reading(DecisionError.TRUNCATED)
        letter = answer_in(text[:64]).strip().strip('"')
        known = len(text) <= 64 and len(letter) == 1 and letter in self._letters
        return Reading(self._letters.index(letter) if known else DecisionError.BAD_CHOICE)


def earned_ticks(earned_per_buyer: Float64, buyers: int, price_ticks: int) -> Int64:
    """Returns profits in whole ticks, where a price of 1 is `price_ticks` of them."""
    rounded: Int64 = np.rint(earned_per_buyer * buyers * price_ticks).astype(np.int64)
    return rounded
