"""Measures the README's figures again and holds them against those that are committed; who reads the table judges.

`make bench-regress` runs the benchmarks that the figures come from and keeps their files in a folder, so that one that
was broken off goes on. With BEFORE, a checkout of another commit, both are measured in turns instead, in one sitting.
It fails for no figure, since a busy machine is no regression.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
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
        # A sitting need not have measured all.
        if name not in before:
            continue
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


def merged(forms: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Returns one benchmark's form made of several, each figure the median of theirs."""
    last = forms[-1]
    results = []
    for result in last["results"]:
        told = [one["value"] for form in forms for one in form["results"] if one["name"] == result["name"]]
        values = [value for value in told if value is not None]
        results.append({**result, "value": median(values), "runs": values} if values else result)
    return {**last, "results": results}


def in_turns(benches: Sequence[str], before: Path, keep: Path, runs: int, limit_s: float | None) -> None:
    """Measures benchmarks in another checkout and in this one, in turns, so that both have the same machine.

    The medians are kept in the folders `before` and `now` below `keep`.
    """
    for bench in benches:
        forms: dict[str, list[dict[str, Any]]] = {"before": [], "now": []}
        for attempt in range(runs):
            for side, checkout in (("before", before.resolve()), ("now", Path.cwd())):
                one = keep / side / f"{bench}-{attempt}.part"
                one.parent.mkdir(parents=True, exist_ok=True)
                # What was measured already is kept, so that a sitting that was broken off goes on.
                if one.exists() or _measured(bench, one, 1, limit_s, checkout):
                    forms[side].append(json.loads(one.read_text(encoding="utf-8")))
        for side, measured in forms.items():
            if measured:
                text = json.dumps(merged(measured), indent=2)
                (keep / side / f"{bench}.json").write_text(text, encoding="utf-8")


def _measured(bench: str, path: Path, runs: int, limit_s: float | None, checkout: Path) -> bool:
    """Runs a benchmark by the code of a checkout, and tells whether it has left its file."""
    command = [sys.executable, "-m", "swarm", "bench", bench, "--json", str(path.resolve())]
    environment = {**os.environ, RUNS_ENV: str(runs), "PYTHONPATH": str(checkout)}
    process = subprocess.Popen(command, env=environment, cwd=checkout)  # noqa: S603  # our own code
    try:
        process.wait(limit_s)
    except subprocess.TimeoutExpired:
        # Asked to end, it ends the cluster that it started.
        process.terminate()
        process.wait()
    return path.exists()


def main() -> None:
    """Measures what the folder lacks, one benchmark after another, and prints the table."""
    parser = argparse.ArgumentParser(description="Hold the README's figures against those that are committed.")
    parser.add_argument("--keep", type=Path, default=Path(".cache/bench-regress"), help="where new figures are kept")
    parser.add_argument("--only", nargs="*", help="measure these benchmarks alone")
    parser.add_argument("--runs", type=int, default=5, help="runs of which a figure is the median")
    parser.add_argument("--limit-s", type=float, help="seconds after which a benchmark is given up")
    parser.add_argument("--before", type=Path, help="a checkout of another commit, measured in turns with this one")
    asked = parser.parse_args()
    if not 1 <= asked.runs <= 99:
        parser.error(f"--runs: expected a number of runs from 1 to 99, got {asked.runs}")
    if asked.before is not None and not (asked.before / "swarm").is_dir():
        parser.error(f"--before: expected a checkout of this project, and {asked.before} has no folder swarm")
    asked.keep.mkdir(parents=True, exist_ok=True)
    benches = [
        bench
        for bench in dict.fromkeys(one.bench for one in compared(COMMITTED, asked.keep))
        if asked.only is None or bench in asked.only
    ]
    if asked.before is not None:
        in_turns(benches, asked.before, asked.keep, asked.runs, asked.limit_s)
        print(table(compared(asked.keep / "before", asked.keep / "now")))
        return
    for bench in benches:
        # One that failed leaves no file, and its figures are told as not measured.
        if not (path := asked.keep / f"{bench}.json").exists():
            _measured(bench, path, asked.runs, asked.limit_s, Path.cwd())
    print(table(compared(COMMITTED, asked.keep)))


if __name__ == "__main__":
    main()
