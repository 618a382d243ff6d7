"""Owns the one form of a benchmark's result, which the terminal's table and the JSON are made from."""

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any, Literal

import psutil

from swarm.coordination.intervals import wilson
from swarm.errors import ConfigError, OutputError
from swarm.experiments.statistics import interval
from swarm.figures import figure
from swarm.version import __version__

RUNS_ENV = "SWARM_BENCH_RUNS"
"""The environment variable that says how many runs a figure is the median of, for a look that need not be exact."""


def runs() -> int:
    """Returns how many runs a figure is the median of; ConfigError where the environment names no such number."""
    told = os.environ.get(RUNS_ENV, "5")
    if not (told.isascii() and told.isdecimal()) or not 1 <= int(told) <= 99:
        raise ConfigError(RUNS_ENV, f"expected a number of runs from 1 to 99, got {told[:20]!r}", "leave it out for 5")
    return int(told)


RUNS = runs()


@dataclass(frozen=True, slots=True)
class Result:
    """A figure, the median of `runs`; `value` is None where it cannot be measured here, and `note` says why.

    `aim` is what was aimed at, `bound` what limits the figure in words, and `of_bound` how much of that is reached.
    """

    name: str
    value: float | None
    unit: str
    better: Literal["lower", "higher"]
    aim: float | None = None
    runs: tuple[float, ...] = ()
    bound: str = ""
    of_bound: float | None = None
    note: str = ""

    @property
    def reached(self) -> bool | None:
        """Returns whether the aim is reached; None where there is no aim or no value."""
        if self.value is None or self.aim is None:
            return None
        return self.value <= self.aim if self.better == "lower" else self.value >= self.aim


def paired(differences: Sequence[float], unit: str) -> str:
    """Returns the mean of paired differences with its 95% interval, and calls one that holds zero none."""
    middle, half = interval(differences)
    if len(differences) < 2:
        return f"{figure(middle, form='+,')} {unit} (one seed, no interval)"
    none = ", which is none" if abs(middle) <= half else ""
    told, low, high = (figure(value, form="+,") for value in (middle, middle - half, middle + half))
    return f"{told} {unit} ({low} to {high}){none}"


def share(
    name: str, hits: int, of: int, aim: float | None, told: str, better: Literal["lower", "higher"] = "higher"
) -> Result:
    """Returns how many of so many, with the 95% interval by Wilson."""
    low, high = wilson(hits, of)
    said = f"{hits} of {of}, 95% {low:.3f} to {high:.3f}" + (f"; {told}" if told else "")
    return Result(name, round(hits / max(of, 1), 4), "share", better, aim, bound=said)


def median_of(name: str, runs: list[float], unit: str, better: Literal["lower", "higher"], **more: Any) -> Result:
    """Returns a result whose value is the median of `runs`."""
    # Six digits hold more than any clock here tells, and keep the committed files readable.
    return Result(name, round(median(runs), 6), unit, better, runs=tuple(round(r, 6) for r in runs), **more)


def machine() -> dict[str, Any]:
    """Returns what the figures were measured on."""
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 2**30, 1),
        # Who reads a figure later can tell by this whether the machine was its own.
        "load_1_min": round(os.getloadavg()[0], 2),
        "swarm": __version__,
    }


def record(bench: str, results: list[Result]) -> dict[str, Any]:
    """Returns the results of one benchmark in the form of all, from which the tables of the docs are made."""
    return {"bench": bench, "machine": machine(), "results": [asdict(r) for r in results]}


def write_json(path: Path, bench: str, results: list[Result]) -> None:
    """Writes the results of one benchmark; OutputError where that fails."""
    try:
        path.write_text(json.dumps(record(bench, results), indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise OutputError(f"--json {path}: this file cannot be written ({error.strerror})") from error
