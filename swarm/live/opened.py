"""Opens the page of a run, or of a run that is over, for as long as a block lasts."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from swarm.errors import ConfigError, JournalError
from swarm.live.app import Live
from swarm.live.control import Control
from swarm.live.feed import Feed
from swarm.live.lens import Lens
from swarm.simulation.deeds import DEEDS
from swarm.simulation.hand import Hand
from swarm.simulation.history import Compose
from swarm.simulation.journal_disk import read_committed
from swarm.simulation.loop import Watcher
from swarm.simulation.parties import NAME
from swarm.web.guard import LOOPBACK_HOSTS, Guarded
from swarm.web.server import in_brackets, served
from swarm.web.tokens import new_token

HOST, PORT = "127.0.0.1", 8484
MOST_WAITING, MOST_OWED = 16, 6
"""How many deeds that wait, and loans that are owed, are named in a state; of more it has their number."""
VISITOR = "visitor"
AT = "--live-at"
_HEAD_CHARS = 12


@dataclass(frozen=True, slots=True)
class Address:
    """Where the page is served; `hosts` are names that it is reached by beside its own and those of loopback.

    Without a port that was asked for, any that is free is taken where the usual one is not.
    """

    host: str = HOST
    port: int | None = None
    hosts: tuple[str, ...] = ()

    @classmethod
    def read(cls, given: str | None, hosts: Iterable[str] = ()) -> "Address":
        """Returns an address as an option gives it, HOST:PORT; ConfigError where it is none."""
        if given is None:
            return cls(hosts=tuple(hosts))
        # An IPv6 address has colons of its own, and brackets around them.
        host, _, port = given.rpartition(":")
        if not host or not port.isdecimal() or len(port) > 5 or int(port) > 65_535:
            raise ConfigError(AT, f"expected HOST:PORT, say {HOST}:{PORT}, got {given[:60]!r}")
        return cls(host.strip("[]"), int(port), tuple(hosts))


@dataclass(frozen=True, slots=True)
class Opened:
    """A page that is open: who watches for it, through which hands somebody acts, and when a run is to stop."""

    feed: Feed
    live: Live
    url: str
    tokens: Mapping[str, str] = field(default_factory=dict)
    watchers: tuple[Watcher, ...] = ()
    hands: tuple[Hand, ...] = ()
    stop: Callable[[], bool] = lambda: False

    def addresses(self) -> list[tuple[str, str]]:
        """Returns the address of each who may act, and of whoever may look, in this order."""
        return [*((f"{self.url}/#token={token}", name) for name, token in self.tokens.items()), (self.url, "")]

    def over(self, status: str, told: str = "") -> str:
        """Takes note that no further round will come, and returns what is told, of deeds that were not done, say."""
        self.live.over = True
        lost = [f"{count} of {hand.name}" for hand in self.hands if (count := hand.close())]
        told = told or (f"deeds that were not done, since the run was stopped: {', '.join(lost)}" if lost else "")
        self.feed.tell(status, told)
        return told


def named(names: Iterable[str]) -> tuple[str, ...]:
    """Returns the names of visitors, of one if none is named; ConfigError where a name is none."""
    found = tuple(dict.fromkeys(names)) or (VISITOR,)
    for name in found:
        if not NAME.fullmatch(name):
            raise ConfigError("--visitor", f"expected 1 to 40 small letters, digits, `-` or `_`, got {name[:60]!r}")
    return found


@contextmanager
def of_run(
    address: Address,
    journals: Callable[[], Mapping[str, Path]],
    compose: Compose,
    hands: tuple[Hand, ...],
    least_s: float,
    stopped: Callable[[], bool],
    tokens: Mapping[str, str] | None = None,
) -> Iterator[Opened]:
    """Serves the page of a run that is about to begin; `stopped` is asked while somebody holds it."""
    feed, control = Feed(), Control(least_s, stopped)
    tokens = tokens or {hand.name: new_token() for hand in hands}
    live = Live(feed, Lens(feed, journals, compose), control, {hand.name: hand for hand in hands}, tokens)

    # What changes beside the rounds: few rows, since a state has a bound.
    def told() -> dict[str, Any]:
        waiting = [[hand.name, _name(deed)] for hand in hands for deed in hand.waiting]
        owed = [[hand.name, loan.number, loan.left_cents, loan.due_round] for hand in hands for loan in hand.loans]
        held = {"paused": control.paused, "least_s": control.least_s, "stopping": control.stopping}
        if len(waiting) > MOST_WAITING:
            waiting[MOST_WAITING:] = [["", f"{len(waiting) - MOST_WAITING} more"]]
        return {
            **held,
            "waiting": waiting,
            "owed": owed[:MOST_OWED],
            "owed_more": max(0, len(owed) - MOST_OWED),
            "head": _head(journals()),
        }

    feed.live = told
    control.on_change = feed.touch
    with _served(live, address) as url:
        yield Opened(feed, live, url, tokens, (*hands, feed, control), hands, control)


@contextmanager
def of_past(address: Address, journals: Mapping[str, Path], compose: Compose) -> Iterator[Opened]:
    """Serves the page of a run that is over; whoever replays it lets the page's watchers look on."""
    feed = Feed(going="replaying")
    live = Live(feed, Lens(feed, lambda: journals, compose), None, {}, {})
    feed.live = lambda: {"head": _head(journals)}
    with _served(live, address) as url:
        yield Opened(feed, live, url, watchers=(feed,))


@contextmanager
def _served(live: Live, address: Address) -> Iterator[str]:
    """Serves the page where it was told to, or at the usual port, or where that is taken at any that is free."""
    app = Guarded(live.app(), (*LOOPBACK_HOSTS, in_brackets(address.host), *address.hosts))
    port = PORT if address.port is None else address.port
    with served(app, address.host, port, AT, or_any=address.port is None) as bound:
        try:
            yield bound.url
        finally:
            live.broadcast.end()


def _head(journals: Mapping[str, Path]) -> str:
    """Returns the first digits of what is durable of a run's first journal; empty where its head is not at hand."""
    try:
        committed = read_committed(next(iter(journals.values())))
    except (JournalError, StopIteration):
        return ""
    return committed.sha256.hex()[:_HEAD_CHARS] if committed else ""


def _name(deed: object) -> str:
    return next(name for name, kind in DEEDS.items() if type(deed) is kind)
