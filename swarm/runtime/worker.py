"""Sets up a process of a cluster of a run's own, which imports this before all that its actor needs.

Of the time in which Ray Serve is imported a fifth went into looking for unreachable cycles among what was imported.
"""

from swarm.runtime.garbage import collect_seldom

collect_seldom()
