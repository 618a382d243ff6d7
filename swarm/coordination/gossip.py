"""Draws the contact graph: who hears whom, of bounded degree on both sides, from the seed.

It knows nothing of what is said.
"""

import numpy as np
import numpy.typing as npt

from swarm.seeding import draw_below

Int64 = npt.NDArray[np.int64]


def contact_graph(seed: int, traders: int, degree: int) -> Int64:
    """Returns whom each trader hears, never itself and nobody twice, as [traders, degree]."""
    degree = min(degree, traders - 1)
    if degree <= 0:
        return np.empty((traders, 0), dtype=np.int64)
    # A trader hears those at `degree` distinct distances around a ring whose order is shuffled by the seed; so it is
    # also heard by exactly `degree`, and no draw has to be made again.
    ring = np.argsort(draw_below(seed, "gossip ring", 2**53, np.arange(traders)), kind="stable")
    distances = np.argsort(draw_below(seed, "gossip distance", 2**53, np.arange(traders - 1)), kind="stable")
    graph = np.empty((traders, degree), dtype=np.int64)
    for column, distance in enumerate(distances[:degree] + 1):
        graph[ring, column] = np.roll(ring, -int(distance))
    return graph
