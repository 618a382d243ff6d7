"""Keeps what is kept of a run in facets, one file each with one export named FACET; plug-ins add theirs.

The summary begins with what the run is; otherwise the order of facets means nothing.
"""

from swarm.plugins import Plugins
from swarm.simulation.facets.protocol import Facet

FACETS = Plugins("swarm.simulation.facets", "FACET", "facet", skip=("protocol",))


def made() -> tuple[Facet, ...]:
    """Returns a new facet of each kind at hand, that of the run's identity first."""
    # Identity comes first, so that a summary begins with what run it is.
    names = sorted(FACETS.names(), key=lambda name: (name != "identity", name))
    return tuple(FACETS.find(name, "facets")() for name in names)
