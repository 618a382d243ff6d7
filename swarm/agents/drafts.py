"""What tiers of an auction are asked: to draft a bid, to draft it again with what is remembered, to judge the drafts.

Every answer is two letters, so that a model that reads nothing but menus can bid and judge, too. A draft is a decision
on the trader's own menu; judging is the same question with nothing on the menu but the drafts.
"""

from collections.abc import Mapping

from swarm.agents.forms.menu import MenuForm
from swarm.agents.forms.menus import LETTERS, Action, Menu
from swarm.agents.forms.picked_menu import PickedMenuForm
from swarm.agents.observation import Observation
from swarm.coordination.bids import Brief

PASS = LETTERS[0]


class DraftForm(PickedMenuForm):
    """Asks for a draft on the common menu; with a brief, what is remembered stands before the gossip."""

    name = "draft"

    def __init__(self, menus: MenuForm, tier: int, brief: Brief | None = None) -> None:
        super().__init__(menus)
        self._tier, self._brief = tier, brief

    def heard(self, seen: Observation, row: int) -> tuple[str, ...]:
        """Returns what is remembered and what was heard."""
        heard = super().heard(seen, row)
        if self._brief is None:
            return heard
        return (*self._brief.of(int(seen.private.trader[row]), self._tier), *heard)


class JuryForm(PickedMenuForm):
    """Asks a judge for one of the drafts; `drafts` has by row the letters of their actions, in the menu's order."""

    name = "jury"

    def __init__(self, menus: MenuForm, drafts: Mapping[int, str]) -> None:
        super().__init__(menus)
        # Passing stays first, since that is what the rules say of it.
        self._shown = {row: PASS + letters.replace(PASS, "") for row, letters in drafts.items()}

    def picked(self, seen: Observation, row: int) -> list[int]:
        """Returns passing and the drafted actions alone."""
        return [LETTERS.index(letter) for letter in self._shown[row]]


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
