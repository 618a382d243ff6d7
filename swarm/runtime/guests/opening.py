"""Opens the seats of a run's guests: their tokens, the log of what they send, and the server that hears them."""

import importlib.util
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from dataclasses import dataclass
from time import monotonic, sleep

from starlette.applications import Starlette
from starlette.types import ASGIApp

from swarm.agents.guest import MAX_BODY_BYTES
from swarm.agents.shard import MODELS_SHARE
from swarm.config import RunConfig
from swarm.preflight import Narrator
from swarm.runtime.guests import http
from swarm.runtime.guests.api import GuestApi
from swarm.runtime.guests.door import Ended, SeatDoor
from swarm.runtime.guests.log import FILE as LOG_FILE
from swarm.runtime.guests.log import DecisionLog
from swarm.runtime.guests.tokens import TokenFile, tokens_of
from swarm.simulation.folder import RunFolder
from swarm.simulation.guests import GuestTraders, Statements
from swarm.simulation.plan import RunPlan, WorldPlan
from swarm.simulation.traders import AskableTraders
from swarm.web.guard import LOOPBACK_HOSTS, Guarded
from swarm.web.server import MAX_CONNECTIONS, Bound, served

log = logging.getLogger(__name__)

LINGER_S = 5.0
"""Longest that a finished run waits for seats to hear of its end, those that called in its last round."""
LINGER_POLL_S = 0.02


@dataclass(frozen=True, slots=True)
class Guests:
    """The guests of a run that is under way."""

    door: SeatDoor
    statements: Statements

    def among(self, plan: RunPlan, traders: AskableTraders) -> AskableTraders:
        """Returns the traders of a market with its guests among them."""
        return GuestTraders(traders, plan.shard, self.door)

    def end(self, how: Ended) -> None:
        """Tells guests that no round follows; one that is finished waits a moment for them to hear it."""
        self.door.end(how)
        until = monotonic() + LINGER_S
        while how == "finished" and self.door.called - self.door.told and monotonic() < until:
            sleep(LINGER_POLL_S)


@contextmanager
def opened(
    config: RunConfig,
    plan: WorldPlan,
    folder: RunFolder,
    narrator: Narrator,
    should_stop: Callable[[], bool],
    environment: Mapping[str, str] = os.environ,
) -> Iterator[Guests]:
    """Hears the guests of a run while the block runs, and yields them."""
    guests = config.traders.guests
    tokens = TokenFile(folder)
    for name in tokens.begin(tokens_of(guests, environment)):
        log.warning("the guest %s has a token that was revoked: nobody can take its seats", name)
    most_s = MODELS_SHARE * config.budget.round_deadline_s
    waits_s = {guest.name: min(guest.max_seconds or most_s, most_s) for guest in guests}
    kept = DecisionLog(folder.path / LOG_FILE)
    door = SeatDoor(waits_s, kept, should_stop, barred=tokens.barred)
    statements = Statements(door.passed)
    api = GuestApi(plan.last.run, door, statements)
    seats = sum(guest.seats for guest in guests)
    # The log is read before anybody is heard, and closed after the last one was.
    with closing(kept), ExitStack() as stack:
        door.begin(kept.open())
        app = http.application(api, tokens.guest_of, _mcp(api))
        bound = stack.enter_context(_served(app, config, tokens.port, seats))
        tokens.heard_at(bound.url, bound.port)
        narrator.phase(f"guests may take {seats} seats at {bound.url}: {', '.join(sorted(waits_s))}")
        try:
            yield Guests(door, statements)
        finally:
            # Whatever ended the run, nobody is left waiting.
            if door.ended is None:
                door.end("stopped")


def _mcp(api: GuestApi) -> Starlette | None:
    """Returns the skin that speaks MCP; None where the package is not installed."""
    if importlib.util.find_spec("mcp") is None:
        return None
    from swarm.runtime.guests import mcp

    return mcp.application(api)


def _served(app: ASGIApp, config: RunConfig, before: int, seats: int) -> AbstractContextManager[Bound]:
    """Serves the app where the config says: at any free port, that is the port that the run had before, if it can."""
    host, port = config.runtime.guests_host, config.runtime.guests_port
    # Each seat has a call that waits and one that it makes meanwhile.
    most = max(MAX_CONNECTIONS, 4 * seats)
    if host in (*LOOPBACK_HOSTS, "::1"):
        app = Guarded(app, most_bytes=2 * MAX_BODY_BYTES)
    # Guests of a run that is resumed look for it where it was, but another may have that port now.
    return served(app, host, port or before, "runtime.guests_port", most, or_any=not port)
