"""The records of a strategy auction's turns: who bid what, who voted for it, who won; and who works at which tier.

A record is the text of a turn, so it stands in the journal and a replay needs nothing else. It knows no model and no
market: a bid is the letters of a menu and what the engine says of them.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from swarm.coordination.strategy_auction import (
    COST,
    after_refining,
    refining,
    scaled,
    scores,
    winners,
)

Float64 = npt.NDArray[np.float64]

UNKNOWN = -1
"""A figure that nobody knows: the claim of a bid that is none, the entropy of one draft, the winner of no bids."""

AWARD = "[1,"
"""What the record of an auction begins with."""

MOST_TIERS = 8
_MOST_FIGURE = 2**31


@dataclass(frozen=True, slots=True)
class Bid:
    """One bid: two letters of the common menu, or the kind of error that it was, with the plan that they stand for.

    `tokens` is what its calls took. `claim_permille` is what the engine expects of it, over the best of the menu, and
    `entropy_permille` how far its drafts differ, 1000 where all do.
    """

    letters: str
    plan: str = ""
    tokens: int = 0
    claim_permille: int = UNKNOWN
    entropy_permille: int = UNKNOWN

    @property
    def made(self) -> bool:
        """Whether it can win: a bid that is late or nonsense is missing."""
        return self.claim_permille != UNKNOWN


NO_BID = Bid("")


@dataclass(frozen=True, slots=True)
class Round:
    """Bids by tier, and by judge the letter of the draft that it would have chosen; empty where it did not say."""

    bids: tuple[Bid, ...]
    votes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Award:
    """One auction: the task in words, first bids and refined ones, the weights that held, and who won by which."""

    task: str
    first: Round
    refined: Round | None
    weights_permille: tuple[int, ...]
    winner: int
    by_refined: bool = False

    @property
    def won(self) -> Bid:
        """The bid that won; NO_BID where nobody's did."""
        if self.winner == UNKNOWN:
            return NO_BID
        found = self.refined if self.by_refined and self.refined else self.first
        return found.bids[self.winner]

    def to_text(self) -> str:
        """Returns the record as it stands in the journal."""
        rounds = [None if one is None else [[_values(b) for b in one.bids], list(one.votes)] for one in self.rounds]
        values = [1, self.task, rounds, list(self.weights_permille), self.winner, self.by_refined]
        return json.dumps(values, separators=(",", ":"))

    @property
    def rounds(self) -> tuple[Round | None, Round | None]:
        """The first bids and the refined ones."""
        return self.first, self.refined


@dataclass(frozen=True, slots=True)
class Work:
    """A turn in which one tier decided alone: its number among the tiers, and its reply."""

    tier: int
    text: str

    def to_text(self) -> str:
        """Returns the record as it stands in the journal."""
        return json.dumps([2, self.tier, self.text], separators=(",", ":"))


# Staffing, judging, facets and metrics read the same turns of a round.
@lru_cache(maxsize=4_096)
def read_turn(text: str, tiers: int) -> Award | Work:
    """Returns what `to_text` wrote; ValueError where it is no turn of an auction between so many tiers."""
    values: Any = json.loads(text)
    match values:
        case [2, int(tier), str(reply)] if type(tier) is int and 0 <= tier < tiers:
            return Work(tier, reply)
        case [1, str(task), [first, refined], list(weights), int(winner), bool(by_refined)]:
            made = _round(first, tiers)
            again = None if refined is None else _round(refined, tiers)
        case _:
            raise ValueError("expected an auction's bids or its winner's work")
    if len(weights) != parts_of(tiers) or not all(type(w) is int and 0 <= w <= 1_000 for w in weights):
        raise ValueError("expected a weight for each part of a score")
    award = Award(task, made, again, tuple(weights), winner, by_refined)
    if not UNKNOWN <= winner < tiers or (by_refined and again is None) or (winner >= 0 and not award.won.made):
        raise ValueError("expected a winner with a bid")
    return award


def _values(bid: Bid) -> list[Any]:
    return [bid.letters, bid.plan, bid.tokens, bid.claim_permille, bid.entropy_permille]


