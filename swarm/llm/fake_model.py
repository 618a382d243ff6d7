"""A local OpenAI-compatible endpoint with a seed: it answers like a scripted policy and misbehaves at given rates.

Which request meets which fault is a hash of the seed and the request's bytes, so the same run meets the same faults,
and sending a request again does not help, except against `busy_once`. It is made to test clients and parsers with; it
is no language model, and listens on this machine alone unless told otherwise.
"""

import asyncio
import hashlib
import json
import math
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, get_args

from aiohttp import web

from swarm.errors import ConfigError
from swarm.llm.entry import Temperament
from swarm.llm.protocol import Message
from swarm.llm.scripted import reply_to
from swarm.llm.scripted_desk import is_call, order_bounds
from swarm.llm.strict import ANSWER
from swarm.llm.tokens import MESSAGE_OVERHEAD, count_tokens, count_tokens_cached

FAULTS: dict[str, str] = {
    "rate_limited": "429 without Retry-After",
    "rate_limited_for_1_s": "429 with a Retry-After of one second, each time",
    "busy_once": "429 with a Retry-After of 0, then a good reply: nothing to count",
    "error_500": "500",
    "error_502": "502",
    "error_503": "503 with a Retry-After that no round can wait for",
    "reset": "the connection is reset in the middle of the body",
    "silent": "the request is accepted and never answered",
    "drip": "one byte per second",
    "late": "a good reply, but too late",
    "huge": "a reply of 50 MB",
    "html": "200 and a web page",
    "whitespace": "valid JSON, then white space until the limit",
    "digits": "an amount that never ends",
    "loop": "the same words until the limit",
    "truncated": "JSON that is cut off",
    "duplicate_key": "two prices in one order",
    "nan": "a price of NaN",
    "infinity": "a price of Infinity",
    "overflow": "a price of 1e400",
    "negative_zero": "a price of -0",
    "huge_integer": "a price of thirty digits",
    "unicode_digits": "a price in digits of another script",
    "negative_price": "a price below 0",
    "beyond_holdings": "an order for more than anybody has, which only the market can know",
    "wrong_language": "an answer in another script",
    "fenced": "prose around a fenced, good answer",
    "invented_tool": "a call of a tool that nobody offered",
    "foreign_id": "an order in somebody else's name",
}
"""Every fault by name, and what it is."""

DEFAULT_LATE_S = 60.0
MAX_SAMPLES = 128
SILENCE_S = 86_400.0
HUGE_BYTES = 50_000_000
_FALLBACK_SCHEMA = {
    "properties": {
        "orders": {
            "maxItems": 3,
            "items": {
                "properties": {
                    "good": {"enum": ["acorns"]},
                    "price": {"maximum": 1_000},
                    "quantity": {"maximum": 10},
                }
            },
        }
    }
}
"""What a request without a schema is answered by."""

_PRICES = {
    "nan": "NaN",
    "infinity": "Infinity",
    "overflow": "1e400",
    "negative_zero": "-0",
    "huge_integer": "9" * 30,
    "unicode_digits": "\u0662\u0660",
    "negative_price": "-20",
}
_FOREIGN_ANSWER = (
    "\u6211\u60f3\u5148\u89c2\u5bdf\u5e02\u573a\uff0c\u8fd9\u4e00\u8f6e\u4e0d\u505a\u4efb\u4f55\u4e70\u5356\u3002"
)


def parse_faults(text: str) -> dict[str, float]:
    """Rates from `reset=0.05,late=0.1` or `all=0.3`, which is shared evenly by all faults that are not named."""
    rates: dict[str, float] = {}
    for part in filter(None, (p.strip() for p in text.split(","))):
        name, _, value = part.partition("=")
        try:
            rate = float(value)
        except ValueError:
            rate = math.nan
        if name != "all" and name not in FAULTS:
            raise ConfigError(f"--faults {part}", f"there is no such fault; known: all, {', '.join(FAULTS)}")
        if not 0 <= rate <= 1:
            raise ConfigError(f"--faults {part}", "expected a rate from 0 to 1, for example reset=0.05")
        rates[name] = rate
    if "all" in rates:
        share = rates.pop("all")
        others = [name for name in FAULTS if name not in rates]
        rates |= {name: share / len(others) for name in others}
    if sum(rates.values()) > 1 + 1e-9:
        raise ConfigError(f"--faults {text}", "the rates add up to more than 1")
    return rates


