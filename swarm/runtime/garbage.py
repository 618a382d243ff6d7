"""Has Python look for unreachable cycles seldom while a run goes on.

A round makes a task, a request and a reply for each trader, which live until it ends. At Python's own pace, a look for
every 700 new objects, it would go through all of them, and through all that was imported, dozens of times a round.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

THRESHOLDS = (50_000, 20, 100)
"""New objects until Python looks among the youngest, and how many such looks until it looks among older ones."""


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
