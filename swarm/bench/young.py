"""A short run that is played again and again in a process of its own: what the machine makes of the same work by then.

A figure of a long measurement over that of the young runs beside it tells a slower run from a slower machine.
"""

from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from time import process_time

from swarm.config import RunConfig
from swarm.runtime.play import play
from swarm.scenarios.protocol import MarketState
from swarm.simulation.loop import RoundOutcome
from swarm.simulation.plan import RunPlan


@dataclass(frozen=True, slots=True)
class Young:
    """The short run, and the process that plays it."""

    config: RunConfig
    process: Executor

    def cpu_s(self) -> float:
        """Plays the run, and returns the CPU seconds of its rounds but for the first."""
        return self.process.submit(_cpu_s, self.config).result()


@contextmanager
def young(config: RunConfig) -> Iterator[Young]:
    """Yields the run, once its process has played it and is warm; the process ends with the block."""
    with ProcessPoolExecutor(1, get_context("spawn")) as process:
        found = Young(config, process)
        found.cpu_s()
        yield found


class _Rounds:
    """A watcher that looks at the clock after the first round and after the last."""

    def __init__(self) -> None:
        self.cpu_s = 0.0
        self._from = 0.0

    def started(self, plan: RunPlan, opening: MarketState, named: object) -> None:
        """Has nothing to measure yet."""

    def round_done(self, outcome: RoundOutcome) -> None:
        """Looks at the clock."""
        if outcome.round == 1:
            self._from = process_time()
        self.cpu_s = process_time() - self._from


def _cpu_s(config: RunConfig) -> float:
    watch = _Rounds()
    play(config, watch)
    return watch.cpu_s
