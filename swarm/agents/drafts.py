"""What tiers of an auction are asked: to draft a bid, to draft it again with what is remembered, to judge the drafts.

Every answer is two letters, so that a model that reads nothing but menus can bid and judge, too. A draft is a decision
on the trader's own menu; judging is the same question with nothing on the menu but the drafts.
"""

from collections.abc import Mapping
from typing import Any

from swarm.agents.decision import Decision, DecisionError, Reading, engine_failure
from swarm.agents.forms.menu import LETTERS, Action, Menu, MenuForm, chosen_letters, read_choice
from swarm.agents.observation import Observation, PublicView
from swarm.agents.prompt import Prompt
from swarm.coordination.bids import Brief
from swarm.llm.protocol import ModelReply

PASS = LETTERS[0]


class DraftForm:
    """Asks for a draft on the common menu; with a brief, what is remembered stands before the gossip."""

    name = "draft"
    stands = False

    def __init__(self, menus: MenuForm, tier: int, brief: Brief | None = None) -> None:
        self._menus, self._tier, self._brief = menus, tier, brief

    def system(self) -> str:
        """Returns what the common menu says."""
        return self._menus.system()

    def shared(self, public: PublicView) -> str:
        """Returns the round's digest with the lines that may be said."""
        return self._menus.shared(public)

    def menu(self, seen: Observation, row: int) -> Menu:
        """Returns what may be answered."""
        return self._menus.menu(seen, row)

    def render(self, seen: Observation, row: int, budget: int) -> Prompt | None:
        """Returns one trader's prompt within `budget` tokens; None where it is too long even without gossip."""
        heard = seen.private.heard[row]
        if self._brief is not None:
            heard = (*self._brief.of(int(seen.private.trader[row]), self._tier), *heard)
        return self._menus.rendered(seen, row, self.menu(seen, row), heard, budget)

    def longest(self, seen: Observation, row: int) -> int:
        """Returns the tokens of a trader's prompt with a menu as long as menus get, without gossip."""
        return self._menus.longest(seen, row)

    def schema(self, seen: Observation, row: int) -> dict[str, Any]:
        """Returns the schema of an answer: all pairs of letters."""
        return self.menu(seen, row).schema()

    def read(self, text: str, cut: bool, seen: Observation, row: int) -> Reading[Decision]:
        """Returns the decision that two letters name, or what is wrong with them."""
        return Reading(DecisionError.TRUNCATED if cut else read_choice(text, self.menu(seen, row), self._menus.rules))

    def common(self, reply: ModelReply, seen: Observation, row: int, tokens_per_turn: int) -> str:
        """Returns a reply's letters as the common menu has them, or the kind of error it is."""
        if reply.failed:
            return str(engine_failure(reply.finish_reason))
        if reply.usage.total > tokens_per_turn:
            return str(DecisionError.OVER_BUDGET)
        letters = chosen_letters(reply.text, self.menu(seen, row))
        if reply.finish_reason == "length" or letters is None:
            return str(DecisionError.TRUNCATED if reply.finish_reason == "length" else DecisionError.BAD_CHOICE)
        return self._common(letters, row)

    def _common(self, letters: str, row: int) -> str:
        return letters


class JuryForm(DraftForm):
    """Asks a judge for one of the drafts; `drafts` has by row the letters of their actions, in the menu's order."""

    name = "jury"

    def __init__(self, menus: MenuForm, drafts: Mapping[int, str]) -> None:
        super().__init__(menus, 0)
        # Passing stays first, since that is what the rules say of it.
        self._shown = {row: PASS + letters.replace(PASS, "") for row, letters in drafts.items()}

    def menu(self, seen: Observation, row: int) -> Menu:
        """Returns passing and the drafted actions alone."""
        whole = self._menus.menu(seen, row)
        return Menu(tuple(whole.actions[LETTERS.index(letter)] for letter in self._shown[row]), whole.sayings)

    def _common(self, letters: str, row: int) -> str:
        return self._shown[row][LETTERS.index(letters[0])] + letters[1]


def plan_of(action: Action, goods: tuple[str, ...]) -> str:
    """Returns an action in words, with what the engine expects of it."""
    orders = ", ".join(
        f"{'buy' if buys else 'sell'} {quantity} {goods[good]} {price}" for buys, good, price, quantity in action.legs
    )
    return f"{orders or 'pass'} (expect {action.expected})"


def claim_permille(menu: Menu, letter: str) -> int:
    """Returns what the engine expects of an action over the best of its menu, in 1/1000."""
    best = max(action.expected for action in menu.actions)
    own = menu.actions[LETTERS.index(letter)].expected
    # Passing is expected to bring nothing, so the best is never below nought; beside nought a loss claims nothing.
    return 1_000 if own >= best else max(0, 1_000 * own // max(best, 1))


def task_of(seen: Observation, row: int, goods: tuple[str, ...]) -> str:
    """Returns what a trader faces in words, so that tasks that are alike share words; nothing where nobody barters."""
    if (barter := seen.private.barter) is None:
        return ""
    makes = int(barter.makes[row])
    words = [f"make {goods[makes]}" if makes >= 0 else "make nothing"]
    need, spare = barter.need[row].tolist(), barter.spare[row].tolist()
    words += [f"need {good}" for g, good in enumerate(goods) if need[g] and g != makes]
    words += [f"spare {good}" for g, good in enumerate(goods) if spare[g]]
    change = seen.public.change_ticks.tolist()
    words += [f"{good} {'rises' if change[g] > 0 else 'falls'}" for g, good in enumerate(goods) if change[g]]
    return ", ".join(words)
