"""The form `judge`: a model says yes or no to each action of the menu by itself, and the best of them is taken.

It writes nothing. Every action is a short line behind one prompt, and its score is the log-odds of yes over no behind
that line; so no letter stands between what an action brings and what is said of it. Lines begin with what they sell and
buy, since actions of the same goods then share most of their tokens, and the figures that differ come last.
"""

import sys
from collections import Counter
from typing import Any

from swarm.agents.decision import Decision, DecisionError, Reading
from swarm.agents.forms.menu import MenuForm, wishes_of
from swarm.agents.forms.menus import Action, Menu, widest_menu
from swarm.agents.forms.protocol import FormPlugin, FormTerms
from swarm.agents.observation import Observation, PrivateViews, PublicView
from swarm.agents.prompt import Prompt, own_part, public_text, render
from swarm.llm.protocol import SCORES
from swarm.llm.scores import read_scores
from swarm.llm.tokens import count_tokens

ASK = (
    "You are shown one offer at a time: what you would sell and buy, and what of its figures is not 0.\n"
    "needs: needed lots that it buys. trend: what it earns if prices move again as they did.\n"
    "edge: percent by which it beats PRICE. expect: what it is likely to bring you.\n"
    "Say yes if the offer is good for you, and no if not."
)
"""What a model is told behind the setting."""

LOW_PURSE, LOW_MOOD, HIGH_MOOD = 150, 30, 60
"""Pebbles, and points of 100, from which on a purse or a mood is called otherwise."""


def offer_text(action: Action, goods: tuple[str, ...]) -> str:
    """Returns the line of one action; a model's next token behind it is what is compared."""
    sides = []
    for buys, verb, lots in ((False, "sell", action.sells), (True, "buy", action.buys)):
        # Sales before purchases, so that lines which sell the same share their first tokens.
        if names := [goods[leg.good] for leg in action.legs if leg.buys is buys]:
            sides.append(f"{verb}{lots} {' '.join(names)}")
    figures = (("needs", action.needs), ("trend", action.trend), ("edge", action.edge), ("expect", action.expected))
    # A number right behind its word takes a token less than one behind a space.
    told = [f"{name}{figure}" for name, figure in figures if figure]
    return " ".join([", ".join(sides) or "pass", *told]) + "?"


def own_text(private: PrivateViews, row: int, tick_cents: int) -> str:
    """Returns what a trader is told of itself, in words so few that many traders of a round are told the same."""
    purse, mood = int(private.cash_cents[row]) // tick_cents, int(private.bartering.mood[row])
    named = "low" if mood < LOW_MOOD else "high" if mood >= HIGH_MOOD else "fair"
    return f"YOU purse {'low' if purse < LOW_PURSE else 'full'}, mood {named}"


def heard_text(heard: tuple[str, ...]) -> tuple[str, ...]:
    """Returns the different lines that were heard, those first that were said most often."""
    said = Counter(heard)
    ordered = sorted(said.items(), key=lambda item: (-item[1], item[0]))
    return tuple(f"{line} ({times} times)" if times > 1 else line for line, times in ordered)


class JudgeForm:
    """Asks of each action of a trader's menu whether it is good for it; the trader says nothing to others."""

    name = "judge"
    stands = False

    def __init__(self, terms: FormTerms) -> None:
        self._terms = terms
        self._goods = terms.rules.goods
        self._system = terms.system(self.name, ASK)
        self._shared: tuple[PublicView | None, str] = (None, "")
        self._menus = MenuForm(terms)

    def system(self) -> str:
        """Returns the setting and what is to be judged."""
        return self._system

    def shared(self, public: PublicView) -> str:
        """Returns the round's digest."""
        # All prompts of a round begin with the same text, which is made once.
        if self._shared[0] is not public:
            self._shared = public, public_text(public, self._goods)
        return self._shared[1]

    def menu(self, seen: Observation, row: int) -> Menu:
        """Returns the menu of one trader, whose actions are judged."""
        return self._menus.menu(seen, row)

    def branches(self, seen: Observation, row: int) -> tuple[str, ...]:
        """Returns the lines of a trader's actions, in the order of its menu."""
        return self._lines(self.menu(seen, row))

    def render(self, seen: Observation, row: int, budget: int) -> Prompt | None:
        """Returns one trader's prompt, which is within `budget` tokens together with all actions; None if too long."""
        return self._rendered(seen, row, self.branches(seen, row), heard_text(seen.private.heard[row]), budget)

    def longest(self, seen: Observation, row: int) -> int:
        """Returns the tokens of a trader's prompt with a menu as long as menus get, without gossip."""
        rendered = self._rendered(seen, row, self._lines(widest_menu(self._terms.rules)), (), sys.maxsize)
        return rendered.tokens if rendered else 0

    def schema(self, seen: Observation, row: int) -> dict[str, Any]:
        """Returns the schema of the scores: one number for each action."""
        actions = len(self.menu(seen, row).actions)
        return {"type": "array", "items": {"type": "number"}, "minItems": actions, "maxItems": actions}

    def read(self, text: str, cut: bool, seen: Observation, row: int) -> Reading[Decision]:
        """Returns the action that was taken by the scores of all, or that they are no scores of these actions."""
        actions = self.menu(seen, row).actions
        scores = None if cut else read_scores(text, len(actions))
        if scores is None:
            return Reading(DecisionError.TRUNCATED if cut else DecisionError.BAD_CHOICE)
        return Reading(Decision(orders=wishes_of(actions[scores.taken].legs, self._goods)))

    def _lines(self, menu: Menu) -> tuple[str, ...]:
        return tuple(offer_text(action, self._goods) for action in menu.actions)

    def _rendered(
        self, seen: Observation, row: int, lines: tuple[str, ...], heard: tuple[str, ...], budget: int
    ) -> Prompt | None:
        """Returns a prompt whose tokens count the lines of all actions."""
        own = own_text(seen.private, row, self._terms.tick_cents)
        own = own_part(own, seen.private, row, self._terms.own)
        # Gossip has what the lines of the actions leave of the budget.
        behind = sum(map(count_tokens, lines))
        found = render(self._system, self.shared(seen.public), own, heard, budget - behind)
        return Prompt(found.messages, found.tokens + behind, found.pruned_messages) if found else None


FORM = FormPlugin(
    "judge",
    "Yes or no to each action of a computed menu, by their odds; nothing is written or said.",
    JudgeForm,
    barters=True,
    needs=frozenset({SCORES}),
)
