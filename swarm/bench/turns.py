"""What a turn costs beside the model: 1,000 traders, and an endpoint that answers at once, or in a second."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import psutil

from swarm.bench.form import RUNS, Result, median_of
from swarm.config import RunConfig, compose, resolve
from swarm.runtime.run import Narrator, Place, open_ports
from swarm.scenarios.protocol import MarketState
from swarm.simulation.loop import RoundOutcome, run_rounds
from swarm.simulation.plan import RunPlan
from swarm.simulation.record import Recorder

TRADERS = 1_000
WARM_UP_ROUNDS = 3
ROUNDS = 10
LATENCY_S = 1.0
LATENCY_ROUNDS = 4
CPU_MS_AIM = 1.0
TURNS_PER_S_AIM = 1_500.0
ROUND_OVER_LATENCY_AIM = {100: 1.15, 1_000: 1.3}
NO_GPU = Result(
    "turns_per_gpu_hour",
    None,
    "turns",
    "higher",
    note="needs a GPU, which no machine that this was measured on had; the five models' public shapes with dummy "
    "weights would do",
)
CALL_CPU_MS = 0.11
"""What the HTTP call alone takes of its caller's CPU: `client_cpu_ms_per_call_at_64` of `swarm bench client`."""

_SERVE = """
import json, sys
from swarm.llm.fake_model import serve_forever
latency_s = float(sys.argv[2])
replies = json.loads(sys.argv[1])
serve_forever(port=0, fixed_replies=replies, latency_s=latency_s, ready=lambda url: print(url, flush=True))
"""


@dataclass(slots=True)
class _Meter:
    """A watcher that takes the time and the CPU of all processes of the run, from the end of the warm-up on."""

    cpu_s: float = 0.0
    wall_s: float = 0.0
    turns: int = 0
    durations_s: list[float] = field(default_factory=list)
    _from: tuple[float, float] = (0.0, 0.0)
    model_pid: int = 0

    def started(self, plan: RunPlan, opening: MarketState, named: object) -> None:
        """Nothing to measure yet."""

    def round_done(self, outcome: RoundOutcome) -> None:
        """Start at the end of the warm-up, and read again after each round."""
        now = perf_counter(), cpu_seconds(self.model_pid)
        if outcome.round <= WARM_UP_ROUNDS:
            self._from = now
            return
        self.wall_s, self.cpu_s = now[0] - self._from[0], now[1] - self._from[1]
        failed = [error for error in outcome.gathered.decisions.errors if error is not None]
        if failed or len(outcome.gathered.turns) != outcome.plan.traders:
            raise RuntimeError(f"round {outcome.round}: {len(failed)} turns failed, the first with {failed[:1]}")
        self.turns += len(outcome.gathered.turns)
        self.durations_s.append(outcome.duration_s)


def cpu_seconds(without: int) -> float:
    """User and system time of this process and all below it, Ray's own included, but for the process `without`."""
    here = psutil.Process()
    total = 0.0
    for process in [here, *here.children(recursive=True)]:
        if process.pid == without:
            continue
        try:
            times = process.cpu_times()
        except psutil.Error:
            continue
        total += times.user + times.system
    return total


def config(url: str, traders: int, rounds: int) -> RunConfig:
    """The wood with one model behind HTTP."""
    return resolve(
        {
            "name": "bench-turns",
            "rounds": rounds,
            "population": traders,
            "models": [
                {
                    "name": "instant",
                    "engine": "openai",
                    "base_url": url,
                    "model": "value",
                    "max_concurrency": 1_024,
                    "replicas": 2,
                }
            ],
        }
    )


def measure(narrator: Narrator) -> list[Result]:
    """Runs over Ray and in one process in turn, five of each, then rounds against a model that takes a second."""
    meters: dict[bool, list[_Meter]] = {False: [], True: []}
    with server(0.0) as (url, pid):
        for attempt in range(RUNS):
            for local in (False, True):
                narrator.phase(f"run {attempt + 1} of {RUNS}, {'one process' if local else 'Ray'}")
                meters[local].append(_run(config(url, TRADERS, WARM_UP_ROUNDS + ROUNDS), local, pid, narrator))
    ray, one = meters[False], meters[True]
    cpu_ms = [m.cpu_s / m.turns * 1_000 for m in ray]
    results = [
        median_of(
            f"cpu_ms_per_turn_{TRADERS}",
            cpu_ms,
            "ms",
            "lower",
            aim=CPU_MS_AIM,
            bound=f"the HTTP call alone takes {CALL_CPU_MS} ms",
            of_bound=round(CALL_CPU_MS / median(cpu_ms), 3),
        ),
        median_of(
            f"cpu_ms_per_turn_{TRADERS}_local",
            [m.cpu_s / m.turns * 1_000 for m in one],
            "ms",
            "lower",
            aim=CPU_MS_AIM,
            bound="the same in one process, without Ray's messages and idle processes",
        ),
        median_of(
            f"turns_per_s_{TRADERS}",
            [m.turns / m.wall_s for m in ray],
            "1/s",
            "higher",
            aim=TURNS_PER_S_AIM,
            bound="one replica makes the HTTP calls of all shards in one thread, and the model has a core of the four",
        ),
        median_of(f"turns_per_s_{TRADERS}_local", [m.turns / m.wall_s for m in one], "1/s", "higher"),
    ]
    results.append(NO_GPU)
    with server(LATENCY_S) as (url, pid):
        for traders, aim in ROUND_OVER_LATENCY_AIM.items():
            ratios = []
            for attempt in range(RUNS):
                narrator.phase(f"run {attempt + 1} of {RUNS}, {traders} traders and a model that takes a second")
                run = config(url, traders, WARM_UP_ROUNDS + LATENCY_ROUNDS)
                ratios.append(median(_run(run, False, pid, narrator).durations_s) / LATENCY_S)
            results.append(
                median_of(
                    f"round_over_latency_{traders}",
                    ratios,
                    "ratio",
                    "lower",
                    aim=aim,
                    bound="1: nobody waits for anybody but the model",
                    of_bound=round(1 / median(ratios), 3),
                )
            )
    return results


def _replies() -> dict[str, str]:
    """Who makes acorns sells some, and everybody else bids for one."""
    sells: dict[str, Any] = {"side": "sell", "good": "acorns", "price": 19, "quantity": 4}
    return {
        contained: json.dumps({"thought": "sell spare, eat", "orders": [order], "gossip": "acorns will rise"})
        for contained, order in {"MAKES acorns": sells, "": sells | {"side": "buy", "price": 21, "quantity": 1}}.items()
    }


def _run(run: RunConfig, local: bool, model_pid: int, narrator: Narrator) -> _Meter:
    """A whole run with its journal and its tables."""
    meter = _Meter(model_pid=model_pid)
    plan = compose(run)
    with (
        tempfile.TemporaryDirectory() as folder,
        open_ports(run, plan, Place(local=local), Path(folder) / "journal.swarm", narrator, lambda: False) as ports,
    ):
        run_rounds(plan, ports.market, ports.traders, (Recorder(), meter))
        ports.market.close()
    return meter


@contextmanager
def server(latency_s: float) -> Iterator[tuple[str, int]]:
    """The base URL and the pid of an endpoint in a process of its own, which ends with the block."""
    command = [sys.executable, "-c", _SERVE, json.dumps(_replies()), str(latency_s)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)  # noqa: S603  # our own code
    try:
        yield (process.stdout.readline().strip() if process.stdout else ""), process.pid
    finally:
        process.terminate()
        process.wait(timeout=10)
