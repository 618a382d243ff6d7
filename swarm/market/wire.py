"""Packs columns of integers for a message between processes: each in the fewest bytes that hold it, all in one block.

Most columns of a market hold small numbers, or one number throughout. Time in a message goes by its bytes and by how
many buffers it has, so that packing takes less than it spares. It knows neither orders nor accounts.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Int64 = npt.NDArray[np.int64]
Block = bytes | npt.NDArray[np.uint8]
Packed = tuple[int, bytes, Block]
"""How many rows all columns have, the width of each in bytes, and all of them in a block, each from a multiple of 8 on.

A column of width 0 has one integer of eight bytes, which stands in all rows.
"""

_ALIKE = 0
_ALIGNED = 8
"""Numpy copies between types several times as fast where a number begins at a multiple of its own bytes."""
_BUFFER_BYTES = 1 << 16
"""From so many bytes on a block is a buffer of its own in a message; below that, a copy costs less than a buffer."""


def packed(columns: Sequence[Int64]) -> Packed:
    """Returns columns of one length as a message has them."""
    rows = len(columns[0]) if columns else 0
    if not rows:
        return 0, bytes(len(columns)), b""
    widths = bytes([_width(column) for column in columns])
    block = np.empty(sum(_bytes(rows, width) for width in widths), dtype=np.uint8)
    at = 0
    for column, width in zip(columns, widths, strict=True):
        _numbers(block, at, rows, width)[:] = column if width else column[:1]
        at += _bytes(rows, width)
    return rows, widths, block if len(block) >= _BUFFER_BYTES else block.tobytes()


def unpacked(message: Packed) -> list[Int64]:
    """Returns the columns of what `packed` has made; each is its own, and may be changed."""
    rows, widths, block = message
    columns: list[Int64] = []
    at = 0
    for width in widths:
        column = np.empty(rows, dtype=np.int64)
        if rows:
            column[:] = _numbers(block, at, rows, width)
            at += _bytes(rows, width)
        columns.append(column)
    return columns


def packed_table(table: Int64) -> Packed:
    """Returns a table of [rows, columns] as a message has it."""
    return packed(list(table.T))


def unpacked_table(message: Packed) -> Int64:
    """Returns the table of what `packed_table` has made."""
    rows, widths, block = message
    table = np.empty((rows, len(widths)), dtype=np.int64)
    at = 0
    for number, width in enumerate(widths if rows else b""):
        table[:, number] = _numbers(block, at, rows, width)
        at += _bytes(rows, width)
    return table


class Sent(NamedTuple):
    """An array of integers as a message has it, whatever its shape."""

    shape: tuple[int, ...]
    message: Packed


def sent(value: Any) -> Any:
    """Returns a value as a message has it: an array of integers packed, also one of a dict, all else as it is."""
    if type(value) is np.ndarray and value.dtype == np.int64:
        return Sent(value.shape, packed([value.reshape(-1)]))
    return {name: sent(one) for name, one in value.items()} if type(value) is dict else value


def received(value: Any) -> Any:
    """Returns what `sent` was given; an array is one of its own."""
    if type(value) is Sent:
        return unpacked(value.message)[0].reshape(value.shape)
    return {name: received(one) for name, one in value.items()} if type(value) is dict else value


def width_of(low: int, high: int) -> int:
    """Returns the fewest bytes, of 1, 2, 4 and 8, in which integers from `low` to `high` are held with their sign."""
    # Of n bits one is the sign; -2**n is as long as 2**n - 1.
    bits = max(high, ~low).bit_length() if low < 0 else high.bit_length()
    return 1 if bits < 8 else 2 if bits < 16 else 4 if bits < 32 else 8


def _width(column: Int64) -> int:
    low, high = int(column.min()), int(column.max())
    return width_of(low, high) if low < high else _ALIKE


def _bytes(rows: int, width: int) -> int:
    """Returns what a column takes of a block, with what is free until the next one begins."""
    return -(-rows * width // _ALIGNED) * _ALIGNED if width else _ALIGNED


def _numbers(block: Block, at: int, rows: int, width: int) -> npt.NDArray[np.signedinteger[Any]]:
    """Returns the part of a block that a column has, as its integers."""
    return np.frombuffer(block, f"<i{width or 8}", rows if width else 1, at)
