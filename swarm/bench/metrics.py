"""The cost of metrics: a run with them on and read every second against one with them off, in turn."""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import perf_counter, process_time, thread_time

from swarm.bench.form import RUNS, Result, median_of
from swarm.bench.runs import TEMPERAMENTS, scripted
from swarm.config import RunConfig
from swarm.config_file import resolve
from swarm.monitoring.hub import Hub
from swarm.monitoring.port import exported
from swarm.planning import compose
from swarm.preflight import Narrator
from swarm.runtime.play import play
from swarm.scenarios.protocol import Int64, MarketState
from swarm.simulation.loop import RoundOutcome
from swarm.simulation.plan import RunPlan

AIM_RATIO = 1.02
WARM_UP_ROUNDS = 3
READER = """
import sys, time, urllib.request
while True:
    urllib.request.urlopen(sys.argv[1], timeout=10).read()
    time.sleep(1.0)
"""
"""A process of its own, as Prometheus is; it reads five times as often as the configs of deploy/ say."""


@dataclass(frozen=True, slots=True)
class _Cost:
    """The time that the warm rounds of a run took, and the hub's part of it."""

    cpu_s: float
    wall_s: float
    hub_s: float
    rounds: int


class _Timed:
    """A watcher that times the run from its last cold round on and, where there is a hub, what that does."""

    def __init__(self, hub: Hub | None) -> None:
        self.hub = hub
        self.hub_s = 0.0
        self.cpu_s = self.wall_s = 0.0
        self._warm = 0.0, 0.0

    def started(self, plan: RunPlan, opening: MarketState, named: Int64) -> None:
        """Lets the hub take in the opening."""
        if self.hub is not None:
            self.hub.started(plan, opening, named)

    def round_done(self, outcome: RoundOutcome) -> None:
        """Lets the hub take in the round."""
        # The thread's own CPU: a reading that is answered meanwhile, in another thread, is not the hub's round.
        begun = thread_time()
        if self.hub is not None:
            self.hub.round_done(outcome)
        if outcome.round > WARM_UP_ROUNDS:
            self.hub_s += thread_time() - begun
        now = process_time(), perf_counter()
        if outcome.round == WARM_UP_ROUNDS:
            self._warm = now
        self.cpu_s, self.wall_s = now[0] - self._warm[0], now[1] - self._warm[1]


def wood() -> RunConfig:
    """Returns the run that the README begins with: 40 traders and the five embedded models."""
    models = [{"name": f"tiny-{t}", "engine": "embedded", "temperament": t} for t in TEMPERAMENTS]
    return resolve({"name": "bench-metrics", "rounds": WARM_UP_ROUNDS + 60, "models": models})


def thousand() -> RunConfig:
    """Returns a run of 1,000 traders and policies that answer at once, so that little else is in a round."""
    return scripted("bench-metrics", rounds=WARM_UP_ROUNDS + 15, population=1_000)


def measure(narrator: Narrator) -> list[Result]:
    """Returns the figures of runs with and without in turn; a ratio is that of two runs next to each other."""
    results: list[Result] = []
    for suffix, config in (("", wood()), ("_1000", thousand())):
        costs: dict[bool, list[_Cost]] = {True: [], False: []}
        for attempt in range(RUNS):
            # Who goes first takes turns, too, since a machine that slows down or speeds up would favour one of them.
            for on in (attempt % 2 == 0, attempt % 2 == 1):
                state = "on" if on else "off"
                narrator.phase(f"run {attempt + 1} of {RUNS}, {config.most_traders} traders, metrics {state}")
                costs[on].append(_run(config, on))
        results += _results(suffix, costs[True], costs[False])
    return results


def _results(suffix: str, on: list[_Cost], off: list[_Cost]) -> list[Result]:
    # The ratios vary with the machine; the hub's own clock, in the last two, hardly does.
    pairs = list(zip(on, off, strict=True))
    bare_s = median(cost.cpu_s for cost in off)
    return [
        median_of(
            f"metrics_overhead_ratio{suffix}",
            [a.cpu_s / b.cpu_s for a, b in pairs],
            "ratio",
            "lower",
            aim=AIM_RATIO,
            bound="CPU of the run's process: the hub's arithmetic once a round, and writing the text once a reading",
            of_bound=round(bare_s / median(cost.cpu_s for cost in on), 4),
        ),
        median_of(
            f"metrics_wall_ratio{suffix}",
            [a.wall_s / b.wall_s for a, b in pairs],
            "ratio",
            "lower",
            aim=AIM_RATIO,
            bound="the same, and whatever else the machine does",
        ),
        median_of(
            f"metrics_hub_share{suffix}",
            [cost.hub_s / cost.cpu_s for cost in on],
            "ratio",
            "lower",
            aim=round(AIM_RATIO - 1, 4),
            bound="what the hub's own clock says of the first figure, without the readings and almost without noise",
        ),
        median_of(f"metrics_hub_ms_per_round{suffix}", [1_000 * c.hub_s / c.rounds for c in on], "ms", "lower"),
    ]


def _run(config: RunConfig, on: bool) -> _Cost:
    plan = compose(config).run
    with tempfile.TemporaryDirectory() as name, _watched(plan, Path(name), on) as hub:
        timed = _Timed(hub)
        play(config, timed, journals_in=Path(name))
        return _Cost(timed.cpu_s, timed.wall_s, timed.hub_s, plan.rounds - WARM_UP_ROUNDS)


@contextmanager
def _watched(plan: RunPlan, folder: Path, on: bool) -> Iterator[Hub | None]:
    """Yields the hub on a port that somebody reads, or none."""
    if not on:
        yield None
        return
    hub = Hub(plan, "one process", folder)
    with exported(hub, "127.0.0.1", 0) as address:
        reader = subprocess.Popen([sys.executable, "-c", READER, address])  # noqa: S603
        try:
            yield hub
        finally:
            reader.kill()
            reader.wait()
