"""The plain values of a record, read strictly: a value of another type or range is an error that names its field.

A record is what msgpack or JSON makes of a dataclass: `[kind, field, field, ...]`. It knows no journal and no kind.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from itertools import pairwise
from math import isfinite
from typing import Any, TypeVar, cast, get_args

import numpy as np
import numpy.typing as npt

from swarm.market.config import Mechanism
from swarm.market.wire import width_of

Int64 = npt.NDArray[np.int64]
Read = Callable[[Any, str], Any]
"""Reads the value of a field, whose name an error begins with."""

LOWEST, HIGHEST = -(1 << 63), (1 << 63) - 1
MAX_COUNT = 1 << 40
"""The largest count that is read, so that sums of counts stay within 64 bits."""

MAX_ROUND = 1_000_000_000
MAX_DEPTH = 40
"""How deep plain values are nested at most."""

T = TypeVar("T")


class RecordError(ValueError):
    """A record that is not what it should be; the message names the field."""


def expected(name: str, what: str, value: Any) -> RecordError:
    """Returns the error that a field holds `value` in place of `what`."""
    return RecordError(f"{name}: expected {what}, got {described(value)}")


def described(value: Any) -> str:
    """Returns a few words on a value of unknown length, safe to print."""
    if value is None or isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return str(value) if abs(value) < 1 << 70 else "an integer beyond 64 bits"
    if isinstance(value, float):
        return str(value)
    if isinstance(value, str):
        return repr(value[:40]) if value.isprintable() else f"a text of {len(value)} characters"
    for kind, word in ((list, "a list"), (dict, "a map"), (bytes, "bytes")):
        if type(value) is kind:
            return f"{word} of length {len(value)}"
    return f"a {type(value).__name__}"


def integer(value: Any, name: str, low: int = LOWEST, high: int = HIGHEST) -> int:
    """Returns an integer from `low` to `high`."""
    if type(value) is not int:
        raise expected(name, "an integer", value)
    if not low <= value <= high:
        raise expected(name, f"an integer from {low} to {high}" if low > LOWEST else "an integer of 64 bits", value)
    return value


def count(value: Any, name: str) -> int:
    """Returns an integer that is not negative."""
    return integer(value, name, 0, MAX_COUNT)


def round_number(value: Any, name: str) -> int:
    """Returns the number of a round; 0 is the opening."""
    return integer(value, name, 0, MAX_ROUND)


def text(value: Any, name: str) -> str:
    """Returns a string."""
    if type(value) is not str:
        raise expected(name, "a text", value)
    return value


def listed(value: Any, name: str, length: int | None = None) -> list[Any]:
    """Returns a list, of `length` where that is given."""
    if type(value) is not list:
        raise expected(name, "a list", value)
    if length is not None and len(value) != length:
        raise expected(name, f"a list of length {length}", value)
    return value


def texts(value: Any, name: str, length: int | None = None) -> tuple[str, ...]:
    """Returns a list of strings."""
    for found in listed(value, name, length):
        if type(found) is not str:
            raise expected(name, "a list of texts", found)
    return tuple(value)


def mapping(value: Any, name: str, keys: Sequence[str]) -> dict[str, Any]:
    """Returns a map with exactly these keys."""
    if type(value) is not dict:
        raise expected(name, "a map", value)
    if missing := [key for key in keys if key not in value]:
        raise RecordError(f"{name}.{missing[0]}: expected a value, got none")
    if len(value) != len(keys):
        raise expected(name, f"a map of {', '.join(keys)}", next(key for key in value if key not in keys))
    return value


def column(value: Any, name: str, length: int | None = None, low: int = LOWEST, high: int = HIGHEST) -> Int64:
    """Returns a column of integers from `low` to `high`, which a record has as a list."""
    listed(value, name, length)
    # By type and not by isinstance, since True is an int in Python; by the set of types, since columns are long.
    if not set(map(type, value)) <= {int}:
        wrong = next(found for found in value if type(found) is not int)
        raise expected(name, "a list of integers", wrong)
    try:
        found = np.array(value, dtype=np.int64)
    except OverflowError:
        wrong = next(number for number in value if not LOWEST <= number <= HIGHEST)
        raise expected(name, "integers of 64 bits", wrong) from None
    return within(found, name, low, high)


def within(found: Int64, name: str, low: int, high: int) -> Int64:
    """Returns the column if all of it lies from `low` to `high`."""
    if len(found) and not low <= found.min() <= found.max() <= high:
        wrong = int(found[(found < low) | (found > high)][0])
        raise expected(name, f"integers from {low} to {high}", wrong)
    return found


def ascending(found: Int64, name: str) -> Int64:
    """Returns the column if each of its integers is larger than the one before."""
    if (np.diff(found) <= 0).any():
        wrong = next(pair for pair in pairwise(found.tolist()) if pair[0] >= pair[1])
        raise RecordError(f"{name}: expected ascending integers, got {wrong[1]} after {wrong[0]}")
    return found


def packed_column(value: Any, name: str, length: int) -> Int64:
    """Returns a column of `length` integers from its bytes, little-endian and all of one width."""
    if type(value) is not bytes:
        raise expected(name, "the bytes of a column", value)
    # The width is not written: it follows from the bytes and the length of the batch.
    width = len(value) // length if length else 1
    if width not in (1, 2, 4, 8) or width * length != len(value):
        raise expected(name, f"bytes of {length} integers", value)
    return np.frombuffer(value, dtype=f"<i{width}").astype(np.int64)


def pack_column(found: Int64) -> bytes:
    """Returns the bytes of a column in the narrowest width that holds its integers."""
    return narrow(found).tobytes()


def narrow(found: npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.signedinteger[Any]]:
    """Returns a column in the narrowest type that holds its integers, little-endian."""
    width = width_of(int(found.min()), int(found.max())) if len(found) else 1
    return found.astype(f"<i{width}")


def plain(value: Any, name: str, depth: int = MAX_DEPTH) -> Any:
    """Returns a value that JSON can say, too: no bytes, no NaN, no integer beyond 64 bits, not nested too deeply."""
    if depth < 0:
        raise RecordError(f"{name}: expected plain values, got some nested more than {MAX_DEPTH} deep")
    if type(value) is dict:
        for key, found in value.items():
            plain(found, f"{name}.{text(key, name)[:40]}" if key.isprintable() else name, depth - 1)
    elif type(value) is list:
        for found in value:
            plain(found, name, depth - 1)
    elif type(value) is int:
        integer(value, name)
    elif type(value) is float and not isfinite(value):
        raise expected(name, "a finite number", value)
    elif value is not None and type(value) not in (bool, str, float):
        raise expected(name, "a plain value", value)
    return value


def plain_map(value: Any, name: str) -> dict[str, Any]:
    """Returns a map of plain values."""
    if type(value) is not dict:
        raise expected(name, "a map", value)
    found: dict[str, Any] = plain(value, name)
    return found


def read_fields(kind: type[T], values: list[Any], readers: Mapping[Any, Read]) -> T:
    """Returns a dataclass of its fields' values in order; `readers` are by a field's name, or by its type."""
    names = fields(kind)  # type: ignore[arg-type]
    if len(values) != len(names):
        raise RecordError(f"expected {len(names)} fields ({', '.join(f.name for f in names)}), got {len(values)}")
    read = {
        f.name: readers[f.name if f.name in readers else f.type](value, f.name)
        for f, value in zip(names, values, strict=True)
    }
    return kind(**read)


def mechanism(value: Any, name: str) -> Mechanism:
    """Returns the name of a way to match orders."""
    # The known name is returned and not the value, so that what is no string never passes.
    for known in get_args(Mechanism):
        if value == known:
            return cast(Mechanism, known)
    raise expected(name, f"one of {', '.join(get_args(Mechanism))}", value)
