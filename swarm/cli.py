"""The command line: puts the commands together, says what went wrong in one line, sets the exit status."""

import errno
import io
import sys
from typing import Annotated

import typer

from swarm import limits
from swarm.commands import bench, experiments, guests, live, runs, services, setups, traces, training
from swarm.commands.stopping import INTERRUPTED_STATUS
from swarm.errors import SwarmError, asked_by_options, printable
from swarm.terminal import complain, err, log_to_terminal, out, unwritable
from swarm.version import __version__

__all__ = ["app", "err", "main", "out"]

UNWRITABLE = (errno.EPIPE, errno.EBADF, errno.ENOSPC, errno.EIO, errno.EDQUOT, errno.EFBIG)
PARSERS_OWN = "Value error, "
NO_MEMORY = ("cannot allocate memory", "failed to map segment", "unable to allocate", "can't start new thread")

app = typer.Typer(
    name="swarm",
    invoke_without_command=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help=(
        "Market simulations in which every trader thinks with a small language model.\n\n"
        "[bold]swarm run configs/wood.yaml[/bold] runs the Wood on a Ray cluster of its own and writes a report. "
        "[bold]--local[/bold] needs no Ray and comes to the same history. [bold]swarm doctor[/bold] says what this "
        "machine has."
    ),
)
for commands in (
    runs.app,
    live.app,
    traces.app,
    experiments.app,
    setups.app,
    guests.app,
    services.app,
    training.app,
    setups.models_app,
    bench.app,
    services.dashboards_app,
):
    app.add_typer(commands)


@app.callback()
def root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Say the version and stop.", is_eager=True)] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks of errors.")] = False,
) -> None:
    """Options of all commands; `main` looks for --debug itself, since it may stand anywhere."""
    context.with_resource(asked_by_options())
    if version:
        out.say(f"swarm {__version__}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def main() -> None:
    """Runs the app as the console script does, and turns errors into one line and an exit status."""
    # --debug may stand anywhere, as in `swarm run CONFIG --debug`.
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # Names that the terminal's encoding lacks are written as escapes and end nothing.
            stream.reconfigure(errors="backslashreplace")
    log_to_terminal()
    try:
        limits.must_suffice(limits.COMMAND_GB, "any command")
        # Without typer's own handling, all errors come to the one place below.
        status = app(arguments, standalone_mode=False)
        out.file.flush()
    except BaseException as error:
        if "--debug" in sys.argv and not isinstance(error, SystemExit):
            raise
        sys.exit(_status_of(error))
    sys.exit(status if isinstance(status, int) else 0)


def _status_of(error: BaseException) -> int:
    """Returns the exit status of an error, which it says in one line; an error of our own making is raised again."""
    match error:
        case SwarmError():
            complain(str(error))
            return error.exit_status
        case KeyboardInterrupt() | typer.Abort():
            complain("stopped")
            return INTERRUPTED_STATUS
        case _ if (say := getattr(error, "format_message", None)) is not None:
            # A mistake in the words of the command line itself, without the name of the parser's own error.
            complain(f"{printable(say()).replace(PARSERS_OWN, '').rstrip('.')}; --help says what there is")
            return 2
        case OSError() if error.errno in UNWRITABLE:
            complain(str(unwritable("stdout", error)))
            return 1 if error.errno == errno.EPIPE else 2
        case MemoryError() | ImportError() | OSError() | RuntimeError() if _lacks_memory(error):
            complain(
                f"memory: the system gave no more ({printable(str(error) or type(error).__name__)}); {limits.remedy()}"
            )
            return 2
    raise error


def _lacks_memory(error: BaseException) -> bool:
    return isinstance(error, MemoryError) or any(words in str(error).lower() for words in NO_MEMORY)


if __name__ == "__main__":
    main()
