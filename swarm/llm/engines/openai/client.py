"""Reaches a model behind an OpenAI-compatible HTTP API, at as little CPU as HTTP can be had for.

It owns connections, attempts and deadlines; it knows nothing of decisions. Whatever an endpoint does, a request ends as
one `ModelReply` within its deadline: bodies are capped before they are parsed, and nothing waits without bound.
"""

import asyncio
import os
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from itertools import accumulate, islice

import aiohttp

from swarm.llm.engines.openai import asking, scoring
from swarm.llm.engines.openai.breaker import CircuitBreaker
from swarm.llm.engines.openai.config import OpenAIModel
from swarm.llm.engines.openai.failures import Failure, error_in, refusal
from swarm.llm.engines.openai.reading import (
    MAX_BODY_BYTES,
    Completion,
    Decompressor,
    completion,
    decoded,
    encodable,
    parsed,
    read_completion,
)
from swarm.llm.engines.openai.stream import StreamedReply
from swarm.llm.engines.openai.transport import Http, Response, http_to
from swarm.llm.protocol import ModelReply, ModelRequest, TokenUsage
from swarm.llm.strict import answer_in, needs_object
from swarm.seeding import draw

WAITING_PER_SLOT = 4
"""Requests that are prepared, wait for a slot or wait before a retry, for each that may be under way."""

END_OF_STREAM_S = 0.2
"""Seconds that a stream gets to close after it has said that it is done; its connection is then given up."""

_BACKOFF_S = 0.25
_MAX_BACKOFF_S = 8.0
_SHOWN_BYTES = 300


@dataclass(frozen=True, slots=True)
class _Connections:
    loop: asyncio.AbstractEventLoop
    http: Http
    slots: asyncio.Semaphore
    probing: asyncio.Lock


@dataclass(frozen=True, slots=True)
class _Batch:
    """Requests that are left to ask, each with the index of its first reply, where replies go, and until when."""

    left: Iterator[tuple[int, ModelRequest]]
    replies: list[ModelReply | None]
    due: float


