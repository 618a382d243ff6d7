"""Packs the long records of a journal by their columns, so that what a round adds to the disk is what is new in it.

A packed record is one msgpack list: the record without its columns, compressed, then how each column is found again. A
column is a list of integers, or the bytes of one beside the number of its rows, as batches of orders have it. It is the
same as a column of the packed record before, or counts up in one step, or is the priority that a seed draws, or is
compressed, as it is or as differences. Unpacking gives the record's bytes back, which alone a journal's hashes cover;
the CRC-32 of the list stands behind it (little-endian uint32), since several packed forms may lead to the same bytes.
"""

import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import msgpack
import numpy as np

from swarm.market import records
from swarm.market.commands import SubmitOrders
from swarm.market.records import Int64
from swarm.seeding import draw_priority

LEAST_BYTES = 4096
"""Records shorter than this are not packed: they are few, or their run is small."""
LEAST_ROWS = 64
MOST_BYTES = 1 << 30
"""How long the columns of a record may be together, so that a small file cannot fill a machine."""

_SAME, _STEPS, _DRAWN, _ZIPPED, _DIFFERENCES = range(5)
"""The ways in which a column is found again."""

_CRC = struct.Struct("<I")
_HERE = msgpack.ExtType(0, b"")
"""Stands in a record where a column was taken out."""
_LIST_ITEM_BYTES = 9
_SAMPLE_ROWS = 1024
_TRADER, _PRIORITY = 0, 6
"""Where these stand among the columns of a batch of orders."""
_LEVEL = 3
_UNFIT = (LookupError, TypeError, ValueError, ArithmeticError, zlib.error)


@dataclass(frozen=True, slots=True)
class _Column:
    """A column of `rows` integers of `width` bytes each; in its record it is a list, or those bytes themselves."""

    is_list: bool
    rows: int
    packed: bytes

    @property
    def width(self) -> int:
        return len(self.packed) // self.rows

    @property
    def values(self) -> Any:
        return np.frombuffer(self.packed, dtype=f"<i{self.width}")


class Columns:
    """The packing of one journal's records in their order; writer and reader each have one, which go in step.

    `seed` is what priorities are expected to be drawn from. Only how short a record gets depends on it.
    """

    def __init__(self, seed: int | None = None, before: Sequence[_Column] = ()) -> None:
        self.seed = seed
        self._before = before

    def pack(self, payload: bytes, record: Any = None) -> bytes | None:
        """Returns the packed form of a record, whose bytes are `payload`; None where it is to be kept as it is.

        Lists of integers in `record` may be arrays.
        """
        if len(payload) < LEAST_BYTES:
            return None
        record = _as_ours(payload) if record is None else record
        if not isinstance(record, list):
            return None
        columns: list[_Column] = []
        try:
            bare = msgpack.packb(_without(record, columns))
        except ValueError:
            return None
        written = [self._written(column, record, columns) for column in columns]
        listed: bytes = msgpack.packb([zlib.compress(bare, _LEVEL), *written])
        packed = listed + _CRC.pack(zlib.crc32(listed))
        if len(packed) >= len(payload):
            return None
        self._before = columns
        return packed

    def unpack(self, packed: bytes) -> "tuple[bytes, Columns]":
        """Returns a record's bytes from its packed form, and the packing of what follows; ValueError if it is none."""
        columns: list[_Column] = []
        try:
            listed, crc = packed[: -_CRC.size], packed[-_CRC.size :]
            if crc != _CRC.pack(zlib.crc32(listed)):
                raise ValueError("another checksum")
            bare, *written = msgpack.unpackb(listed)
            left = MOST_BYTES
            for one in written:
                columns.append(self._read(one, columns, left))
                left -= _bytes_of(columns[-1].is_list, columns[-1].rows, columns[-1].width)
            payload: bytes = msgpack.packb(_with(msgpack.unpackb(_inflated(bare, MOST_BYTES)), iter(columns)))
        except _UNFIT as error:
            raise ValueError("a packed record that cannot be unpacked") from error
        return payload, Columns(self.seed, columns)

    def _written(self, column: _Column, record: list[Any], columns: list[_Column]) -> list[Any]:
        """Returns `[way, is_list, width, rows, ...]`, from which `_read` makes the column again."""
        head = [column.is_list, column.width, column.rows]
        # What was decided is submitted in the next record, column by column.
        if column in self._before:
            return [_SAME, *head, self._before.index(column)]
        values = column.values
        first, step = int(values[0]), int(values[1]) - int(values[0])
        if (values[1:] - values[:-1] == step).all():
            return [_STEPS, *head, first, step]
        drawn = self._drawn_by(column, record, columns)
        if drawn is not None:
            return [_DRAWN, *head, *drawn]
        way, zipped = _zipped(values)
        return [way, *head, zipped]

    def _drawn_by(self, column: _Column, record: list[Any], columns: list[_Column]) -> tuple[int, int] | None:
        """Returns the seed and the round that the column is drawn from, where it is the priority of orders."""
        is_priority = record[0] == SubmitOrders.__name__ and len(columns) > _PRIORITY and column is columns[_PRIORITY]
        if self.seed is None or not is_priority:
            return None
        drawn = records.pack_column(draw_priority(self.seed, record[2], columns[_TRADER].values))
        return (self.seed, record[2]) if drawn == column.packed else None

    def _read(self, written: Any, columns: list[_Column], most_bytes: int) -> _Column:
        """Returns the column that `_written` tells, at most so long; one of _UNFIT where it tells none."""
        way, is_list, width, rows, *told = written
        # Before anything of that length is made.
        if width not in (1, 2, 4, 8) or rows < LEAST_ROWS or _bytes_of(is_list, rows, width) > most_bytes:
            raise ValueError("a column of an impossible length")
        match way, told:
            case int(), [int(index)] if way == _SAME:
                packed = self._before[index].packed
            case int(), [int(first), int(step)] if way == _STEPS:
                packed = (first + step * np.arange(rows, dtype=np.int64)).astype(f"<i{width}").tobytes()
            case int(), [int(seed), int(round_)] if way == _DRAWN:
                packed = records.pack_column(draw_priority(seed, round_, columns[_TRADER].values))
            case int(), [bytes(zipped)] if way in (_ZIPPED, _DIFFERENCES):
                packed = _inflated(zipped, rows * width)
                if way == _DIFFERENCES:
                    # Sums wrap in the column's own width, as the differences did.
                    packed = np.cumsum(np.frombuffer(packed, dtype=f"<i{width}"), dtype=f"<i{width}").tobytes()
            case _:
                raise ValueError("a column that is told in no known way")
        if len(packed) != rows * width:
            raise ValueError("a column of another length")
        return _Column(bool(is_list), rows, packed)


