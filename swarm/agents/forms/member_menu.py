"""The form in which a member of a council is asked: the common menu, in an order of its own.

It knows neither the other members nor how votes are counted.
"""

from typing import Any

import numpy as np

from swarm.agents.forms.menu import MenuForm
from swarm.agents.forms.menus import MOST_ACTIONS
from swarm.agents.forms.picked_menu import PickedMenuForm
from swarm.agents.observation import Observation
from swarm.llm.tokens import count_tokens
from swarm.seeding import draw


class MemberMenuForm(PickedMenuForm):
    """Asks one member of a council: the same actions as the common menu has, in an order of its own, and its role.

    Passing stays first, since that is what the rules say of it. `stream` names the draws of this member's orders.
    """

    name = "member_menu"

    def __init__(self, menus: MenuForm, stream: str, instruction: str = "") -> None:
        super().__init__(menus)
        self._stream = stream
        self._instruction = instruction
        self._system = "\n".join(filter(None, (menus.system(), instruction)))
        self._orders: tuple[Observation, list[list[int]]] | None = None
        self._picked: dict[int, list[int]] = {}

    def system(self) -> str:
        """Returns what the common menu says, and this member's role."""
        return self._system

    def longest(self, seen: Observation, row: int) -> int:
        """Returns the tokens of a trader's prompt with a menu as long as menus get, without gossip."""
        return self._menus.longest(seen, row) + count_tokens(self._instruction)

    def schema(self, seen: Observation, row: int) -> dict[str, Any]:
        """Returns the schema of an answer, which is the same in any order."""
        return self._menus.schema(seen, row)

    def picked(self, seen: Observation, row: int) -> list[int]:
        """Returns all actions in the order of this member."""
        if self._orders is None or self._orders[0] is not seen:
            # Drawn by round and trader, so that a liking for a letter is spread over all actions; for all at once.
            trader, behind = seen.private.trader[:, None], np.arange(1, 1 + MOST_ACTIONS)
            dice = draw(self._menus.seed, self._stream, seen.public.round, trader, behind)
            self._orders, self._picked = (seen, (1 + np.argsort(dice, axis=1, kind="stable")).tolist()), {}
        found = self._picked.get(row)
        if found is None:
            actions = len(self._menus.menu(seen, row).actions)
            self._picked[row] = found = [0, *[number for number in self._orders[1][row] if number < actions]]
        return found
