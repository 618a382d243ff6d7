"""Has Python look for unreachable cycles seldom while a run goes on, and the C library let go of free memory.

A round makes a task, a request and a reply for each trader, which live until it ends. At Python's own pace, a look for
every 700 new objects, it would go through all of them, and through all that was imported, dozens of times a round.
"""

import ctypes
import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager

THRESHOLDS = (50_000, 20, 100)
"""New objects until Python looks among the youngest, and how many such looks until it looks among older ones."""


LEAST_TRADERS = 2_000
"""Who asks models for fewer traders keeps what it has taken: a few megabytes."""

_trim: Callable[[int], int] | None = getattr(ctypes.CDLL(None), "malloc_trim", None)
"""What gives free memory back; the C libraries of some systems have none."""


def give_back() -> None:
    """Gives the system the memory that a round's texts took and left, which the C library would keep for the process.

    It takes a millisecond or two, and the next round as much to take the memory again: little beside so many turns.
    """
    if _trim is not None:
        _trim(0)


def collect_seldom() -> None:
    """Sets the pace for the rest of a process that is a run's own."""
    gc.set_threshold(*THRESHOLDS)


@contextmanager
def collected_seldom() -> Iterator[None]:
    """Sets the pace while the block runs; the process may be somebody else's."""
    before = gc.get_threshold()
    collect_seldom()
    try:
        yield
    finally:
        gc.set_threshold(*before)
