"""A model behind an OpenAI-compatible HTTP API, reached at as little CPU as HTTP can be had for.

It owns connections, retries and a circuit breaker; it knows nothing of decisions. Whatever an endpoint does, a request
ends as one `ModelReply` within its deadline: bodies are capped before they are parsed, and nothing waits without bound.
"""

import asyncio
import json
import os
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from itertools import accumulate, islice, pairwise
from typing import Any, TypeGuard

import aiohttp

from swarm.llm.engines.openai.config import OpenAIModel
from swarm.llm.protocol import (
    MAX_REPLY_CHARS,
    EngineFailure,
    FinishReason,
    ModelReply,
    ModelRequest,
    TokenUsage,
    folded,
)
from swarm.llm.runaway import LOOP_WINDOW, runaway
from swarm.llm.strict import answer_in, needs_object, strict_schema
from swarm.llm.tokens import MESSAGE_OVERHEAD, count_tokens, count_tokens_cached
from swarm.seeding import draw

MAX_BODY_BYTES = 1_000_000
"""Most bytes of a reply that are read; a decision has a few hundred."""

WAITING_PER_SLOT = 4
"""Requests that are prepared, wait for a slot or wait before a retry, for each that may be under way."""

_ENCODER = json.JSONEncoder(separators=(",", ":"))
_MAX_TOKENS = 10_000_000
_BACKOFF_S = 0.25
_MAX_BACKOFF_S = 8.0
_STREAM_CHECK_CHARS = 256
_RETRIED = frozenset({"rate_limited", "server_error", "connection"})
_SIGNS_OF_AN_OUTAGE = frozenset(
    {"server_error", "timeout", "deadline", "connection", "protocol", "unauthorized", "model_not_found"}
)


@dataclass(frozen=True, slots=True)
class _Failure:
    kind: EngineFailure
    text: str
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class _Completion:
    """One sample, and the `others` that came with it for the same prompt."""

    text: str
    finish_reason: FinishReason
    usage: TokenUsage
    others: "tuple[_Completion, ...]" = ()
    first_token_at: float | None = None


@dataclass(frozen=True, slots=True)
class _Connections:
    loop: asyncio.AbstractEventLoop
    session: aiohttp.ClientSession
    slots: asyncio.Semaphore
    probing: asyncio.Lock


class CircuitBreaker:
    """Leaves an endpoint alone that fails: open after `failures` in a row, then one request per `rest_s` as a probe.

    A failure counts only if its attempt began after the last success. So the slow requests of a burst, which all time
    out together after the fast ones have succeeded, do not look like an outage.
    """

    def __init__(self, failures: int, rest_s: float) -> None:
        self.failures = failures
        self.rest_s = rest_s
        self.opened = 0
        self._in_a_row = 0
        self._last_success = float("-inf")
        self._resting_since: float | None = None

    @property
    def is_open(self) -> bool:
        """Whether requests are refused, but for probes."""
        return self._resting_since is not None

    def rest_left_s(self, now: float) -> float:
        """Seconds until a probe is admitted; 0 while the circuit is closed."""
        return 0.0 if self._resting_since is None else max(self._resting_since + self.rest_s - now, 0.0)

    def admits(self, now: float) -> bool:
        """Whether an attempt may begin; the one that is admitted to an open circuit is the probe."""
        if self._resting_since is None:
            return True
        if now - self._resting_since < self.rest_s:
            return False
        self._resting_since = now
        return True

    def succeeded(self, now: float) -> None:
        """An attempt came back well."""
        self._in_a_row = 0
        self._last_success = now
        self._resting_since = None

    def failed(self, begun: float, now: float) -> None:
        """An attempt that began at `begun` failed."""
        if self.is_open or begun < self._last_success:
            return
        self._in_a_row += 1
        if self._in_a_row >= self.failures:
            self._resting_since = now
            self._in_a_row = 0
            self.opened += 1


