"""The record of a council's turn: who voted what, and what the votes come to. Pure; it asks nobody.

A vote is two letters of the trader's own menu, whatever order a member was shown the menu in; what is no vote is the
kind of error it was. The winner follows from the record alone, so a replay counts the votes again.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np

from swarm.agents.decision import DecisionError, errors_among
from swarm.agents.forms.menus import LETTERS, MOST_ACTIONS
from swarm.coordination.vote import MISSING, Float64, Int64, confident, scores, ties, winners

PASS = 0
"""The action that every menu has first."""

OPTIONS = 1 + MOST_ACTIONS
"""Actions of a menu at most; a vote beyond a shorter menu was put down as an error."""

TRACE_VERSION = 2

NEVER_SURE = 1_001
"""The doubt of a council whose votes never say enough: no probability in 1/1000 reaches it."""


# Made once, since a writer with separators of its own costs as much as what it writes.
_to_json = json.JSONEncoder(separators=(",", ":")).encode


@dataclass(frozen=True, slots=True)
class CouncilTurn:
    """One turn of a council. `votes` has for each member, in the council's order, its samples; empty: it was not asked.

    `weights_permille` are those that held, and `alone` is the member that is followed without counting, or -1. `drawn`
    parts actions that tie. The council passes where its winner's probability is below `doubt_permille` / 1000, unless
    one member is followed.
    """

    votes: tuple[tuple[str, ...], ...]
    weights_permille: tuple[int, ...]
    alone: int
    drawn: int
    doubt_permille: int = 0

    def to_text(self) -> str:
        """Returns the record as it stands in the journal."""
        rest = (self.weights_permille, self.alone, self.drawn, self.doubt_permille)
        return _to_json((TRACE_VERSION, self.votes, *rest))

    @classmethod
    def from_text(cls, text: str, members: int) -> "CouncilTurn":
        """Returns what `to_text` wrote; ValueError where it is no turn of a council of so many members."""
        values: Any = json.loads(text)
        match values:
            case [2, list(votes), list(weights), int(alone), int(drawn), int(doubt)]:
                pass
            case _:
                raise ValueError("expected the votes, weights, draw and doubt of a council's turn")
        if not len(votes) == len(weights) == members:
            raise ValueError(f"expected votes and weights of {members} members")
        # The types of all at once, since a council's turn is read as often as it is counted.
        if not ({*map(type, votes)} <= {list} and {*map(type, chain.from_iterable(votes))} <= {str}):
            raise ValueError("expected votes as texts, by member")
        if not ({*map(type, weights)} <= {int} and -(2**31) < min(weights) <= max(weights) < 2**31):
            raise ValueError("expected whole weights")
        if not -1 <= alone < members or not 0 <= drawn < 2**63 or not 0 <= doubt <= NEVER_SURE:
            raise ValueError("expected a member, a draw and a doubt")
        return cls(tuple(map(tuple, votes)), tuple(weights), alone, drawn, doubt)

    @property
    def met(self) -> bool:
        """Tells whether more than one member was asked."""
        return sum(bool(one) for one in self.votes) > 1

    @property
    def faults(self) -> tuple[DecisionError, ...]:
        """The errors among the votes, in the members' order."""
        return errors_among(vote for one in self.votes for vote in one)


def turns_in(texts: Iterable[str], members: int) -> Iterator[CouncilTurn]:
    """Yields the turns of a council of so many members that these texts are; what is none is left out."""
    for text in texts:
        with suppress(ValueError, RecursionError):
            yield CouncilTurn.from_text(text, members)


def actions_of(turns: Sequence[CouncilTurn], actions: Int64 | int = OPTIONS) -> Int64:
    """Returns [turns, members, samples] the number of the action of each vote, MISSING where it is none.

    `actions` is how many there are on the menu of each turn, or of all. The turns are those of one council.
    """
    members = len(turns[0].votes) if turns else 0
    width = max((len(one) for turn in turns for one in turn.votes), default=0)
    missing = [MISSING] * width
    rows = [
        [*(LETTERS.find(vote[0]) if len(vote) == 2 else MISSING for vote in one), *missing[len(one) :]]
        for turn in turns
        for one in turn.votes
    ]
    found = np.array(rows, dtype=np.int64).reshape(len(turns), members, width)
    most = np.broadcast_to(np.asarray(actions), len(turns))[:, None, None]
    return np.where(found < most, found, MISSING)


@dataclass(frozen=True, slots=True)
class Count:
    """The outcome of a vote: the action, the letters to read it by, its probability, and whether it was vetoed.

    `action` is None where nobody voted. The probability is that among as many actions as a menu has at most, as the
    weights are, so that it is the same whoever counts again.
    """

    action: int | None
    letters: str
    probability: float
    vetoed: bool = False
    abstained: bool = False


