"""How a run's cost grows with its traders: CPU, time, memory and disk of a round from a hundred traders to a million.

Each point is two runs in a folder, of few rounds and of more, each a process of its own whose use the system tells.
Their difference is what rounds and their rows of tables cost, without the start. No report is made.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from swarm.bench.form import Result
from swarm.config_file import load
from swarm.errors import OutputError
from swarm.preflight import Narrator
from swarm.runtime.ports import IN_THIS_PROCESS
from swarm.runtime.run import Session
from swarm.simulation.folder import RunFolder

SIZES = (100, 1_000, 10_000, 100_000, 1_000_000)
MINDS: dict[str, dict[str, Any]] = {
    "baselines": {"traders": {"minds": {"zi_c": 1, "zip": 1}}},
    "tiny": {
        "models": [{"name": "tiny", "engine": "embedded", "temperament": "value"}],
        "traders": {"minds": {"tiny": 1}},
    },
    # Who has decided stands by it for ten rounds, unless something concerns it.
    "standing": {
        "models": [{"name": "scripted", "temperament": "value"}],
        "traders": {"minds": {"scripted": 1}, "standing": {"max_rounds": 10}},
    },
}
MOST_OF = {"baselines": 1_000_000, "tiny": 10_000, "standing": 100_000}
TURNS = {"baselines": 400_000, "tiny": 6_000, "standing": 60_000}
"""How many turns the rounds of a point have, so that those of small ones stand out from the start of a process."""
FEW_ROUNDS, LEAST_ROUNDS, MOST_ROUNDS = 1, 3, 100
ROUND_S_AIM, KB_AIM, BYTES_AIM = 10.0, 4.0, 25.0
SLOPE_FROM = {"baselines": 10_000, "tiny": 1_000, "standing": 1_000}
"""From how many traders on a cost per trader is told from what a round costs anyway."""


@dataclass(frozen=True, slots=True)
class Use:
    """What one run used: CPU seconds, the most memory at once in kB, bytes on disk, and the seconds of its rounds."""

    cpu_s: float
    peak_kb: float
    disk_bytes: int
    round_s: float


@dataclass(frozen=True, slots=True)
class Point:
    """What `traders` traders cost: CPU and seconds of a round, kB and bytes of a trader."""

    traders: int
    cpu_s: float
    round_s: float
    peak_kb: float
    disk_bytes: float


def measure(narrator: Narrator, most: int = SIZES[-1], only: Sequence[str] = ()) -> list[Result]:
    """Returns the figures of populations of up to `most` traders, each measured once: a curve shows by its points.

    `only` are the populations that are measured, of MINDS; all of them where it is empty.
    """
    results: list[Result] = []
    for name in only or MINDS:
        points = []
        for traders in (size for size in SIZES if size <= min(most, MOST_OF[name])):
            narrator.phase(f"{traders:,} {name}")
            points.append(_point(name, traders))
        results += [result for point in points for result in _results(name, point, points[0])]
        results += _slope(name, points)
    return results


def _point(name: str, traders: int) -> Point:
    rounds = max(LEAST_ROUNDS, min(MOST_ROUNDS, TURNS[name] // traders))
    few, many = (_use(name, traders, played) for played in (FEW_ROUNDS, FEW_ROUNDS + rounds))
    return Point(
        traders,
        (many.cpu_s - few.cpu_s) / rounds,
        many.round_s,
        many.peak_kb,
        (many.disk_bytes - few.disk_bytes) / rounds / traders,
    )


def _results(name: str, point: Point, smallest: Point) -> list[Result]:
    """Returns the figures of one population; the aims are those of a million baselines."""
    at, largest = f"{name}_{point.traders}", name == "baselines" and point.traders == SIZES[-1]
    cpu = Result(f"growth_cpu_s_{at}", round(point.cpu_s, 4), "s", "lower", bound="one process; CPU of a round")
    time = Result(f"growth_round_s_{at}", round(point.round_s, 4), "s", "lower", ROUND_S_AIM if largest else None)
    disk = Result(
        f"growth_bytes_{at}",
        round(point.disk_bytes, 1),
        "B",
        "lower",
        BYTES_AIM if largest else None,
        bound="journal and tables, of a trader and round",
    )
    found = [cpu, time, disk]
    # What the interpreter and its packages take is in both, and a trader's part shows only in the larger one.
    if point.traders > smallest.traders:
        kb = (point.peak_kb - smallest.peak_kb) / (point.traders - smallest.traders)
        bound = f"the most that the process had at once, less that at {smallest.traders}, tables included"
        found.append(Result(f"growth_kb_{at}", round(kb, 2), "kB", "lower", KB_AIM if largest else None, bound=bound))
    return found


def _slope(name: str, points: list[Point]) -> list[Result]:
    """Returns the slope of CPU over traders on two logarithmic scales, where there are two large populations."""
    large = [point for point in points if point.traders >= SLOPE_FROM[name] and point.cpu_s > 0]
    if len(large) < 2:
        return []
    x, y = (np.log([getattr(point, key) for point in large]) for key in ("traders", "cpu_s"))
    slope = float(np.polyfit(x, y, 1)[0])
    bound = f"CPU of a round over traders, both logarithmic, from {SLOPE_FROM[name]:,} traders on; 1 is proportional"
    return [Result(f"growth_slope_{name}", round(slope, 3), "", "lower", bound=bound)]


def _use(name: str, traders: int, rounds: int) -> Use:
    """Plays a run in a process of its own and returns what it used; OutputError with its last line where it fails."""
    with tempfile.TemporaryDirectory(prefix="swarm-growth-") as kept:
        config, folder = Path(kept, "growth.yaml"), Path(kept, "run")
        budget = {"round_deadline_s": 600}
        config.write_text(
            yaml.safe_dump({"rounds": rounds, "population": traders, "budget": budget, **MINDS[name]}), encoding="utf-8"
        )
        command = [sys.executable, "-m", "swarm.bench.growth", str(config), str(folder)]
        with Path(kept, "said").open("w+b") as said:
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=said)  # noqa: S603 - of ours alone
            _, status, used = os.wait4(process.pid, 0)
            # Its handle need not wait for it any more.
            process.returncode = os.waitstatus_to_exitcode(status)
            if process.returncode:
                said.seek(0)
                raise OutputError(f"a run of {traders:,} {name} failed: {said.read().decode(errors='replace')[-300:]}")
        summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
        stored = [*folder.glob("journal*"), *(folder / "tables").iterdir()]
        # Linux tells it in kB, macOS in bytes.
        peak_kb = used.ru_maxrss / (1_000 if sys.platform == "darwin" else 1)
        disk = sum(path.stat().st_size for path in stored)
        return Use(used.ru_utime + used.ru_stime, peak_kb, disk, summary["seconds_per_round"]["p50"])


def _play(config: Path, folder: Path) -> None:
    """Plays the run of a config as `swarm run --local` does, but for its report."""
    Session(IN_THIS_PROCESS, RunFolder(folder), report=False).execute(load(config))


if __name__ == "__main__":
    _play(Path(sys.argv[1]), Path(sys.argv[2]))