def _round(values: Any, tiers: int) -> Round:
    match values:
        case [list(bids), list(votes)] if len(bids) == len(votes) == tiers:
            pass
        case _:
            raise ValueError("expected bids and votes by tier")
    found = []
    for bid in bids:
        match bid:
            case [str(letters), str(plan), int(tokens), int(claim), int(entropy)]:
                pass
            case _:
                raise ValueError("expected a bid")
        if not (0 <= tokens < _MOST_FIGURE and UNKNOWN <= claim <= 1_000 and UNKNOWN <= entropy <= 1_000):
            raise ValueError("expected a bid's figures within their bounds")
        if claim != UNKNOWN and len(letters) != 2:
            raise ValueError("expected a bid's two letters")
        found.append(Bid(letters, plan, tokens, claim, entropy))
    if not all(isinstance(vote, str) for vote in votes):
        raise ValueError("expected votes as texts")
    return Round(tuple(found), tuple(votes))


def parts_of(tiers: int) -> int:
    """Returns how many parts a score has: cost, entropy, claim, and the vote of each judge."""
    return 3 + tiers


@dataclass(frozen=True, slots=True)
class Terms:
    """What bids are scored by: the weights, and the lowest and the highest of each part in training, or nothing."""

    weights_permille: tuple[int, ...]
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()

    @classmethod
    def alike(cls, tiers: int) -> "Terms":
        """Returns the terms before anything is known: all parts count alike."""
        width = parts_of(tiers)
        return cls((1_000 // width,) * width)

    def scores(self, parts: Float64) -> Float64:
        """Returns [tasks, tiers] the scores of bids, of which the lowest wins."""
        bounds = np.array([[self.low, self.high]]) if self.low else _bounds(parts)
        return scores(scaled(parts, bounds), np.array(self.weights_permille) / 1_000)


def _bounds(parts: Float64) -> Float64:
    """[1, 2, parts] from 0 to the dearest bid's cost, and to 1 for what is a share already."""
    bounds = np.zeros((1, 2, parts.shape[2]))
    bounds[0, 1] = 1
    costs = parts[:, :, COST]
    bounds[0, 1, COST] = np.nanmax(costs) if not np.isnan(costs).all() else 1
    return bounds


def parts(made: Round, price: Float64) -> Float64:
    """Returns [1, tiers, parts] of a round of bids: price x tokens, entropy, claim, and each judge's vote.

    NaN is what is absent; a bid that was not made has no cost, and so cannot win.
    """
    tiers = len(made.bids)
    found = np.full((1, tiers, parts_of(tiers)), np.nan)
    for tier, bid in enumerate(made.bids):
        if not bid.made:
            continue
        found[0, tier, COST] = price[tier] * bid.tokens
        if bid.entropy_permille != UNKNOWN:
            found[0, tier, 1] = bid.entropy_permille / 1_000
        found[0, tier, 2] = bid.claim_permille / 1_000
        for judge, vote in enumerate(made.votes):
            if vote:
                found[0, tier, 3 + judge] = float(vote == bid.letters[:1])
    return found


def provisional(first: Round, price: Float64, terms: Terms) -> tuple[int, tuple[int, ...]]:
    """Returns who wins by the first bids, and who is cheaper and so may refine; -1 and all where nobody has bid."""
    if not any(bid.made for bid in first.bids):
        return UNKNOWN, ()
    winner = winners(terms.scores(parts(first, price)))
    return int(winner[0]), tuple(np.flatnonzero(refining(price, winner)[0]).tolist())


def settled(task: str, first: Round, refined: Round | None, price: Float64, terms: Terms) -> Award:
    """Returns the auction with its winner."""
    winner, by_refined = UNKNOWN, False
    if any(bid.made for bid in first.bids):
        total = terms.scores(parts(first, price))
        again = np.full_like(total, np.nan)
        if refined is not None:
            again = terms.scores(parts(refined, price))
        found, beaten = after_refining(total, again)
        winner, by_refined = int(found[0]), bool(beaten[0])
    return Award(task, first, refined, terms.weights_permille, winner, by_refined)


@dataclass(frozen=True, slots=True)
class Brief:
    """What bidders are told beyond the market: the terms, and by trader and tier what the memory says of like tasks."""

    terms: Terms
    precedents: dict[int, tuple[tuple[str, ...], ...]] = field(default_factory=dict)

    def of(self, trader: int, tier: int) -> tuple[str, ...]:
        """Returns the lines of memory that a tier is shown when it refines its bid."""
        lines: Sequence[tuple[str, ...]] = self.precedents.get(trader, ())
        return lines[tier] if tier < len(lines) else ()
