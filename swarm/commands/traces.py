"""Commands that look into a run that is over: why a trader did what it did, and queries over its tables."""

from typing import Annotated

import typer

from swarm import limits
from swarm.commands.options import AsJson, RunDirectory
from swarm.terminal import err, out

app = typer.Typer()

MOST_ROWS = 500
"""Rows that a table on the terminal has at most; laying out more takes minutes."""


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
    table = Table(box=None, padding=(0, 2), header_style="dim")
    for name, kind in found.schema.items():
        table.add_column(escape(name), justify="right" if kind.is_numeric() else "left", overflow="fold")
    for row in found.head(MOST_ROWS).iter_rows():
        # What traders said is text of others, and no markup.
        table.add_row(*(escape(_told(value)) for value in row))
    out.print(table)
    if found.height > MOST_ROWS:
        err.say(f"the first {MOST_ROWS} of {found.height:,} rows; --json prints all, and LIMIT asks for fewer")


def _told(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:,.6g}" if isinstance(value, float) else str(value)
