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
    api_key: str | None = None,
    authorization: str | None = None,
    client: Answering | None = None,
) -> tuple[int, str, Answering]:
    client = client or Answering(reply)
    gateway = Gateway({"news": client}, api_key)
    headers = [(b"content-type", kind.encode())]
    headers += [] if authorization is None else [(b"authorization", authorization.encode())]
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": b"",
        "headers": headers,
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


def test_a_client_that_breaks_its_protocol_costs_the_request_alone() -> None:
    class Short(Answering):
        async def complete(self, requests: Sequence[ModelRequest], deadline_s: float) -> list[ModelReply]:
            return [SAID]

    class Raising(Answering):
        async def complete(self, requests: Sequence[ModelRequest], deadline_s: float) -> list[ModelReply]:
            raise OSError("the wire is cut")

    for client in (Short(SAID), Raising(SAID)):
        status, text, _ = call(GOOD | {"n": 3}, client=client)
        assert status == 502
        assert json.loads(text)["error"]["type"] == "engine_error"


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


@pytest.mark.parametrize(
    "authorization", [None, "", "Bearer", "Bearer wrong", "Basic the-key", "the-key", "Bearer the-keys"]
)
@pytest.mark.parametrize(("method", "path"), [("POST", "/v1/chat/completions"), ("GET", "/v1/models"), ("GET", "/x")])
def test_with_an_api_key_nobody_else_is_answered(method: str, path: str, authorization: str | None) -> None:
    status, text, client = call(GOOD, method=method, path=path, api_key="the-key", authorization=authorization)
    assert status == 401
    assert json.loads(text)["error"]["type"] == "authentication_error"
    assert "the-key" not in text
    assert not client.asked


def test_with_its_api_key_a_client_is_answered() -> None:
    status, _, client = call(GOOD, api_key="the-key", authorization="Bearer the-key")
    assert status == 200
    assert len(client.asked) == 1
    # Whether the process lives may be asked without one, as Kubernetes does.
    assert call({}, method="GET", path="/health", api_key="the-key")[0] == 200


# Every field of OpenAI's request for a chat completion, with a value that asks for something, and what becomes of it.
HONOURED, VOID, REFUSED = "honoured", "void", "refused"
FIELDS: dict[str, tuple[Any, str]] = {
    "messages": (GOOD["messages"], HONOURED),
    "model": ("news", HONOURED),
    "max_completion_tokens": (30, HONOURED),
    "max_tokens": (30, HONOURED),
    "n": (2, HONOURED),
    "response_format": ({"type": "json_object"}, HONOURED),
    "seed": (7, HONOURED),
    "stream": (False, HONOURED),
    "temperature": (0.5, HONOURED),
    "metadata": ({"run": "a"}, VOID),
    "prompt_cache_key": ("a", VOID),
    "prompt_cache_retention": ("24h", VOID),
    "safety_identifier": ("a", VOID),
    "user": ("somebody", VOID),
    "audio": ({"voice": "ash", "format": "mp3"}, REFUSED),
    "frequency_penalty": (0.5, REFUSED),
    "function_call": ({"name": "f"}, REFUSED),
    "functions": ([{"name": "f"}], REFUSED),
    "logit_bias": ({"50256": -100}, REFUSED),
    "logprobs": (True, REFUSED),
    "modalities": (["text", "audio"], REFUSED),
    "parallel_tool_calls": ("yes", REFUSED),
    "prediction": ({"type": "content", "content": "x"}, REFUSED),
    "presence_penalty": (1, REFUSED),
    "reasoning_effort": ("high", REFUSED),
    "service_tier": ("flex", REFUSED),
    "stop": (["\n"], REFUSED),
    "store": (True, REFUSED),
    "stream_options": ({"include_usage": True}, REFUSED),
    "tool_choice": ("required", REFUSED),
    "tools": ([{"type": "function", "function": {"name": "f"}}], REFUSED),
    "top_logprobs": (5, REFUSED),
    "top_p": (0.9, REFUSED),
    "verbosity": ("low", REFUSED),
    "web_search_options": ({}, REFUSED),
    # What other servers know beside these is refused as well.
    "top_k": (40, REFUSED),
    "guided_json": ({"type": "object"}, REFUSED),
    "chat_template_kwargs": ({"enable_thinking": False}, REFUSED),
    "echo": (True, REFUSED),
    "\ud800": (1, REFUSED),
}
NEUTRAL: dict[str, Any] = {
    "frequency_penalty": 0, "presence_penalty": 0.0, "top_p": 1.0, "logit_bias": {}, "logprobs": False, "tools": [],
    "tool_choice": "auto", "modalities": ["text"], "stop": [], "store": False, "service_tier": "auto",
    "top_logprobs": 0,
}  # fmt: skip


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("field", FIELDS)
def test_each_field_is_honoured_means_nothing_or_is_refused_by_its_name(field: str, stream: bool) -> None:
    value, fate = FIELDS[field]
    if field == "stream_options" and stream:
        fate = HONOURED
    plain = GOOD | {"stream": stream}
    status, text, client = call(plain | {field: value})
    if fate is REFUSED:
        assert status == 400
        refused = json.loads(text)["error"]
        assert refused["type"] == "invalid_request_error"
        assert refused["param"] == field.encode("utf-8", "backslashreplace").decode()
        assert refused["param"] in refused["message"]
        assert not client.asked
        return
    assert status == 200
    [asked], [without] = client.asked, call(plain)[2].asked
    if fate is VOID:
        assert asked == without
    elif field not in ("messages", "model", "stream", "stream_options"):
        assert asked != without