class OpenAIClient:
    """A `ModelClient` over HTTP that keeps its connections while it is open."""

    def __init__(self, config: OpenAIModel) -> None:
        self.config = config
        self.counts: Counter[str] = Counter()
        """What went over the network: attempts, retries, and failures of attempts by kind."""
        self.breaker = CircuitBreaker(config.breaker_failures, config.breaker_rest_s)
        self.bodies = asking.Bodies(config)
        self._url = asking.url(config, "/chat/completions")
        self._key = asking.api_key(config)
        self._kept: _Connections | None = None
        self._asks_singly = config.stream
        """Whether each sample is a request of its own: streams mix theirs, and not every endpoint knows `n`."""

    async def open(self) -> None:
        """Keeps connections from now on, in the event loop that runs."""
        if self._kept is None:
            self._kept = self._connections()

    async def close(self) -> None:
        """Closes all connections."""
        if self._kept is not None:
            kept, self._kept = self._kept, None
            await kept.http.close()

    async def complete(self, requests: Sequence[ModelRequest], deadline_s: float) -> list[ModelReply]:
        """Answers every request within `deadline_s`, as many at once as the endpoint may be asked."""
        if not any(request.branches for request in requests):
            return await self._complete(requests, deadline_s)
        # Each branch is asked by itself, and what a request's branches came to is put together again.
        asked = [scoring.singly(request) if request.branches else [request] for request in requests]
        replies = iter(await self._complete([one for own in asked for one in own], deadline_s))
        found: list[ModelReply] = []
        for request, own in zip(requests, asked, strict=True):
            told = list(islice(replies, sum(one.samples for one in own)))
            heat = self.config.temperature if request.temperature is None else request.temperature
            found += scoring.put_together(request, told, heat) if request.branches else told
        return found

    async def _complete(self, requests: Sequence[ModelRequest], deadline_s: float) -> list[ModelReply]:
        due = asyncio.get_running_loop().time() + deadline_s
        if self._key == "":
            text = f"the environment variable {self.config.api_key_env} is not set here"
            return [ModelReply(text, TokenUsage(0, 0), "unauthorized", 0.0)] * sum(r.samples for r in requests)
        asked = [one for r in requests for one in (r.singly() if self._asks_singly else (r,))]
        # Workers take requests from one iterator, and write replies where their request's samples belong.
        indices = accumulate((r.samples for r in asked), initial=0)
        replies: list[ModelReply | None] = [None] * sum(r.samples for r in asked)
        batch = _Batch(iter(list(zip(indices, asked, strict=False))), replies, due)
        workers = min(len(asked), self.config.max_concurrency * WAITING_PER_SLOT)
        async with self._connected() as connections:
            if self.breaker.is_open and self.breaker.is_worth_waiting_for:
                await self._probe(connections, batch)
            await asyncio.gather(*(self._work(connections, batch) for _ in range(workers)))
        return [reply for reply in replies if reply is not None]

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[_Connections]:
        """Yields the kept connections, or others for one batch where none are kept in the event loop that runs."""
        if self._kept is not None and self._kept.loop is asyncio.get_running_loop():
            yield self._kept
            return
        connections = self._connections()
        try:
            yield connections
        finally:
            await connections.http.close()

    def _connections(self) -> _Connections:
        headers, proxy = asking.headers(self.config, self._key), asking.proxy_for(self._url)
        return _Connections(
            asyncio.get_running_loop(),
            http_to(self._url, headers, proxy),
            asyncio.Semaphore(self.config.max_concurrency),
            asyncio.Lock(),
        )

    async def _probe(self, connections: _Connections, batch: _Batch) -> None:
        """Finds out with the batch's first request whether an endpoint that was left alone is back.

        It waits for the rest to end where the deadline allows that: rounds that refuse everything at once would be
        over in no time, and a short outage would eat a whole run.
        """
        now = connections.loop.time
        try:
            async with asyncio.timeout_at(batch.due), connections.probing:
                # Another batch may have found out meanwhile.
                if not self.breaker.is_open or now() + self.breaker.rest_left_s(now()) >= batch.due:
                    return
                # A timer may be early by the resolution of its clock.
                await asyncio.sleep(self.breaker.rest_left_s(now()) + 0.001)
                await self._work(connections, batch, most=1)
        except TimeoutError:
            return

    async def _work(self, connections: _Connections, batch: _Batch, most: int | None = None) -> None:
        for index, request in islice(batch.left, most):
            found = await self._ask(connections, request, batch.due)
            if len(found) < request.samples or (request.more_seeds and found[0].finish_reason == "protocol"):
                # This endpoint gives one choice whatever it is asked for, or refuses to be asked for more.
                self._asks_singly = True
                known = [] if found[0].failed else found
                rest = request.singly()[len(known) :]
                singly = await asyncio.gather(*(self._ask(connections, one, batch.due) for one in rest))
                found = known + [reply for one in singly for reply in one]
            batch.replies[index : index + request.samples] = found

    async def _ask(self, connections: _Connections, request: ModelRequest, due: float) -> list[ModelReply]:
        loop = connections.loop
        started = loop.time()
        body = self.bodies.of(request)
        failure = Failure("deadline", "no time was left to ask")
        attempts = 0
        while attempts <= self.config.retries:
            if attempts:
                pause = failure.retry_after_s if failure.retry_after_s is not None else _backoff_s(request, attempts)
                # A pause that ends after the deadline is not begun: the failure is told now.
                if loop.time() + pause >= due:
                    break
                await asyncio.sleep(pause)
            outcome = await self._attempt(connections, body, request, due)
            if isinstance(outcome, Completion):
                self.counts["retries"] += attempts
                return _replies(outcome, request, started, loop.time())
            if attempts and outcome.kind == "circuit_open":
                # What opened the circuit says more than that it is open.
                break
            attempts += 1
            failure = outcome
            if not failure.is_retried:
                break
        self.counts["retries"] += max(attempts - 1, 0)
        tried = f" ({attempts} attempts)" if attempts > 1 else ""
        failed = ModelReply(f"{failure.text}{tried}", TokenUsage(0, 0), failure.kind, loop.time() - started)
        return [failed] * request.samples

    async def _attempt(
        self, connections: _Connections, body: bytes, request: ModelRequest, due: float
    ) -> Completion | Failure:
        """Makes one HTTP request and returns what became of it."""
        loop, slots = connections.loop, connections.slots
        try:
            # A slot that is free is had at once; a timer for it would be one more for each request.
            if slots.locked():
                async with asyncio.timeout_at(due):
                    await slots.acquire()
            else:
                await slots.acquire()
        except TimeoutError:
            return Failure("deadline", "the deadline came before the endpoint had a free slot")
        begun = loop.time()
        # Asked after the slot was had, since the circuit may have opened while this request waited.
        if not self.breaker.admits(begun):
            slots.release()
            self.counts[self.breaker.reason] += 1
            return _left_alone(self.breaker)
        try:
            self.counts["attempts"] += 1
            outcome = await self._within(connections, body, request, begun + self.config.timeout_s, due)
        finally:
            slots.release()
        self._judge(outcome, begun, loop.time())
        return outcome

    def _judge(self, outcome: Completion | Failure, begun: float, now: float) -> None:
        """Tells the circuit breaker what became of an attempt."""
        if isinstance(outcome, Completion):
            self.breaker.succeeded(now)
            return
        self.counts[outcome.kind] += 1
        if outcome.kind == "quota":
            self.breaker.used_up(now)
        elif outcome.is_sign_of_an_outage:
            self.breaker.failed(begun, now)

    async def _within(
        self, connections: _Connections, body: bytes, request: ModelRequest, late: float, due: float
    ) -> Completion | Failure:
        """Makes one HTTP request that ends by the earlier of two times, as a failure if it must."""
        try:
            async with asyncio.timeout_at(min(late, due)):
                return await self._post(connections, body, request)
        except TimeoutError:
            if late < due:
                return Failure("timeout", f"no whole reply within timeout_s of {self.config.timeout_s:g} s")
            return Failure("deadline", "no whole reply by the deadline")
        except (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError, OSError) as error:
            return Failure("connection", self._told(_reason(error)))
        except Exception as error:
            # Whatever others send and a library makes of it costs this one reply.
            return Failure("protocol", self._told(f"{type(error).__name__}: {error}"))

    async def _post(self, connections: _Connections, body: bytes, request: ModelRequest) -> Completion | Failure:
        async with connections.http.post(body) as response:
            decompressor = Decompressor(response.headers.get("Content-Encoding", ""))
            if (refused := decompressor.refused()) is not None:
                return refused
            content_type = response.headers.get("Content-Type", "").lower()
            if response.status == 200 and "event-stream" in content_type:
                return await self._streamed(response, decompressor, request)
            raw = bytearray()
            while chunk := await response.content.readany():
                piece = decompressor.feed(chunk)
                if isinstance(piece, Failure):
                    return piece
                raw += piece
                if len(raw) > MAX_BODY_BYTES:
                    return Failure("too_large", f"a reply of more than {MAX_BODY_BYTES} bytes")
        if decompressor.is_cut():
            return Failure("connection", "the compressed reply ended before its end")
        return self._read(response, decoded(bytes(raw), content_type), request)

    def _read(self, response: Response, text: str, request: ModelRequest) -> Completion | Failure:
        """Returns what a whole body says."""
        if response.status == 200 and text.lstrip("\ufeff \r\n").startswith(("data:", "event:")):
            # Events under the name of something else.
            return self._completed(_gathered(text), request)
        try:
            value = parsed(text)
        except ValueError:
            value = None
        if response.status == 200:
            if value is None:
                return Failure("protocol", self._told(f"not a chat completion: {text[:_SHOWN_BYTES]!r}"))
            return read_completion(value, request, lambda: self._told(text[:_SHOWN_BYTES]))
        told = self._told(f"HTTP {response.status}: {text[:_SHOWN_BYTES]}")
        return refusal(response.status, response.headers, error_in(value), told)

    async def _streamed(
        self, response: Response, decompressor: Decompressor, request: ModelRequest
    ) -> Completion | Failure:
        """Reads server-sent events up to the end, or to the point where the text has run away."""
        reply = StreamedReply()
        first_token_at: float | None = None
        while not reply.done and (chunk := await response.content.readany()):
            piece = decompressor.feed(chunk)
            failure = piece if isinstance(piece, Failure) else reply.feed(piece)
            if failure is not None:
                return self._shown(failure)
            if first_token_at is None and reply.has_begun:
                first_token_at = asyncio.get_running_loop().time()
            if reply.given_up:
                self.counts["given_up"] += 1
                break
        if reply.done:
            # Read to its end, the connection can be used again.
            with suppress(TimeoutError):
                async with asyncio.timeout(END_OF_STREAM_S):
                    while await response.content.readany():
                        pass
        return self._completed(reply, request, first_token_at)

    def _completed(
        self, reply: StreamedReply | Failure, request: ModelRequest, first_token_at: float | None = None
    ) -> Completion | Failure:
        """Returns what the pieces of a stream come to."""
        if isinstance(reply, Failure):
            return self._shown(reply)
        if (failure := reply.end()) is not None:
            return self._shown(failure)
        if reply.given_up:
            reply.said.finish, reply.usage = "length", None
        elif not reply.has_ended:
            return Failure("connection", "the stream ended before the completion did")
        return completion([reply.said], reply.usage, request, first_token_at)

    def _shown(self, failure: Failure) -> Failure:
        return Failure(failure.kind, self._told(failure.text), failure.retry_after_s, failure.passing)

    def _told(self, text: str) -> str:
        """Returns what somebody else wrote, on one line, short, and without the key."""
        if self._key:
            text = text.replace(self._key, "***")
        return encodable(" ".join(text.split())[:200])


