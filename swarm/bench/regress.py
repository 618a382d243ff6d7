"""Measures the README's figures again and holds them against those that are committed; who reads the table judges.

`make bench-regress` runs the benchmarks that the figures come from and keeps their files in a folder, so that one that
was broken off goes on. It fails for no figure, since a busy machine is no regression.
"""

import argparse
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from swarm.bench.form import RUNS_ENV
from swarm.bench.table import TEN
from swarm.figures import figure

COMMITTED = Path("docs/benchmarks")
TOLERANCE = {
    "cpu_ms_per_turn_1000": 0.15,
    "turns_per_s_1000": 0.25,
    "round_over_latency_1000": 0.10,
    "round_ray_s_1000": 0.30,
    "round_s_100000": 0.30,
    "kb_per_trader": 0.15,
    "call_auction_orders_per_s_1000000": 0.25,
    "market_recovery_s_snapshot_4950000": 0.30,
    "embedded_decisions_per_s_1_core": 0.15,
    "token_slope": 0.02,
}
"""By how much of itself a figure may be worse: least for counts, more for CPU time, most for seconds on a clock."""


@dataclass(frozen=True, slots=True)
class Compared:
    """A figure as it is committed and as it is now; `worse` is the share by which it is worse, below zero if better."""

    bench: str
    name: str
    unit: str
    before: float | None
    now: float | None
    worse: float | None

    @property
    def verdict(self) -> str:
        """Says in a word what the figure comes to."""
        if self.worse is None:
            return "not measured"
        if self.worse > TOLERANCE[self.name]:
            return "WORSE"
        return "better" if self.worse < -TOLERANCE[self.name] else "same"


def compared(committed: Path, fresh: Path) -> list[Compared]:
    """Returns the figures of the README in their order; `fresh` need not have all of them."""
    before, now = _figures(committed), _figures(fresh)
    found = []
    for name in TEN:
        bench, old = before[name]
        new = now.get(name, (bench, {"value": None}))[1]["value"]
        worse = None
        if old["value"] and new is not None:
            change = new / old["value"] - 1
            worse = change if old["better"] == "lower" else -change
        found.append(Compared(bench, name, old["unit"], old["value"], new, worse))
    return found


def table(found: list[Compared]) -> str:
    """Returns the figures as lines of text."""
    lines = [f"{'figure':38} {'committed':>14} {'now':>14} {'worse by':>9} {'allowed':>8}  verdict"]
    for one in found:
        before, now = (figure(value, 4, ",") if value is not None else "-" for value in (one.before, one.now))
        worse = "-" if one.worse is None else f"{one.worse:+.0%}"
        lines.append(f"{one.name:38} {before:>14} {now:>14} {worse:>9} {TOLERANCE[one.name]:>8.0%}  {one.verdict}")
    return "\n".join(lines)


def _figures(folder: Path) -> dict[str, tuple[str, dict[str, Any]]]:
    """Returns each figure of the files in a folder, with its benchmark, by name."""
    found: dict[str, tuple[str, dict[str, Any]]] = {}
    for file in sorted(folder.glob("*.json")):
        form = json.loads(file.read_text(encoding="utf-8"))
        found |= {result["name"]: (form["bench"], result) for result in form["results"]}
    return found


def main() -> None:
    """Measures what the folder lacks, one benchmark after another, and prints the table."""
    parser = argparse.ArgumentParser(description="Hold the README's figures against those that are committed.")
    parser.add_argument("--keep", type=Path, default=Path(".cache/bench-regress"), help="where new figures are kept")
    parser.add_argument("--only", nargs="*", help="measure these benchmarks alone")
    parser.add_argument("--runs", default="5", help="runs of which a figure is the median")
    parser.add_argument("--limit-s", type=float, help="seconds after which a benchmark is given up")
    asked = parser.parse_args()
    asked.keep.mkdir(parents=True, exist_ok=True)
    for bench in dict.fromkeys(one.bench for one in compared(COMMITTED, asked.keep)):
        path = asked.keep / f"{bench}.json"
        # One that failed leaves no file, and its figures are told as not measured.
        if path.exists() or (asked.only is not None and bench not in asked.only):
            continue
        command = [sys.executable, "-m", "swarm", "bench", bench, "--json", str(path)]
        process = subprocess.Popen(command, env={**os.environ, RUNS_ENV: asked.runs})  # noqa: S603  # our own code
        try:
            process.wait(asked.limit_s)
        except subprocess.TimeoutExpired:
            # Asked to end, it ends the cluster that it started.
            process.terminate()
            process.wait()
    print(table(compared(COMMITTED, asked.keep)))


if __name__ == "__main__":
    main()
