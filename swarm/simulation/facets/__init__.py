"""Facets: what is kept of a run, one file each with one export named FACET; plug-ins add theirs.

The summary begins with what the run is; otherwise the order of facets means nothing.
"""

from swarm.plugins import Plugins
from swarm.simulation.facets.protocol import Facet

FACETS = Plugins("swarm.simulation.facets", "FACET", "facet", skip=("protocol",))


def made() -> tuple[Facet, ...]:
    """Returns a new facet of each kind at hand, that of the run's identity first."""
    names = sorted(FACETS.names(), key=lambda name: (name != "identity", name))
    return tuple(FACETS.find(name, "facets")() for name in names)
