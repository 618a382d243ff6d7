"""The page to watch a run on: what its options mean, and the command that shows a run that is over."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Annotated

import typer

from swarm import limits
from swarm.commands.options import LiveAt, LiveHosts, RunDirectory
from swarm.commands.stopping import StopFlag
from swarm.errors import ConfigError
from swarm.terminal import Terminal, err, out

if TYPE_CHECKING:
    from swarm.live.opened import Address, Opened
    from swarm.simulation.folder import RunFolder

app = typer.Typer()

TOKEN_ENV = "SWARM_LIVE_TOKEN"  # noqa: S105 - the name of a variable
POLL_S = 0.2

Visitors = Annotated[
    list[str] | None,
    typer.Option(
        "--visitor",
        metavar="NAME",
        help="Who may step in on the page; each has an address of its own, and acts stand in the journal by name. May "
        f"stand several times. Default: one, `visitor`, whose token may be given in {TOKEN_ENV}.",
    ),
]
Pace = Annotated[
    float,
    typer.Option(
        "--pace",
        min=0.0,
        max=60.0,
        metavar="SECONDS",
        help="With --live: how long a round takes at the least, so that it can be watched; 0: as fast as it goes. The "
        "page can change it.",
    ),
]
LiveFor = Annotated[
    float | None,
    typer.Option(
        "--live-for",
        min=0.0,
        metavar="SECONDS",
        help="Keep the page so long once the run is over. Default: until Ctrl-C.",
    ),
]


@dataclass(frozen=True, slots=True)
class LivePage:
    """The page that a run is to have: where, who may step in, the least time of a round, and how long it stays."""

    address: "Address"
    visitors: tuple[str, ...]
    pace_s: float
    stays_s: float


def asked_for(
    live: bool,
    at: str | None,
    hosts: list[str] | None,
    visitors: list[str] | None,
    pace_s: float,
    stays_s: float | None,
) -> LivePage | None:
    """Returns the page that a command's options ask for; None where they ask for none."""
    if not live:
        # Whoever says where the page is wants one.
        if at is not None or hosts or visitors or stays_s is not None:
            raise ConfigError("--live", "expected it beside the other options of the page")
        return None
    from swarm.live.opened import Address, named

    return LivePage(Address.read(at, hosts or ()), named(visitors or ()), pace_s, inf if stays_s is None else stays_s)


@contextmanager
def opened(page: LivePage, folder: "RunFolder", stop: Callable[[], bool], console: Terminal) -> Iterator["Opened"]:
    """Serves the page of a run that is about to begin, and says its addresses on a console."""
    import os

    from swarm.live.opened import of_run
    from swarm.planning import composed
    from swarm.simulation.hand import Hand

    tokens = None
    if token := os.environ.get(TOKEN_ENV):
        if len(page.visitors) > 1 or len(token) < 16:
            raise ConfigError(TOKEN_ENV, "expected a token of 16 characters or more, for one visitor alone")
        tokens = {page.visitors[0]: token}
    hands = tuple(Hand(name) for name in page.visitors)
    with of_run(page.address, lambda: folder.journals, composed, hands, page.pace_s, stop, tokens) as shown:
        # A token that was given is known to who gave it, and stays out of logs.
        addresses = shown.addresses() if tokens is None else [(shown.url, "")]
        for url, name in addresses:
            console.say(f"live page {url}" + (f"  ({name} may step in)" if name else "  (to look on)"))
        yield shown


def stay(page: LivePage, url: str, stop: Callable[[], bool]) -> None:
    """Keeps the page for as long as it is to stay, or until the run is told to stop."""
    if page.stays_s and not stop():
        until = "" if page.stays_s == inf else f" for {page.stays_s:g} s"
        err.say(f"the page stays at {url}{until}; Ctrl-C ends it")
    _wait(page.stays_s, stop)


@app.command()
def live(
    directory: RunDirectory,
    live_at: LiveAt = None,
    live_hosts: LiveHosts = None,
    live_for: Annotated[
        float | None,
        typer.Option("--live-for", min=0.0, metavar="SECONDS", help="Keep the page so long. Default: until Ctrl-C."),
    ] = None,
) -> None:
    """Show a run that is over on a page, with a slider over its rounds.

    The rounds are those of the journal, replayed: no model is asked. A run that goes on is shown by `swarm run --live`.
    """
    limits.must_suffice(limits.local_gb(), "a replay")
    from swarm.live.opened import Address, of_past
    from swarm.planning import composed
    from swarm.simulation.folder import RunFolder
    from swarm.simulation.replay import replay

    folder = RunFolder(directory)
    folder.check()
    with StopFlag() as stop, of_past(Address.read(live_at, live_hosts or ()), folder.journals, composed) as shown:
        out.say(f"live page {shown.url}  (to look on)")
        result = replay(folder.journals, composed, shown.watchers)
        finished = result.rounds == result.plan.rounds
        # What is shown is what the journal says, whether or not its history holds.
        told = "" if result.holds else f"the history does not hold: {result.mismatch or 'its hash is another'}"
        shown.over("finished" if finished else "stopped", told)
        if told:
            err.say(told)
        _wait(inf if live_for is None else live_for, stop)


def _wait(seconds: float, stop: Callable[[], bool]) -> None:
    end = time.monotonic() + seconds
    while not stop() and (left := end - time.monotonic()) > 0:
        time.sleep(min(left, POLL_S))
