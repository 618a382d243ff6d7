"""Reads columns of recorded decisions as strictly as a config is read; each error names the field.

What the columns mean, this module does not know.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from swarm.agents.observation import Int64


def member(field: str, record: Any, names: Sequence[str]) -> dict[str, Any]:
    """Returns `record` if it is a mapping with exactly these keys; ValueError otherwise."""
    if not isinstance(record, dict):
        raise ValueError(f"{field}: expected a mapping, found {type(record).__name__}")
    if missing := [name for name in names if name not in record]:
        raise ValueError(f"{field}.{missing[0]}: expected a value, found none")
    if len(record) != len(names):
        found = next(str(key)[:40] for key in record if key not in names)
        raise ValueError(f"{field}: expected {', '.join(names)}, found {found!r}")
    return record


def ints(field: str, column: Any, low: int, high: int, length: int | None = None) -> Int64:
    """Returns a list of whole numbers from `low` to `high` as an array; ValueError for anything else."""
    _check_list(field, column, length, {int}, "whole numbers")
    if column and not low <= min(column) <= max(column) <= high:
        found = next(value for value in column if not low <= value <= high)
        raise ValueError(f"{field}: expected numbers from {low} to {high}, found {str(found)[:40]}")
    return np.array(column, dtype=np.int64)


def texts(field: str, column: Any, length: int | None = None) -> tuple[str, ...]:
    """Returns a list of texts as a tuple; ValueError for anything else."""
    _check_list(field, column, length, {str}, "texts")
    return tuple(column)


def _check_list(field: str, column: Any, length: int | None, kinds: set[type], expected: str) -> None:
    if not isinstance(column, list):
        raise ValueError(f"{field}: expected a list, found {type(column).__name__}")
    if not set(map(type, column)) <= kinds:
        found = next(type(value).__name__ for value in column if type(value) not in kinds)
        raise ValueError(f"{field}: expected {expected}, found {found}")
    if length is not None and len(column) != length:
        raise ValueError(f"{field}: expected {length} values, found {len(column)}")
