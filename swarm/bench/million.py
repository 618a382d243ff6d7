"""A million baselines over Ray, and in one process to the same history: seconds, CPU, memory and disk of all processes.

It is one run of each, of few rounds, since one takes minutes; a figure of time is the median of its warm rounds.
"""

import tempfile
from pathlib import Path
from statistics import median
from typing import Any

from swarm.bench.form import Result
from swarm.bench.scale import resident_kb
from swarm.bench.turns import cpu_seconds
from swarm.config import RunConfig
from swarm.config_file import resolve
from swarm.preflight import Narrator
from swarm.runtime.play import play
from swarm.runtime.ports import RunsOn
from swarm.scenarios.protocol import MarketState
from swarm.simulation.loop import RoundOutcome
from swarm.simulation.plan import RunPlan

FEW = 1_000
"""How many traders a run has whose memory is what Ray and the interpreter take anyway."""
ROUNDS, WARM_UP_ROUNDS = 3, 1
ROUND_S_AIM, KB_AIM = 10.0, 4.0


class _Watch:
    """A watcher that keeps the seconds and the CPU seconds of warm rounds, and the memory after the last one."""

    def __init__(self) -> None:
        self.round_s: list[float] = []
        self._cpu_s: list[float] = []
        self.kb = 0.0

    def started(self, plan: RunPlan, opening: MarketState, named: object) -> None:
        """Has nothing to measure yet."""

    def round_done(self, outcome: RoundOutcome) -> None:
        """Keeps a round once the processes are warm."""
        if outcome.round > WARM_UP_ROUNDS:
            self.round_s.append(outcome.duration_s)
        # The end of the warm-up is where the first warm round begins.
        if outcome.round >= WARM_UP_ROUNDS:
            self._cpu_s.append(cpu_seconds())
        if outcome.round == outcome.plan.rounds:
            self.kb = resident_kb()

    @property
    def cpu_s(self) -> float:
        """Returns the CPU seconds of a round, the mean of all warm ones."""
        return (self._cpu_s[-1] - self._cpu_s[0]) / (len(self._cpu_s) - 1)


def config(traders: int, regions: int = 1) -> RunConfig:
    """Returns the wood with so many baselines, spread over regions where there are several."""
    several: dict[str, Any] = {"regions": {"count": regions, "travellers": 10 * regions}} if regions > 1 else {}
    return resolve(
        {
            "name": "bench-million",
            "rounds": WARM_UP_ROUNDS + ROUNDS,
            "population": traders,
            "budget": {"round_deadline_s": 600},
            "traders": {"minds": {"zi_c": 1, "zip": 1}},
            **several,
        }
    )


def measure(narrator: Narrator, traders: int, regions: int) -> list[Result]:
    """Returns the figures of a run of so many traders over Ray, and beside it of the same in one process."""
    # The small run first, whose memory is in the large one, too.
    narrator.phase(f"what a run of {FEW:,} takes")
    few, _, _ = _played(config(FEW), RunsOn(), narrator)
    narrator.phase(f"{traders:,} over Ray")
    ray, sha256, disk_bytes = _played(config(traders, regions), RunsOn(), narrator)
    narrator.phase(f"{traders:,} in one process")
    local, same_sha256, _ = _played(config(traders, regions), RunsOn(local=True), narrator)
    # Only what was aimed at has an aim; other sizes are told beside it.
    at = f"{traders}" if regions == 1 else f"{traders}_in_{regions}_regions"
    is_aimed_at = traders == 1_000_000 and regions == 1
    rounds = WARM_UP_ROUNDS + ROUNDS
    return [
        _timed(f"round_s_{at}", ray.round_s, ROUND_S_AIM if is_aimed_at else None, "one run over Ray, journalled"),
        _timed(f"round_local_s_{at}", local.round_s, None, "the same in one process"),
        Result(f"round_cpu_s_{at}", round(ray.cpu_s, 3), "s", "lower", bound="CPU of all processes, a round over Ray"),
        Result(f"round_local_cpu_s_{at}", round(local.cpu_s, 3), "s", "lower", bound="CPU of a round in one process"),
        Result(
            f"kb_per_baseline_{at}",
            round((ray.kb - few.kb) / (traders - FEW), 3),
            "kB",
            "lower",
            KB_AIM if is_aimed_at else None,
            bound=f"proportional set size of all processes after the last round less that of {FEW:,} traders",
        ),
        Result(
            f"journal_bytes_{at}",
            round(disk_bytes / traders / rounds, 2),
            "B",
            "lower",
            bound="journals, of a trader and round, what everybody begins with included",
        ),
        Result(f"same_history_{at}", float(sha256 == same_sha256), "1 of 1", "higher", 1.0, bound="equal hashes"),
    ]


def _timed(name: str, runs: list[float], aim: float | None, bound: str) -> Result:
    return Result(name, round(median(runs), 3), "s", "lower", aim, tuple(round(s, 3) for s in runs), bound)


def _played(run: RunConfig, runs_on: RunsOn, narrator: Narrator) -> tuple[_Watch, str, int]:
    """Plays a run with its journals; returns what it used, its hash, and its journals' bytes."""
    watch = _Watch()
    with tempfile.TemporaryDirectory(prefix="swarm-million-") as folder:
        played = play(run, watch, runs_on=runs_on, journals_in=Path(folder), narrator=narrator)
        return watch, played.journal_sha256, sum(path.stat().st_size for path in Path(folder).rglob("journal.swarm"))
