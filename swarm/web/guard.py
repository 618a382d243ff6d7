"""Decides who is answered: by the host that a request names, and the size of its body.

A page of somebody else's that a browser on this machine has open can reach a loopback port. What it sends names
another host or another origin, and so gets nothing.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOOPBACK_HOSTS = ("127.0.0.1", "localhost", "[::1]")
MAX_BODY_BYTES = 1 << 16

HEADERS: Mapping[str, str] = MappingProxyType(
    {
        "content-security-policy": "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
        "cross-origin-resource-policy": "same-origin",
    }
)
"""What every answer says to a browser: load from here alone, and let nobody else embed or guess anything of it."""


class Guarded:
    """An app that is reached by the names of its own hosts alone, with bodies of at most so many bytes."""

    def __init__(
        self,
        app: ASGIApp,
        hosts: Iterable[str] = LOOPBACK_HOSTS,
        most_bytes: int = MAX_BODY_BYTES,
        headers: Mapping[str, str] = HEADERS,
    ) -> None:
        """`hosts` are names without a port; `headers` go with every answer."""
        self.app, self.most_bytes, self.headers = app, most_bytes, dict(headers)
        self.hosts = frozenset(host.lower() for host in hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request, or refuses it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = MutableHeaders(scope=message)
                for name, value in self.headers.items():
                    own.setdefault(name, value)
            await send(message)

        if refusal := self._refusal(Headers(scope=scope)):
            await refusal(scope, receive, sent)
            return
        await self.app(scope, _at_most(self.most_bytes, receive), sent)

    def _refusal(self, headers: Headers) -> PlainTextResponse | None:
        """Returns why a request is not answered, by its headers; None where it is."""
        if hostname(headers.get("host", "")) not in self.hosts:
            return PlainTextResponse("this server is not known by that name\n", 421)
        # Browsers name the page that a request comes from; `null` is one that hides where it is from.
        origin = headers.get("origin")
        if origin is not None and hostname(origin.partition("://")[2]) not in self.hosts:
            return PlainTextResponse("pages of other origins are not answered\n", 403)
        length = headers.get("content-length", "0")
        if not length.isdecimal() or len(length) > 20 or int(length) > self.most_bytes:
            return PlainTextResponse(f"{_too_long(self.most_bytes)}\n", 413)
        return None


def _at_most(most: int, receive: Receive) -> Receive:
    """Returns the same as `receive`; HTTPException, which Starlette answers with, at a body of more bytes."""
    seen = 0

    async def received() -> Message:
        nonlocal seen
        message = await receive()
        if message["type"] == "http.request":
            seen += len(message.get("body", b""))
            if seen > most:
                # Its length need not have been told before.
                raise HTTPException(413, _too_long(most))
        return message

    return received


def _too_long(most: int) -> str:
    return f"a body has at most {most} bytes"


def hostname(host: str) -> str:
    """Returns a host as a header names it, without its port, in small letters; IPv6 addresses in brackets."""
    # Only IPv6 addresses have colons of their own.
    if host.startswith("["):
        return f"{host.partition(']')[0]}]".lower()
    return host.partition(":")[0].lower()