def _gathered(text: str) -> StreamedReply | Failure:
    reply = StreamedReply()
    failure = reply.feed(text.encode("utf-8", "replace"))
    return reply if failure is None else failure


def _reason(error: BaseException) -> str:
    """Returns the system's word for a failed connection; asyncio's own repeats the address."""
    number = getattr(getattr(error, "os_error", error), "errno", None)
    if isinstance(number, int) and number > 0:
        return os.strerror(number)
    return f"{type(error).__name__}: {error}"


def _left_alone(breaker: CircuitBreaker) -> Failure:
    if breaker.reason == "quota":
        return Failure("quota", "the endpoint says that the quota is used up, and is left alone for now")
    return Failure("circuit_open", "the endpoint has failed too often and is left alone for now")


def _replies(outcome: Completion, request: ModelRequest, started: float, now: float) -> list[ModelReply]:
    first = outcome.first_token_at
    first_token_s = None if first is None else first - started
    answer = answer_in if needs_object(request.schema) else str
    return [
        ModelReply(
            sample.text if sample.finish_reason not in ("stop", "length") else answer(sample.text),
            sample.usage,
            sample.finish_reason,
            now - started,
            first_token_s,
            sample.margin,
        )
        for sample in outcome.samples
    ]


def _backoff_s(request: ModelRequest, attempts: int) -> float:
    """Returns a pause that doubles with each attempt; the request's seed spreads it, lest a burst come back as one."""
    spread = int(draw(request.seed, "backoff", attempts)[0]) / 2**64
    return float(min(_BACKOFF_S * 2 ** (attempts - 1), _MAX_BACKOFF_S) * (0.5 + spread))
