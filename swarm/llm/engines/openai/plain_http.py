"""Posts over HTTP/1.1 without encryption, on kept connections; a call takes half of what it takes by aiohttp.

Models that answer beside a run, such as those of vLLM or llama.cpp, are reached so, and there the client's CPU is what
bounds the turns of a second. llhttp, by httptools, reads what the server sends, as leniently as aiohttp has it do; what
is here is the pool, and the wait for the next piece. Whatever needs TLS or a proxy is aiohttp's affair.
"""

import asyncio
import select
import socket
from collections import deque
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import cast

import aiohappyeyeballs
import httptools
from multidict import CIMultiDict
from yarl import URL

IDLE_S = 60.0
"""Seconds that a connection is kept without a request on it."""

ADDRESSES_S = 10.0
"""Seconds that a host's addresses are taken for the same."""

MAX_HEAD_BYTES = 65_536
"""Most bytes that a server may send at a stretch without one of a body: of a head, a chunk's size, trailers."""

MAX_WAITING_BYTES = 262_144
"""Bytes of a body that nobody has read yet, from which on no more are taken from the network."""

OPENED_AT_ONCE, ACCEPTED_S = 32, 0.005
"""Connections that are opened at once, and seconds that the server has to take them before others are.

A server's queue is short, 128 of them at many. What finds it full is dropped by the system, which tries again after a
second: a round of a thousand new connections would wait that long for the last of them.
"""

NEXT_ADDRESS_S = 0.25
"""Seconds that one address of a host has to answer before the next is tried as well (RFC 8305)."""


