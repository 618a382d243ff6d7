"""The menu form of a decision: a short lettered list of actions that the engine has computed, and lines to say.

The trader answers with two letters: an action, of which A is to pass, and a line. Asking, reading and showing go by the
same menu (`swarm.agents.forms.menus`).
"""

import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from swarm.agents.decision import Decision, DecisionError, OrderWish, Reading, Rules
from swarm.agents.forms.menus import LETTERS, Action, Leg, Menu, Menus, compose_sayings, widest_menu
from swarm.agents.forms.protocol import FormPlugin, FormTerms
from swarm.agents.observation import Observation, PublicView
from swarm.agents.prompt import Prompt, creature_text, own_part, public_text, render
from swarm.llm.strict import answer_in
from swarm.llm.tokens import count_tokens

_HEADING = "MENU letter GAIN EXPECT TREND EDGE NEEDS BUYS SELLS orders"


def menu_answer_text() -> str:
    """Returns the form of an answer."""
    return (
        "Answer with two letters and nothing else: an action of MENU, then a line of SAY, for example BA.\n"
        "GAIN: what an action brings you at its limits if all is filled. EXPECT: the same times the chance of it.\n"
        "TREND: what it earns if prices move again as they did. EDGE: percent by which it beats PRICE.\n"
        "NEEDS: needed lots that it buys. A passes."
    )


def menu_public_text(public: PublicView, goods: tuple[str, ...]) -> str:
    """Returns the round's digest with the lines that may be said, byte for byte the same for every trader."""
    sayings = compose_sayings(public, goods)
    lines = [f"{LETTERS[i]} {line}" for i, line in enumerate(sayings)]
    return "\n".join([public_text(public, goods), "SAY letter line", *lines])


def action_line(action: Action, goods: tuple[str, ...]) -> str:
    """Returns the line of one action behind its letter."""
    orders = ", ".join(
        [f"{'buy' if buys else 'sell'} {lots} {goods[good]} {price}" for buys, good, price, lots in action.legs]
    )
    a = action
    return f"{a.gain} {a.expected} {a.trend} {a.edge} {a.needs} {a.buys} {a.sells} {orders or 'pass'}"


def menu_text(lines: Iterable[str]) -> str:
    """Returns the lettered list of these lines of actions."""
    behind = tuple(lines)
    return _lettered(len(behind)).format(*behind)


@lru_cache(maxsize=64)
def _lettered(lines: int) -> str:
    return "\n".join([_HEADING, *[f"{letter} {{}}" for letter in LETTERS[:lines]]])


def chosen_letters(text: str, actions: int, sayings: int) -> str | None:
    """Returns the two letters that an answer names, bare, as a JSON string or in an object as its `answer`."""
    chosen = chosen_numbers(text, actions, sayings)
    return None if chosen is None else LETTERS[chosen[0]] + LETTERS[chosen[1]]


def chosen_numbers(text: str, actions: int, sayings: int) -> tuple[int, int] | None:
    """Returns the numbers of the action and of the line that an answer names; None where it names none of these."""
    # Most models say just that.
    answer = text if len(text) == 2 else answer_in(text[:64]).strip()
    if answer.startswith('"'):
        try:
            answer = json.loads(answer)
        except ValueError:
            return None
    if len(text) > 64 or len(answer) != 2:
        return None
    action, saying = LETTERS.find(answer[0]), LETTERS.find(answer[1])
    return (action, saying) if 0 <= action < actions and 0 <= saying < sayings else None


def read_choice(text: str, menu: Menu, rules: Rules) -> Decision | DecisionError:
    """Returns the decision that two letters name; never raises."""
    chosen = chosen_numbers(text, len(menu.actions), len(menu.sayings))
    if chosen is None:
        return DecisionError.BAD_CHOICE
    action, saying = chosen
    return _decision(menu.actions[action].legs, rules.goods, menu.sayings[saying] if saying else "")


# A mind of several answers reads the same action again and again.
@lru_cache(maxsize=4_096)
def wishes_of(legs: tuple[Leg, ...], goods: tuple[str, ...]) -> tuple[OrderWish, ...]:
    """Returns the orders of an action as a decision has them."""
    return tuple(
        OrderWish(side="buy" if buys else "sell", good=goods[good], price=price, quantity=quantity)
        for buys, good, price, quantity in legs
    )


