"""The README's table of figures, made from the benchmarks' JSON files and from nothing else.

`python -m swarm.bench.table docs/benchmarks README.md` writes it between its two marks.
"""

import json
import sys
from pathlib import Path
from typing import Any

BEGIN = "<!-- benchmarks: made by `make bench-table` from docs/benchmarks/*.json -->"
END = "<!-- end of benchmarks -->"


def render(folder: Path) -> str:
    """The table of all results in `folder`, in the order of the files' names."""
    lines = ["| benchmark | figure | median of five | aim | what bounds it |", "|---|---|---:|---:|---|"]
    machines = set()
    for file in sorted(folder.glob("*.json")):
        form = json.loads(file.read_text(encoding="utf-8"))
        machine = form["machine"]
        machines.add(
            f"{machine['system']}, {machine['cores']} cores, {machine['memory_gb']} GB, Python {machine['python']}"
        )
        lines += [_row(form["bench"], result) for result in form["results"]]
    return "\n".join([*lines, "", f"Measured on a shared machine: {'; '.join(sorted(machines))}."])


def insert(readme: str, table: str) -> str:
    """`readme` with `table` between the marks; ValueError where a mark is missing."""
    before, _, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end:
        raise ValueError(f"the README lacks {BEGIN!r} or {END!r}")
    return f"{before}{BEGIN}\n{table}\n{END}{after}"


def _row(bench: str, result: dict[str, Any]) -> str:
    value = "not measured" if result["value"] is None else f"{_number(result['value'])} {result['unit']}"
    aim = ""
    if result["aim"] is not None:
        aim = f"{'at most' if result['better'] == 'lower' else 'at least'} {_number(result['aim'])}"
    return f"| {bench} | `{result['name']}` | {value} | {aim} | {result['bound'] or result['note']} |"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1_000 else f"{value:.3g}"


if __name__ == "__main__":
    source, target = Path(sys.argv[1]), Path(sys.argv[2])
    target.write_text(insert(target.read_text(encoding="utf-8"), render(source)), encoding="utf-8")
