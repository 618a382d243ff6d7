"""The record of a council's turn: who voted what, and what the votes come to. Pure; it asks nobody.

A vote is two letters of the trader's own menu, whatever order a member was shown the menu in; what is no vote is the
kind of error it was. The winner follows from the record alone, so a replay counts the votes again.
"""

import json
from dataclasses import dataclass
from typing import Any

import numpy as np

from swarm.agents.decision import DecisionError, errors_among
from swarm.agents.forms.menu import LETTERS
from swarm.coordination.vote import MISSING, confident, scores, winners

PASS = 0
"""The action that every menu has first."""

MOST_OPTIONS = len(LETTERS)
"""Any menu is shorter than the alphabet, and a vote beyond a menu was put down as an error."""

TRACE_VERSION = 1


@dataclass(frozen=True, slots=True)
class CouncilTurn:
    """One turn of a council. `votes` has for each member, in the council's order, its samples; empty: it was not asked.

    `weights_permille` are those that held, `alone` is the member that is followed without counting, or -1, and `drawn`
    parts actions that tie.
    """

    votes: tuple[tuple[str, ...], ...]
    weights_permille: tuple[int, ...]
    alone: int
    drawn: int

    def to_text(self) -> str:
        """Returns the record as it stands in the journal."""
        values = [TRACE_VERSION, [list(v) for v in self.votes], list(self.weights_permille), self.alone, self.drawn]
        return json.dumps(values, separators=(",", ":"))

    @classmethod
    def from_text(cls, text: str, members: int) -> "CouncilTurn":
        """Returns what `to_text` wrote; ValueError where it is no turn of a council of so many members."""
        values: Any = json.loads(text)
        match values:
            case [1, list(votes), list(weights), int(alone), int(drawn)] if len(votes) == len(weights) == members:
                pass
            case _:
                raise ValueError("expected the votes, weights and draw of a council's turn")
        if not all(isinstance(one, list) and all(isinstance(vote, str) for vote in one) for one in votes):
            raise ValueError("expected votes as texts, by member")
        if not all(type(weight) is int and abs(weight) < 2**31 for weight in weights):
            raise ValueError("expected whole weights")
        if not -1 <= alone < members or not 0 <= drawn < 2**63:
            raise ValueError("expected a member and a draw")
        return cls(tuple(tuple(one) for one in votes), tuple(weights), alone, drawn)

    @property
    def met(self) -> bool:
        """Tells whether more than one member was asked."""
        return sum(bool(one) for one in self.votes) > 1

    def actions(self, actions: int) -> "np.ndarray[Any, np.dtype[np.int64]]":
        """Returns [members, samples] the number of the action of each vote, MISSING where it is none."""
        width = max((len(one) for one in self.votes), default=0)
        found = np.full((len(self.votes), width), MISSING, dtype=np.int64)
        for member, one in enumerate(self.votes):
            for sample, vote in enumerate(one):
                action = LETTERS.find(vote[0]) if len(vote) == 2 else MISSING
                if 0 <= action < actions:
                    found[member, sample] = action
        return found

    @property
    def faults(self) -> tuple[DecisionError, ...]:
        """The errors among the votes, in the members' order."""
        return errors_among(vote for one in self.votes for vote in one)


@dataclass(frozen=True, slots=True)
class Count:
    """The outcome of a vote: the action, the letters to read it by, its probability, and whether it was vetoed.

    `action` is None where nobody voted.
    """

    action: int | None
    letters: str
    probability: float
    vetoed: bool = False
    abstained: bool = False


def count(turn: CouncilTurn, rule: str, actions: int, overseers: frozenset[int], abstain_permille: int = 0) -> Count:
    """Returns what a turn's votes come to by this rule; `overseers` do not vote for an action but may veto it."""
    chosen = turn.actions(actions)
    voters = [m for m in range(len(chosen)) if m not in overseers]
    cast = chosen[voters]
    if cast.size == 0 or (cast == MISSING).all():
        return Count(None, "", 0.0)
    # [actions], the same in a replay, since the draw is part of the turn.
    drawn = np.random.default_rng(turn.drawn).random(actions)
    if turn.alone >= 0 and (chosen[turn.alone] != MISSING).any():
        action = _most(chosen[turn.alone], actions, drawn)
        probability = 1.0
    elif rule == "confident":
        skill = np.array([turn.weights_permille[m] for m in voters], dtype=np.float64)
        answer, _ = confident(cast[None, :, :], actions, skill)
        action = int(answer[0])
        probability = float((cast[cast != MISSING] == action).mean())
    else:
        action, probability = _weighed(turn, voters, cast, actions, drawn)
    # A veto comes before a doubt, so that both are counted for what they are.
    if any((chosen[m] == PASS).any() for m in overseers) and action != PASS:
        return Count(PASS, _letters(turn, chosen, PASS), probability, vetoed=True)
    if 1_000 * probability < abstain_permille and action != PASS:
        return Count(PASS, _letters(turn, chosen, PASS), probability, abstained=True)
    return Count(action, _letters(turn, chosen, action), probability)


def _weighed(turn: CouncilTurn, voters: list[int], cast: Any, actions: int, drawn: Any) -> tuple[int, float]:
    """Returns the action with the largest sum of weights, and its probability if the weights are log odds."""
    weights = np.array([turn.weights_permille[m] / 1_000 for m in voters])
    # Samples of a member share its weight, so that asking often does not make anybody count for more.
    share = np.repeat(weights / np.maximum((cast != MISSING).sum(axis=1), 1), cast.shape[1])
    total = scores(cast.reshape(1, -1), share, actions)[0]
    # What nobody voted for cannot win, whatever the weights.
    voted = np.isin(np.arange(actions), cast[cast != MISSING])
    action = int(winners(np.where(voted, total, -np.inf)[None], drawn[None])[0])
    likely = np.exp(total - total.max())
    return action, float(likely[action] / likely.sum())


def _most(votes: Any, actions: int, drawn: Any) -> int:
    """Returns the action that one member named most often."""
    counts = np.bincount(votes[votes != MISSING], minlength=actions).astype(np.float64)
    return int(winners(counts[None].astype(np.float64), drawn[None])[0])


def _letters(turn: CouncilTurn, chosen: Any, action: int) -> str:
    """Returns the letters of the action, with what the first member says that voted for it; silence where none did."""
    for member, sample in np.argwhere(chosen == action).tolist():
        return turn.votes[member][sample]
    return LETTERS[action] + LETTERS[0]
