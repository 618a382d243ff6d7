"""Makes the project's tables of figures, from the benchmarks' JSON files and from nothing else.

`python -m swarm.bench.table` writes all figures to docs/benchmarks.md and the ten that matter most to the README, each
between its two marks, and draws docs/growth.svg.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from swarm.bench.plot import draw
from swarm.figures import figure

BEGIN = "<!-- benchmarks: made by `make bench-table` from docs/benchmarks/*.json -->"
END = "<!-- end of benchmarks -->"

TEN = (
    "cpu_ms_per_turn_1000",
    "turns_per_s_1000",
    "round_over_latency_1000",
    "round_ray_s_1000",
    "round_s_100000",
    "kb_per_trader",
    "call_auction_orders_per_s_1000000",
    "market_recovery_s_snapshot_4950000",
    "embedded_decisions_per_s_1_core",
    "token_slope",
)
"""The figures that the README shows."""


def render(folder: Path, names: Sequence[str] | None = None) -> str:
    """Returns the table of the results in `folder`, in the order of the files, or of `names` where given.

    KeyError where one of `names` is in no file.
    """
    found: dict[str, str] = {}
    # Only machines whose figures are shown are named below them.
    machines = set()
    for file in sorted(folder.glob("*.json")):
        form = json.loads(file.read_text(encoding="utf-8"))
        machine = form["machine"]
        rows = {result["name"]: _row(form["bench"], result) for result in form["results"]}
        # A figure that two files have is taken from the later one.
        found |= rows
        if names is None or rows.keys() & set(names):
            machines.add(
                f"{machine['system']}, {machine['cores']} cores, {machine['memory_gb']} GB, Python {machine['python']}"
            )
    lines = ["| benchmark | figure | median of five | aim | what bounds it |", "|---|---|---:|---:|---|"]
    lines += [found[name] for name in (found if names is None else names)]
    return "\n".join([*lines, "", f"Measured on shared machines: {'; '.join(sorted(machines))}."])


def insert(page: str, table: str) -> str:
    """Returns `page` with `table` between the marks; ValueError where a mark is missing."""
    # What stands before and behind the marks is somebody's prose and stays as it is.
    before, _, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end:
        raise ValueError(f"the page lacks {BEGIN!r} or {END!r}")
    return f"{before}{BEGIN}\n{table}\n{END}{after}"


def pages(root: Path) -> dict[Path, str]:
    """Returns the text that each page with a table should have, by its path."""
    tables = {"README.md": TEN, "docs/benchmarks.md": None}
    source = root / "docs" / "benchmarks"
    return {
        root / name: insert((root / name).read_text(encoding="utf-8"), render(source, names))
        for name, names in tables.items()
    }


def _row(bench: str, result: dict[str, Any]) -> str:
    value = "not measured" if result["value"] is None else f"{_number(result['value'])} {result['unit']}"
    aim = ""
    if result["aim"] is not None:
        aim = f"{'at most' if result['better'] == 'lower' else 'at least'} {_number(result['aim'])}"
    return f"| {bench} | `{result['name']}` | {value} | {aim} | {result['bound'] or result['note']} |"


def _number(value: float) -> str:
    return figure(value, form=",")


if __name__ == "__main__":
    for path, text in pages(Path()).items():
        path.write_text(text, encoding="utf-8")
    draw(Path())
