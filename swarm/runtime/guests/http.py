"""The guests' calls over HTTP: who asks is told by its token, and what it may send is bounded before it is read."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from swarm.agents.guest import MAX_BODY_BYTES
from swarm.runtime.guests.api import MOST_WAIT_S, GuestApi
from swarm.runtime.guests.door import Answer
from swarm.web.tokens import bearer

GUEST = "swarm.guest"
"""The key of a request's scope that says whose token it brought."""

Whose = Callable[[str], str | None]
"""Says whose a token is."""


def application(api: GuestApi, whose: Whose, mcp: Starlette | None) -> ASGIApp:
    """Returns the app of a run's guests; `mcp` is the skin over the same calls, where it is installed."""

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        api.start()
        async with AsyncExitStack() as stack:
            # A mounted app's own lifespan is nobody's else to enter.
            if mcp is not None:
                await stack.enter_async_context(mcp.router.lifespan_context(mcp))
            yield

    calls = _Calls(api)
    routes: list[BaseRoute] = [
        Route("/v1/seat", calls.seat),
        Route("/v1/observation", calls.observation),
        Route("/v1/decision", calls.decision, methods=["POST"]),
        Route("/v1/fills", calls.fills),
        Mount("/", mcp) if mcp is not None else Route("/mcp", _no_mcp, methods=["GET", "POST"]),
    ]
    return Admitting(Starlette(routes=routes, lifespan=lifespan), whose)


class Admitting:
    """An app that answers nobody without a token; nothing else of such a request is looked at."""

    def __init__(self, app: ASGIApp, whose: Whose) -> None:
        self.app, self._whose = app, whose

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request of a guest, or refuses it."""
        # The server's own messages, as of its start, come from nobody.
        if scope["type"] == "http":
            guest = self._whose(bearer(Headers(scope=scope).get("authorization", "")))
            if guest is None:
                no = Answer.no(401, "no_token", "send the header Authorization: Bearer TOKEN with your seat's token")
                await _response(no)(scope, receive, send)
                return
            scope[GUEST] = guest
        await self.app(scope, receive, send)


class _Calls:
    """The handlers of the four calls."""

    def __init__(self, api: GuestApi) -> None:
        self._api = api

    async def seat(self, request: Request) -> Response:
        guest, numbers = _asked(request, "seat")
        return _response(numbers if isinstance(numbers, Answer) else await self._api.seat(guest, numbers["seat"]))

    async def observation(self, request: Request) -> Response:
        guest, numbers = _asked(request, "seat", "round", "wait")
        if isinstance(numbers, Answer):
            return _response(numbers)
        wait_s = MOST_WAIT_S if numbers["wait"] is None else float(numbers["wait"])
        return _response(await self._api.observation(guest, numbers["seat"], numbers["round"] or 0, wait_s))

    async def decision(self, request: Request) -> Response:
        body = b""
        # No more is read than a decision may have and one byte, whatever length was told.
        try:
            async for part in request.stream():
                body += part
                if len(body) > MAX_BODY_BYTES:
                    break
        except ClientDisconnect:
            return Response(status_code=400)
        return _response(await self._api.decision(request.scope[GUEST], body))

    async def fills(self, request: Request) -> Response:
        guest, numbers = _asked(request, "seat", "since")
        if isinstance(numbers, Answer):
            return _response(numbers)
        return _response(await self._api.fills(guest, numbers["seat"], numbers["since"] or 0))


def _asked(request: Request, *names: str) -> tuple[str, dict[str, int | None] | Answer]:
    """Returns who asks, and the whole numbers that the parameters of these names hold, None for one that is absent."""
    found: dict[str, int | None] = {}
    for name in names:
        text = request.query_params.get(name)
        if text is not None and not (text.isascii() and text.isdecimal() and len(text) <= 9):
            return request.scope[GUEST], Answer.no(422, "malformed", f"{name}: expected a whole number")
        found[name] = None if text is None else int(text)
    return request.scope[GUEST], found


def _response(answer: Answer) -> Response:
    headers = {"cache-control": "no-store"}
    if answer.status == 401:
        headers["www-authenticate"] = "Bearer"
    if answer.status in (429, 503):
        headers["retry-after"] = "1"
    content = json.dumps(answer.body, separators=(",", ":")) if answer.status != 204 else None
    return Response(content, answer.status, headers, "application/json")


async def _no_mcp(_: Request) -> Response:
    return _response(Answer.no(404, "no_mcp", "this run speaks no MCP; install it with `pip install '.[guests]'`"))
