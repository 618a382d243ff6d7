"""Facets: what is kept of a run, one file each in this folder with one export named FACET, found by the file's name.

The summary begins with what the run is; otherwise the order of facets means nothing.
"""

import importlib
import pkgutil
from collections.abc import Callable

from swarm.simulation.facets.protocol import Facet

_NOT_FACETS = ("protocol",)


def names() -> list[str]:
    """Returns the names of all facets at hand, that of the run's identity first."""
    found = {module.name for module in pkgutil.iter_modules(__path__)} - set(_NOT_FACETS)
    return sorted(found, key=lambda name: (name != "identity", name))


def find(name: str) -> Callable[[], Facet]:
    """Returns what makes the facet called `name`; KeyError if there is none."""
    if name not in names():
        raise KeyError(name)
    made: Callable[[], Facet] = importlib.import_module(f"{__name__}.{name}").FACET
    return made