class _Connection(asyncio.Protocol):
    """One connection: at most one request is under way on it, and what it is answered is read piece by piece."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._poll = select.poll()
        self._transport: asyncio.Transport | None = None
        self._parser: httptools.HttpResponseParser | None = None
        self._news: asyncio.Future[None] | None = None
        self.idle_since = 0.0
        self._begin(asked=False)

    def _begin(self, *, asked: bool) -> None:
        self._asked = asked
        self.status = 0
        self.headers: CIMultiDict[str] = CIMultiDict()
        self._other_bytes = self._waiting_bytes = 0
        self._pieces: list[bytes] = []
        self._has_head = self._has_ended = self._can_stay = self._is_paused = False
        self._failure: Exception | None = None

    def post(self, sent: bytes) -> None:
        """Sends a request; `readany` then reads what it is answered."""
        self._begin(asked=True)
        if self._transport is None:
            self._fail(ConnectionResetError("the server has hung up"))
        else:
            self._transport.write(sent)

    async def head(self) -> None:
        """Waits until the status and the headers are there."""
        while not self._has_head:
            await self._wait()

    async def readany(self) -> bytes:
        """Returns what there is of the body, as soon as there is any; nothing at its end."""
        while not self._pieces and not self._has_ended:
            await self._wait()
        if self._failure is not None:
            raise self._failure
        read, self._waiting_bytes = b"".join(self._pieces), 0
        self._pieces.clear()
        if self._is_paused and self._transport is not None:
            self._is_paused = False
            self._transport.resume_reading()
        return read

    async def _wait(self) -> None:
        if self._failure is not None:
            raise self._failure
        self._news = self._loop.create_future()
        try:
            await self._news
        finally:
            self._news = None

    def is_free(self) -> bool:
        """Tells whether another request may be sent: all of the last response was read and nothing came behind it."""
        if not (self._has_ended and self._can_stay) or self._pieces or self._failure is not None:
            return False
        # A server may answer before it has been sent all of a request, and what it makes of the rest is uncertain.
        transport = self._transport
        return transport is not None and not transport.is_closing() and not transport.get_write_buffer_size()

    def is_silent(self) -> bool:
        """Tells whether nothing waits to be read, nor the end of the connection: a loop that is busy tells late."""
        return not self._poll.poll(0)

    def abort(self) -> None:
        """Gives the connection up."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keeps what asyncio gives it."""
        # uvloop's transports are of no class of asyncio's.
        self._transport = cast(asyncio.Transport, transport)
        self._poll.register(transport.get_extra_info("socket"), select.POLLIN)
        self._parser = httptools.HttpResponseParser(self)
        self._parser.set_dangerous_leniencies(
            lenient_headers=True, lenient_optional_cr_before_lf=True, lenient_spaces_after_chunk_size=True
        )

    def data_received(self, data: bytes) -> None:
        """Reads the next bytes; what nobody has asked for ends the connection."""
        if not self._asked or self._has_ended or self._parser is None:
            self._can_stay = False
            self.abort()
            return
        waiting = self._waiting_bytes
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._fail(ValueError(f"not HTTP: {error}"))
        # Who reads bounds the body; the parser would gather an endless trailer.
        self._other_bytes = 0 if self._waiting_bytes > waiting else self._other_bytes + len(data)
        if self._other_bytes > MAX_HEAD_BYTES:
            self._fail(ValueError(f"headers of more than {MAX_HEAD_BYTES} bytes"))
        if self._waiting_bytes > MAX_WAITING_BYTES and not self._is_paused and self._transport is not None:
            self._is_paused = True
            self._transport.pause_reading()
        self._tell()

    def connection_lost(self, exc: Exception | None) -> None:
        """Takes the end of the connection for the end of a body that has no other end."""
        self._transport = self._parser = None
        self._can_stay = False
        if self._asked and not self._has_ended:
            coding = self.headers.get("Transfer-Encoding", "").lower()
            if exc is None and self._has_head and "Content-Length" not in self.headers and "chunked" not in coding:
                self._has_ended = True
            else:
                self._fail(exc or ConnectionResetError("the server has hung up"))
        self._tell()

    def on_message_begin(self) -> None:
        """Sees to it that nothing behind the response is taken for the answer to the next request."""
        if self._has_ended:
            self._can_stay = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keeps a header; what comes behind a body is no header of its own."""
        if not self._has_head:
            self.headers.add(name.decode("latin-1"), value.decode("utf-8", "surrogateescape"))

    def on_headers_complete(self) -> None:
        """Tells that the body is next, unless this is but the news that a response is to come."""
        if self._has_head or self._parser is None:
            return
        self.status = self._parser.get_status_code()
        if self.status == 101:
            self._fail(ValueError("the server wants to speak another protocol"))
        elif 100 <= self.status < 200:
            self.headers.clear()
        else:
            self._has_head = True

    def on_body(self, piece: bytes) -> None:
        """Keeps a piece until it is read."""
        if not self._has_ended:
            self._pieces.append(piece)
            self._waiting_bytes += len(piece)

    def on_message_complete(self) -> None:
        """Tells that all of the body is there."""
        if self._has_head and not self._has_ended and self._parser is not None:
            self._can_stay, self._has_ended = self._parser.should_keep_alive(), True

    def _fail(self, failure: Exception) -> None:
        # The first fault explains those that follow, and what goes wrong behind a whole response is no fault of it.
        if self._failure is None and not self._has_ended:
            self._failure = failure
            self._pieces.clear()
        self._can_stay = False
        self.abort()

    def _tell(self) -> None:
        if self._news is not None and not self._news.done():
            self._news.set_result(None)


class _Response:
    """What a request is answered, for as long as its block lasts."""

    def __init__(self, http: "PlainHttp", body: bytes) -> None:
        self._http = http
        self._body = body

    async def __aenter__(self) -> "_Response":
        self.content = await self._http.connection()
        self.content.post(self._http.request(self._body))
        try:
            await self.content.head()
        except BaseException:
            self.content.abort()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.give_back(self.content)

    @property
    def status(self) -> int:
        """The status of the response."""
        return self.content.status

    @property
    def headers(self) -> Mapping[str, str]:
        """Its headers, whose names are the same in upper and lower case."""
        return self.content.headers


class PlainHttp:
    """The connections to one address, and the head of every request that is sent there."""

    def __init__(self, url: URL, headers: Mapping[str, str]) -> None:
        self._host, self._port = url.raw_host or "", url.port or 80
        sent = CIMultiDict({"Host": url.raw_authority, "Accept": "*/*", "User-Agent": "swarm"})
        sent.update(headers)
        lines = [f"POST {url.raw_path_qs} HTTP/1.1", *(f"{name}: {value}" for name, value in sent.items())]
        self._head = "\r\n".join([*lines, "Content-Length: "]).encode("latin-1")
        self._loop = asyncio.get_running_loop()
        self._free: deque[_Connection] = deque()
        self._is_closed = False
        self._addresses: Sequence[aiohappyeyeballs.AddrInfoType] = ()
        self._why_none = ""
        self._looked_up = -ADDRESSES_S
        self._looking = asyncio.Lock()
        self._opening = asyncio.Semaphore(OPENED_AT_ONCE)

    @staticmethod
    def reaches(url: URL, proxy: URL | None, headers: Mapping[str, str]) -> bool:
        """Tells whether nothing but plain HTTP is needed."""
        plain = all(value.isascii() and value.isprintable() for value in headers.values())
        named = url.user is not None or url.password is not None
        return url.scheme == "http" and bool(url.host) and not named and proxy is None and plain

    def post(self, body: bytes) -> _Response:
        """Returns a block that sends a request and has its response."""
        return _Response(self, body)

    async def close(self) -> None:
        """Closes all connections that no request is on; the others are closed when they are given back."""
        self._is_closed = True
        while self._free:
            self._free.pop().abort()
        # The loop closes sockets in its next turn.
        await asyncio.sleep(0)

    def request(self, body: bytes) -> bytes:
        """Returns all bytes of a request."""
        return b"%b%d\r\n\r\n%b" % (self._head, len(body), body)

    async def connection(self) -> _Connection:
        """Returns a connection that is free, or a new one; OSError where there can be none."""
        # The first has been idle for longest.
        while self._free and self._loop.time() - self._free[0].idle_since > IDLE_S:
            self._free.popleft().abort()
        # The last that came back is the least likely to have been closed at the other end.
        while self._free:
            if (connection := self._free.pop()).is_free() and connection.is_silent():
                return connection
            connection.abort()
        addresses = await self._addresses_now()
        await self._opening.acquire()
        try:
            found = await aiohappyeyeballs.start_connection(
                addresses, loop=self._loop, happy_eyeballs_delay=NEXT_ADDRESS_S, interleave=1
            )
            return (await self._loop.create_connection(lambda: _Connection(self._loop), sock=found))[1]
        finally:
            self._loop.call_later(ACCEPTED_S, self._opening.release)

    def give_back(self, connection: _Connection) -> None:
        """Keeps a connection for the next request where it can be used again, and ends it where not."""
        if connection.is_free() and not self._is_closed:
            connection.idle_since = self._loop.time()
            self._free.append(connection)
        else:
            connection.abort()

    async def _addresses_now(self) -> Sequence[aiohappyeyeballs.AddrInfoType]:
        """Returns the addresses of the host; they are looked up once for all that ask together."""
        began = self._loop.time()
        async with self._looking:
            # A failure is shared as well: a look-up may take seconds, and a thousand of them would take turns.
            if began - self._looked_up > (ADDRESSES_S if self._addresses else 0.0):
                try:
                    self._addresses = await self._loop.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
                except OSError as error:
                    self._addresses, self._why_none = (), error.strerror or str(error)
                self._looked_up = self._loop.time()
        if not self._addresses:
            raise ConnectionError(f"{self._host} has no address: {self._why_none}")
        return self._addresses