@dataclass(slots=True)
class FakeModel:
    """The endpoint's state; `app` makes the server's application."""

    seed: int = 1
    faults: Mapping[str, float] = field(default_factory=dict)
    latency_s: float = 0.0
    late_s: float = DEFAULT_LATE_S
    context_tokens: int = 8_192
    api_key: str | None = None
    fixed_replies: Mapping[str, str] = field(default_factory=dict)
    """Replies by a text that the request has in it, the first that fits; with any, no request is looked at more
    closely, which is what a client's own cost is measured with."""
    several: bool = True
    """Whether it gives as many choices as `n` asks for; not every endpoint does."""
    counts: Counter[str] = field(default_factory=Counter)
    """Requests by fault, under "none" the good ones; a request that is sent again counts once."""
    _met: set[bytes] = field(default_factory=set)
    """Digests of the requests that have met their fault."""

    def app(self) -> web.Application:
        """The application: /v1/models, /v1/chat/completions, /health, and /faults with the counts."""
        app = web.Application(client_max_size=4_000_000)
        app.router.add_get("/v1/models", self._models)
        app.router.add_post("/v1/chat/completions", self._complete)
        app.router.add_get("/health", self._health)
        app.router.add_get("/faults", self._counts)
        return app

    def fault_of(self, body: bytes) -> str | None:
        """The fault that a request with this body meets, or None."""
        digest = hashlib.sha256(f"{self.seed}/".encode() + body).digest()
        drawn = int.from_bytes(digest[:8], "little") / 2**64
        for name, rate in self.faults.items():
            drawn -= rate
            if drawn < 0:
                return name
        return None

    async def _health(self, _: web.Request) -> web.Response:
        return web.Response(text="ok")

    async def _counts(self, _: web.Request) -> web.Response:
        return web.json_response(self.counts)

    async def _models(self, request: web.Request) -> web.Response:
        if refused := self._refused(request):
            return refused
        listed = [{"id": t, "object": "model", "max_model_len": self.context_tokens} for t in get_args(Temperament)]
        return web.json_response({"object": "list", "data": listed})

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        if refused := self._refused(request):
            return refused
        raw = await request.read()
        for contained, reply in self.fixed_replies.items():
            if contained.encode() in raw:
                await asyncio.sleep(self.latency_s)
                return web.json_response(_completion(reply, "stop", 300, 40))
        try:
            body = json.loads(raw)
            temperament = str(body["model"]).removeprefix("scripted-")
            messages = [Message(m["role"], str(m["content"])) for m in body["messages"]]
            limit = int(body.get("max_tokens") or body.get("max_completion_tokens") or 200)
            wanted = (body.get("response_format") or {}).get("json_schema", {}).get("schema", _FALLBACK_SCHEMA)
            seed = int(body.get("seed") or 0)
            samples = min(max(int(body.get("n") or 1), 1), MAX_SAMPLES)
        except (ValueError, KeyError, TypeError, IndexError, AttributeError):
            return _error(400, "invalid_request_error", "this is no chat completion request")
        if temperament not in get_args(Temperament):
            return _error(404, "model_not_found", f"the model {body['model']!r} does not exist here")
        if self.latency_s:
            await asyncio.sleep(self.latency_s)
        fault = self.fault_of(raw)
        digest = hashlib.sha256(raw).digest()
        if digest not in self._met:
            self.counts[fault or "none"] += 1
            if fault:
                self._met.add(digest)
        elif fault == "busy_once":
            fault = None
        if refusal := _refusal(fault):
            return refusal
        if fault == "late":
            await asyncio.sleep(self.late_s)
        if fault == "huge":
            return await _huge(request)
        answers = [
            _spoilt(_answer(temperament, messages, seed + i, wanted), fault, wanted, limit)  # type: ignore[arg-type]  # checked above
            for i in range(samples if self.several else 1)
        ]
        text, finish = answers[0]
        usage = sum(
            (count_tokens_cached if m.get("role") == "system" else count_tokens)(str(m.get("content")))
            + MESSAGE_OVERHEAD
            for m in body["messages"]
        )
        written = limit if finish == "length" else min(count_tokens(text), limit)
        if body.get("stream") and fault not in ("reset", "silent", "drip", "invented_tool"):
            return await _stream(request, text, finish, usage, written)
        completion = _completion(text, finish, usage, written)
        for index, (another, ended) in enumerate(answers[1:], 1):
            message = {"role": "assistant", "content": another}
            completion["choices"].append({"index": index, "message": message, "finish_reason": ended})
            completion["usage"]["completion_tokens"] += (
                limit if ended == "length" else min(count_tokens(another), limit)
            )
        completion["usage"]["total_tokens"] = usage + completion["usage"]["completion_tokens"]
        if fault == "invented_tool":
            completion["choices"][0] |= {"finish_reason": "tool_calls", "message": _tool_call()}
        if fault in ("reset", "silent", "drip"):
            return await _stall(request, json.dumps(completion).encode(), fault)
        return web.json_response(completion)

    def _refused(self, request: web.Request) -> web.Response | None:
        if self.api_key is None or request.headers.get("Authorization") == f"Bearer {self.api_key}":
            return None
        return _error(401, "invalid_api_key", "this key is not known here")


