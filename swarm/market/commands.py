"""The commands an exchange obeys, and their one form in a journal.

A command's `number` grows by one with each command of a run; an exchange ignores a number it has already handled, so
that sending a command again is harmless.
"""

from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from swarm.market.orders import Int64, Orders


@dataclass(frozen=True, slots=True, eq=False)
class Transfer:
    """Posts amounts between accounts outside the market: endowment, harvest, meals, spoilage, the deeds of a shock."""

    number: int
    cause: str
    source: Int64
    target: Int64
    asset: Int64
    amount: Int64


@dataclass(frozen=True, slots=True, eq=False)
class SubmitOrders:
    """Offers a round's orders; each is accepted with a hold or rejected with a reason."""

    number: int
    round: int
    orders: Orders


@dataclass(frozen=True, slots=True)
class CloseRound:
    """Clears every good, settles the fills, releases the holds and lets the reference prices drift."""

    number: int
    round: int


@dataclass(frozen=True, slots=True)
class MoveReference:
    """Multiplies one good's reference price by `permille` / 1000: the consequence of a shock."""

    number: int
    cause: str
    good: int
    permille: int


Command = Transfer | SubmitOrders | CloseRound | MoveReference

_KINDS: dict[str, type[Any]] = {c.__name__: c for c in (Transfer, SubmitOrders, CloseRound, MoveReference)}

_COLUMNS_ALWAYS = 9
"""How many columns of a batch are written even where they are all zeros; those behind concern orders that rest."""


def to_record(command: Command) -> list[Any]:
    """Returns a command as `[kind, field, field, ...]` in plain integers, strings and lists.

    A batch of orders is its length and, for each column, its bytes as little-endian integers of the narrowest width
    that holds them: a third of the space of a list of integers, and made and read without touching each. Columns that
    few batches use come last, and are left out where they and all behind them are zeros.
    """
    values: list[Any] = [type(command).__name__]
    for f in fields(command):
        value = getattr(command, f.name)
        if isinstance(value, Orders):
            columns = [getattr(value, column.name) for column in fields(Orders)]
            while len(columns) > _COLUMNS_ALWAYS and not columns[-1].any():
                columns.pop()
            values.append([len(value), *map(_packed, columns)])
        else:
            values.append(value.tolist() if isinstance(value, np.ndarray) else value)
    return values


def from_record(record: list[Any]) -> Command:
    """Returns the command that `to_record` wrote."""
    kind = _KINDS[record[0]]
    values: dict[str, Any] = {}
    for f, value in zip(fields(kind), record[1:], strict=True):
        if f.name == "orders":
            values["orders"] = Orders(*(_unpacked(column, value[0]) for column in value[1:]))
        else:
            values[f.name] = np.array(value, dtype=np.int64) if isinstance(value, list) else value
    command: Command = kind(**values)
    return command


def _packed(column: Int64) -> bytes:
    low, high = column.min(initial=0), column.max(initial=0)
    # One sign bit per integer: w bytes hold -2**(8w-1) to 2**(8w-1) - 1.
    width = next(w for w in (1, 2, 4, 8) if -(1 << 8 * w - 1) <= low and high < 1 << 8 * w - 1)
    return column.astype(f"<i{width}").tobytes()


def _unpacked(packed: bytes, length: int) -> Int64:
    width = len(packed) // length if length else 1
    return np.frombuffer(packed, dtype=f"<i{width}").astype(np.int64)
