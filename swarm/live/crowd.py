"""Puts traders into figures: the few creatures that a picture has room for, each standing for some of one kind.

Where there is room each trader is a figure of its own. No row per trader ever leaves this module.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from swarm.market.events import Trades
from swarm.market.orders import Int64
from swarm.simulation.plan import RunPlan
from swarm.simulation.population import Mask

MOST_FIGURES = 45
MOST_FLOWS = 40


@dataclass(frozen=True, slots=True, eq=False)
class Crowd:
    """The figures of a run: `figure_of` has each trader's, and `size` how many traders each stands for."""

    figure_of: Int64  # [traders]
    first: Int64  # [figures]: the number of the first trader of each
    size: Int64  # [figures]
    kind: Int64  # [figures]

    @classmethod
    def of(cls, plan: RunPlan, most: int = MOST_FIGURES) -> "Crowd":
        """Returns the figures of a plan: kinds side by side, and in each kind those of one mind together."""
        kind = plan.scenario.trader_kind[: plan.traders]
        _, mind = np.unique(np.array(plan.minds), return_inverse=True)
        # Traders by kind and mind; a stable order, so that figures are the same in every process.
        order = np.lexsort((mind, kind))
        counts = np.bincount(kind, minlength=len(plan.scenario.kinds))
        figures = _shares(counts, most)
        start = np.concatenate([[0], np.cumsum(figures)])
        rank = np.arange(len(kind)) - np.concatenate([[0], np.cumsum(counts)])[kind[order]]
        figure_of = np.empty(len(kind), dtype=np.int64)
        figure_of[order] = start[kind[order]] + rank * figures[kind[order]] // counts[kind[order]]
        size = np.bincount(figure_of, minlength=int(start[-1]))
        first = np.full(len(size), len(kind))
        np.minimum.at(first, figure_of, np.arange(len(kind)))
        return cls(figure_of, first, size, np.repeat(np.arange(len(figures)), figures))

    def told(self, plan: RunPlan) -> list[list[Any]]:
        """Returns for each figure its first trader, how many it stands for, its kind, and that trader's mind."""
        columns = zip(self.first.tolist(), self.size.tolist(), self.kind.tolist(), strict=True)
        return [[first, size, kind, plan.minds[first]] for first, size, kind in columns]

    def mean(self, column: Int64, there: Mask) -> list[int]:
        """Returns the mean of a column over the traders of each figure that are there; -1 where none is."""
        # [figures]; who has gone counts for nothing.
        counts = np.bincount(self.figure_of[there], minlength=len(self.size))
        sums = np.bincount(self.figure_of[there], weights=column[there], minlength=len(self.size))
        means = np.where(counts > 0, np.rint(sums / np.maximum(counts, 1)), -1)
        return [int(value) for value in means.tolist()]

    def flows(self, trades: Trades, goods: int) -> list[list[int]]:
        """Returns the lots that went from figure to figure by good, the most first: seller, buyer, good, lots."""
        figures = len(self.size)
        # [trades]; within one figure it goes from some of its traders to others.
        pair = self.figure_of[trades.seller] * figures + self.figure_of[trades.buyer]
        # One number for each seller, buyer and good, which sorts faster than three.
        key, row = np.unique(pair * goods + trades.good, return_inverse=True)
        lots = np.bincount(row, weights=trades.quantity_lots, minlength=len(key)).astype(np.int64)
        most = np.argsort(-lots, kind="stable")[:MOST_FLOWS]
        seller, rest = np.divmod(key[most], figures * goods)
        buyer, good = np.divmod(rest, goods)
        found: list[list[int]] = np.stack([seller, buyer, good, lots[most]], axis=1).tolist()
        return found


def _shares(counts: Int64, most: int) -> Int64:
    """Returns how many figures each kind has: one for each trader, or its share of `most`, one at the least."""
    if counts.sum() <= most:
        return counts
    shares: Int64 = np.clip(counts * most // counts.sum(), 1, counts)
    return np.where(counts > 0, shares, 0)


def evenly(length: int, most: int) -> Sequence[int]:
    """Returns at most so many indices of a list, spread evenly over it."""
    if length <= most:
        return range(length)
    return [i * length // most for i in range(most)]
