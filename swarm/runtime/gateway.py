"""An HTTP API for other people's clients: OpenAI's `/v1/models` and `/v1/chat/completions`, over all deployed models.

Each HTTP request becomes a batch of one for the model that it names, so every engine answers, whatever it is. What is
not done here is refused: tools, images, stop words. A stream is one piece, since replies are made as a whole. This
module knows no Ray; `serving` makes a deployment of it.
"""

import json
import time
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import uuid4

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from swarm.llm.protocol import Message, ModelClient, ModelReply, ModelRequest

MAX_BODY_BYTES = 1_000_000
DEADLINE_S = 120.0
DEFAULT_MAX_TOKENS = 256
MAX_TOKENS = 100_000
MAX_SAMPLES = 128
_ROLES = ("system", "user", "assistant")
_STATUS = {"deadline": 504, "timeout": 504, "rate_limited": 429, "circuit_open": 503, "too_large": 400}
_UNSUPPORTED = ("tools", "functions", "audio", "prediction", "logit_bias", "stop")


class _BadRequest(Exception):
    """The request cannot be served as it stands."""

    def __init__(self, message: str, status: int = 400, kind: str = "invalid_request_error") -> None:
        self.response = error(status, kind, message)
        super().__init__(message)


class Gateway:
    """The front of all models of a run, each behind its client."""

    def __init__(self, clients: Mapping[str, ModelClient]) -> None:
        self.clients = dict(clients)
        self.created = int(time.time())

    async def __call__(self, request: Request) -> Response:
        """Answer one HTTP request."""
        match request.method, request.url.path.rstrip("/"):
            case "GET", "/v1/models":
                models = [self._card(name) for name in self.clients]
                return JSONResponse({"object": "list", "data": models})
            case "GET", path if path.removeprefix("/v1/models/") in self.clients:
                return JSONResponse(self._card(path.removeprefix("/v1/models/")))
            case "GET", "/health":
                return Response("ok")
            case "POST", "/v1/chat/completions":
                return await self._complete(request)
            case _:
                return error(404, "not_found", f"there is no {request.method} {request.url.path[:100]}")

    def _card(self, name: str) -> dict[str, Any]:
        return {"id": name, "object": "model", "created": self.created, "owned_by": "swarm"}

    async def _complete(self, request: Request) -> Response:
        try:
            body = await _body_of(request)
            name, asked, streamed = read(body, tuple(self.clients))
        except _BadRequest as refused:
            return refused.response
        replies = await self.clients[name].complete([asked], DEADLINE_S)
        if reply := next((r for r in replies if r.failed), None):
            status = _STATUS.get(reply.finish_reason, 502)
            kind = "invalid_request_error" if status == 400 else "engine_error"
            return error(status, kind, f"{reply.finish_reason}: {reply.text}")
        if streamed:
            return Response("".join(_events(name, replies)), media_type="text/event-stream")
        return JSONResponse(_completion(name, replies))


def read(body: Any, names: tuple[str, ...]) -> tuple[str, ModelRequest, bool]:
    """The model that a request names, the request itself, and whether its reply is to come as a stream."""
    if not isinstance(body, dict):
        raise _BadRequest("expected a JSON object")
    name = body.get("model")
    if name not in names:
        raise _BadRequest(
            f"the model {str(name)[:100]!r} is not here; there are {', '.join(names)}", 404, "model_not_found"
        )
    if unsupported := [key for key in _UNSUPPORTED if body.get(key)]:
        raise _BadRequest(f"{unsupported[0]} is not supported here")
    samples = 1 if body.get("n") is None else body["n"]
    if type(samples) is not int or not 1 <= samples <= MAX_SAMPLES:
        raise _BadRequest(f"n must be a whole number from 1 to {MAX_SAMPLES}")
    limit = body.get("max_completion_tokens") or body.get("max_tokens") or DEFAULT_MAX_TOKENS
    seed = body.get("seed") or 0
    temperature = body.get("temperature")
    if type(limit) is not int or not 1 <= limit <= MAX_TOKENS:
        raise _BadRequest(f"max_tokens must be a whole number from 1 to {MAX_TOKENS}")
    if type(seed) is not int:
        raise _BadRequest("seed must be a whole number")
    if temperature is not None and (type(temperature) not in (int, float) or not 0 <= temperature <= 2):
        raise _BadRequest("temperature must be a number from 0 to 2")
    asked = ModelRequest(
        _messages(body.get("messages")),
        _schema(body.get("response_format")),
        limit,
        seed & 0x7FFFFFFFFFFFFFFF,
        None if temperature is None else float(temperature),
        tuple((seed + i) & 0x7FFFFFFFFFFFFFFF for i in range(1, samples)),
    )
    return str(name), asked, bool(body.get("stream"))