def serve_forever(
    host: str = "127.0.0.1",
    port: int = 8_000,
    seed: int = 1,
    faults: Mapping[str, float] | None = None,
    latency_s: float = 0.0,
    ready: Callable[[str], None] = lambda base_url: None,
    **more: Any,
) -> None:
    """Serve until the process ends; `ready` gets the base URL, whose port is a free one where `port` is 0.

    `more` are other fields of FakeModel. ConfigError where the port cannot be used.
    """
    asyncio.run(_serve(host, port, FakeModel(seed, faults or {}, latency_s, **more), ready))


async def _serve(host: str, port: int, model: FakeModel, ready: Callable[[str], None]) -> None:
    # A handler whose client has gone away is cancelled: silent and dripping ones would pile up.
    runner = web.AppRunner(model.app(), access_log=None, handler_cancellation=True)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        try:
            await site.start()
        except OSError as error:
            # A name that cannot be resolved has a negative number of its own kind.
            reason = os.strerror(error.errno) if error.errno is not None and error.errno > 0 else error.strerror
            raise ConfigError(
                f"--port {port}", f"{host}:{port} cannot be used ({reason})", "choose another; 0 takes a free one"
            ) from error
        bound = runner.addresses[0][1]
        ready(f"http://{f'[{host}]' if ':' in host else host}:{bound}/v1")
        await asyncio.Event().wait()
    finally:
        await runner.cleanup()


def _completion(text: str, finish: str, prompt_tokens: int, completion_tokens: int) -> dict[str, Any]:
    return {
        "id": "chatcmpl-fake",
        "object": "chat.completion",
        "created": 0,
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": finish}],
        "usage": {
            "prompt_tokens": prompt_tokens,
            "completion_tokens": completion_tokens,
            "total_tokens": prompt_tokens + completion_tokens,
        },
    }


def _tool_call() -> dict[str, Any]:
    call = {"name": "transfer_all_pebbles", "arguments": '{"to": 7}'}
    return {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "call_1", "type": "function", "function": call}],
    }


def _error(status: int, code: str, message: str, headers: dict[str, str] | None = None) -> web.Response:
    return web.json_response({"error": {"code": code, "message": message}}, status=status, headers=headers)


def _answer(temperament: Temperament, messages: Sequence[Message], seed: int, schema: dict[str, Any]) -> str:
    """The policy's reply; by a schema that wraps a menu's letters in an object, an object."""
    inner = schema.get("properties", {}).get(ANSWER) if "type" in schema else None
    if inner is None:
        return reply_to(temperament, messages, seed, schema)
    return json.dumps({ANSWER: reply_to(temperament, messages, seed, inner)})


