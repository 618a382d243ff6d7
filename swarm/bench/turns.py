"""The cost of a turn beside the model: 1,000 traders, and an endpoint that answers at once, or in a second."""

import json
from statistics import median
from time import perf_counter
from typing import Any

import psutil

from swarm.bench.form import RUNS, Result, median_of
from swarm.bench.instant import served
from swarm.bench.runs import Warm, play
from swarm.config import RunConfig
from swarm.config_file import resolve
from swarm.preflight import Narrator
from swarm.runtime.ports import RunsOn
from swarm.simulation.loop import RoundOutcome

TRADERS = 1_000
WARM_UP_ROUNDS = 3
ROUNDS = 10
LATENCY_S = 1.0
LATENCY_ROUNDS = 4
CPU_MS_AIM = 0.25
TURNS_PER_S_AIM = 4_000.0
ROUND_OVER_LATENCY_AIM = {100: 1.15, 1_000: 1.15}
NO_GPU = Result(
    "turns_per_gpu_hour",
    None,
    "turns",
    "higher",
    note="needs a GPU, which no machine that this was measured on had; the five models' public shapes with dummy "
    "weights would do",
)
CALL_CPU_MS = 0.064
"""What the HTTP call alone takes of its caller's CPU: `client_cpu_ms_per_call_at_64` of `swarm bench client`."""


class _Meter(Warm):
    """A watcher that also takes the time and the CPU of all processes but the model's, once the run is warm."""

    def __init__(self, model_pid: int, last_round: int) -> None:
        super().__init__(WARM_UP_ROUNDS)
        self._last_round = last_round
        self.cpu_s = self.wall_s = self.model_s = 0.0
        self._model_pid = model_pid
        self._from = 0.0, 0.0, 0.0

    def round_done(self, outcome: RoundOutcome) -> None:
        """Starts at the end of the warm-up, and reads again after each round."""
        super().round_done(outcome)
        # Going through all processes takes milliseconds, which are none of the run's, so it is done twice a run.
        if outcome.round in (WARM_UP_ROUNDS, self._last_round):
            # The model is a process of its own and no part of what a turn costs.
            now = perf_counter(), cpu_seconds(self._model_pid), seconds_of(psutil.Process(self._model_pid))
            self.wall_s, self.cpu_s, self.model_s = (end - start for end, start in zip(now, self._from, strict=True))
            self._from = now
        if outcome.round <= WARM_UP_ROUNDS:
            return
        # A turn that failed was cheap, so figures with one in them would flatter.
        failed = [error for error in outcome.gathered.decisions.errors if error is not None]
        if failed or len(outcome.gathered.turns) != outcome.plan.traders:
            raise RuntimeError(f"round {outcome.round}: {len(failed)} turns failed, the first with {failed[:1]}")


def cpu_seconds(without: int | None = None) -> float:
    """Returns user and system time of this process and all below it, Ray's included, but for a process `without`."""
    here = psutil.Process()
    total = 0.0
    for process in [here, *here.children(recursive=True)]:
        if process.pid == without:
            continue
        # A process may end between being listed and being read.
        try:
            total += seconds_of(process)
        except psutil.Error:
            continue
    return total


def seconds_of(process: psutil.Process) -> float:
    """Returns user and system time of a process."""
    times = process.cpu_times()
    return float(times.user + times.system)


def config(url: str, traders: int, rounds: int) -> RunConfig:
    """Returns the wood with one model behind HTTP."""
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
    """Returns the figures of runs over Ray and in one process, and of rounds against a model that takes a second."""
    meters: dict[bool, list[_Meter]] = {False: [], True: []}
    with served(_replies()) as (url, pid):
        for attempt in range(RUNS):
            for local in (False, True):
                narrator.phase(f"run {attempt + 1} of {RUNS}, {'one process' if local else 'Ray'}")
                meters[local].append(_run(config(url, TRADERS, WARM_UP_ROUNDS + ROUNDS), local, pid, narrator))
    return [*_work(meters[False], meters[True]), NO_GPU, *_waiting(narrator)]


def _work(ray: list[_Meter], one: list[_Meter]) -> list[Result]:
    """Returns the figures of a model that answers at once, over Ray and in one process."""
    cpu_ms = [m.cpu_s / m.turns * 1_000 for m in ray]
    return [
        median_of(
            f"cpu_ms_per_turn_{TRADERS}",
            cpu_ms,
            "ms",
            "lower",
            aim=CPU_MS_AIM,
            bound=f"the HTTP call alone takes {CALL_CPU_MS} ms",
            of_bound=round(CALL_CPU_MS / median(cpu_ms), 3),
        ),
        # The same work without messages tells how much of it is Ray's.
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
            bound="two cores carry shards, replicas, market and the model's own server, which takes 0.1 ms a turn",
        ),
        median_of(f"turns_per_s_{TRADERS}_local", [m.turns / m.wall_s for m in one], "1/s", "higher"),
    ]


def _waiting(narrator: Narrator) -> list[Result]:
    """Returns how much longer a round takes than a model that takes a second, by the number of traders."""
    results = []
    with served(_replies(), LATENCY_S) as (url, pid):
        for traders, aim in ROUND_OVER_LATENCY_AIM.items():
            ratios, own_s = [], []
            for attempt in range(RUNS):
                narrator.phase(f"run {attempt + 1} of {RUNS}, {traders} traders and a model that takes a second")
                run = config(url, traders, WARM_UP_ROUNDS + LATENCY_ROUNDS)
                meter = _run(run, False, pid, narrator)
                # 1 would be a round that takes no longer than the model alone.
                ratios.append(meter.median_s / LATENCY_S)
                own_s.append(meter.model_s / LATENCY_ROUNDS)
            least = 1 + median(own_s) / LATENCY_S
            results.append(
                median_of(
                    f"round_over_latency_{traders}",
                    ratios,
                    "ratio",
                    "lower",
                    aim=aim,
                    bound=f"{least:.2f}: nobody waits but for the model, whose server reads {traders:,} requests and "
                    f"writes as many replies in one thread in {median(own_s):.2f} s",
                    of_bound=round(least / median(ratios), 3),
                )
            )
    return results


def _replies() -> dict[str, str]:
    """Returns replies by which who makes acorns sells some, and everybody else bids for one."""
    sells: dict[str, Any] = {"side": "sell", "good": "acorns", "price": 19, "quantity": 4}
    return {
        contained: json.dumps({"thought": "sell spare, eat", "orders": [order], "gossip": "acorns will rise"})
        for contained, order in {"MAKES acorns": sells, "": sells | {"side": "buy", "price": 21, "quantity": 1}}.items()
    }


def _run(run: RunConfig, local: bool, model_pid: int, narrator: Narrator) -> _Meter:
    meter = _Meter(model_pid, run.rounds)
    play(run, RunsOn(local=local), narrator, meter)
    return meter
