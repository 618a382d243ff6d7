"""Thousand Token Wood: market simulations in which every trader thinks with a small language model.

    import swarm

    result = swarm.run("configs/wood.yaml", changes={"rounds": 20})
    result.tables["trades"]

What is exported here is the whole public API; it is imported when it is first used, so that `import swarm` is quick.
"""

import importlib
from typing import TYPE_CHECKING, Any

from swarm.version import __version__

if TYPE_CHECKING:
    from swarm.api import Progress, Result, Table, fork, load, play, replay, resume, run, sweep
    from swarm.errors import SwarmError
    from swarm.experiments.sweep import Swept

__all__ = [
    "Progress",
    "Result",
    "SwarmError",
    "Swept",
    "Table",
    "__version__",
    "fork",
    "load",
    "play",
    "replay",
    "resume",
    "run",
    "sweep",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'swarm' has no attribute {name!r}")
    # The API imports polars and more, which the command line's quick commands do not owe; errors import nothing.
    return getattr(importlib.import_module("swarm.errors" if name == "SwarmError" else "swarm.api"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
