"""How long whole processes take to start: `import swarm`, `swarm --help`, `swarm run wood` until its first round."""

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import psutil

from swarm.bench.form import RUNS, Result, median_of
from swarm.errors import OutputError
from swarm.preflight import Narrator

NOTHING = ("-c", "pass")
"""A process of Python's own, which is in all others."""
IMPORT = ("-c", "import swarm")
HELP = ("-m", "swarm", "--help")
FIRST_ROUND = "round 1/"
"""What the line begins with that a run prints once its first round is over."""
IMPORT_S_AIM, HELP_S_AIM, RUN_S_AIM = 0.3, 0.5, 8.0


@dataclass(frozen=True, slots=True)
class Start:
    """The seconds from the start of a process until what was waited for, and its CPU seconds with its children's."""

    s: float
    cpu_s: float


def started(arguments: Sequence[str], until: str = "") -> Start:
    """Starts Python with these arguments; returns what it took until a line that begins so, or else until its end.

    The process is left to end by itself. OutputError with its last words where it fails or prints no such line.
    """
    began_s, spent_s = perf_counter(), _ended_cpu_s()
    found: Start | None = None
    said: list[str] = []
    # A program of ours alone.
    with subprocess.Popen(  # noqa: S603
        [sys.executable, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, encoding="utf-8"
    ) as process:
        for line in process.stdout or ():
            said.append(line.strip())
            if until and found is None and line.startswith(until):
                found = Start(perf_counter() - began_s, _cpu_s(process.pid))
    if not until:
        found = Start(perf_counter() - began_s, _ended_cpu_s() - spent_s)
    if process.returncode or found is None:
        raise OutputError(f"`python {' '.join(arguments)}` failed: {' '.join(said[-3:])[-300:]}")
    return found


def measure(narrator: Narrator) -> list[Result]:
    """Returns the seconds and CPU seconds of each start, five of each in turns."""
    taken: dict[str, list[Start]] = {name: [] for name in ("python", "import", "help", "run")}
    # In turns, so that a machine that slows meanwhile slows all of them.
    for attempt in range(RUNS):
        narrator.phase(f"start {attempt + 1} of {RUNS}")
        for name, arguments in (("python", NOTHING), ("import", IMPORT), ("help", HELP)):
            taken[name].append(started(arguments))
        with tempfile.TemporaryDirectory(prefix="swarm-start-") as folder:
            run = ("-m", "swarm", "run", "wood", "--set", "rounds=1", "--out", str(Path(folder, "run")))
            taken["run"].append(started(run, FIRST_ROUND))
    python_s = median_of("python", [start.s for start in taken["python"]], "s", "lower").value
    shell = f"a process of Python's own: {python_s:.3f} s in the same turns"
    told = {
        "import": ("start_import", IMPORT_S_AIM, shell),
        "help": ("start_help", HELP_S_AIM, shell),
        "run": (
            "start_run",
            RUN_S_AIM,
            "CPU: Ray's start, then nine processes, eight of which import Ray Serve",
        ),
    }
    return [
        figure
        for key, (name, aim, bound) in told.items()
        for figure in (
            median_of(f"{name}_s", [start.s for start in taken[key]], "s", "lower", aim=aim, bound=bound),
            median_of(
                f"{name}_cpu_s", [start.cpu_s for start in taken[key]], "s", "lower", bound="CPU of all processes"
            ),
        )
    ]


def _cpu_s(pid: int) -> float:
    """Returns the CPU seconds of a process that runs, of all below it, and of those of them that have ended."""
    total = 0.0
    process = psutil.Process(pid)
    for one in [process, *process.children(recursive=True)]:
        # A process may end between being listed and being read.
        try:
            times = one.cpu_times()
        except psutil.Error:
            continue
        total += times.user + times.system + getattr(times, "children_user", 0) + getattr(times, "children_system", 0)
    return total


def _ended_cpu_s() -> float:
    """Returns the CPU seconds of the processes that this one has started and that have ended."""
    times = psutil.Process().cpu_times()
    return float(times.children_user + times.children_system)
