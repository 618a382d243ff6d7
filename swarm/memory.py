"""How much memory this process may have, and what a run needs; knows nothing of what uses it.

Libraries that find no memory end the process on the spot, so the limit is looked at before they are imported.
"""

import os
import resource

from swarm.errors import ResourceError

GB = 2**30
COMMAND_GB = 0.5
"""Address space of any command; most of what libraries reserve, here and below, is never touched."""

RAY_GB = 12.0
"""Address space that each process of Ray reserves, most of it for the object store."""


def local_gb() -> float:
    """Returns the address space, in GB, that a run in one process takes; libraries have threads for each core."""
    return 1.4 + 0.2 * (os.cpu_count() or 1)


def must_suffice(needed_gb: float, what: str) -> None:
    """ResourceError where the limit of this process's address space is below what is needed."""
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    if soft != resource.RLIM_INFINITY and soft < needed_gb * GB:
        raise ResourceError(
            f"memory: {what} needs {needed_gb:.2g} GB of address space, and this process may have {soft / GB:.2g} GB; "
            f"raise the limit with `ulimit -v {int(needed_gb * GB / 1024)}`, or lift it with `ulimit -v unlimited`"
        )


def remedy() -> str:
    """Returns what to do where memory ran out."""
    return "free memory, take fewer traders, or raise the limit (`ulimit -v`); `swarm doctor` says what there is"