NO_VOTES = Count(None, "", 0.0)


def count(
    turns: Sequence[CouncilTurn],
    rule: str,
    overseers: frozenset[int] = frozenset(),
    actions: Int64 | int = OPTIONS,
) -> list[Count]:
    """Returns what the votes of each of a council's turns come to by this rule.

    `overseers` do not vote for an action but may veto it; `actions` is as `actions_of` takes it.
    """
    chosen = actions_of(turns, actions)
    voters = [m for m in range(chosen.shape[1]) if m not in overseers]
    cast = chosen[:, voters]
    # Turns in which nobody voted come to nothing.
    found = [NO_VOTES] * len(turns)
    rows = np.flatnonzero((cast != MISSING).any(axis=(1, 2)))
    if not len(rows):
        return found
    own, chosen, cast = [turns[row] for row in rows.tolist()], chosen[rows], cast[rows]
    drawn = [turn.drawn for turn in own]
    # [turns, voters], what each voter was worth.
    weights = np.array([[turn.weights_permille[m] for m in voters] for turn in own]) / 1_000
    if rule == "confident":
        action, _ = confident(cast, OPTIONS, weights)
        probability = (cast == action[:, None, None]).sum(axis=(1, 2)) / (cast != MISSING).sum(axis=(1, 2))
    else:
        action, probability = _weighed(cast, weights, drawn)
    # Who is followed alone decides where it has voted.
    alone = np.array([turn.alone for turn in own])
    doubt = np.array([turn.doubt_permille for turn in own])
    followed = np.flatnonzero((alone >= 0) & (chosen[np.arange(len(own)), alone] != MISSING).any(axis=1))
    if len(followed):
        ballots = chosen[followed, alone[followed]]
        named = scores(ballots, np.ones(ballots.shape[1]), OPTIONS)
        action[followed] = _first(named, [drawn[i] for i in followed.tolist()])
        # It is known to be right often enough, and its action is not a winner that the votes' doubt is about.
        probability[followed], doubt[followed] = 1.0, 0
    # A veto comes before a doubt, so that both are counted for what they are.
    vetoed = (chosen[:, sorted(overseers)] == PASS).any(axis=(1, 2)) & (action != PASS)
    abstained = ~vetoed & (np.rint(1_000 * probability) < doubt) & (action != PASS)
    action = np.where(vetoed | abstained, PASS, action)
    letters = _letters(own, chosen, action)
    counted = zip(action.tolist(), letters, probability.tolist(), vetoed.tolist(), abstained.tolist(), strict=True)
    for row, one in zip(rows.tolist(), counted, strict=True):
        found[row] = Count(*one)
    return found


def _weighed(cast: Int64, weights: Float64, drawn: Sequence[int]) -> tuple[Int64, Float64]:
    """Returns the action with the largest sum of weights, and its probability if the weights are log odds."""
    ballots = cast.reshape(len(cast), -1)
    # Samples of a member share its weight, so that asking often does not make anybody count for more.
    share = weights / np.maximum((cast != MISSING).sum(axis=2), 1)
    total = scores(ballots, np.repeat(share, cast.shape[2], axis=1), OPTIONS)
    # What nobody voted for cannot win, whatever the weights.
    voted = scores(ballots, np.ones(ballots.shape[1]), OPTIONS) > 0
    action = _first(np.where(voted, total, -np.inf), drawn)
    likely = np.exp(total - total.max(axis=1, keepdims=True))
    probability: Float64 = likely[np.arange(len(cast)), action] / likely.sum(axis=1)
    return action, probability


def _first(total: Float64, drawn: Sequence[int]) -> Int64:
    """Returns the winners; where actions tie, the turn's own draw parts them, the same in a replay."""
    tied = np.flatnonzero(ties(total).sum(axis=1) > 1)
    parting = np.zeros_like(total)
    for row in tied.tolist():
        parting[row] = np.random.default_rng(drawn[row]).random(total.shape[1])
    return winners(total, parting)


def _letters(turns: Sequence[CouncilTurn], chosen: Int64, action: Int64) -> list[str]:
    """Returns the letters of each action, with what the first member says that voted for it; silence where none did."""
    voted = (chosen == action[:, None, None]).reshape(len(turns), -1)
    member, sample = np.divmod(voted.argmax(axis=1), max(chosen.shape[2], 1))
    rows = zip(turns, action.tolist(), voted.any(axis=1).tolist(), member.tolist(), sample.tolist(), strict=True)
    return [turn.votes[m][k] if any_ else LETTERS[a] + LETTERS[0] for turn, a, any_, m, k in rows]
