"""How long a test waits for what must come: longer where the machine is slow or has other work, and never for ever.

A bound in seconds says that something hangs, and must not say that the machine is busy.
"""

import os
from time import perf_counter

REFERENCE_S = 0.018
"""What `_work` takes on an idle core."""

MOST = 12.0


def patience(seconds: float) -> float:
    """Returns seconds that mean the same on this machine, as busy as it is now, as `seconds` mean on an idle one."""
    begun = perf_counter()
    _work()
    slow = (perf_counter() - begun) / REFERENCE_S
    busy = os.getloadavg()[0] / (os.cpu_count() or 1)
    return seconds * min(MOST, max(1.0, slow, busy, slow * busy))


def _work() -> int:
    return sum(number * number % 7 for number in range(200_000))
