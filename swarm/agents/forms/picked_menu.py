"""The form of those who see the common menu in part or in another order, and whose answers are put down by its letters.

It knows neither who they are nor what becomes of their answers.
"""

from collections.abc import Sequence
from typing import Any

from swarm.agents.decision import Decision, DecisionError, Reading
from swarm.agents.forms.menu import MenuForm, chosen_numbers, read_choice
from swarm.agents.forms.menus import LETTERS, Menu
from swarm.agents.observation import Observation, PublicView
from swarm.agents.prompt import Prompt


class PickedMenuForm:
    """Asks as the common menu does, with the actions that are `picked` of it."""

    name = "picked_menu"
    stands = False

    def __init__(self, menus: MenuForm) -> None:
        self._menus = menus

    def picked(self, seen: Observation, row: int) -> Sequence[int]:
        """Returns the numbers that the actions have on the common menu, in the order in which they are shown."""
        return range(len(self._menus.menu(seen, row).actions))

    def heard(self, seen: Observation, row: int) -> tuple[str, ...]:
        """Returns the lines that stand where the gossip does."""
        return seen.private.heard[row]

    def system(self) -> str:
        """Returns what the common menu says."""
        return self._menus.system()

    def shared(self, public: PublicView) -> str:
        """Returns the round's digest with the lines that may be said."""
        return self._menus.shared(public)

    def menu(self, seen: Observation, row: int) -> Menu:
        """Returns what may be answered."""
        menu = self._menus.menu(seen, row)
        return Menu(tuple(menu.actions[number] for number in self.picked(seen, row)), menu.sayings)

    def render(self, seen: Observation, row: int, budget: int) -> Prompt | None:
        """Returns one trader's prompt within `budget` tokens; None where it is too long even without gossip."""
        heard = self.heard(seen, row)
        return self._menus.rendered(seen, row, self.picked(seen, row), heard, budget, system=self.system())

    def longest(self, seen: Observation, row: int) -> int:
        """Returns the tokens of a trader's prompt with a menu as long as menus get, without gossip."""
        return self._menus.longest(seen, row)

    def schema(self, seen: Observation, row: int) -> dict[str, Any]:
        """Returns the schema of an answer: all pairs of letters."""
        return self.menu(seen, row).schema()

    def read(self, text: str, cut: bool, seen: Observation, row: int) -> Reading[Decision]:
        """Returns the decision that two letters name, or what is wrong with them."""
        return Reading(DecisionError.TRUNCATED if cut else read_choice(text, self.menu(seen, row), self._menus.rules))

    def common(self, text: str, cut: bool, seen: Observation, row: int) -> str:
        """Returns the letters of an answer as the common menu has them, or the kind of error it is."""
        picked = self.picked(seen, row)
        chosen = chosen_numbers(text, len(picked), len(self._menus.menu(seen, row).sayings))
        if cut or chosen is None:
            return str(DecisionError.TRUNCATED if cut else DecisionError.BAD_CHOICE)
        # Only the action is renamed; lines to say have the same letters for everybody.
        return LETTERS[picked[chosen[0]]] + LETTERS[chosen[1]]
