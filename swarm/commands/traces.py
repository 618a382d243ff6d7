"""Commands that look into a run that is over: why a trader did what it did."""

import json
from typing import Annotated

import typer

from swarm import limits
from swarm.commands.options import RunDirectory
from swarm.terminal import out

app = typer.Typer()


@app.command()
def why(
    directory: RunDirectory,
    trader: Annotated[int, typer.Option("--trader", metavar="N", help="The trader's number in the run, from 0.")],
    round_: Annotated[int, typer.Option("--round", metavar="N", help="The round, from 1.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
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
        # As it is: JSON's own escapes keep a terminal from acting on it.
        out.say(json.dumps([one.record() for one in found], indent=2))
        return
    # Whoever reads from a pipe has the lines as they are.
    width = out.width if out.is_terminal else None
    out.say("\n\n\n".join("\n".join(lines(one, width)) for one in found))
