"""Commands that look into a run that is over: why a trader did what it did, and queries over its tables."""

from typing import Annotated

import typer

from swarm import limits
from swarm.commands.options import AsJson, RunDirectory
from swarm.figures import figure
from swarm.terminal import err, out

app = typer.Typer()

MOST_ROWS = 500
"""Rows that a table on the terminal has at most; laying out more takes minutes."""

PADDING = 2
"""Blanks on either side of a table's column."""

NARROWEST = 12
"""Characters that a column of long texts keeps, at the least, where they are folded to fit the terminal."""


@app.command()
def why(
    directory: RunDirectory,
    trader: Annotated[int, typer.Option("--trader", metavar="N", help="The trader's number in the run, from 0.")],
    round_: Annotated[int, typer.Option("--round", metavar="N", help="The round, from 1.")],
    as_json: AsJson = False,
) -> None:
    """Say why a trader did what it did: its prompt, each reply, its orders and fills, and what else there was.

    The run is replayed from its journal up to that round; no model is asked. Prompts are made again and shown only
    where they have the digest that was recorded. What each action of the menu would have brought is cleared again.
    """
    limits.must_suffice(limits.local_gb(), "a replay")
    from swarm.planning import composed
    from swarm.report.why import lines
    from swarm.simulation.folder import RunFolder
    from swarm.simulation.why import why as explain

    folder = RunFolder(directory)
    folder.check()
    found = explain(folder.journals, composed, trader, round_)
    if as_json:
        out.say_json([one.record() for one in found])
        return
    # Whoever reads from a pipe has the lines as they are.
    width = out.width if out.is_terminal else None
    out.say("\n\n\n".join("\n".join(lines(one, width)) for one in found))


@app.command()
def query(
    directory: RunDirectory,
    sql: Annotated[str, typer.Argument(metavar="SQL", help="Say 'SELECT good, COUNT(*) FROM trades GROUP BY good'.")],
    as_json: AsJson = False,
) -> None:
    """Ask the tables of a run a question in SQL: its own, and `calls`, `orders` and `messages`.

    These three are made by replaying the run, and only where the question names them; `calls` has each prompt, made
    again, and each reply. The SQL is that of polars.
    """
    limits.must_suffice(limits.local_gb(), "a replay")
    from rich.markup import escape
    from rich.table import Table

    from swarm.planning import composed
    from swarm.simulation.folder import RunFolder
    from swarm.simulation.traces import queried

    folder = RunFolder(directory)
    folder.check()
    found = queried(folder, composed, sql)
    if as_json:
        out.say_json(found.to_dicts())
        return
    rows = [[_told(value) for value in row] for row in found.head(MOST_ROWS).iter_rows()]
    if _needed(found.columns, rows) > out.width:
        _say_records(found.columns, rows)
    else:
        table = Table(box=None, padding=(0, PADDING), header_style="dim")
        for name, kind in found.schema.items():
            table.add_column(escape(name), justify="right" if kind.is_numeric() else "left", overflow="fold")
        for row in rows:
            # What traders said is text of others, and no markup.
            table.add_row(*map(escape, row))
        out.print(table)
    if not rows:
        err.say("no rows")
    if found.height > MOST_ROWS:
        err.say(f"the first {MOST_ROWS} of {found.height:,} rows; --json prints all, and LIMIT asks for fewer")


def _told(value: object) -> str:
    if value is None:
        return "-"
    return figure(value, 6, ",") if isinstance(value, float) else str(value)


def _needed(columns: list[str], rows: list[list[str]]) -> int:
    """Returns the characters that a line of a table needs, its long texts folded."""
    longest = [max(map(len, cells)) for cells in zip(columns, *rows, strict=True)]
    return sum(min(one, NARROWEST) + 2 * PADDING for one in longest)


def _say_records(columns: list[str], rows: list[list[str]]) -> None:
    """Prints each row as a block, a line for each column."""
    width = max(map(len, columns))
    for number, row in enumerate(rows, start=1):
        out.print(f"[dim]row {number}[/dim]")
        for name, value in zip(columns, row, strict=True):
            # Further lines of a value stand below its first.
            out.say(f"  {name:<{width}}  " + value.replace("\n", "\n" + " " * (width + 4)))