def _refusal(fault: str | None) -> web.Response | None:
    match fault:
        case "rate_limited":
            return _error(429, "rate_limit_exceeded", "slow down")
        case "rate_limited_for_1_s":
            return _error(429, "rate_limit_exceeded", "slow down", {"Retry-After": "1"})
        case "busy_once":
            return _error(429, "rate_limit_exceeded", "try again", {"Retry-After": "0"})
        case "error_500" | "error_502":
            return _error(int(fault[-3:]), "server_error", "out of order")
        case "error_503":
            return _error(503, "overloaded", "come back tomorrow", {"Retry-After": "86400"})
        case "html":
            return web.Response(text="<html><body>Sign in</body></html>", content_type="text/html")
    return None


def _spoilt(text: str, fault: str | None, schema: dict[str, Any], limit: int) -> tuple[str, str]:
    """A good answer as the fault leaves it, and its finish reason."""
    bounds = order_bounds(schema)
    order = {"side": "sell", "good": bounds["good"]["enum"][0], "price": 20, "quantity": 1}

    def ordering(order: dict[str, Any]) -> str:
        """The answer with this one order in it, or at a desk the call that places it."""
        call = {"name": "place_order", "arguments": order}
        return json.dumps(call if is_call(schema) else json.loads(text) | {"orders": [order]})

    head = '{"thought": "I sell", "orders": [{"side": "sell", "good": "' + order["good"] + '", "price": '
    match fault:
        case "whitespace":
            return text + "\n" * limit, "length"
        case "digits":
            return head + "7" * (3 * limit), "length"
        case "loop":
            words = "the price will rise and then "
            return '{"thought": "' + words * (limit // 7 + 1), "length"
        case "truncated":
            return text[: len(text) * 2 // 3], "length"
        case "duplicate_key":
            return ordering(order).replace('"price": 20', '"price": 20, "price": 2'), "stop"
        case "beyond_holdings":
            return ordering(order | {"quantity": bounds["quantity"]["maximum"]}), "stop"
        case "wrong_language":
            return _FOREIGN_ANSWER, "stop"
        case "fenced":
            return f"Sure, here is my decision:\n\n```json\n{text}\n```\n\nGood luck!", "stop"
        case "foreign_id":
            return ordering(order | {"trader": 7}), "stop"
        case str() if fault in _PRICES:
            return ordering(order).replace('"price": 20', f'"price": {_PRICES[fault]}'), "stop"
    return text, "stop"


async def _stream(request: web.Request, text: str, finish: str, prompt_tokens: int, written: int) -> web.StreamResponse:
    """Server-sent events of a few characters each."""
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)

    async def send(value: dict[str, Any]) -> None:
        await response.write(b"data: " + json.dumps(value).encode() + b"\n\n")

    with suppress(ConnectionError):
        for start in range(0, len(text), 16):
            delta = {"content": text[start : start + 16]}
            await send({"choices": [{"index": 0, "delta": delta, "finish_reason": None}]})
        await send({"choices": [{"index": 0, "delta": {}, "finish_reason": finish}]})
        await send({"choices": [], "usage": {"prompt_tokens": prompt_tokens, "completion_tokens": written}})
        await response.write(b"data: [DONE]\n\n")
    return response


async def _stall(request: web.Request, body: bytes, fault: str) -> web.StreamResponse:
    """A reply that does not come to its end: reset half-way, never begun, or one byte per second."""
    response = web.StreamResponse(headers={"Content-Type": "application/json", "Content-Length": str(len(body))})
    if fault == "silent":
        await asyncio.sleep(SILENCE_S)
    await response.prepare(request)
    if fault == "reset":
        await response.write(body[: len(body) // 2])
        if request.transport is not None:
            request.transport.abort()
        return response
    with suppress(ConnectionError):
        for byte in body:
            await response.write(bytes([byte]))
            await asyncio.sleep(1)
    return response


async def _huge(request: web.Request) -> web.StreamResponse:
    """Chunked, so that no header warns of its size."""
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    await response.prepare(request)
    await response.write(b'{"choices": [{"message": {"content": "')
    block = b"wood " * 20_000
    with suppress(ConnectionError):  # Who has enough of it hangs up.
        for _ in range(HUGE_BYTES // len(block)):
            await response.write(block)
        await response.write(b'"}}]}')
    return response
