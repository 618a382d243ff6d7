"""The cost of agents from outside: the CPU of a round in which 500 of them look and decide over HTTP."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from time import perf_counter, process_time, sleep

from swarm.bench.form import RUNS, Result, median_of
from swarm.config import RunConfig
from swarm.config_file import resolve
from swarm.market.orders import Int64
from swarm.preflight import Narrator
from swarm.runtime.guests.tokens import FILE
from swarm.runtime.ports import IN_THIS_PROCESS
from swarm.runtime.run import Session
from swarm.scenarios.protocol import MarketState
from swarm.simulation.folder import RunFolder
from swarm.simulation.loop import RoundOutcome
from swarm.simulation.plan import RunPlan
from swarm.web.tokens import new_token

GUESTS = 500
WARM_UP_ROUNDS = 2
ROUNDS = 5
AIM_S = 2.0
START_S = 60.0
POLL_S = 0.01


class _Meter:
    """A watcher that reads this process's CPU from the end of the warm-up on, in seconds a round."""

    def __init__(self) -> None:
        self.cpu_s = self._from = 0.0

    def started(self, plan: RunPlan, opening: MarketState, named: Int64) -> None:
        """Begins with nothing."""

    def round_done(self, outcome: RoundOutcome) -> None:
        """Starts at the end of the warm-up, and reads again after each round."""
        # A round without some of them was cheap, so figures with one in them would flatter.
        if len(outcome.gathered.turns) != GUESTS:
            raise RuntimeError(f"round {outcome.round}: {len(outcome.gathered.turns)} of {GUESTS} guests decided")
        now = process_time()
        if outcome.round == WARM_UP_ROUNDS:
            self._from = now
        self.cpu_s = (now - self._from) / ROUNDS


def measure(narrator: Narrator) -> list[Result]:
    """Returns the CPU of a round with 500 guests, over five runs."""
    cpu_s = []
    for number in range(RUNS):
        narrator.phase(f"{GUESTS} guests, run {number + 1} of {RUNS}")
        cpu_s.append(_run().cpu_s)
    return [
        median_of(
            f"guests_cpu_s_per_round_{GUESTS}",
            cpu_s,
            "s",
            "lower",
            aim=AIM_S,
            bound="HTTP and JSON in one thread of Python: two calls of each guest, each with its token",
            note="the run's process alone: server, prompts, market, journal and the log of what guests send",
        )
    ]


def _run() -> _Meter:
    """Plays one run, with its guests in a process of their own."""
    tokens = {f"GUEST_{number}": new_token() for number in range(GUESTS)}
    meter = _Meter()
    with tempfile.TemporaryDirectory() as folder, _set(tokens):
        run = RunFolder(Path(folder) / "run")
        clients = Thread(target=_clients, args=(run.path / FILE, tokens), daemon=True)
        clients.start()
        Session(IN_THIS_PROCESS, run, (meter,), report=False).execute(_config())
        clients.join()
    return meter


def _config() -> RunConfig:
    guests = [{"name": f"guest-{number}", "token_env": f"GUEST_{number}"} for number in range(GUESTS)]
    return resolve(
        {
            "name": "guests",
            "rounds": WARM_UP_ROUNDS + ROUNDS,
            "population": GUESTS,
            # Longer than any machine takes; the meter says where somebody was late all the same.
            "budget": {"round_deadline_s": 600},
            "traders": {"guests": guests},
        }
    )


def _clients(heard: Path, tokens: Mapping[str, str]) -> None:
    """Waits until guests are heard, and has them play to the end."""
    until = perf_counter() + START_S
    while perf_counter() < until:
        try:
            address = json.loads(heard.read_text(encoding="utf-8"))["address"]
        except (OSError, ValueError, LookupError):
            sleep(POLL_S)
            continue
        command = [sys.executable, "-m", "swarm.bench.guest_clients", address]
        subprocess.run(command, input="\n".join(tokens.values()), text=True, check=True)  # noqa: S603  # our own code
        return


@contextmanager
def _set(variables: Mapping[str, str]) -> Iterator[None]:
    """Has these variables in the environment while the block runs."""
    os.environ.update(variables)
    try:
        yield
    finally:
        for name in variables:
            del os.environ[name]
