"""Chooses what carries requests to an endpoint: the client's own plain HTTP where that is enough, else aiohttp."""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import Protocol

import aiohttp
from yarl import URL

from swarm.llm.engines.openai.plain_http import IDLE_S, PlainHttp


class Content(Protocol):
    """The body of a response."""

    async def readany(self) -> bytes:
        """Returns what there is of it, as soon as there is any; nothing at its end."""
        ...


class Response(Protocol):
    """The response to a request, whoever made it."""

    @property
    def status(self) -> int:
        """Its status."""
        ...

    @property
    def headers(self) -> Mapping[str, str]:
        """Its headers, whose names are the same in upper and lower case."""
        ...

    @property
    def content(self) -> Content:
        """Its body."""
        ...


class Http(Protocol):
    """Connections to one address."""

    def post(self, body: bytes) -> AbstractAsyncContextManager[Response]:
        """Returns a block that sends a request and has its response."""
        ...

    async def close(self) -> None:
        """Closes all connections."""
        ...


class AnyHttp:
    """Posts to one address over whatever aiohttp speaks: TLS, proxies, anything."""

    def __init__(self, url: URL, headers: Mapping[str, str], proxy: URL | None) -> None:
        self._url, self._proxy = url, proxy
        self._session = aiohttp.ClientSession(
            headers=headers,
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=IDLE_S),
            # Deadlines are the client's own: aiohttp's would cost a timer each and do not bound a call with retries.
            timeout=aiohttp.ClientTimeout(total=None, connect=None, sock_connect=None, sock_read=None),
            cookie_jar=aiohttp.DummyCookieJar(),
            # A megabyte of zeros packs a gigabyte; `Decompressor` has a cap.
            auto_decompress=False,
        )

    def post(self, body: bytes) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        """Returns a block that sends a request and has its response."""
        # A redirect would carry the key to another host, so none is followed.
        return self._session.post(self._url, data=body, allow_redirects=False, proxy=self._proxy)

    async def close(self) -> None:
        """Closes all connections."""
        await self._session.close()


def http_to(url: URL, headers: Mapping[str, str], proxy: URL | None) -> Http:
    """Returns what carries requests with these headers to an address, in the event loop that runs."""
    if PlainHttp.reaches(url, proxy, headers):
        return PlainHttp(url, headers)
    return AnyHttp(url, headers, proxy)
