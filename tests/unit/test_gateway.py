"""The HTTP API over the deployed models: what it takes, what it refuses, and in which form it answers."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import pytest
from starlette.requests import Request

from swarm.llm.protocol import ModelReply, ModelRequest, TokenUsage
from swarm.runtime.gateway import Gateway

GOOD: dict[str, Any] = {"model": "news", "messages": [{"role": "user", "content": "Hello"}]}


class Answering:
    """A client that keeps what it was asked."""

    def __init__(self, reply: ModelReply) -> None:
        self.reply = reply
        self.asked: list[ModelRequest] = []

    async def complete(self, requests: Sequence[ModelRequest], deadline_s: float) -> list[ModelReply]:
        self.asked += requests
        return [self.reply.shared() if i else self.reply for r in requests for i in range(r.samples)]


SAID = ModelReply("Good day.", TokenUsage(12, 4, 8), "stop", 0.1)


def call(
    body: Any,
    reply: ModelReply = SAID,
    method: str = "POST",
    path: str = "/v1/chat/completions",
    kind: str = "application/json",
) -> tuple[int, str, Answering]:
    client = Answering(reply)
    gateway = Gateway({"news": client})
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": b"",
        "headers": [(b"content-type", kind.encode())],
        "server": ("127.0.0.1", 80),
        "scheme": "http",
    }

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": raw, "more_body": False}

    sent: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def answer() -> None:
        response = await gateway(Request(scope, receive))
        await response(scope, receive, send)

    asyncio.run(answer())
    text = b"".join(message.get("body", b"") for message in sent).decode()
    return sent[0]["status"], text, client


def test_a_chat_completion_has_openais_form() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
    status, text, client = call(
        GOOD
        | {
            "max_tokens": 30,
            "seed": 5,
            "temperature": 0,
            "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}},
        }
    )
    assert status == 200
    reply = json.loads(text)
    assert reply["object"] == "chat.completion"
    assert reply["choices"][0]["message"] == {"role": "assistant", "content": "Good day."}
    assert reply["usage"] == {
        "prompt_tokens": 12,
        "completion_tokens": 4,
        "total_tokens": 16,
        "prompt_tokens_details": {"cached_tokens": 8},
    }
    [asked] = client.asked
    assert (asked.max_tokens, asked.seed, asked.temperature, asked.schema) == (30, 5, 0.0, schema)


def test_a_stream_ends_as_openais_does() -> None:
    status, text, _ = call(GOOD | {"stream": True})
    events = [line.removeprefix("data: ") for line in text.split("\n\n") if line]
    assert status == 200
    assert events[-1] == "[DONE]"
    first, last = (json.loads(e) for e in events[:2])
    assert first["choices"][0]["delta"]["content"] == "Good day."
    assert last["choices"][0]["finish_reason"] == "stop"
    assert last["usage"]["total_tokens"] == 16


def test_models_are_listed() -> None:
    assert json.loads(call({}, method="GET", path="/v1/models")[1])["data"][0]["id"] == "news"
    assert call({}, method="GET", path="/v1/models/news")[0] == 200
    assert call({}, method="GET", path="/v1/models/other")[0] == 404
    assert call({}, method="GET", path="/health")[1] == "ok"
    assert call({}, path="/v1/embeddings")[0] == 404


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"model": "other"}, 404),
        ({"model": None}, 404),
        ({"messages": []}, 400),
        ({"messages": "Hello"}, 400),
        ({"messages": [{"role": "tool", "content": "x"}]}, 400),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, 400),
        ({"n": 129}, 400),
        ({"tools": [{}]}, 400),
        ({"max_tokens": 10**9}, 400),
        ({"max_tokens": "many"}, 400),
        ({"temperature": 3}, 400),
        ({"temperature": True}, 400),
        ({"seed": "x"}, 400),
        ({"response_format": {"type": "json_schema"}}, 400),
        ({"response_format": "json"}, 400),
    ],
)
def test_what_cannot_be_served_is_refused_in_openais_form(change: dict[str, Any], status: int) -> None:
    found, text, client = call(GOOD | change)
    assert found == status
    assert json.loads(text)["error"]["message"]
    assert not client.asked


def test_bodies_that_are_no_json_are_refused() -> None:
    assert call(b"{")[0] == 400
    assert call([1])[0] == 400
    assert call(b"[" * 100_000)[0] == 400
    assert call(b"x" * 1_000_001)[0] == 413
    assert call(GOOD, kind="text/plain")[0] == 415
    assert call(GOOD, kind="application/json; charset=utf-8")[0] == 200


@pytest.mark.parametrize(
    ("reason", "status"), [("deadline", 504), ("error", 502), ("too_large", 400), ("rate_limited", 429)]
)
def test_what_fails_behind_it_has_a_status(reason: Any, status: int) -> None:
    found, text, _ = call(GOOD, ModelReply("no luck", TokenUsage(0, 0), reason, 1.0))
    assert found == status
    assert "no luck" in json.loads(text)["error"]["message"]


def test_texts_in_parts_are_put_together() -> None:
    parts = [{"type": "text", "text": "Hello "}, {"type": "text", "text": "there"}]
    _, _, client = call(GOOD | {"messages": [{"role": "user", "content": parts}]})
    assert client.asked[0].messages[0].content == "Hello there"


def test_several_samples_of_a_prompt_are_one_request_whose_prompt_counts_once() -> None:
    status, text, client = call(GOOD | {"n": 3, "seed": 7})
    said = json.loads(text)
    assert status == 200
    assert [choice["index"] for choice in said["choices"]] == [0, 1, 2]
    assert said["usage"]["prompt_tokens"] == 12
    assert said["usage"]["completion_tokens"] == 12
    [asked] = client.asked
    assert (asked.seed, asked.more_seeds) == (7, (8, 9))
    _, text, _ = call(GOOD | {"n": 2, "stream": True})
    chunks = [json.loads(line[6:]) for line in text.split("\n\n") if line.startswith("data: {")]
    assert [chunk["choices"][0]["index"] for chunk in chunks] == [0, 0, 1, 1]
    assert [bool(chunk.get("usage")) for chunk in chunks] == [False, False, False, True]
