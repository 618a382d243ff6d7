"""Keeps what traders have learned in a run, for whoever asks their shards and never for the shards themselves.

So a shard can be asked again, moved or replaced at any time, and what was learned follows from the recorded history.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from swarm.agents.observation import Int64

Float64 = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Memory:
    """Row i of `learned`, whose form is its rule's own affair, belongs to `trader[i]`; traders are in ascending order.

    A trader without a row has learned nothing yet.
    """

    trader: Int64
    learned: Float64  # [rows, goods, values]

    @classmethod
    def empty(cls) -> Self:
        """Returns the memory of a run in which nobody has learned anything yet."""
        return cls(np.empty(0, dtype=np.int64), np.empty((0, 0, 0)))

    def between(self, first: int, last: int) -> Self:
        """Returns the rows of the traders `first` .. `last`."""
        rows = slice(*np.searchsorted(self.trader, (first, last + 1)).tolist())
        return type(self)(self.trader[rows], self.learned[rows])

    def of(self, traders: Int64) -> Self:
        """Returns the rows of `traders`."""
        kept = np.isin(self.trader, traders)
        return type(self)(self.trader[kept], self.learned[kept])

    def without(self, traders: Int64) -> Self:
        """Returns all rows but those of `traders`."""
        kept = ~np.isin(self.trader, traders)
        return type(self)(self.trader[kept], self.learned[kept])

    def updated(self, newer: "Memory") -> "Memory":
        """Returns `newer`'s rows, and this one's of all other traders."""
        if not len(newer.trader):
            return self
        older = self.without(newer.trader)
        # Rules differ in how many values they keep, and an empty memory has none to join.
        if not len(older.trader):
            return newer
        trader = np.concatenate([older.trader, newer.trader])
        order = np.argsort(trader, kind="stable")
        values = max(older.learned.shape[2], newer.learned.shape[2])
        learned = [_wide(part.learned, values) for part in (older, newer)]
        return Memory(trader[order], np.concatenate(learned)[order])


def _wide(learned: Float64, values: int) -> Float64:
    """Returns what was learned as so many values a good; those that a rule does not keep are 0."""
    missing = values - learned.shape[2]
    return np.pad(learned, ((0, 0), (0, 0), (0, missing))) if missing else learned
