"""The size of the object store of a run's own cluster: a round's messages lie in it, and on the disk if it is small."""

import shutil
from pathlib import Path

import psutil

LEAST_MB = 200
"""What a small run and Ray itself need."""
TRADERS_PER_MB = 500
"""A trader's share of all messages of a round is 1 to 2 kB, what it sees, decides and owns."""
SHARE = 0.5
"""Of the shared memory and the memory that are free, what a store takes at most where nobody has set its size."""
MOST_WITHOUT_MB = 2_000
"""The most where there is no shared memory of Linux's kind: on macOS Ray takes no more."""
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108


def size_mb(told_mb: int | None, traders: int) -> int:
    """Returns what the config tells, or else room for so many traders as far as this machine has it."""
    if told_mb is not None:
        return told_mb
    wanted = LEAST_MB + traders // TRADERS_PER_MB
    return max(LEAST_MB, min(wanted, _room_mb()))


def _room_mb() -> int:
    if not SHARED_MEMORY.is_dir():
        return MOST_WITHOUT_MB
    free = min(shutil.disk_usage(SHARED_MEMORY).free, psutil.virtual_memory().available)
    return int(free * SHARE) >> 20
