"""Agents from outside that take seats in the tests, over real sockets, and networks that lose what they say."""

import http.client
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from swarm.config_file import resolve
from swarm.runtime.ports import RunsOn
from swarm.runtime.run import RunResult, Session
from swarm.simulation.folder import RunFolder
from swarm.web.tokens import new_token
from tests.patience import patience

TOKENS = {name: new_token() for name in ("alice", "bob")}
VARIABLES = {f"{name.upper()}_TOKEN": token for name, token in TOKENS.items()}

CONFIG: dict[str, Any] = {
    "name": "seated",
    "seed": 5,
    "rounds": 5,
    "population": 10,
    # Guests decide as fast as they can; a test that waits for nobody sets this.
    "budget": {"round_deadline_s": 600},
    "traders": {
        "minds": {"zip": 1},
        "guests": [
            {"name": "alice", "token_env": "ALICE_TOKEN"},
            {"name": "bob", "seats": 2, "token_env": "BOB_TOKEN"},
        ],
    },
}

ANSWER_S = 60
"""Longer than any call is kept waiting."""

Decide = Callable[[Mapping[str, Any]], dict[str, Any]]


def spare_at_worth(seen: Mapping[str, Any]) -> dict[str, Any]:
    """Sells what it can spare and buys what it needs, at what both are worth to it."""
    orders = [
        {"side": side, "good": own["good"], "price": max(own["worth"], 1), "quantity": own[lots]}
        for own in seen["own"]["stock"]
        for side, lots in (("sell", "spare"), ("buy", "need"))
        if own[lots] and (side == "sell" or own["good"] != seen["own"]["makes"])
    ]
    return {"orders": orders[:3], "say": f"round {seen['round']}"}


@dataclass
class Reached:
    """A way to a server that loses requests, doubles them, and loses answers, each with a chance of `share`."""

    address: str
    token: str
    random: Random = field(default_factory=lambda: Random(0))
    share: float = 0.0
    delayed: list[tuple[str, str, bytes | None]] = field(default_factory=list)
    refused: bool = False

    def ask(self, method: str, path: str, body: bytes | None = None) -> tuple[int, dict[str, Any]] | None:
        """Returns the answer; None where it, or the question, was lost."""
        if self.delayed and self._happens():
            # Something that was under way comes late, and its answer is nobody's.
            self._sent(*self.delayed.pop(self.random.randrange(len(self.delayed))))
        if self._happens():
            return None
        if method == "POST" and self._happens():
            self.delayed.append((method, path, body))
        answer = self._sent(method, path, body)
        return None if self._happens() else answer

    def _happens(self) -> bool:
        return self.random.random() < self.share

    def _sent(self, method: str, path: str, body: bytes | None = None) -> tuple[int, dict[str, Any]] | None:
        host = self.address.removeprefix("http://")
        connection = http.client.HTTPConnection(host, timeout=ANSWER_S)
        try:
            connection.request(method, path, body, {"authorization": f"Bearer {self.token}"})
            response = connection.getresponse()
            return response.status, json.loads(response.read() or b"{}")
        except ConnectionRefusedError:
            self.refused = True
            return None
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()


def play(reached: Reached, seat: int, decide: Decide = spare_at_worth, last: int = 10**6) -> dict[int, dict[str, Any]]:
    """Plays a seat to the run's end, or to a round, and returns what it sent; whatever is lost is sent again."""
    sent: dict[int, dict[str, Any]] = {}
    round_ = rounds = 0
    while round_ < last:
        found = reached.ask("GET", f"/v1/observation?seat={seat}&round={round_ + 1}")
        if found is None and 0 < rounds <= round_:
            # The run is over, and whoever would say so has ended.
            break
        if found is None or found[0] in (204, 429, 503):
            time.sleep(0.02)
            continue
        if found[0] == 410:
            break
        assert found[0] == 200, found
        round_, rounds = found[1]["round"], found[1]["rounds"]
        sent[round_] = {"round": round_, "decision_id": f"{seat}-{round_}", "seat": seat, **decide(found[1])}
        body = json.dumps(sent[round_]).encode()
        while (answer := reached.ask("POST", "/v1/decision", body)) is None or answer[0] in (429, 503):
            if reached.refused and round_ == rounds:
                # The last round has been settled without the answer being heard.
                return sent
            time.sleep(0.02)
        assert answer == (200, {"status": "accepted", "round": round_, "decision_id": f"{seat}-{round_}"}), answer
    return sent


@dataclass
class Run:
    """A run in a thread of this process."""

    folder: Path
    result: list[RunResult] = field(default_factory=list)
    errors: list[BaseException] = field(default_factory=list)

    @property
    def address(self) -> str:
        """Where its guests are heard, once they are."""
        return heard_at(self.folder, lambda: bool(self.errors))

    @property
    def sha256(self) -> str:
        """The hash of its history."""
        return str(self.result[0].record.summary["journal_sha256"])


def heard_at(folder: Path, ended: Callable[[], bool] = lambda: False) -> str:
    """Waits until a run hears its guests, and returns where."""
    until = time.monotonic() + patience(60)
    while time.monotonic() < until and not ended():
        try:
            if address := json.loads((folder / "guests.json").read_text()).get("address"):
                return str(address)
        except (OSError, ValueError):
            pass
        time.sleep(0.01)
    raise AssertionError(f"{folder}: nobody hears guests there")


@contextmanager
def running(folder: Path, stop: Callable[[], bool] = lambda: False, **changes: Any) -> Iterator[Run]:
    """Runs the config in a thread while the block runs, waits for its end, and raises what it has raised."""
    run, given_up = Run(folder), threading.Event()

    def go() -> None:
        try:
            session = Session(
                RunsOn(local=True), RunFolder(folder), stop=lambda: stop() or given_up.is_set(), report=False
            )
            run.result.append(session.execute(resolve({**CONFIG, **changes})))
        except BaseException as error:
            run.errors.append(error)

    thread = threading.Thread(target=go, daemon=True)
    thread.start()
    try:
        yield run
    except BaseException:
        given_up.set()
        raise
    finally:
        thread.join(patience(120))
    assert not thread.is_alive(), "the run goes on"
    if run.errors:
        raise run.errors[0]


def all_play(address: str, share: float = 0.0, seed: int = 0, decide: Decide = spare_at_worth) -> None:
    """Plays the three seats of the config, each in a thread, over networks of their own."""
    failed: list[BaseException] = []

    def go(name: str, seat: int) -> None:
        try:
            play(Reached(address, TOKENS[name], Random(f"{seed} {name} {seat}"), share), seat, decide)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=go, args=seat, daemon=True) for seat in (("alice", 0), ("bob", 0), ("bob", 1))]
    for thread in threads:
        thread.start()
    until = time.monotonic() + patience(120)
    # Once one has failed, the others would wait for it in vain.
    while not failed and any(thread.is_alive() for thread in threads):
        assert time.monotonic() < until, "the guests go on"
        time.sleep(0.01)
    if failed:
        raise failed[0]
