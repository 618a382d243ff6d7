"""The form in which a member of a council is asked: the common menu, in an order of its own.

It knows neither the other members nor how votes are counted.
"""

from typing import Any

import numpy as np

from swarm.agents.decision import Decision, DecisionError, Reading, engine_failure
from swarm.agents.forms.menu import LETTERS, Menu, MenuForm, chosen_letters, read_choice
from swarm.agents.observation import Observation, PublicView
from swarm.agents.prompt import Prompt
from swarm.llm.protocol import ModelReply
from swarm.llm.tokens import count_tokens
from swarm.seeding import draw


class MemberMenuForm:
    """Asks one member of a council: the same actions as the common menu has, in an order of its own, and its role.

    Passing stays first, since that is what the rules say of it. `stream` names the draws of this member's orders.
    """

    name = "member_menu"
    stands = False

    def __init__(self, menus: MenuForm, stream: str, instruction: str = "") -> None:
        self._menus = menus
        self._stream = stream
        self._instruction = instruction

    def system(self) -> str:
        """Returns what the common menu says, and this member's role."""
        return "\n".join(filter(None, (self._menus.system(), self._instruction)))

    def shared(self, public: PublicView) -> str:
        """Returns the round's digest with the lines that may be said."""
        return self._menus.shared(public)

    def render(self, seen: Observation, row: int, budget: int) -> Prompt | None:
        """Returns one trader's prompt within `budget` tokens; None where it is too long even without gossip."""
        return self._menus.rendered(
            seen, row, self._menu(seen, row), seen.private.heard[row], budget, system=self.system()
        )

    def longest(self, seen: Observation, row: int) -> int:
        """Returns the tokens of a trader's prompt with a menu as long as menus get, without gossip."""
        return self._menus.longest(seen, row) + count_tokens(self._instruction)

    def schema(self, seen: Observation, row: int) -> dict[str, Any]:
        """Returns the schema of an answer: all pairs of letters."""
        return self._menus.schema(seen, row)

    def read(self, text: str, cut: bool, seen: Observation, row: int) -> Reading[Decision]:
        """Returns the decision that two letters of this member's menu name, or what is wrong with them."""
        if cut:
            return Reading(DecisionError.TRUNCATED)
        return Reading(read_choice(text, self._menu(seen, row), self._menus.rules))

    def common(self, reply: ModelReply, seen: Observation, row: int, tokens_per_turn: int) -> str:
        """Returns a reply's letters as the common menu has them, or the kind of error it is."""
        if reply.failed:
            return str(engine_failure(reply.finish_reason))
        if reply.usage.total > tokens_per_turn:
            return str(DecisionError.OVER_BUDGET)
        letters = chosen_letters(reply.text, self._menu(seen, row))
        if reply.finish_reason == "length" or letters is None:
            return str(DecisionError.TRUNCATED if reply.finish_reason == "length" else DecisionError.BAD_CHOICE)
        # Only the action is renamed; lines to say have the same letters for everybody.
        order = self._order(seen, row)
        return LETTERS[order[LETTERS.index(letters[0])]] + letters[1]

    def _menu(self, seen: Observation, row: int) -> Menu:
        menu = self._menus.menu(seen, row)
        return Menu(tuple(menu.actions[i] for i in self._order(seen, row)), menu.sayings)

    def _order(self, seen: Observation, row: int) -> list[int]:
        """Returns the common number of each action as this member sees them."""
        actions = len(self._menus.menu(seen, row).actions)
        trader = int(seen.private.trader[row])
        dice = draw(self._menus.seed, self._stream, seen.public.round, trader, np.arange(1, actions))
        # Drawn by round and trader, so that a liking for a letter is spread over all actions.
        return [0, *(1 + np.argsort(dice, kind="stable")).tolist()]
