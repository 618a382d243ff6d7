"""A form whose decision is one number: how it is asked for, and how an answer is read."""

import sys
from typing import Any

from swarm.agents.decision import DecisionError, Reading
from swarm.agents.forms.protocol import FormTerms
from swarm.agents.observation import Observation, PublicView
from swarm.agents.prompt import Prompt, render


class NumberForm:
    name, stands = "number", False

    def __init__(self, terms: FormTerms, most: int) -> None:
        self.setting, self.most = terms.setting, most

    def system(self) -> str:
        return f"{self.setting}\nAnswer with one whole number from 0 to {self.most} and nothing else."

    def shared(self, public: PublicView) -> str:
        return f"ROUND {public.round} of {public.rounds}"

    def render(self, seen: Observation, row: int, budget: int) -> Prompt | None:
        own = f"YOU are {seen.private.facts[row]}"
        return render(self.system(), self.shared(seen.public), own, seen.private.heard[row], budget)

    def longest(self, seen: Observation, row: int) -> int:
        rendered = self.render(seen, row, sys.maxsize)
        return rendered.tokens if rendered else 0

    def schema(self, seen: Observation, row: int) -> dict[str, Any]:
        return {"type": "integer", "minimum": 0, "maximum": self.most}

    def read(self, text: str, cut: bool, seen: Observation, row: int) -> Reading[int]:
        number = text.strip()
        if not (number.isascii() and number.isdigit()) or len(number) > 9:
            return Reading(DecisionError.BAD_NUMBER)
        return Reading(int(number) if int(number) <= self.most else DecisionError.BAD_NUMBER)
