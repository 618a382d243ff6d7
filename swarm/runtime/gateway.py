"""Offers an HTTP API to other people's clients: OpenAI's `/v1/models` and `/v1/chat/completions`, over all models.

Each HTTP request becomes a batch of one for the model that it names, so every engine answers, whatever it is; what a
request may ask, `chat_request` says. A stream is one piece, since replies are made as a whole. With an API key, what
does not bring it is refused, but for `/health`, which tells nothing. This module knows no Ray; `serving` makes a
deployment of it.
"""

import json
import time
from collections.abc import Mapping, Sequence
from hmac import compare_digest
from typing import Any
from uuid import uuid4

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from swarm.llm.asking import asked_of
from swarm.llm.protocol import ModelClient, ModelReply
from swarm.runtime.chat_request import BadRequestError, read

MAX_BODY_BYTES = 1_000_000
DEADLINE_S = 120.0
_STATUS = {"deadline": 504, "timeout": 504, "rate_limited": 429, "circuit_open": 503, "too_large": 400}


class Gateway:
    """The front of several models, each behind its client; with `api_key`, for those alone who send it."""

    def __init__(self, clients: Mapping[str, ModelClient], api_key: str | None = None) -> None:
        self.clients = dict(clients)
        self._authorization = None if api_key is None else f"Bearer {api_key}".encode()
        self.created = int(time.time())

    async def __call__(self, request: Request) -> Response:
        """Answers one HTTP request."""
        path = request.url.path.rstrip("/")
        if self._authorization is not None and path != "/health":
            # Compared in a time that does not tell how much of the key was right.
            sent = request.headers.get("authorization", "").encode()
            if not compare_digest(sent, self._authorization):
                return error(401, "authentication_error", "expected the header authorization: Bearer and the API key")
        match request.method, path:
            case "GET", "/v1/models":
                models = [self._card(name) for name in self.clients]
                return JSONResponse({"object": "list", "data": models})
            case "GET", _ if path.removeprefix("/v1/models/") in self.clients:
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
            wanted = read(body, tuple(self.clients))
        except BadRequestError as refused:
            return error(refused.status, refused.kind, str(refused), refused.field)
        replies = await asked_of(self.clients[wanted.model], [wanted.asked], DEADLINE_S)
        # A reply of several samples is whole or none: OpenAI's form has no word for a sample that failed.
        if reply := next((r for r in replies if r.failed), None):
            status = _STATUS.get(reply.finish_reason, 502)
            kind = "invalid_request_error" if status == 400 else "engine_error"
            return error(status, kind, f"{reply.finish_reason}: {reply.text}")
        if wanted.streamed:
            pieces = _events(wanted.model, replies, wanted.with_usage)
            return Response("".join(pieces), media_type="text/event-stream")
        return JSONResponse(_completion(wanted.model, replies))


def error(status: int, kind: str, message: str, field: str | None = None) -> JSONResponse:
    """Returns a refusal in OpenAI's form; `field` is the one that is wrong."""
    told = {"message": message, "type": kind, "param": field, "code": status}
    return JSONResponse({"error": told}, status_code=status)


async def _body_of(request: Request) -> Any:
    # A page in somebody's browser can send plain forms to this port, but no JSON.
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise BadRequestError("expected content-type: application/json", status=415)
    raw = bytearray()
    async for piece in request.stream():
        raw += piece
        if len(raw) > MAX_BODY_BYTES:
            raise BadRequestError(f"the request has more than {MAX_BODY_BYTES} bytes", status=413)
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        raise BadRequestError("the request's body is not JSON") from None


def _completion(name: str, replies: Sequence[ModelReply]) -> dict[str, Any]:
    # The prompt was computed once for all samples.
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


def _events(name: str, replies: Sequence[ModelReply], with_usage: bool) -> list[str]:
    """Returns the replies as server-sent events: for each what it says and why it ended, what they took, the end.

    With `with_usage`, what they took is a piece without choices, as OpenAI has it; else the last choice tells it.
    """
    complete = _completion(name, replies)
    shared = {"id": complete["id"], "object": "chat.completion.chunk", "created": complete["created"], "model": name}
    chunks: list[dict[str, Any]] = []
    for index, reply in enumerate(replies):
        said = {"index": index, "delta": {"role": "assistant", "content": reply.text}, "finish_reason": None}
        ended = {"index": index, "delta": {}, "finish_reason": reply.finish_reason}
        chunks += [shared | {"choices": [said]}, shared | {"choices": [ended]}]
    # Every piece but the last then says `usage: null`, as OpenAI's do.
    if with_usage:
        chunks = [chunk | {"usage": None} for chunk in chunks]
        chunks.append(shared | {"choices": [], "usage": complete["usage"]})
    else:
        chunks[-1]["usage"] = complete["usage"]
    return [*(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks), "data: [DONE]\n\n"]
