"""A local OpenAI-compatible endpoint with a seed: it answers like a scripted policy and misbehaves at given rates.

Which request meets which fault is a hash of the seed and the request's bytes, so the same run meets the same faults,
and sending a request again does not help, except against `busy_once`. It is made to test clients and parsers with; it
is no language model, and listens on this machine alone unless told otherwise.
"""

import asyncio
import hashlib
import json
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, get_args

from aiohttp import web

from swarm.errors import ConfigError
from swarm.llm.engines.scripted.policy import all_policies, reply_to
from swarm.llm.fake_faults import spoilt
from swarm.llm.protocol import Message
from swarm.llm.strict import ANSWER
from swarm.llm.temperament import Temperament
from swarm.llm.tokens import MESSAGE_OVERHEAD, count_tokens, count_tokens_cached

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
        """Returns the application: /v1/models, /v1/chat/completions, /health, and /faults with the counts."""
        app = web.Application(client_max_size=4_000_000)
        app.router.add_get("/v1/models", self._models)
        app.router.add_post("/v1/chat/completions", self._complete)
        app.router.add_get("/health", self._health)
        app.router.add_get("/faults", self._counts)
        return app

    def fault_of(self, body: bytes) -> str | None:
        """Returns the fault that a request with this body meets, or None."""
        # A number from 0 to 1 for these bytes, and each fault takes its share of that range.
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
        # First what costs a benchmark nothing, then the request is read and checked.
        if (fixed := self._fixed(raw)) is not None:
            await asyncio.sleep(self.latency_s)
            return web.json_response(_completion(fixed, "stop", 300, 40))
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
        # A request that is sent again counts once; only `busy_once` is over by then.
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
        # Sample i has the seed + i, as vLLM does it; a fault spoils all samples alike.
        answers = [
            spoilt(_answer(temperament, messages, seed + i, wanted), fault, wanted, limit)  # type: ignore[arg-type]  # checked above
            for i in range(samples if self.several else 1)
        ]
        text, finish = answers[0]
        # The prompt as the estimate counts it; what was cut off took all tokens that it was allowed.
        usage = sum(
            (count_tokens_cached if m.get("role") == "system" else count_tokens)(str(m.get("content")))
            + MESSAGE_OVERHEAD
            for m in body["messages"]
        )
        written = limit if finish == "length" else min(count_tokens(text), limit)
        # Faults of the connection and calls of tools are told in one piece.
        if body.get("stream") and fault not in ("reset", "silent", "drip", "invented_tool"):
            return await _stream(request, text, finish, usage, written)
        completion = _several(_completion(text, finish, usage, written), answers[1:], limit)
        if fault == "invented_tool":
            completion["choices"][0] |= {"finish_reason": "tool_calls", "message": _tool_call()}
        if fault in ("reset", "silent", "drip"):
            return await _stall(request, json.dumps(completion).encode(), fault)
        return web.json_response(completion)

    def _fixed(self, raw: bytes) -> str | None:
        return next((reply for part, reply in self.fixed_replies.items() if part.encode() in raw), None)

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
    """Serves until the process ends; `ready` gets the base URL, whose port is a free one where `port` is 0.

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


def _several(completion: dict[str, Any], others: Sequence[tuple[str, str]], limit: int) -> dict[str, Any]:
    """Returns the completion with the other samples of the same prompt, whose tokens add up."""
    usage = completion["usage"]
    for index, (text, ended) in enumerate(others, 1):
        message = {"role": "assistant", "content": text}
        completion["choices"].append({"index": index, "message": message, "finish_reason": ended})
        usage["completion_tokens"] += limit if ended == "length" else min(count_tokens(text), limit)
    usage["total_tokens"] = usage["prompt_tokens"] + usage["completion_tokens"]
    return completion


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
    """Returns the policy's reply; by a schema that wraps a menu's letters in an object, an object."""
    if "ready" in schema.get("properties", {}):
        # The question of a check that knows no run.
        return '{"ready": "yes"}'
    inner = schema.get("properties", {}).get(ANSWER) if "type" in schema else None
    if inner is None:
        return reply_to(all_policies(), temperament, messages, seed, schema)
    return json.dumps({ANSWER: reply_to(all_policies(), temperament, messages, seed, inner)})


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


async def _stream(request: web.Request, text: str, finish: str, prompt_tokens: int, written: int) -> web.StreamResponse:
    """Sends the text as server-sent events of a few characters each."""
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
    """Sends a reply that does not come to its end: reset half-way, never begun, or one byte per second."""
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
    """Sends a reply of HUGE_BYTES in chunks, so that no header warns of its size."""
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    await response.prepare(request)
    await response.write(b'{"choices": [{"message": {"content": "')
    block = b"wood " * 20_000
    with suppress(ConnectionError):  # Who has enough of it hangs up.
        for _ in range(HUGE_BYTES // len(block)):
            await response.write(block)
        await response.write(b'"}}]}')
    return response
