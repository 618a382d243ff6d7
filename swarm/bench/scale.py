"""How far one machine goes: a round of 100,000 traders over Ray, and the memory that a trader takes."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import psutil

from swarm.bench.form import RUNS, Result, median_of
from swarm.config import RunConfig, compose, resolve
from swarm.runtime.run import Narrator, Place, open_ports
from swarm.scenarios.protocol import MarketState
from swarm.simulation.loop import RoundOutcome, run_rounds
from swarm.simulation.plan import RunPlan
from swarm.simulation.record import Recorder

BASELINE_TRADERS = 100_000
WARM_UP_ROUNDS = 2
ROUNDS = 5
ROUND_S_AIM = 1.0
FEW, MANY = 10, 10_000
KB_AIM = 50.0
TEMPERAMENTS = ("value", "momentum", "maker", "hoarder", "panic")


class _Rounds:
    """A watcher that keeps what warm rounds took, and reads the memory after the last of them."""

    def __init__(self, last: int, read: Callable[[], float] | None = None) -> None:
        self.durations_s: list[float] = []
        self.decide_s: list[float] = []
        self.memory_kb = 0.0
        self._last, self._read = last, read

    def started(self, plan: RunPlan, opening: MarketState, named: object) -> None:
        """Nothing to measure yet."""

    def round_done(self, outcome: RoundOutcome) -> None:
        """Keep the round once the processes are warm."""
        if outcome.round > WARM_UP_ROUNDS:
            self.durations_s.append(outcome.duration_s)
            self.decide_s.append(outcome.decide_s)
        if outcome.round == self._last and self._read is not None:
            self.memory_kb = self._read()


def baselines(traders: int) -> RunConfig:
    """The wood's five goods, each cleared by a call auction, with traders that read no text."""
    return resolve(
        {
            "name": "bench-scale",
            "rounds": WARM_UP_ROUNDS + ROUNDS,
            "population": traders,
            "budget": {"round_deadline_s": 60},
            "traders": {"minds": {"zi_c": 1, "zip": 1}},
        }
    )


def minds(traders: int) -> RunConfig:
    """The wood with five scripted models, whose traders have prompts."""
    return resolve(
        {
            "name": "bench-memory",
            "rounds": WARM_UP_ROUNDS + ROUNDS,
            "population": traders,
            "budget": {"round_deadline_s": 120},
            "models": [{"name": f"scripted-{t}", "temperament": t} for t in TEMPERAMENTS],
        }
    )


def measure(narrator: Narrator) -> list[Result]:
    """Five runs of each: baselines at 100,000, and the memory of 10 and of 10,000 traders with models."""
    round_s: list[float] = []
    decide_s: list[float] = []
    kb: list[float] = []
    for attempt in range(RUNS):
        narrator.phase(f"run {attempt + 1} of {RUNS}, {BASELINE_TRADERS:,} baselines")
        watch = _run(baselines(BASELINE_TRADERS), None, narrator)
        round_s.append(median(watch.durations_s))
        decide_s.append(median(watch.decide_s))
        taken: dict[int, float] = {}
        for traders in (FEW, MANY):
            narrator.phase(f"run {attempt + 1} of {RUNS}, the memory of {traders:,} traders")
            taken[traders] = _run(minds(traders), resident_kb, narrator).memory_kb
        kb.append((taken[MANY] - taken[FEW]) / (MANY - FEW))
    return [
        median_of(
            f"round_s_{BASELINE_TRADERS}",
            round_s,
            "s",
            "lower",
            aim=ROUND_S_AIM,
            bound="one process observes, clears, journals and settles for all; the shards take the deciding off it",
            of_bound=round(1 - median(decide_s) / median(round_s), 3),
            note="of_bound is the share of the round in that one process",
        ),
        median_of(
            "kb_per_trader",
            kb,
            "kB",
            "lower",
            aim=KB_AIM,
            bound=f"proportional set size of all processes at {MANY:,} traders less that at {FEW}, a round's prompts "
            "and replies and the tables of all rounds included",
        ),
    ]


def resident_kb() -> float:
    """The proportional set size of this process and all below it, in kB: shared pages are counted once."""
    here = psutil.Process()
    total = 0
    for process in [here, *here.children(recursive=True)]:
        try:
            info: Any = process.memory_full_info()
        except psutil.Error:
            continue
        # Where the system does not tell shares apart, the unique set is nearest.
        total += getattr(info, "pss", 0) or info.uss
    return total / 1_000


def _run(run: RunConfig, read: Callable[[], float] | None, narrator: Narrator) -> _Rounds:
    """A whole run over Ray with its journal; the one whose memory is read keeps its tables, too."""
    watch = _Rounds(run.rounds, read)
    plan = compose(run)
    with (
        tempfile.TemporaryDirectory() as folder,
        open_ports(run, plan, Place(), Path(folder) / "journal.swarm", narrator, lambda: False) as ports,
    ):
        run_rounds(plan, ports.market, ports.traders, (Recorder(), watch))
        ports.market.close()
    return watch