def error(status: int, kind: str, message: str) -> JSONResponse:
    """A refusal in OpenAI's form."""
    return JSONResponse({"error": {"message": message, "type": kind, "code": status}}, status_code=status)


async def _body_of(request: Request) -> Any:
    # A page in somebody's browser can send plain forms to this port, but no JSON.
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise _BadRequest("expected content-type: application/json", 415)
    raw = bytearray()
    async for piece in request.stream():
        raw += piece
        if len(raw) > MAX_BODY_BYTES:
            raise _BadRequest(f"the request has more than {MAX_BODY_BYTES} bytes", 413)
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        raise _BadRequest("the request's body is not JSON") from None


def _messages(told: Any) -> tuple[Message, ...]:
    if not isinstance(told, list) or not told:
        raise _BadRequest("messages must be a list with at least one message")
    messages = []
    for i, message in enumerate(told):
        content = message.get("content") if isinstance(message, dict) else None
        if isinstance(content, list) and all(isinstance(p, dict) and p.get("type") == "text" for p in content):
            content = "".join(str(p.get("text", "")) for p in content)
        if not isinstance(content, str) or message.get("role") not in _ROLES:
            raise _BadRequest(f"messages.{i} must have a role of {', '.join(_ROLES)} and a text as content")
        messages.append(Message(message["role"], content))
    return tuple(messages)


def _schema(told: Any) -> dict[str, Any]:
    if told is None or (isinstance(told, dict) and told.get("type") == "text"):
        return {}
    if isinstance(told, dict) and told.get("type") == "json_object":
        return {"type": "object"}
    if isinstance(told, dict) and told.get("type") == "json_schema" and isinstance(told.get("json_schema"), dict):
        schema = told["json_schema"].get("schema")
        if isinstance(schema, dict) and schema:
            return schema
    raise _BadRequest("response_format must be of type text, json_object or json_schema, the last with a schema")


def _completion(name: str, replies: Sequence[ModelReply]) -> dict[str, Any]:
    first = replies[0].usage
    written = sum(reply.usage.completion for reply in replies)
    return {
        "id": f"chatcmpl-{uuid4().hex}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": name,
        "choices": [
            {
                "index": index,
                "message": {"role": "assistant", "content": reply.text},
                "logprobs": None,
                "finish_reason": reply.finish_reason,
            }
            for index, reply in enumerate(replies)
        ],
        "usage": {
            "prompt_tokens": first.prompt,
            "completion_tokens": written,
            "total_tokens": first.prompt + written,
            "prompt_tokens_details": {"cached_tokens": first.cached_prompt},
        },
    }


def _events(name: str, replies: Sequence[ModelReply]) -> list[str]:
    """The replies as server-sent events: for each what it says and why it ended, what they took, the end."""
    whole = _completion(name, replies)
    shared = {"id": whole["id"], "object": "chat.completion.chunk", "created": whole["created"], "model": name}
    chunks: list[dict[str, Any]] = []
    for index, reply in enumerate(replies):
        said = {"index": index, "delta": {"role": "assistant", "content": reply.text}, "finish_reason": None}
        ended = {"index": index, "delta": {}, "finish_reason": reply.finish_reason}
        chunks += [shared | {"choices": [said]}, shared | {"choices": [ended]}]
    chunks[-1]["usage"] = whole["usage"]
    return [*(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks), "data: [DONE]\n\n"]
