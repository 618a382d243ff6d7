"""Owns the commands that an exchange obeys, and their one form in a journal.

A command's `number` grows by one with each command of a run; an exchange ignores a number it has already handled, so
that sending a command again is harmless.
"""

from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from swarm.market import records, wire
from swarm.market.orders import Int64, Orders
from swarm.market.records import RecordError

MAX_ORDERS = 1 << 31
"""The most orders of a batch that is read."""


@dataclass(frozen=True, slots=True, eq=False)
class Transfer:
    """Posts amounts between accounts outside the market: endowment, harvest, meals, spoilage, the deeds of a shock."""

    number: int
    cause: str
    source: Int64
    target: Int64
    asset: Int64
    amount: Int64

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickles the columns as narrow as their numbers are: sources and assets mostly are the same in all rows."""
        columns = (self.source, self.target, self.asset, self.amount)
        return _transfer_from_message, (self.number, self.cause, *map(wire.sent, columns))


def _transfer_from_message(number: int, cause: str, *columns: Any) -> Transfer:
    return Transfer(number, cause, *map(wire.received, columns))


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


@dataclass(frozen=True, slots=True, eq=False)
class Restrict:
    """Refuses traders' orders through a round, and bounds the lots that they may own of a good; -1 leaves, 0 lifts."""

    number: int
    cause: str
    trader: Int64
    frozen_through_round: int
    cap_lots: int


Command = Transfer | SubmitOrders | CloseRound | MoveReference | Restrict

KINDS: dict[str, type[Any]] = {c.__name__: c for c in (Transfer, SubmitOrders, CloseRound, MoveReference, Restrict)}

_COLUMNS_ALWAYS = 9
"""How many columns of a batch are written even where they are all zeros; those behind concern orders that rest."""


def to_record(command: Command, *, as_arrays: bool = False) -> list[Any]:
    """Returns `[kind, field, field, ...]` in plain integers, strings and lists, or with arrays in place of lists."""
    values: list[Any] = [type(command).__name__]
    for f in fields(command):
        value = getattr(command, f.name)
        # Batches of orders are nearly all of a journal, so they alone are packed.
        if isinstance(value, Orders):
            values.append(pack_orders(value))
        else:
            values.append(value.tolist() if isinstance(value, np.ndarray) and not as_arrays else value)
    return values


def from_record(record: list[Any]) -> Command:
    """Returns the command that `to_record` wrote; RecordError names the field that is no such command's."""
    command: Command = records.read_fields(KINDS[record[0]], record[1:], _READERS)
    if isinstance(command, Transfer):
        rows = {len(column) for column in (command.source, command.target, command.asset, command.amount)}
        if len(rows) > 1:
            raise RecordError("amount: the columns source, target, asset and amount differ in length")
    return command


def pack_orders(orders: Orders) -> list[Any]:
    """Returns the length of a batch and, for each column, its bytes as little-endian integers of the narrowest width.

    That is a third of the space of lists of integers, and made and read without touching each. Columns that few batches
    use come last, and are left out where they and all behind them are zeros.
    """
    columns = [getattr(orders, column.name) for column in fields(Orders)]
    while len(columns) > _COLUMNS_ALWAYS and not columns[-1].any():
        columns.pop()
    return [len(orders), *map(records.pack_column, columns)]


def unpack_orders(value: Any, name: str) -> Orders:
    """Returns the batch that `pack_orders` wrote."""
    columns = fields(Orders)
    if type(value) is not list or not _COLUMNS_ALWAYS < len(value) <= len(columns) + 1:
        raise records.expected(name, f"a length and {_COLUMNS_ALWAYS} to {len(columns)} columns", value)
    length, *packed = value
    length = records.integer(length, f"{name}.length", 0, MAX_ORDERS)
    read = [
        records.packed_column(bytes_, f"{name}.{f.name}", length) for f, bytes_ in zip(columns, packed, strict=False)
    ]
    return Orders(*read)


_READERS: dict[Any, Any] = {
    "round": records.round_number,
    int: records.integer,
    str: records.text,
    Int64: records.column,
    Orders: unpack_orders,
}
