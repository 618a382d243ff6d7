"""The page's server: its files, the newest state as server-sent events, rounds and traders on demand, deeds by POST.

Looking is free to whoever reaches the port. To hold the run or to do something to it takes a token, and the token's
name is who did it.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from functools import partial
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from swarm.errors import ConfigError, SwarmError
from swarm.live.control import Control
from swarm.live.feed import Feed
from swarm.live.files import files
from swarm.live.lens import Lens
from swarm.simulation.deeds import DEEDS, STAKED, read
from swarm.simulation.hand import Hand, NoRoundFollows
from swarm.web.tokens import Tokens

LEAST_BETWEEN_S = 0.4
"""At most four states come to a tab within a second: three that are sent to all, and the one that it is met with."""

ALIVE_EVERY_S = 10.0
"""How often a tab is told that the server is there, and the server learns that a tab is not."""

MOST_TABS = 200
MAX_DIGITS = 12


class Broadcast:
    """Sends what is newest to all tabs: made once for all of them, in the server's loop. It keeps no queue."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._loop: asyncio.AbstractEventLoop | None = None
        self._changed = asyncio.Event()
        self._planned: asyncio.TimerHandle | None = None
        self._next_s = 0.0
        self._number, self._event = -1, b""
        self.tabs = 0
        self._ended = False
        feed.notify = lambda: self._soon(self._plan)

    def end(self) -> None:
        """Lets all tabs go once they have the last state, so that the server can end."""
        self._ended = True
        self._soon(self._send)

    async def states(self) -> AsyncIterator[bytes]:
        """Yields the newest state as an event, again and again; a tab that does not read holds up nobody."""
        self._loop = asyncio.get_running_loop()
        self.tabs += 1
        try:
            yield b"retry: 1000\n\n"
            # Whoever comes is told at once; after that a tab has what is sent to all, once it can take it.
            event = self._newest()
            while True:
                yield event
                while event is self._event:
                    if self._ended:
                        return
                    if not await self._sent():
                        yield b": alive\n\n"
                event = self._event
        finally:
            self.tabs -= 1

    def _soon(self, do: Callable[[], None]) -> None:
        """Has something done in the server's loop, whichever thread asks for it."""
        # Nobody has looked on yet, or the server is at its end.
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(do)

    def _plan(self) -> None:
        """Has the newest state sent as soon as it is time again."""
        if self._planned is None and self.tabs:
            self._planned = asyncio.get_running_loop().call_at(self._next_s, self._send)

    def _send(self) -> None:
        """Wakes all tabs for the newest state."""
        self._planned = None
        self._next_s = asyncio.get_running_loop().time() + LEAST_BETWEEN_S
        self._newest()
        # Everybody who waits has this event; whoever comes from now on has the next one.
        self._changed.set()
        self._changed = asyncio.Event()

    def _newest(self) -> bytes:
        """Returns the newest state as it is sent, the same bytes until there is another."""
        newest = self._feed.newest
        if newest.number != self._number:
            self._number, self._event = newest.number, b"id: %d\ndata: %s\n\n" % (newest.number, newest.sent)
        return self._event

    async def _sent(self) -> bool:
        """Waits until something is sent to all; False where nothing was for a while."""
        try:
            await asyncio.wait_for(self._changed.wait(), ALIVE_EVERY_S)
        except TimeoutError:
            return False
        return True


