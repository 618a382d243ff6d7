"""The reach of one machine: a round of 100,000 traders over Ray, and the memory that a trader takes."""

import gc
from collections.abc import Callable
from statistics import median
from typing import Any

import psutil

from swarm.bench.form import RUNS, Result, median_of
from swarm.bench.runs import Warm, play, scripted
from swarm.config import RunConfig
from swarm.config_file import resolve
from swarm.preflight import Narrator
from swarm.runtime.garbage import give_back
from swarm.runtime.ports import RunsOn
from swarm.simulation.loop import RoundOutcome

BASELINE_TRADERS = 100_000
WARM_UP_ROUNDS = 2
ROUNDS = 5
ROUND_S_AIM = 1.0
FEW, MANY = 10, 10_000
KB_AIM = 12.0


class _Rounds(Warm):
    """A watcher that also keeps what deciding took and, if asked to, reads the memory after the last round."""

    def __init__(self, read: Callable[[], float] | None = None) -> None:
        super().__init__(WARM_UP_ROUNDS)
        self.decide_s: list[float] = []
        self.memory_kb = 0.0
        self._read = read

    def round_done(self, outcome: RoundOutcome) -> None:
        """Keeps the round."""
        super().round_done(outcome)
        if outcome.round > WARM_UP_ROUNDS:
            self.decide_s.append(outcome.decide_s)
        # At the end, when caches, tables and the record are as large as they get.
        if outcome.round == outcome.plan.rounds and self._read is not None:
            self.memory_kb = self._read()


def baselines(traders: int) -> RunConfig:
    """Returns the wood's five goods, each cleared by a call auction, with traders that read no text."""
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
    """Returns the wood with five scripted models, whose traders have prompts."""
    return scripted(
        "bench-memory",
        rounds=WARM_UP_ROUNDS + ROUNDS,
        population=traders,
        budget={"round_deadline_s": 120},
    )


def measure(narrator: Narrator) -> list[Result]:
    """Returns the figures of five runs of each: 100,000 baselines, and the memory of 10 and of 10,000 traders."""
    round_s: list[float] = []
    decide_s: list[float] = []
    kb: list[float] = []
    for attempt in range(RUNS):
        narrator.phase(f"run {attempt + 1} of {RUNS}, {BASELINE_TRADERS:,} baselines")
        watch = _run(baselines(BASELINE_TRADERS), None, narrator)
        round_s.append(watch.median_s)
        decide_s.append(median(watch.decide_s))
        # The difference of a large and a small run is the traders' own: what Ray itself takes is in both.
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
    """Returns the proportional set size of this process and all below it, in kB: shared pages count once."""
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
    """Plays a run over Ray; the one whose memory is read has its tables in it, too."""
    if read is not None:
        # What earlier runs left with this process is none of this one's.
        gc.collect()
        give_back()
    watch = _Rounds(read)
    play(run, RunsOn(), narrator, watch)
    return watch
