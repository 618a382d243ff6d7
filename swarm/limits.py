"""Tells what the system grants this process, memory, open files and ports, and what a run needs; not what uses it.

Libraries that find no memory end the process on the spot, so that limit is looked at before they are imported. A limit
of open files that is too low, as macOS has it by default, is raised as far as this user may.
"""

import os
import resource
import socket
from collections.abc import Mapping
from contextlib import suppress

from swarm.errors import ConfigError, ResourceError
from swarm.figures import figure

GB = 2**30
COMMAND_GB = 0.5
"""Address space of any command; most of what libraries reserve, here and below, is never touched."""

RAY_MORE_GB = 0.5
"""What the driver of a run over Ray takes beyond that of a run in one process: Ray's own code, and the object store."""


RESERVED_FILES = 160
"""Open files kept free of connections: for journals and snapshots, tables, libraries, event loops and the terminal."""

MOST_FILES = 10_240
"""What a system grants at most where it names no limit, as macOS does."""


def local_gb() -> float:
    """Returns the address space, in GB, that a run in one process takes; libraries have threads for each core."""
    return 1.4 + 0.2 * (os.cpu_count() or 1)


def must_suffice(needed_gb: float, what: str) -> None:
    """Raises ResourceError where the limit of this process's address space is below what is needed."""
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    if soft != resource.RLIM_INFINITY and soft < needed_gb * GB:
        raise ResourceError(
            f"memory: {what} needs {figure(needed_gb, 2)} GB of address space, and this process may have "
            f"{figure(soft / GB, 2)} GB; "
            f"raise the limit with `ulimit -v {int(needed_gb * GB / 1024)}`, or lift it with `ulimit -v unlimited`"
        )


def remedy() -> str:
    """Returns what to do where memory ran out."""
    return "free memory, take fewer traders, or raise the limit (`ulimit -v`); `swarm doctor` says what there is"


def raise_open_files(needed: int) -> int:
    """Returns how many files this process may have open, with its soft limit raised to `needed` where it may be."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # No limit is told as a large number, so that callers need no case of their own.
    if soft == resource.RLIM_INFINITY:
        return max(needed, MOST_FILES)
    wanted = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    # Where the system names no hard limit it may still refuse more than MOST_FILES.
    for limit in (wanted, min(wanted, MOST_FILES)):
        if limit > soft:
            with suppress(ValueError, OSError):
                resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
                return limit
    return soft


def shares_of_connections(wanted: Mapping[str, int]) -> dict[str, int]:
    """Returns how many connections each user of them may have: what it wants, or its share of what there is."""
    together = sum(wanted.values())
    # Everybody gets one, even where that is more than the system seems to grant.
    free = max(raise_open_files(together + RESERVED_FILES) - RESERVED_FILES, len(wanted))
    if together <= free:
        return dict(wanted)
    return {name: max(1, most * free // together) for name, most in wanted.items()}


def must_be_free(port: int, key: str, remedy: str) -> None:
    """Raises ConfigError at `key` where a port of this machine's loopback cannot be listened on."""
    # As a server does, so that connections of one that has just ended do not count as taken.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise ConfigError(key, f"port {port} cannot be used ({error.strerror})", remedy) from error
