"""The ballot of a council: what a member is asked, how its answer is put down, and what the votes come to.

A form in which councils can vote brings a ballot along (`Votable`); that of menus is here. A vote is two letters, of
which the first names the option that is counted and A is the one that passes.
"""

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

from swarm.agents.decision import Decision, DecisionError, engine_failure
from swarm.agents.forms.member_menu import MemberMenuForm
from swarm.agents.forms.menu import MenuForm, read_choice
from swarm.agents.forms.protocol import Form
from swarm.agents.observation import Observation
from swarm.agents.votes import CouncilTurn, Count
from swarm.llm.protocol import ModelReply


class MemberForm(Form[Any], Protocol):
    """The form in which one member is asked."""

    def common(self, text: str, cut: bool, seen: Observation, row: int) -> str:
        """Returns an answer as a vote in the letters that are common to all members, or the kind of error it is."""
        ...


class Ballot(Protocol):
    """What a council has to know of the form that its members answer in; pure."""

    def member(self, stream: str, role: str) -> MemberForm:
        """Returns the form of a member of this role, empty for none; `stream` names the draws of its orders."""
        ...

    def options(self, seen: Observation, row: int) -> int:
        """Returns how many options there are to vote on."""
        ...

    def stake_ticks(self, seen: Observation, row: int) -> int:
        """Returns what is at stake for a trader."""
        ...

    def outcome(self, turn: CouncilTurn, found: Count, seen: Observation, row: int) -> Any:
        """Returns what the votes come to once they are counted, or what is wrong with it."""
        ...

    def told(self, vote: str) -> str:
        """Returns a vote as it is shown to whoever asks why."""
        ...


@runtime_checkable
class Votable(Protocol):
    """A form that brings a ballot of its own."""

    def ballot(self) -> Ballot:
        """Returns the ballot."""
        ...


def voted(form: MemberForm, reply: ModelReply, seen: Observation, row: int, tokens_per_turn: int) -> str:
    """Returns a reply as a vote in the common letters, or the kind of error it is."""
    if reply.failed:
        return str(engine_failure(reply.finish_reason))
    # What took more than a turn may is not read.
    if reply.usage.total > tokens_per_turn:
        return str(DecisionError.OVER_BUDGET)
    return form.common(reply.text, reply.finish_reason == "length", seen, row)


def ballot_of(form: Form[Any]) -> Ballot:
    """Returns the ballot of a form: its own, or that of menus."""
    if isinstance(form, Votable):
        return form.ballot()
    if isinstance(form, MenuForm):
        return MenuBallot(form)
    raise TypeError(f"no council can vote in the form {form.name!r}")


class MenuBallot:
    """Votes on an action of a computed menu, which each member sees in an order of its own."""

    INSTRUCTIONS: Mapping[str, str] = {
        "analyst": "You are the analyst of a council of five: weigh needs, stock and worth, and vote for what pays.",
        "quant": "You are the quant of a council of five: compare EXPECT and EDGE, and vote for the best figures.",
        "news": "You are the news reader of a council of five: vote for what the NEWS and what is said speak for.",
        "risk": "You are the risk officer of a council of five: vote for what leaves the purse safe if prices turn.",
        "oversight": "You oversee a council: answer AA to veto where a trade would be a mistake, else your own choice.",
    }
    """What each role is told, behind the form of an answer."""

    def __init__(self, menus: MenuForm) -> None:
        self._menus = menus

    def member(self, stream: str, role: str) -> MemberMenuForm:
        """Returns the form of a member."""
        return MemberMenuForm(self._menus, stream, self.INSTRUCTIONS.get(role, ""))

    def options(self, seen: Observation, row: int) -> int:
        """Returns how many actions the menu has."""
        return len(self._menus.menu(seen, row).actions)

    def stake_ticks(self, seen: Observation, row: int) -> int:
        """Returns by how much the best action of the menu is expected to beat the second."""
        return self._menus.menu(seen, row).stake_ticks

    def outcome(self, turn: CouncilTurn, found: Count, seen: Observation, row: int) -> Decision | DecisionError:
        """Returns the decision that the winner's letters name."""
        return read_choice(found.letters, self._menus.menu(seen, row), self._menus.rules)

    def told(self, vote: str) -> str:
        """Returns the letters of a vote, which are those of the trader's menu whatever order the member saw."""
        return f"{vote} (as the trader's menu has it)" if len(vote) == 2 else vote
