"""The command that gives and takes away the tokens with which agents from outside take their seats."""

import json
from pathlib import Path
from typing import Annotated

import typer

from swarm.commands.options import AsJson
from swarm.errors import ConfigError
from swarm.terminal import out

app = typer.Typer()


@app.command()
def guests(
    directory: Annotated[
        Path | None,
        typer.Argument(metavar="[DIR]", help="A run's folder, as `swarm run` printed it.", show_default=False),
    ] = None,
    new: Annotated[bool, typer.Option("--new", help="Print a new token, for an environment variable.")] = False,
    revoke: Annotated[
        str | None, typer.Option("--revoke", metavar="NAME", help="Let this guest in no longer; its seats then pass.")
    ] = None,
    renew: Annotated[
        str | None,
        typer.Option("--renew", metavar="NAME", help="Print a new token of this guest, and revoke its old one."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show the guests of a run, the agents from outside that have seats; make tokens, and take them back.

    A run that is under way goes by the change at once. Of tokens the folder keeps hashes alone, so that a new one is
    printed this one time.
    """
    from swarm.runtime.guests.tokens import TokenFile
    from swarm.simulation.folder import RunFolder
    from swarm.web.tokens import new_token

    if sum(map(bool, (new, revoke, renew))) > 1:
        raise ConfigError("swarm guests", "expected one of --new, --revoke and --renew")
    # A token for an environment variable needs no run.
    if new:
        out.say(new_token())
        return
    if directory is None:
        raise ConfigError("DIR", "expected a run's folder, or --new")
    folder = RunFolder(directory)
    folder.check()
    tokens = TokenFile(folder)
    # The token stands alone on its line, so that a script can take it.
    if renew is not None:
        out.say(tokens.renew(renew))
        return
    if revoke is not None:
        tokens.revoke(revoke)
    found = {name: "may enter" if let_in else "revoked" for name, let_in in tokens.guests().items()}
    if as_json:
        out.say(json.dumps({"address": tokens.address, "guests": found}, indent=2))
        return
    out.say(f"heard at {tokens.address}" if tokens.address else "not heard yet")
    out.say("\n".join(f"{name}: {state}" for name, state in found.items()))
