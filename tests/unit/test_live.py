"""The page's server: what it sends of a run, who may do what, and that the history knows nothing of it."""

import asyncio
import http.client
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from swarm.config_file import resolve
from swarm.errors import ConfigError
from swarm.live import opened as pages
from swarm.live.app import Broadcast
from swarm.live.control import Control
from swarm.live.crowd import MOST_FIGURES, Crowd
from swarm.live.feed import Feed
from swarm.live.files import files
from swarm.live.opened import MOST_WAITING, Address, Opened, named, of_past, of_run
from swarm.live.state import MAX_STATE_BYTES, packed
from swarm.planning import compose, composed
from swarm.runtime.play import play
from swarm.runtime.ports import RunsOn
from swarm.runtime.run import RunResult, Session
from swarm.simulation.folder import RunFolder
from swarm.simulation.hand import Hand
from swarm.simulation.replay import replay
from tests.patience import patience

CONFIG: dict[str, Any] = {
    "name": "live",
    "seed": 3,
    "rounds": 6,
    "population": 10,
    "models": [{"name": "m", "temperament": "value"}],
    "traders": {"minds": {"m": 1, "zip": 1}},
}
ANYWHERE = Address("127.0.0.1", 0)


class Visitor:
    """Asks the page's server, as a tab does."""

    def __init__(self, url: str, token: str = "") -> None:
        self.host, _, port = url.removeprefix("http://").partition(":")
        self.port = int(port)
        self.headers = {"authorization": f"Bearer {token}"} if token else {}

    def ask(self, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        connection = http.client.HTTPConnection(self.host, self.port, timeout=patience(30))
        more = {"content-type": "application/json"} if body is not None else {}
        written = None if body is None else body if isinstance(body, str) else json.dumps(body)
        connection.request("GET" if body is None else "POST", path, written, {**self.headers, **more, **headers})
        answer = connection.getresponse()
        found = answer.read()
        connection.close()
        kind = answer.headers["content-type"]
        return answer.status, json.loads(found) if kind == "application/json" else found

    def state(self) -> dict[str, Any]:
        """The newest state, as the first event has it."""
        return next(self.states())

    def states(self) -> Iterator[dict[str, Any]]:
        connection = http.client.HTTPConnection(self.host, self.port, timeout=patience(30))
        connection.request("GET", "/events", headers=self.headers)
        answer = connection.getresponse()
        assert answer.headers["content-type"].startswith("text/event-stream")
        try:
            while line := answer.readline():
                if line.startswith(b"data: "):
                    assert len(line) <= MAX_STATE_BYTES + 8
                    yield json.loads(line[6:])
        finally:
            answer.close()
            connection.close()

    def until(self, true: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        end = time.monotonic() + patience(60)
        for state in self.states():
            if true(state):
                return state
            assert time.monotonic() < end, state
        raise AssertionError("the stream has ended")


@contextmanager
def watched(folder: Path, pace_s: float = 0.0, **changes: Any) -> Iterator[tuple[Opened, Callable[[], RunResult]]]:
    """A run in a thread, held after its first round, with its page open; the function lets it go on and ends it."""
    run, results = RunFolder(folder / "run"), []
    stop = threading.Event()
    with of_run(ANYWHERE, lambda: run.journals, composed, (Hand("alice"), Hand("bob")), pace_s, stop.is_set) as shown:
        control = shown.live.control
        assert control is not None
        control.pause()

        def begin() -> None:
            session = Session(RunsOn(local=True), run, shown.watchers, stop=shown.stop, report=False, hands=shown.hands)
            results.append(session.execute(resolve(CONFIG | changes)))
            shown.over("finished" if results[0].finished else "stopped")

        thread = threading.Thread(target=begin, daemon=True)
        thread.start()

        def ended() -> RunResult:
            control.go()
            thread.join(patience(120))
            assert results, "the run has not ended"
            return results[0]

        try:
            yield shown, ended
        finally:
            stop.set()
            thread.join(patience(60))


def of(shown: Opened, name: str = "alice") -> Visitor:
    return Visitor(shown.url, shown.tokens[name])


def test_a_run_with_its_page_open_has_the_history_that_it_has_without(tmp_path: Path) -> None:
    with watched(tmp_path) as (shown, ended):
        of(shown).until(lambda state: state.get("round") == 1)
        result = ended()
        last = of(shown).until(lambda state: state["status"] == "finished")
    assert result.record.summary["journal_sha256"] == play(resolve(CONFIG)).journal_sha256
    assert last["round"] == last["rounds"] == 6
    assert result.record.summary["seconds_per_round"]["p95"] < 60


def test_what_is_shown_of_a_run_is_shown_of_it_once_it_is_over(tmp_path: Path) -> None:
    with watched(tmp_path) as (shown, ended):
        of(shown).until(lambda state: state.get("round") == 1)
        assert of(shown).ask("/api/deeds", {"deed": "question", "trader": 0, "text": "why?"})[0] == 202
        ended()
        live = {n: of(shown).ask(f"/api/round/{n}")[1] for n in range(1, 7)}
        series = of(shown).ask("/api/series?after=3")[1]
        about = of(shown).ask("/api/run")[1]
        why = of(shown).ask("/api/trader/0?round=2")[1]
    folder = RunFolder(tmp_path / "run")
    with of_past(ANYWHERE, folder.journals, composed) as past:
        result = replay(folder.journals, composed, past.watchers)
        past.over("finished")
        visitor = Visitor(past.url)
        for n, before in live.items():
            now = visitor.ask(f"/api/round/{n}")[1]
            # A journal knows no clock.
            assert {k: v for k, v in now.items() if k not in ("pace_s", "journal")} == {
                k: v for k, v in before.items() if k not in ("pace_s", "journal")
            }
        assert visitor.ask("/api/series?after=3")[1] == series
        assert visitor.ask("/api/run")[1] == about
        assert visitor.ask("/api/trader/0?round=2")[1] == why
        assert visitor.ask("/api/deeds", {"deed": "news", "text": "x"})[0] == 401
    assert result.holds
    assert series["round"] == [4, 5, 6]
    asked = live[2]["answers"][0]
    assert asked[:3] == ["alice", 0, "why?"]
    assert any("asks: why?" in text for text in why[0]["calls"][0]["prompt"])


def test_deeds_are_done_in_the_name_of_the_token_before_the_next_round(tmp_path: Path) -> None:
    with watched(tmp_path) as (shown, ended):
        alice, bob = of(shown), of(shown, "bob")
        alice.until(lambda state: state.get("round") == 1)
        assert alice.ask("/api/deeds", {"deed": "gift", "trader": 3, "amount": 7})[1]["after_round"] == 1
        assert bob.ask("/api/deeds", {"deed": "fine", "trader": 4, "amount": 10**8})[0] == 202
        assert [one[0] for one in alice.state()["waiting"]] == ["alice", "bob"]
        for body, key in (
            ({"deed": "gift", "trader": 3, "asset": "gold"}, "asset"),
            ({"deed": "short"}, "good"),
            ({"deed": "short", "good": "honey"}, "deed"),
            ({"deed": ["gift"]}, "deed"),
            ({"trader": 3}, "deed"),
            ({"deed": "news", "text": "a\nb"}, "text"),
        ):
            status, refused = alice.ask("/api/deeds", body)
            assert (status, refused["key"]) == (400, key), refused
        result = ended()
        first = alice.ask("/api/round/1")[1]
        assert alice.ask("/api/deeds", {"deed": "news", "text": "too late"})[0] == 409
        assert alice.ask("/api/control", {"do": "pause"})[0] == 409
    assert first["acts"][0] == ["alice", "gift: 7 pebbles from issue to trader 3", ""]
    assert first["acts"][2][0] == "bob" and "lacks more" in first["acts"][2][2]
    assert result.record.summary["by_hand"]["acts"] == {"alice": 2, "bob": 2}
    assert replay(RunFolder(tmp_path / "run").journals, composed).holds


def test_nothing_can_be_done_without_a_token(tmp_path: Path) -> None:
    with watched(tmp_path) as (shown, _):
        alice = of(shown)
        alice.until(lambda state: state.get("round") == 1)
        for visitor in (Visitor(shown.url), Visitor(shown.url, "x" * 43), Visitor(shown.url, shown.tokens["bob"][:-1])):
            assert visitor.ask("/api/deeds", {"deed": "news", "text": "x"})[0] == 401
            assert visitor.ask("/api/control", {"do": "go"})[0] == 401
            assert visitor.ask("/api/me")[1]["name"] is None
            assert visitor.ask("/api/run")[0] == 200
        assert alice.ask("/api/me")[1] == {"name": "alice", "over": False}
        assert alice.ask("/api/deeds", {"deed": "news", "text": "x"}, **{"content-type": "text/plain"})[0] == 415
        assert alice.ask("/api/deeds", {"deed": "news", "text": "x"}, host="evil.example")[0] == 421
        assert alice.ask("/api/deeds", {"deed": "news", "text": "x"}, origin="http://evil.example")[0] == 403
        for body in ("{", "[]", '"x"', "[" * 40_000, '{"do": "\\ud800"}'):
            assert alice.ask("/api/control", body)[0] == 400
        assert alice.ask("/api/deeds", "x" * 70_000)[0] == 413
        state = alice.state()
        assert state["round"] == 1 and state["paused"] and not state["waiting"]


def test_a_run_is_held_stepped_slowed_and_stopped(tmp_path: Path) -> None:
    with watched(tmp_path) as (shown, ended):
        alice = of(shown)
        assert alice.until(lambda state: state.get("round") == 1)["paused"]
        # A round that is held can be looked into before it has ended.
        assert alice.ask("/api/trader/3?round=1")[1][0]["round"] == 1
        alice.ask("/api/control", {"do": "step"})
        alice.until(lambda state: state.get("round") == 2)
        time.sleep(0.3)
        assert alice.state()["round"] == 2
        assert alice.ask("/api/control", {"do": "pace", "seconds": 0.5})[1]["least_s"] == 0.5
        for wrong in (
            {"do": "pace"},
            {"do": "pace", "seconds": 61},
            {"do": "pace", "seconds": "1"},
            {"do": "jump"},
            {},
        ):
            assert alice.ask("/api/control", wrong)[0] == 400
        alice.ask("/api/control", {"do": "stop"})
        assert alice.ask("/api/deeds", {"deed": "news", "text": "too late"})[0] == 409
        result = ended()
        assert alice.until(lambda state: state["status"] == "stopped")["round"] == 2
    assert not result.finished and result.record.summary["rounds"] == 2


def test_rounds_and_traders_that_there_are_not_are_refused(tmp_path: Path) -> None:
    with watched(tmp_path) as (shown, ended):
        ended()
        visitor = Visitor(shown.url)
        for path, status in (
            ("/api/round/7", 404),
            ("/api/trader/10", 404),
            ("/api/trader/0?round=7", 404),
            ("/api/trader/0?round=x", 400),
            ("/api/trader/x", 400),
            ("/api/trader/" + "9" * 5_000, 400),
            ("/api/round/" + "9" * 5_000, 400),
            ("/api/series?after=-1", 400),
            ("/api/series?after=" + "9" * 30, 400),
            ("/nothing", 404),
            ("/../pyproject.toml", 404),
        ):
            assert visitor.ask(path)[0] == status, path
        assert visitor.ask("/api/trader/9")[1][0]["kind"] == "beaver"
        # Older rounds are told by a replay of the journal.
        shown.feed._recent.clear()
        assert visitor.ask("/api/trader/9?round=2")[1][0]["round"] == 2


def test_a_tab_that_does_not_read_holds_up_nobody(tmp_path: Path) -> None:
    with watched(tmp_path, rounds=40) as (shown, ended):
        frozen = []
        for _ in range(5):
            connection = http.client.HTTPConnection("127.0.0.1", Visitor(shown.url).port)
            connection.request("GET", "/events")
            frozen.append(connection)
        of(shown).until(lambda state: state.get("round") == 1)
        assert ended().finished
        # What it missed is not kept for it: the newest comes next.
        assert of(shown).state()["round"] == 40
        for connection in frozen:
            connection.close()


def test_a_state_is_made_once_for_all_tabs_and_the_last_one_reaches_each() -> None:
    feed = Feed()
    broadcast = Broadcast(feed)

    async def followed() -> None:
        tabs = [broadcast.states() for _ in range(5)]

        async def next_of_each() -> bytes:
            first, *others = await asyncio.gather(*map(anext, tabs))
            assert all(other is first for other in others)
            return first

        assert await next_of_each() == b"retry: 1000\n\n"
        assert b'"status":"starting"' in await next_of_each()
        # What comes in quick succession comes as one.
        for status in ("running", "stopped"):
            feed.tell(status)
        assert b'"status":"stopped"' in await next_of_each()
        feed.tell("finished")
        broadcast.end()
        assert b'"status":"finished"' in await next_of_each()
        assert await asyncio.gather(*(anext(tab, None) for tab in tabs)) == [None] * 5

    asyncio.run(followed())
    assert broadcast.tabs == 0


def test_states_fit_whatever_is_said_in_them() -> None:
    state = {"said": [[1, "é" * 120, 0]] * 50, "acts": [["a", "b" * 300, ""]] * 50, "news": ["n" * 180] * 4, "n": 1}
    written = packed(state)
    assert len(written) <= MAX_STATE_BYTES
    assert json.loads(written)["n"] == 1


@pytest.mark.parametrize("traders", [7, 40, 46, 1_000, 100_000])
def test_figures_stand_for_all_traders_of_a_kind(traders: int) -> None:
    plan = compose(
        resolve(CONFIG | {"population": traders, "traders": {"minds": {"zip": 2, "zi_c": 1}}, "models": []})
    ).run
    crowd = Crowd.of(plan)
    assert len(crowd.size) <= MOST_FIGURES
    assert crowd.size.sum() == traders and (crowd.size > 0).all()
    assert (crowd.kind[crowd.figure_of] == plan.scenario.trader_kind).all()
    assert (crowd.figure_of[crowd.first] == np.arange(len(crowd.size))).all()
    means = crowd.mean(np.full(traders, 7), plan.there(1))
    assert set(means) == {7}


def test_of_deeds_that_wait_beyond_those_shown_the_number_is_told(tmp_path: Path) -> None:
    with watched(tmp_path) as (shown, ended):
        alice = of(shown)
        alice.until(lambda state: state.get("round") == 1)
        for number in range(MOST_WAITING + 2):
            assert alice.ask("/api/deeds", {"deed": "news", "text": f"news {number}"})[0] == 202
        waiting = alice.state()["waiting"]
        result = ended()
    assert len(waiting) == MOST_WAITING + 1
    assert waiting[-1] == ["", "2 more"]
    assert result.record.summary["by_hand"]["acts"] == {"alice": MOST_WAITING + 2}


def test_regions_are_shown_as_one(tmp_path: Path) -> None:
    regions: dict[str, Any] = {"regions": {"names": ["east", "west"], "travellers": 2}, "population": 16}
    with watched(tmp_path, **regions) as (shown, ended):
        alice = of(shown)
        alice.until(lambda state: state.get("round") == 1)
        assert alice.ask("/api/deeds", {"deed": "news", "text": "hello west", "region": "west"})[0] == 202
        assert alice.ask("/api/deeds", {"deed": "news", "text": "x", "region": "north"})[1]["key"] == "region"
        ended()
        assert alice.ask("/api/run")[1]["regions"] == ["east", "west"]
        assert alice.ask("/api/round/1")[1]["acts"] == [["alice", "news: hello west", ""]]
        assert "hello west" in alice.ask("/api/round/2")[1]["news"]
    assert replay(RunFolder(tmp_path / "run").journals, composed).holds


def test_the_page_is_small_and_says_nothing_of_its_own_in_code_or_style() -> None:
    page = files()
    assert sum(len(content) for _, content in page.values()) < 400_000
    html = page["/"][1].decode()
    assert "<style" not in html and "style=" not in html and "onclick" not in html
    scripts = "".join(content.decode() for kind, content in page.values() if "javascript" in kind)
    for banned in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "http://", "https://"):
        assert banned not in scripts.replace("http://www.w3.org/2000/svg", ""), banned
    assert "--good-5" in page["/live.css"][1].decode()


def test_a_control_waits_for_nobody_once_it_is_told_to_stop() -> None:
    control = Control(60.0, lambda: True)
    control.pause()
    assert control()
    control.slow(1_000)
    assert control.least_s == 60


@pytest.mark.parametrize("given", ["8484", "localhost", ":8484", "127.0.0.1:x", "127.0.0.1:70000", "127.0.0.1:"])
def test_an_address_that_is_none_is_refused(given: str) -> None:
    with pytest.raises(ConfigError, match="--live-at"):
        Address.read(given)


def test_addresses_and_names_are_read() -> None:
    assert Address.read("[::1]:80") == Address("::1", 80)
    assert Address.read(None, ["wood.example"]) == Address(hosts=("wood.example",))
    assert named(()) == (pages.VISITOR,) and named(("a", "b", "a")) == ("a", "b")
    with pytest.raises(ConfigError, match="--visitor"):
        named(("A b",))
