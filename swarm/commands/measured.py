"""Shows what a benchmark has measured: a table in the terminal, or the one form of JSON; it knows no benchmark."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from rich.markup import escape
from rich.table import Table

from swarm.figures import figure
from swarm.terminal import err, out


def shown(name: str, measure: Callable[[Any], list[Any]], json_path: Path | None) -> None:
    """Measures, and shows the figures as a table or as JSON; a path other than `-` is written, too."""
    from swarm.bench.form import machine, record, write_json
    from swarm.progress import Progress

    # Progress goes to standard error, so that the table alone is piped on.
    progress = Progress(err)
    with progress.shown():
        results = measure(progress)
    if json_path == Path("-"):
        out.say_json(record(name, results))
        return
    # One row a figure: its value, what it should be, whether it is, and between what bounds.
    table = Table(box=None, padding=(0, 1), header_style="dim")
    for heading in ("figure", "value", "aim", "unit", ""):
        justify: Literal["left", "right"] = "right" if heading in ("value", "aim") else "left"
        # A name is looked up as it stands, so it is not broken; long remarks are.
        table.add_column(heading, justify=justify, overflow="fold", no_wrap=heading == "figure")
    for result in results:
        value = "-" if result.value is None else figure(result.value, 6, ",")
        aim = "" if result.aim is None else f"{'<=' if result.better == 'lower' else '>='} {figure(result.aim, 6, ',')}"
        # A figure without an aim has no verdict.
        verdict = {None: "", True: "reached", False: "[yellow]short of the aim[/yellow]"}[result.reached]
        remarks = filter(None, (verdict, escape(result.bound), escape(result.note)))
        table.add_row(result.name, value, aim, result.unit, "; ".join(remarks))
    out.print(table)
    out.print("machine: " + ", ".join(f"{key} {value}" for key, value in machine().items()), style="dim")
    if json_path is not None:
        write_json(json_path, name, results)
        out.say(f"written to {json_path}")