@pytest.mark.parametrize("field", FIELDS)
def test_null_asks_for_nothing(field: str) -> None:
    status, text, client = call(GOOD | {field: None})
    if field in ("messages", "model"):
        assert json.loads(text)["error"]["param"] == field
    else:
        assert status == 200
        assert client.asked == call(GOOD)[2].asked


@pytest.mark.parametrize("field", NEUTRAL)
def test_what_asks_for_nothing_is_no_reason_to_refuse(field: str) -> None:
    assert call(GOOD | {field: NEUTRAL[field]})[2].asked == call(GOOD)[2].asked


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"n": 0}, "n"),
        ({"n": True}, "n"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_completion_tokens": 0, "max_tokens": 5}, "max_completion_tokens"),
        ({"max_completion_tokens": 1.5}, "max_completion_tokens"),
        ({"seed": 1.5}, "seed"),
        ({"stream": "yes"}, "stream"),
        ({"stream": True, "stream_options": {"include_usage": 1}}, "stream_options.include_usage"),
        ({"stream": True, "stream_options": {"more": True}}, "stream_options.more"),
        ({"response_format": {"type": "grammar"}}, "response_format"),
        ({"response_format": {"type": "json_schema", "json_schema": {"name": "x"}}}, "response_format"),
        ({"logprobs": 0}, "logprobs"),
        ({"top_p": True}, "top_p"),
    ],
)
def test_a_wrong_value_is_refused_by_its_field(change: dict[str, Any], field: str) -> None:
    status, text, client = call(GOOD | change)
    assert (status, json.loads(text)["error"]["param"]) == (400, field)
    assert not client.asked


@pytest.mark.parametrize(
    ("message", "field"),
    [
        ({"role": "tool", "content": "x", "tool_call_id": "a"}, "role"),
        ({"role": "function", "content": "x"}, "role"),
        ({"role": ["user"], "content": "x"}, "role"),
        ({"content": "x"}, "role"),
        ({"role": "user"}, "content"),
        ({"role": "user", "content": 3}, "content"),
        ({"role": "user", "content": []}, "content"),
        ({"role": "user", "content": "x", "name": "ann"}, "name"),
        ({"role": "assistant", "content": "x", "tool_calls": [{"id": "a"}]}, "tool_calls"),
        ({"role": "assistant", "content": "x", "audio": {"id": "a"}}, "audio"),
        (
            {"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "", "format": "wav"}}]},
            "content.0",
        ),
        ({"role": "user", "content": [{"type": "image_url", "image_url": {"url": "http://x"}}]}, "content.0"),
        ({"role": "user", "content": [{"type": "text", "text": "x"}, {"type": "file", "file": {}}]}, "content.1"),
        ({"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]}, "content.0"),
        ({"role": "user", "content": [{"type": "text"}]}, "content.0.text"),
        ({"role": "user", "content": [{"type": "text", "text": "x", "cache_control": {}}]}, "content.0.cache_control"),
        ({"role": "user", "content": ["x"]}, "content.0"),
    ],
)
def test_what_a_message_may_not_have_is_refused_by_its_name(message: dict[str, Any], field: str) -> None:
    status, text, client = call(GOOD | {"messages": [*GOOD["messages"], message]})
    assert (status, json.loads(text)["error"]["param"]) == (400, f"messages.1.{field}")
    assert not client.asked


def test_a_developer_is_a_system_and_a_reply_that_is_sent_back_is_taken() -> None:
    back: dict[str, object] = {
        "role": "assistant",
        "content": "Good day.",
        "refusal": None,
        "tool_calls": None,
        "annotations": [],
    }
    told = [{"role": "developer", "content": [{"type": "text", "text": "Be brief."}]}, back, *GOOD["messages"]]
    _, _, client = call(GOOD | {"messages": told})
    assert [(m.role, m.content) for m in client.asked[0].messages] == [
        ("system", "Be brief."),
        ("assistant", "Good day."),
        ("user", "Hello"),
    ]


def test_a_stream_tells_what_it_took_in_a_piece_of_its_own_where_that_is_asked_for() -> None:
    _, text, _ = call(GOOD | {"stream": True, "n": 2, "stream_options": {"include_usage": True}})
    chunks = [json.loads(line[6:]) for line in text.split("\n\n") if line.startswith("data: {")]
    assert [chunk["usage"] is None for chunk in chunks] == [True] * 4 + [False]
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"]["completion_tokens"] == 8
