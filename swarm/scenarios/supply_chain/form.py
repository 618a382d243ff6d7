"""The form `replenish`: one letter, whether a node follows its plan, expects more or less than it, hurries or waits.

All figures of the menu are computed; the letter alone is the model's. A letter of more or less moves what the node's
plan expects once, and the plan goes on from there.
"""

import re
import sys
from dataclasses import dataclass
from math import sqrt
from typing import Any

from swarm.agents.decision import DecisionError, Reading
from swarm.agents.forms.protocol import FormPlugin, FormTerms
from swarm.agents.observation import Observation, PublicView
from swarm.agents.prompt import Prompt, render
from swarm.llm.strict import choice_in

NAME = "replenish"
LETTERS = "ABCDEFG"
DEVIATIONS = {"A": 0, "B": 1, "C": 2, "D": -1, "E": -2}
HURRY, SKIP = "F", "G"
ASK = """Answer with one letter of the MENU and nothing else.
A follows the plan. B to E tell the plan to expect more or less from now on; then it goes on by itself.
Choose B to E only where NEWS says that demand changes; then the line whose change in percent fits best.
F has next round's goods now for a fee. G orders nothing in this round."""


@dataclass(frozen=True, slots=True)
class Replenish:
    """What a node does in a round: how it departs from its plan."""

    deviations: int = 0
    hurries: bool = False
    skips: bool = False


@dataclass(frozen=True, slots=True)
class Own:
    """The figures of a node that its menu is made from, in units and cents; `road` is where it buys if it hurries."""

    expects: float
    lead: int
    due_next: int
    holding_cents: int
    expedite_cents: int
    road: str = ""
    road_cents: int = 0


_OWN = re.compile(
    r"^PLAN expects ([\d.]+) a round, lead time (\d+), (\d+) due next round, holding (\d+), hurrying (\d+)",
    re.MULTILINE,
)
_ROAD = re.compile(r"^ROAD (\S+) cost \d+, by road (\d+) cents more", re.MULTILINE)


def road_line(ware: str, ticks: int, road_cents: int) -> str:
    """Returns the line of a node's facts that says where it could buy in another region."""
    return f"ROAD {ware} cost {ticks}, by road {road_cents} cents more a unit, there next round"


@dataclass(frozen=True, slots=True)
class Facts:
    """What a node is shown of itself, in units, rounds, cents and percent."""

    name: str
    region: str
    stock: int
    under_way: int
    on_order: int
    owes: int
    asked: int
    expects: float
    lead: int
    due_next: int
    holding_cents: int
    concerned_percent: int

    def lines(self, expedite_cents: int) -> str:
        """Returns the lines of a prompt."""
        return (
            f"YOU {self.name}, {self.region}\n"
            f"STORE {self.stock} in store, {self.under_way} under way, {self.on_order} on order, {self.owes} owed, "
            f"{self.asked} asked for last round\n"
            f"PLAN expects {self.expects:.1f} a round, lead time {self.lead}, {self.due_next} due next round, "
            f"holding {self.holding_cents}, hurrying {expedite_cents}\n"
            f"NEWS concerns {self.concerned_percent} percent of your demand"
        )


_CHANGE = re.compile(r"\(([+-]\d+) percent\)")


def own_figures(facts: str) -> Own:
    """Returns the figures in a node's facts; ValueError where they are none."""
    found = _OWN.search(facts)
    if found is None:
        raise ValueError(f"expected the facts of a node, got {facts[:60]!r}")
    expects, lead, due, holding, hurrying = found.groups()
    # A node buys of one tier or of several; what its menu names is the first.
    road = _ROAD.search(facts)
    elsewhere = (road[1], int(road[2])) if road else ()
    return Own(float(expects), int(lead), int(due), int(holding), int(hurrying), *elsewhere)


def menu_lines(own: Own) -> list[str]:
    """Returns the lines of a menu: what each letter has the plan expect, and what that costs a round if it is wrong."""
    # In units of lead-time demand, as safety stocks are.
    deviation = sqrt(max(own.expects, 0.0) * own.lead)
    lines = []
    for letter, by in DEVIATIONS.items():
        expects = max(own.expects + by * deviation / own.lead, 0.0)
        change = 100 * (expects / own.expects - 1) if own.expects else 0.0
        units = round(abs(expects - own.expects) * own.lead)
        costs = f", {units} units more, {units * own.holding_cents / 100:.2f} a round to hold" if by > 0 else ""
        saves = f", {units} units fewer, {units * own.holding_cents / 100:.2f} a round saved" if by < 0 else ""
        told = "plan" if not by else f"{by:+d} deviations"
        lines.append(f"{letter} {told}: expects {expects:.1f} ({change:+.0f} percent){costs}{saves}")
    fee = own.due_next * own.expedite_cents / 100
    road = f", and what you lack from {own.road} for {own.road_cents / 100:.2f} a unit more" if own.road else ""
    return [*lines, f"F expedite: {own.due_next} units now for {fee:.2f}{road}", "G skip: orders nothing"]


def change_of(line: str) -> int | None:
    """Returns the change in percent that a line of a menu has the plan expect; None where it has none."""
    found = _CHANGE.search(line)
    return int(found[1]) if found else None


class ReplenishForm:
    """Asks a node for a letter of its menu."""

    name = NAME
    stands = False

    def __init__(self, terms: FormTerms) -> None:
        self._system = f"{terms.setting}\n{ASK}"

    def system(self) -> str:
        """Returns the setting and what the letters mean."""
        return self._system

    def shared(self, public: PublicView) -> str:
        """Returns the round's news, the same for every node."""
        # News is text from outside: a line each, quoted, whatever it holds.
        news = [f"NEWS {' '.join(line.split())}" for line in public.news] or ["NEWS none"]
        return "\n".join([f"ROUND {public.round} of {public.rounds}", *news])

    def render(self, seen: Observation, row: int, budget: int) -> Prompt | None:
        """Returns a node's prompt, its menu last."""
        facts = seen.private.facts[row]
        menu = "\n".join(["MENU", *menu_lines(own_figures(facts))])
        return render(self._system, self.shared(seen.public), facts, seen.private.heard[row], budget, menu)

    def longest(self, seen: Observation, row: int) -> int:
        """Returns the tokens of a node's prompt."""
        rendered = self.render(seen, row, sys.maxsize)
        return rendered.tokens if rendered else 0

    def schema(self, seen: Observation, row: int) -> dict[str, Any]:
        """Returns the schema of a letter."""
        return {"type": "string", "enum": list(LETTERS), "title": self.name}

    def read(self, text: str, cut: bool, seen: Observation, row: int) -> Reading[Replenish]:
        """Returns what a letter comes to, bare, quoted, or in an object as its `answer`."""
        said = choice_in(text)
        if said is None or len(said) != 1 or said.upper() not in LETTERS:
            return Reading(DecisionError.TRUNCATED if cut and said == "" else DecisionError.BAD_CHOICE)
        letter = said.upper()
        return Reading(Replenish(DEVIATIONS.get(letter, 0), letter == HURRY, letter == SKIP))


FORM = FormPlugin(NAME, "A letter: follow the plan, expect more or less than it, hurry or wait.", ReplenishForm)
