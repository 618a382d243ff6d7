"""Checks what a caller of the Python API gave: ConfigError names the argument, and says what was expected of it."""

import json
from collections.abc import Iterable, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from swarm.errors import ConfigError
from swarm.experiments.variants import MOST_RUNS
from swarm.schema import short


def must_be_callable(**given: Any) -> None:
    """Raises ConfigError at the first argument that is there and cannot be called."""
    for argument, value in given.items():
        if value is not None and not callable(value):
            raise ConfigError(argument, f"expected something that can be called, got {short(value)}")


def must_be_whole(**given: Any) -> None:
    """Raises ConfigError at the first argument that is no whole number."""
    for argument, value in given.items():
        if type(value) is not int:
            raise ConfigError(argument, f"expected a whole number, got {short(value)}")


def path(given: Any, argument: str) -> Path:
    """Returns a path that a caller gave as `argument`; ConfigError where it is none."""
    if not isinstance(given, str | Path) or not str(given):
        raise ConfigError(argument, f"expected the path of a folder, got {short(given)}")
    return Path(given)


def seeds(given: Any) -> tuple[int, ...]:
    """Returns seeds as a caller gave them, each once; ConfigError where they are no whole numbers."""
    # One more than a sweep may have is enough to be refused, however many there are.
    found = list(islice(given, MOST_RUNS + 1)) if isinstance(given, Iterable) else [given]
    if not isinstance(given, Iterable) or not all(type(seed) is int for seed in found):
        raise ConfigError("seeds", f"expected whole numbers, say range(10), got {short(given)}")
    return tuple(dict.fromkeys(found))


def changes(given: Any) -> Mapping[str, Any]:
    """Returns changes as a caller gave them; ConfigError where they are no table of keys."""
    if given is None:
        return {}
    if not isinstance(given, Mapping) or not all(isinstance(key, str) for key in given):
        raise ConfigError("changes", f'expected keys and their values, say {{"rounds": 10}}, got {short(given)}')
    for key, value in given.items():
        try:
            json.dumps(value)
        except (TypeError, ValueError, RecursionError):
            raise ConfigError(f"changes[{key!r}]", f"expected a plain value, got {short(value)}") from None
    return given