@lru_cache(maxsize=4_096)
def _decision(legs: tuple[Leg, ...], goods: tuple[str, ...], gossip: str) -> Decision:
    return Decision(orders=wishes_of(legs, goods), gossip=gossip)


@dataclass(frozen=True, slots=True)
class Told:
    """The texts that a trader is told: of itself, and the line of each action; `tokens` counts the whole menu in."""

    own: str
    lines: tuple[str, ...]
    tokens: int


class MenuForm:
    """Asks a trader of a barter for a letter of a menu that is computed for it, and a letter of a line to say."""

    name = "menu"
    stands = False

    def __init__(self, terms: FormTerms) -> None:
        self.seed = terms.seed
        self.rules = terms.rules
        self._tick_cents = terms.tick_cents
        self._system = terms.system(MenuForm.name, menu_answer_text())
        self._shared: tuple[PublicView | None, str] = (None, "")
        self._template = terms.own
        self._menus: tuple[Observation, Menus] | None = None
        self._texts: tuple[Observation, dict[int, Told]] | None = None

    def system(self) -> str:
        """Returns the setting and the form of an answer."""
        return self._system

    def shared(self, public: PublicView) -> str:
        """Returns the round's digest with the lines that may be said."""
        # All prompts of a round begin with the same text, which is made once.
        if self._shared[0] is not public:
            self._shared = public, menu_public_text(public, self.rules.goods)
        return self._shared[1]

    def menu(self, seen: Observation, row: int) -> Menu:
        """Returns the menu of one trader."""
        if self._menus is None or self._menus[0] is not seen:
            self._menus = seen, Menus(self.seed, seen, self.rules, self._tick_cents)
        return self._menus[1].of(row)

    def render(self, seen: Observation, row: int, budget: int) -> Prompt | None:
        """Returns one trader's prompt within `budget` tokens; None where it is too long even without gossip."""
        everything = range(len(self.menu(seen, row).actions))
        return self.rendered(seen, row, everything, seen.private.heard[row], budget)

    def longest(self, seen: Observation, row: int) -> int:
        """Returns the tokens of a trader's prompt with a menu as long as menus get, without gossip."""
        own = creature_text(seen.private, row, self.rules.goods, self._tick_cents)
        ending = menu_text(action_line(action, self.rules.goods) for action in widest_menu(self.rules).actions)
        rendered = render(self._system, self.shared(seen.public), own, (), sys.maxsize, ending)
        return rendered.tokens if rendered else 0

    def schema(self, seen: Observation, row: int) -> dict[str, Any]:
        """Returns the schema of an answer: all pairs of letters."""
        return self.menu(seen, row).schema()

    def read(self, text: str, cut: bool, seen: Observation, row: int) -> Reading[Decision]:
        """Returns the decision that two letters name, or what is wrong with them."""
        return Reading(DecisionError.TRUNCATED if cut else read_choice(text, self.menu(seen, row), self.rules))

    def rendered(
        self,
        seen: Observation,
        row: int,
        picked: Sequence[int],
        heard: tuple[str, ...],
        budget: int,
        system: str = "",
    ) -> Prompt | None:
        """Returns a prompt with these actions of the menu; `system` stands in place of the form's own if given."""
        told = self._told(seen, row)
        ending = menu_text([told.lines[number] for number in picked])
        # A menu takes as many tokens in any order, which are counted once.
        tokens = told.tokens if len(picked) == len(told.lines) else None
        return render(system or self._system, self.shared(seen.public), told.own, heard, budget, ending, tokens)

    def _told(self, seen: Observation, row: int) -> Told:
        """Returns what a trader is told in a round, put into words once whoever asks it how often."""
        if self._texts is None or self._texts[0] is not seen:
            self._texts = seen, {}
        found = self._texts[1].get(row)
        if found is None:
            own = creature_text(seen.private, row, self.rules.goods, self._tick_cents)
            own = own_part(own, seen.private, row, self._template)
            lines = tuple([action_line(action, self.rules.goods) for action in self.menu(seen, row).actions])
            tokens = count_tokens(own) + count_tokens(menu_text(lines))
            self._texts[1][row] = found = Told(own, lines, tokens)
        return found


FORM = FormPlugin("menu", "Two letters: an action of a computed menu, and a line to say.", MenuForm, barters=True)