class OpenAIClient:
    """A `ModelClient` over HTTP that keeps its connections while it is open."""

    def __init__(self, config: OpenAIModel) -> None:
        self.config = config
        self.counts: Counter[str] = Counter()
        """What went over the network: attempts, retries, and failures of attempts by kind."""
        self.breaker = CircuitBreaker(config.breaker_failures, config.breaker_rest_s)
        self._url = f"{config.base_url}/chat/completions"
        self._key = os.environ.get(config.api_key_env, "") if config.api_key_env else None
        self._kept: _Connections | None = None
        self._schema: dict[str, Any] | None = None
        self._packed_format = ""
        self._asks_singly = config.stream
        """Whether each sample is a request of its own: streams mix theirs, and not every endpoint knows `n`."""

    async def open(self) -> None:
        """Keep connections from now on, in the event loop that runs."""
        if self._kept is None:
            self._kept = self._connections()

    async def close(self) -> None:
        """Close all connections."""
        if self._kept is not None:
            kept, self._kept = self._kept, None
            await kept.session.close()

    async def complete(self, requests: Sequence[ModelRequest], deadline_s: float) -> list[ModelReply]:
        """Answer every request within `deadline_s`, as many at once as the endpoint may be asked."""
        due = asyncio.get_running_loop().time() + deadline_s
        if self._key == "":
            text = f"the environment variable {self.config.api_key_env} is not set here"
            return [ModelReply(text, TokenUsage(0, 0), "unauthorized", 0.0)] * sum(r.samples for r in requests)
        asked = [one for r in requests for one in (r.singly() if self._asks_singly else (r,))]
        places = accumulate((r.samples for r in asked), initial=0)
        replies: list[ModelReply | None] = [None] * sum(r.samples for r in asked)
        left = iter(list(zip(places, asked, strict=False)))
        workers = min(len(asked), self.config.max_concurrency * WAITING_PER_SLOT)
        async with self._connected() as connections:
            if self.breaker.is_open:
                await self._probe(connections, left, replies, due)
            await asyncio.gather(*(self._work(connections, left, replies, due) for _ in range(workers)))
        return [reply for reply in replies if reply is not None]

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[_Connections]:
        """The kept connections, or others for one batch where none are kept in the event loop that runs."""
        if self._kept is not None and self._kept.loop is asyncio.get_running_loop():
            yield self._kept
            return
        connections = self._connections()
        try:
            yield connections
        finally:
            await connections.session.close()

    def _connections(self) -> _Connections:
        headers = {"Content-Type": "application/json", "Accept-Encoding": "identity"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        session = aiohttp.ClientSession(
            headers=headers,
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=60.0),
            # Deadlines are this module's own: aiohttp's would cost a timer each and do not bound a call with retries.
            timeout=aiohttp.ClientTimeout(total=None, connect=None, sock_connect=None, sock_read=None),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
        )
        return _Connections(
            asyncio.get_running_loop(), session, asyncio.Semaphore(self.config.max_concurrency), asyncio.Lock()
        )

    async def _probe(
        self,
        connections: _Connections,
        left: Iterator[tuple[int, ModelRequest]],
        replies: list[ModelReply | None],
        due: float,
    ) -> None:
        """Find out with the batch's first request whether an endpoint that was left alone is back.

        It waits for the rest to end where the deadline allows that: rounds that refuse everything at once would be
        over in no time, and a short outage would eat a whole run.
        """
        now = connections.loop.time
        try:
            async with asyncio.timeout_at(due), connections.probing:
                # Another batch may have found out meanwhile.
                if not self.breaker.is_open or now() + self.breaker.rest_left_s(now()) >= due:
                    return
                # A timer may be early by the resolution of its clock.
                await asyncio.sleep(self.breaker.rest_left_s(now()) + 0.001)
                await self._work(connections, islice(left, 1), replies, due)
        except TimeoutError:
            return

    async def _work(
        self,
        connections: _Connections,
        left: Iterator[tuple[int, ModelRequest]],
        replies: list[ModelReply | None],
        due: float,
    ) -> None:
        for place, request in left:
            found = await self._ask(connections, request, due)
            if len(found) < request.samples or (request.more_seeds and found[0].finish_reason == "protocol"):
                # This endpoint gives one choice whatever it is asked for, or refuses to be asked for more.
                self._asks_singly = True
                known = [] if found[0].failed else found
                rest = request.singly()[len(known) :]
                singly = await asyncio.gather(*(self._ask(connections, one, due) for one in rest))
                found = known + [reply for one in singly for reply in one]
            replies[place : place + request.samples] = found

    async def _ask(self, connections: _Connections, request: ModelRequest, due: float) -> list[ModelReply]:
        loop = connections.loop
        started = loop.time()
        body = self._body(request)
        failure = _Failure("deadline", "no time was left to ask")
        attempts = 0
        while attempts <= self.config.retries:
            if attempts:
                pause = failure.retry_after_s if failure.retry_after_s is not None else _backoff_s(request, attempts)
                if loop.time() + pause >= due:
                    break
                await asyncio.sleep(pause)
            outcome = await self._attempt(connections, body, request, due)
            if isinstance(outcome, _Completion):
                self.counts["retries"] += attempts
                latency_s, first = loop.time() - started, outcome.first_token_at
                first_token_s = None if first is None else first - started
                answer = answer_in if needs_object(request.schema) else str
                return [
                    ModelReply(answer(sample.text), sample.usage, sample.finish_reason, latency_s, first_token_s)
                    for sample in (outcome, *outcome.others)
                ]
            if outcome.kind == "circuit_open" and attempts:
                # What opened the circuit says more than that it is open.
                break
            attempts += 1
            failure = outcome
            if failure.kind not in _RETRIED:
                break
        self.counts["retries"] += max(attempts - 1, 0)
        tried = f" ({attempts} attempts)" if attempts > 1 else ""
        failed = ModelReply(f"{failure.text}{tried}", TokenUsage(0, 0), failure.kind, loop.time() - started)
        return [failed] * request.samples

    async def _attempt(
        self, connections: _Connections, body: bytes, request: ModelRequest, due: float
    ) -> _Completion | _Failure:
        """One HTTP request, whatever becomes of it."""
        loop, slots = connections.loop, connections.slots
        try:
            async with asyncio.timeout_at(due):
                await slots.acquire()
        except TimeoutError:
            return _Failure("deadline", "the deadline came before the endpoint had a free slot")
        begun = loop.time()
        if not self.breaker.admits(begun):
            slots.release()
            self.counts["circuit_open"] += 1
            return _Failure("circuit_open", "the endpoint has failed too often and is left alone for now")
        late = begun + self.config.timeout_s
        outcome: _Completion | _Failure
        try:
            self.counts["attempts"] += 1
            async with asyncio.timeout_at(min(late, due)):
                outcome = await self._post(connections.session, body, request)
        except TimeoutError:
            outcome = (
                _Failure("timeout", f"no whole reply within timeout_s of {self.config.timeout_s:g} s")
                if late < due
                else _Failure("deadline", "no whole reply by the deadline")
            )
        except (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError, OSError) as error:
            outcome = _Failure("connection", self._told(f"{type(error).__name__}: {error}"))
        except (aiohttp.ClientError, ValueError) as error:
            outcome = _Failure("protocol", self._told(f"{type(error).__name__}: {error}"))
        finally:
            slots.release()
        if isinstance(outcome, _Failure):
            self.counts[outcome.kind] += 1
            if outcome.kind in _SIGNS_OF_AN_OUTAGE:
                self.breaker.failed(begun, loop.time())
        else:
            self.breaker.succeeded(loop.time())
        return outcome

    async def _post(self, session: aiohttp.ClientSession, body: bytes, request: ModelRequest) -> _Completion | _Failure:
        # A redirect would carry the key to another host, so none is followed.
        async with session.post(self._url, data=body, allow_redirects=False) as response:
            if (response.content_length or 0) > MAX_BODY_BYTES:
                return _Failure("too_large", f"a reply of {response.content_length} bytes")
            if self.config.stream and response.status == 200 and response.content_type == "text/event-stream":
                return await self._read_stream(response, request)
            raw = bytearray()
            while chunk := await response.content.readany():
                raw += chunk
                if len(raw) > MAX_BODY_BYTES:
                    return _Failure("too_large", f"a reply of more than {MAX_BODY_BYTES} bytes")
            if response.status != 200:
                return self._refusal(response, bytes(raw))
        return self._completion(raw, request)

    async def _read_stream(self, response: aiohttp.ClientResponse, request: ModelRequest) -> _Completion | _Failure:
        """Server-sent events, up to the end or to the point where the text has run away."""
        parts: list[str] = []
        chars = unchecked = size = 0
        finish: str | None = None
        usage: Any = None
        first_token_at: float | None = None
        line = bytearray()
        while chunk := await response.content.readany():
            size += len(chunk)
            if size > MAX_BODY_BYTES or chars > MAX_REPLY_CHARS:
                return _Failure("too_large", f"a reply of more than {size} bytes or {chars} characters")
            line += chunk
            *lines, rest = line.split(b"\n")
            line = bytearray(rest)
            for event in lines:
                data = event.removeprefix(b"data:").strip()
                if not event.startswith(b"data:") or data == b"[DONE]":
                    continue
                try:
                    value = json.loads(data)
                    usage = value.get("usage") or usage
                    for choice in value["choices"][:1]:
                        piece = choice["delta"].get("content") or ""
                        finish = choice.get("finish_reason") or finish
                        if piece and first_token_at is None:
                            first_token_at = asyncio.get_running_loop().time()
                        parts.append(piece)
                        chars += len(piece)
                        unchecked += len(piece)
                except (ValueError, RecursionError, KeyError, TypeError, AttributeError):
                    return _Failure("protocol", self._told(f"not a chunk of a completion: {data[:200]!r}"))
            if unchecked >= _STREAM_CHECK_CHARS:
                unchecked = 0
                text = "".join(parts)
                if runaway(text, LOOP_WINDOW * 3 // 4):
                    self.counts["given_up"] += 1
                    return _Completion(
                        _encodable(text), "length", self._usage(None, request, text), first_token_at=first_token_at
                    )
        if finish is None:
            return _Failure("connection", "the stream ended before the completion did")
        text = "".join(parts)
        used = self._usage(usage, request, text)
        return _Completion(_encodable(text), _finish_reason(finish), used, first_token_at=first_token_at)

    def _body(self, request: ModelRequest) -> bytes:
        config = self.config
        shown = request.messages if config.system_role else folded(request.messages)
        messages = [{"role": m.role, "content": m.content} for m in shown]
        body: dict[str, Any] = {
            "model": config.model,
            "messages": messages,
            config.max_tokens_key: request.max_tokens,
            "temperature": config.temperature if request.temperature is None else request.temperature,
        }
        if request.more_seeds:
            body["n"] = request.samples
        if config.send_seed:
            # Some servers keep a seed in 32 bits with a sign.
            body["seed"] = request.seed & 0x7FFFFFFF
        if config.stream:
            body["stream"] = True
            body["stream_options"] = {"include_usage": True}
        packed = _ENCODER.encode(body)
        if request.schema and config.response_format == "json_schema":
            packed = f'{packed[:-1]},"response_format":{self._format(request.schema)}}}'
        elif request.schema and config.response_format == "json_object":
            packed = f'{packed[:-1]},"response_format":{{"type":"json_object"}}}}'
        return packed.encode()

    def _format(self, schema: dict[str, Any]) -> str:
        """The response format in JSON, packed once for all requests that share a schema."""
        if schema is not self._schema:
            named = {"name": "decision", "schema": strict_schema(schema), "strict": True}
            self._schema = schema
            self._packed_format = _ENCODER.encode({"type": "json_schema", "json_schema": named})
        return self._packed_format

    def _completion(self, raw: bytearray, request: ModelRequest) -> _Completion | _Failure:
        try:
            data = json.loads(raw)
            said = [(_content(choice["message"]), choice.get("finish_reason")) for choice in data["choices"]]
            usage = data.get("usage")
            if not said:
                raise IndexError("choices")
        except (ValueError, RecursionError, KeyError, IndexError, TypeError, AttributeError):
            return _Failure("protocol", self._told(f"not a chat completion: {bytes(raw[:200])!r}"))
        said = said[: request.samples]
        longest = max(len(text) for text, _ in said)
        if longest > MAX_REPLY_CHARS:
            return _Failure("too_large", f"a reply of {longest} characters")
        whole = self._usage(usage, request, "".join(text for text, _ in said))
        first, *others = [
            _Completion(_encodable(text), _finish_reason(finish), replace(whole, completion=completion))
            for (text, finish), completion in zip(said, _shares(whole.completion, said), strict=True)
        ]
        shared = [replace(o, usage=replace(o.usage, cached_prompt=0, shared_prompt=whole.prompt)) for o in others]
        return replace(first, others=tuple(shared))

    def _refusal(self, response: aiohttp.ClientResponse, raw: bytes) -> _Failure:
        """What a status other than 200 means."""
        status = response.status
        told = self._told(f"HTTP {status}: {raw[:300].decode('utf-8', 'replace')}")
        if status == 429:
            return _Failure("rate_limited", told, _retry_after_s(response.headers.get("Retry-After")))
        if status == 408 or status >= 500:
            return _Failure("server_error", told, _retry_after_s(response.headers.get("Retry-After")))
        if status in (401, 403):
            return _Failure("unauthorized", told)
        if status == 404:
            return _Failure("model_not_found", told)
        return _Failure("protocol", told)

    def _told(self, text: str) -> str:
        """What somebody else wrote, on one line, short, and without the key."""
        if self._key:
            text = text.replace(self._key, "***")
        return _encodable(" ".join(text.split())[:200])

    def _usage(self, told: Any, request: ModelRequest, text: str) -> TokenUsage:
        """The endpoint's count where it is one, else an estimate."""
        if isinstance(told, dict):
            prompt, completion = told.get("prompt_tokens"), told.get("completion_tokens")
            if _is_count(prompt) and _is_count(completion):
                details = told.get("prompt_tokens_details")
                cached = details.get("cached_tokens") if isinstance(details, dict) else None
                return TokenUsage(prompt, completion, min(cached, prompt) if _is_count(cached) else 0)
        prompt = sum(
            (count_tokens_cached if m.role == "system" else count_tokens)(m.content) + MESSAGE_OVERHEAD
            for m in request.messages
        )
        return TokenUsage(prompt, min(count_tokens(text), request.max_tokens * request.samples))


def _content(message: Any) -> str:
    """What a choice says; TypeError where that is no text."""
    content = message.get("content")
    if content is None:
        # A model that answers with a call of a tool, or with reasoning alone, has said nothing.
        calls = message.get("tool_calls")
        content = json.dumps({"tool_calls": calls}) if calls else ""
    if not isinstance(content, str):
        raise TypeError("content")
    return content


def _shares(total: int, said: Sequence[tuple[str, Any]]) -> list[int]:
    """The completion tokens of each choice, of which an endpoint tells the sum: in proportion to their estimates."""
    estimates = [count_tokens(text) + 1 for text, _ in said]
    ends = [total * end // sum(estimates) for end in accumulate(estimates)]
    return [end - start for start, end in pairwise([0, *ends])]


def _is_count(value: Any) -> TypeGuard[int]:
    return type(value) is int and 0 <= value <= _MAX_TOKENS


def _finish_reason(told: Any) -> FinishReason:
    return "length" if told == "length" else "stop"


def _encodable(text: str) -> str:
    """Text without lone surrogates, which JSON can name and no journal can write."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def _backoff_s(request: ModelRequest, attempts: int) -> float:
    """A pause that doubles with each attempt; the request's seed spreads it, so that no burst comes back as one."""
    spread = int(draw(request.seed, "backoff", attempts)[0]) / 2**64
    return float(min(_BACKOFF_S * 2 ** (attempts - 1), _MAX_BACKOFF_S) * (0.5 + spread))


def _retry_after_s(header: str | None) -> float | None:
    """Seconds from a Retry-After header, which has seconds or a date; None where it has neither."""
    if header is None:
        return None
    try:
        seconds = float(header)
    except ValueError:
        try:
            seconds = (parsedate_to_datetime(header) - datetime.now(UTC)).total_seconds()
        except (ValueError, TypeError):
            return None
    return max(seconds, 0.0) if seconds < float("inf") else None
