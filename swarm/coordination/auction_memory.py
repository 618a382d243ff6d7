"""The memory of strategy auctions: past tasks, all bids, who won, and what that came to.

It is bounded by reservoir sampling, so what it holds is a fair sample of all that was seen. Likeness of tasks is the
cosine of hashed n-grams of their texts; nothing here is drawn but from the seed.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from swarm.seeding import draw_below

Float64 = npt.NDArray[np.float64]

WIDTH = 512
"""Buckets that n-grams are hashed to."""

CAPACITY, NEAREST = 2_000, 8


@dataclass(frozen=True, slots=True)
class Remembered:
    """A past auction: the bids by candidate, who won it, and the profit that the winner realised, in cents."""

    task: str
    bids: tuple[str, ...]
    winner: int
    realised_cents: int


@dataclass(slots=True)
class AuctionMemory:
    """The memory of at most `capacity` past auctions, and of how many there were in all."""

    seed: int
    capacity: int = CAPACITY
    seen: int = 0
    kept: list[Remembered] = field(default_factory=list)
    _vectors: list[Float64] = field(default_factory=list)

    def add(self, auction: Remembered) -> None:
        """Remembers an auction, in place of a drawn one where the memory is full (Vitter's algorithm R)."""
        number, self.seen = self.seen, self.seen + 1
        if len(self.kept) < self.capacity:
            self.kept.append(auction)
            self._vectors.append(vector(auction.task))
            return
        index = int(draw_below(self.seed, "auction memory", number + 1, np.array([number])).item())
        if index < self.capacity:
            self.kept[index] = auction
            self._vectors[index] = vector(auction.task)

    def nearest(self, task: str, count: int = NEAREST) -> list[Remembered]:
        """Returns the past auctions whose tasks are most like this one, nearest first."""
        if not self.kept:
            return []
        likeness = np.stack(self._vectors) @ vector(task)
        order = np.argsort(-likeness, kind="stable")[:count]
        return [self.kept[i] for i in order.tolist()]


def vector(text: str) -> Float64:
    """Returns [WIDTH] the text's word unigrams and bigrams, hashed and scaled to length one."""
    words = text.lower().split()
    counts = np.zeros(WIDTH)
    for gram in (*words, *(" ".join(pair) for pair in pairwise(words))):
        counts[_bucket(gram)] += 1
    length = float(np.linalg.norm(counts))
    return counts / length if length else counts


def _bucket(gram: str) -> int:
    return int.from_bytes(blake2b(gram.encode(), digest_size=4).digest(), "big") % WIDTH


def pairs(asker: int, past: Sequence[Remembered]) -> list[tuple[str, str]]:
    """Returns losing and winning bids to learn from, of which the asker wrote at least one."""
    found = []
    for auction in past:
        for loser, bid in enumerate(auction.bids):
            if loser != auction.winner and asker in (loser, auction.winner):
                found.append((bid, auction.bids[auction.winner]))
    return found