def _as_ours(payload: bytes) -> Any:
    """Returns a record of its bytes; None where its values would not lead to these bytes again."""
    try:
        record = msgpack.unpackb(payload)
        return record if msgpack.packb(record) == payload else None
    except _UNFIT:
        return None


def _bytes_of(is_list: bool, rows: int, width: int) -> int:
    """Returns what a column may take in its record."""
    return rows * (_LIST_ITEM_BYTES if is_list else width)


def _without(value: Any, columns: list[_Column]) -> Any:
    """Returns a value without its columns, which are added to those given; ValueError where a mark is in it already."""
    if type(value) is np.ndarray:
        if len(value) < LEAST_ROWS:
            return value.tolist()
        columns.append(_Column(True, len(value), records.pack_column(value)))
        return _HERE
    if value == _HERE:
        raise ValueError("a record with a mark of its own")
    if type(value) is dict:
        return {key: _without(found, columns) for key, found in value.items()}
    if type(value) is not list:
        return value
    if len(value) >= LEAST_ROWS:
        column = _listed(value)
    else:
        # Bytes are a column where the list begins with how many rows its columns have.
        rows = value[0] if value and type(value[0]) is int else 0
        return [_bytes_taken(found, rows, columns) or _without(found, columns) for found in value]
    if column is None:
        return value
    columns.append(column)
    return _HERE


def _listed(value: list[Any]) -> _Column | None:
    """Returns the column that a list is; None where it holds other things than integers of 64 bits."""
    # By type, since True is an integer, too, and would come back as 1.
    if set(map(type, value)) != {int}:
        return None
    try:
        return _Column(True, len(value), records.pack_column(np.array(value, dtype=np.int64)))
    except OverflowError:
        return None


def _bytes_taken(value: Any, rows: int, columns: list[_Column]) -> Any:
    """Returns the mark of a column where a value is the bytes of one, which is added to those given; else None."""
    if type(value) is not bytes or rows < LEAST_ROWS or len(value) not in [rows * width for width in (1, 2, 4, 8)]:
        return None
    columns.append(_Column(False, rows, value))
    return _HERE


def _with(value: Any, columns: Iterator[_Column]) -> Any:
    """Returns a value with the columns that were taken out of it, in their order."""
    if type(value) is dict:
        return {key: _with(found, columns) for key, found in value.items()}
    if type(value) is list and len(value) < LEAST_ROWS:
        return [_with(found, columns) for found in value]
    if value != _HERE:
        return value
    column = next(columns, None)
    if column is None:
        raise ValueError("a record with a column too few")
    return column.values.tolist() if column.is_list else column.packed


def _zipped(values: Int64) -> tuple[int, bytes]:
    """Returns how a column is compressed, and its bytes so."""
    # What is shortest for some rows in the middle is taken for all, since trying everything takes longer than packing.
    middle = values[max(0, (len(values) - _SAMPLE_ROWS) // 2) :][:_SAMPLE_ROWS]
    tried: dict[tuple[int, int], bytes] = {}
    for way in (_ZIPPED, _DIFFERENCES):
        told = _as_told(middle, way)
        for strategy in (zlib.Z_FILTERED, zlib.Z_HUFFMAN_ONLY):
            tried[way, strategy] = _deflated(told, strategy)
    way, strategy = min(tried, key=lambda taken: (len(tried[taken]), taken))
    # A short column was compressed as a whole.
    short = len(middle) == len(values)
    return way, tried[way, strategy] if short else _deflated(_as_told(values, way), strategy)


def _as_told(values: Int64, way: int) -> bytes:
    return (np.diff(values, prepend=values.dtype.type(0)) if way == _DIFFERENCES else values).tobytes()


def _deflated(content: bytes, strategy: int) -> bytes:
    made = zlib.compressobj(_LEVEL, zlib.DEFLATED, zlib.MAX_WBITS, zlib.DEF_MEM_LEVEL, strategy)
    return made.compress(content) + made.flush()


def _inflated(content: bytes, most_bytes: int) -> bytes:
    """Returns what was compressed; ValueError where it is longer than it may be, or not whole."""
    made = zlib.decompressobj()
    found = made.decompress(content, most_bytes)
    if not made.eof:
        raise ValueError("compressed bytes of another length")
    return found
