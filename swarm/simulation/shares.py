"""Shares a population among minds: which decides for which trader.

Over all traders of a run each mind has its share by largest remainder, and within each kind of each market its share
rounded up or down, so that a mind's profit is not the luck of what it produces. It knows neither minds nor kinds but by
name and number.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from swarm.scenarios.protocol import Int64
from swarm.seeding import draw_below

Market = tuple[int, Int64]
"""The seed of a market, and the kind of each of its traders."""


def assign_minds(markets: Sequence[Market], weights: Mapping[str, int]) -> list[tuple[str, ...]]:
    """Returns for each market the mind of each trader, in proportion to `weights` and shuffled by the seeds."""
    names = [name for name, weight in weights.items() if weight > 0]
    # Python's integers: weights times traders may be beyond 64 bits.
    parts = np.array([weights[name] for name in names], dtype=object)
    groups = [
        (market, np.flatnonzero(kinds == kind))
        for market, (_, kinds) in enumerate(markets)
        for kind in np.unique(kinds)
    ]
    sizes = [len(members) for _, members in groups]
    in_turn = [_in_turn(int(markets[m][1][members[0]]), len(members), parts.tolist()) for m, members in groups]
    counts = np.array([np.bincount(turn, minlength=len(names)) for turn in in_turn])
    # Dealing in turn is nearly always right; where it is not, shares are worked out by a matching.
    if not _is_right(counts, sizes, parts):
        counts = _counts(sizes, parts)
        in_turn = [np.repeat(np.arange(len(names)), of_group) for of_group in counts]
    minds = [[""] * len(kinds) for _, kinds in markets]
    for (market, members), turn in zip(groups, in_turn, strict=True):
        seed = markets[market][0]
        shuffled = members[np.argsort(draw_below(seed, "minds", 2**53, members), kind="stable")]
        for member, mind in zip(shuffled.tolist(), turn.tolist(), strict=True):
            minds[market][member] = names[mind]
    return [tuple(own) for own in minds]


def seat_guests(seed: int, kinds: Int64, seats: Mapping[str, int], among: int) -> dict[int, str]:
    """Returns the guest of each trader that is one, of the first `among`: kinds in turn, drawn from the seed."""
    traders = np.arange(among)
    drawn = draw_below(seed, "guests", 2**53, traders)
    # The rank of each trader among those of its kind, as the seed has shuffled them.
    rank = np.zeros(among, dtype=np.int64)
    for kind in np.unique(kinds[:among]):
        members = traders[kinds[:among] == kind]
        rank[members[np.argsort(drawn[members], kind="stable")]] = np.arange(len(members))
    in_turn = np.lexsort((kinds[:among], rank)).tolist()
    guests = [name for name, own in seats.items() for _ in range(own)]
    return dict(zip(in_turn, guests, strict=False))


def largest_remainder(total: int, weights: Sequence[int]) -> list[int]:
    """Returns whole shares of a total (Hamilton's method); of equal remainders, the first is rounded up first."""
    sum_ = sum(weights)
    shares = [total * weight // sum_ for weight in weights]
    by_remainder = sorted(range(len(weights)), key=lambda i: -(total * weights[i] % sum_))
    for i in by_remainder[: total - sum(shares)]:
        shares[i] += 1
    return shares


def _in_turn(kind: int, size: int, weights: Sequence[int]) -> Int64:
    """Returns minds dealt out in turn, as often as they weigh; kinds start at different ones."""
    dealt = np.repeat(np.arange(len(weights)), weights) if sum(weights) < _MOST_DEALT else np.zeros(1, dtype=np.int64)
    return dealt[(kind % len(dealt) + np.arange(size)) % len(dealt)]


_MOST_DEALT = 1_000_000


def _is_right(counts: Int64, sizes: Sequence[int], weights: np.ndarray) -> bool:
    """Tells whether each group's shares are rounded up or down, and those of all come out by largest remainder."""
    sum_ = int(weights.sum())
    exact = np.outer(np.array(sizes, dtype=object), weights)
    if ((counts < exact // sum_) | (counts > -(-exact // sum_))).any():
        return False
    total = sum(sizes) * weights
    up = counts.sum(axis=0) - total // sum_
    remainders = total % sum_
    if not np.isin(up, (0, 1)).all():
        return False
    return bool(min(remainders[up == 1], default=sum_) >= max(remainders[up == 0], default=0))


def _counts(sizes: Sequence[int], weights: np.ndarray) -> Int64:
    """Returns [groups, minds] shares, each rounded up or down so that those of all groups come out by remainder."""
    sum_ = int(weights.sum())
    exact = np.outer(np.array(sizes, dtype=object), weights)
    counts = (exact // sum_).astype(np.int64)
    totals = np.array(largest_remainder(sum(sizes), weights.tolist()))
    rounding = _Rounding((exact % sum_).astype(np.float64), totals - counts.sum(axis=0))
    for group, size in enumerate(sizes):
        for _ in range(size - int(counts[group].sum())):
            rounding.round_up(group)
    return counts + rounding.up


class _Rounding:
    """A rounding up of entries, each in a group and for a mind that lacks some: a matching by augmenting paths."""

    def __init__(self, remainders: np.ndarray, lacking: Int64) -> None:
        self.up = np.zeros(remainders.shape, dtype=np.int64)
        self._lacking = lacking.copy()
        # The largest remainder first; what has none is as it should be.
        order = np.argsort(-remainders, axis=1, kind="stable")
        self._minds = [[m for m in own.tolist() if remainders[g, m] > 0] for g, own in enumerate(order)]

    def round_up(self, group: int) -> None:
        """Rounds up one more entry of a group; where no rounding of single entries is left, one that is exact."""
        if not self._augment(group, set()):
            mind = int(np.argmax(self._lacking))
            self.up[group, mind] += 1
            self._lacking[mind] -= 1

    def _augment(self, group: int, tried: set[int]) -> bool:
        for mind in self._minds[group]:
            if mind in tried or self.up[group, mind]:
                continue
            tried.add(mind)
            if self._lacking[mind] > 0:
                self._lacking[mind] -= 1
                self.up[group, mind] = 1
                return True
            # Another group gives this mind up if it can be rounded up for a mind that still lacks some.
            for other in np.flatnonzero(self.up[:, mind]).tolist():
                if self._augment(other, tried):
                    self.up[other, mind] = 0
                    self.up[group, mind] = 1
                    return True
        return False