class Live:
    """What the page asks for, and who may ask for it; without `hands` there is nothing that can be done."""

    def __init__(
        self, feed: Feed, lens: Lens, control: Control | None, hands: Mapping[str, Hand], tokens: Mapping[str, str]
    ) -> None:
        self.feed, self.lens, self.control, self.hands = feed, lens, control, hands
        self._tokens = Tokens(tokens)
        self.broadcast = Broadcast(feed)
        self.over = control is None

    def app(self) -> Starlette:
        """Returns the app."""
        own = [Route(path, partial(_file, *found)) for path, found in files().items()]
        return Starlette(
            routes=[
                *own,
                Route("/api/run", self.run),
                Route("/api/round/{round}", self.round),
                Route("/api/series", self.series),
                Route("/api/trader/{trader}", self.trader),
                Route("/api/me", self.me),
                Route("/events", self.events),
                Route("/api/deeds", self.may(self.do), methods=["POST"]),
                Route("/api/control", self.may(self.hold), methods=["POST"]),
            ]
        )

    async def run(self, _: Request) -> Response:
        """Answers with what does not change while the run goes on, and the deeds that there are."""
        return JSONResponse({**self.feed.about(), "deeds": _forms(), "over": self.over})

    async def round(self, request: Request) -> Response:
        """Answers with the state of a round that has ended."""
        if (number := _number(request.path_params["round"])) is None:
            return _refused(400, "round: expected a number")
        found = self.feed.of_round(number)
        return _refused(404, "there is no such round yet") if found is None else _as_json(found)

    async def series(self, request: Request) -> Response:
        """Answers with the series of the rounds after `after`."""
        if (after := _number(request.query_params.get("after", "0"))) is None:
            return _refused(400, "after: expected a round")
        return _as_json(self.feed.series(after))

    async def trader(self, request: Request) -> Response:
        """Answers with what a trader saw, said and did in a round, the newest if none is named."""
        round_ = _number(request.query_params.get("round", str(self.feed.rounds)))
        trader = _number(request.path_params["trader"])
        if round_ is None or trader is None:
            return _refused(400, "expected the numbers of a trader and of a round")
        try:
            # In a thread of its own: an older round is replayed, and tabs go on meanwhile.
            found = await asyncio.to_thread(self.lens.trader, trader, round_)
        except SwarmError as error:
            return _refused(404 if isinstance(error, ConfigError) else 409, str(error))
        return JSONResponse(found)

    async def me(self, request: Request) -> Response:
        """Answers with the name that a token stands for, and its own tips; null for whoever may only look."""
        who = self._who(request)
        tips = [tip.model_dump() for tip in self.hands[who].tips] if who is not None and who in self.hands else []
        return JSONResponse({"name": who, "over": self.over} | ({"tips": tips} if tips else {}))

    async def events(self, _: Request) -> Response:
        """Answers with states as they come."""
        if self.broadcast.tabs >= MOST_TABS:
            return _refused(503, f"{MOST_TABS} tabs look on already")
        return StreamingResponse(
            self.broadcast.states(), media_type="text/event-stream", headers={"cache-control": "no-store"}
        )

    def may(self, do: Callable[[str, dict[str, Any]], dict[str, Any]]) -> Callable[[Request], Awaitable[Response]]:
        """Returns a handler for those alone who bring a token and send JSON; what is wrong is one line."""

        async def handler(request: Request) -> Response:
            if (who := self._who(request)) is None:
                return _refused(401, "expected the token that the run has printed")
            if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
                return _refused(415, "expected content-type: application/json")
            try:
                body = json.loads(await request.body())
                # JSON can name half of a character, which is no text.
                json.dumps(body, ensure_ascii=False).encode()
            except (ValueError, RecursionError):
                return _refused(400, "the body is not JSON in UTF-8")
            if not isinstance(body, dict):
                return _refused(400, "expected a JSON object")
            # Said truthfully: a deed that came too late is not kept for a next run.
            if self.over:
                return _refused(409, "the run is over; nothing can be done to it any more")
            try:
                return JSONResponse(do(who, body), 202)
            except NoRoundFollows as error:
                return _refused(409, str(error))
            except ConfigError as error:
                return JSONResponse({"error": str(error), "key": error.key}, 400)

        return handler

    def do(self, who: str, body: dict[str, Any]) -> dict[str, Any]:
        """Lets a deed be done at the end of the round, by the hand of who asks."""
        # What else stands there are the deed's own fields.
        name = body.pop("deed", "")
        if self.control is not None and self.control.stopping:
            raise NoRoundFollows
        self.hands[who].ask(read(name, body))
        self.feed.touch()
        return {"waits": True, "by": who, "after_round": self.feed.ended + 1}

    def hold(self, who: str, body: dict[str, Any]) -> dict[str, Any]:
        """Holds the run, lets it go on, slows it down or ends it."""
        if (control := self.control) is None:
            raise ConfigError("do", "there is no run to hold")
        match body:
            case {"do": "pause"}:
                control.pause()
            case {"do": "go"}:
                control.go()
            case {"do": "step"}:
                control.step()
            case {"do": "stop"}:
                control.stop()
            case {"do": "pace", "seconds": int() | float() as seconds} if 0 <= seconds <= 60:
                control.slow(float(seconds))
            case _:
                raise ConfigError("do", "expected pause, go, step, stop, or pace with seconds from 0 to 60")
        return {"paused": control.paused, "least_s": control.least_s, "stopping": control.stopping}

    def _who(self, request: Request) -> str | None:
        return self._tokens.whose(request.headers.get("authorization", ""))


async def _file(kind: str, content: bytes, _: Request) -> Response:
    return Response(content, media_type=kind, headers={"cache-control": "no-cache"})


def _as_json(written: bytes) -> Response:
    return Response(written, media_type="application/json", headers={"cache-control": "no-store"})


def _number(text: str) -> int | None:
    return int(text) if text.isdecimal() and len(text) <= MAX_DIGITS else None


def _refused(status: int, why: str) -> Response:
    return JSONResponse({"error": why}, status)


def _forms() -> list[dict[str, Any]]:
    """Returns each deed as a form: its name, what it does, and its fields with their bounds and defaults."""
    forms = []
    for name, kind in DEEDS.items():
        # Of a field's schema the page needs its type, bounds, choices and default.
        schema = kind.model_json_schema()
        required = set(schema.get("required", ()))
        fields = [
            {"name": field, "required": field in required, **{k: v for k, v in told.items() if k != "title"}}
            for field, told in schema["properties"].items()
        ]
        forms.append({"deed": name, "told": schema["description"], "fields": fields, "staked": kind in STAKED})
    return forms
