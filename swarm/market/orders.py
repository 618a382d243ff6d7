"""Orders as columns: one int64 array per field, all of one length, one row per order.

It knows what an order says, but not whether anybody may place it: the exchange checks that.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from operator import attrgetter
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from swarm.market import wire

Int64 = npt.NDArray[np.int64]

BUY = 1
SELL = -1


def side_name(side: int) -> str:
    """Returns what a side is called."""
    return "buy" if side == BUY else "sell"


LIMIT = 0
"""Trades at its limit or better, and rests until the round ends, or longer where the market lets it."""
MARKET = 1
"""Trades at any price that the price band allows; never rests."""
IMMEDIATE_OR_CANCEL = 2
"""Trades at its limit or better what it can at once; never rests."""
CANCEL = 3
"""Takes an order of the same trader off the book."""
REPLACE = 4
"""Takes such an order off and is a new one, behind all others at its limit."""


@dataclass(frozen=True, slots=True, eq=False)
class Orders:
    """A batch of orders; `(round, trader, sequence)` is an order's identity.

    `side` is BUY or SELL, `limit_ticks` the worst acceptable price, `priority` decides who is served first at the
    margin (lower first, then trader, then sequence) and is drawn from the seed, never taken from arrival. `kind` is
    LIMIT where it is not given; a CANCEL or REPLACE names the trader's order it means by its sequence in `target`, and,
    where that one came in an earlier round and rests, by that round in `target_round`. `good_through` is the last round
    in which an order counts, 0 for as long as the market lets it. `placed_round` is the exchange's to fill in, and 0
    for an order that does not rest yet.
    """

    trader: Int64
    sequence: Int64
    good: Int64
    side: Int64
    limit_ticks: Int64
    quantity_lots: Int64
    priority: Int64
    kind: Int64 = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    target: Int64 = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    good_through: Int64 = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    target_round: Int64 = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    placed_round: Int64 = field(default_factory=lambda: np.empty(0, dtype=np.int64))

    def __post_init__(self) -> None:
        # A column that was not given is zeros, whatever the length of the others, and takes no space.
        rows = len(self.trader)
        for name in _NAMES[_COLUMNS_NEEDED:]:
            if not len(getattr(self, name)):
                object.__setattr__(self, name, _ZEROS[:rows])
        if any(len(column) != rows for column in self._columns()):
            raise ValueError("the columns of a batch of orders differ in length")

    def __len__(self) -> int:
        return len(self.trader)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickles the batch as one block of narrow columns: a third of the bytes, and one buffer, not a dozen."""
        columns = self._columns()
        # Columns that few batches use stand last; all zeros, they are made again on arrival.
        while len(columns) > _COLUMNS_NEEDED and (_not_given(columns[-1]) or not columns[-1].any()):
            columns.pop()
        return _from_message, (type(self), wire.packed(columns))

    def take(self, rows: npt.NDArray[np.bool_] | Int64) -> Self:
        """Returns the orders at `rows` (a mask or indices), in that order."""
        if rows.dtype == np.bool_ and rows.all():
            return self
        columns = self._columns()
        needed, others = columns[:_COLUMNS_NEEDED], columns[_COLUMNS_NEEDED:]
        # What was not given is not given again.
        return type(self)(*(c[rows] for c in needed), *(c[:0] if _not_given(c) else c[rows] for c in others))

    def in_canonical_order(self) -> Self:
        """Returns the batch sorted by trader and sequence, so that nothing depends on who gathered it or how."""
        # A batch mostly comes sorted, and looking is several times as fast as sorting.
        before, after = self.trader[:-1], self.trader[1:]
        if not ((after < before) | ((after == before) & (self.sequence[1:] < self.sequence[:-1]))).any():
            return self
        return self.take(np.lexsort((self.sequence, self.trader)))

    def stacked(self) -> Int64:
        """Returns a copy of all columns as [columns, orders], in the order of the fields."""
        return np.stack(self._columns())

    @classmethod
    def of_rows(cls, rows: Sequence[tuple[int, ...]]) -> Self:
        """Returns the orders of rows that have the columns without a default, in the order of the fields."""
        block = np.array(rows, dtype=np.int64).reshape(len(rows), _COLUMNS_NEEDED)
        return cls(*(block[:, column].copy() for column in range(_COLUMNS_NEEDED)))

    @classmethod
    def empty(cls) -> Self:
        """Returns a batch of no orders."""
        return cls(*(np.empty(0, dtype=np.int64) for _ in _NAMES))

    @classmethod
    def concatenate(cls, batches: list[Self]) -> Self:
        """Returns all orders of `batches`, one after another."""
        batches = [batch for batch in batches if len(batch)]
        if len(batches) < 2:
            return batches[0] if batches else cls.empty()
        columns = list(zip(*(batch._columns() for batch in batches), strict=True))
        needed, others = columns[:_COLUMNS_NEEDED], columns[_COLUMNS_NEEDED:]
        joined = (parts[0][:0] if all(map(_not_given, parts)) else np.concatenate(parts) for parts in others)
        return cls(*map(np.concatenate, needed), *joined)

    def _columns(self) -> list[Int64]:
        return list(_COLUMNS(self))


_NAMES = tuple(f.name for f in fields(Orders))
_COLUMNS = attrgetter(*_NAMES)
_COLUMNS_NEEDED = 7
"""The columns that have no default."""


_ZEROS: Int64 = np.broadcast_to(np.int64(0), 1 << 48)
"""More zeros than any batch has orders; all lie in one place, take no space, and cannot be written to."""


def _not_given(column: Int64) -> bool:
    """Tells whether a column is of `_ZEROS`."""
    return column.strides == (0,) and not column[:1].any()


def _from_message(kind: type[Orders], message: wire.Packed) -> Orders:
    return kind(*wire.unpacked(message))
