"""Whatever shape a server gives its replies: the text that is there is read, and what is not there has a kind."""

import gzip
import json
import zlib
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from swarm.agents.decision import Decision, DecisionError, engine_failure, read_reply
from swarm.llm.engines.openai.failures import MAX_WAIT_S, Failure, retry_after_s
from swarm.llm.engines.openai.reading import Completion, Decompressor, completion, decoded, read_completion
from swarm.llm.engines.openai.stream import StreamedReply
from swarm.llm.protocol import ENGINE_FAILURES
from tests.endpoint.fault_table import RULES, request
from tests.endpoint.raw import STREAM, ask_many, ask_raw, chat, events, one_after_another, reply_with

GOOD = json.dumps({"thought": "", "orders": [], "gossip": "hm"})
PARTS = json.dumps([{"type": "text", "text": GOOD[:9]}, {"type": "output_text", "text": GOOD[9:]}])


def delta(piece: Any, finish: str | None = None) -> str:
    return json.dumps({"choices": [{"index": 0, "delta": piece, "finish_reason": finish}]})


DONE = "[DONE]"
BEGIN, END = delta({"role": "assistant", "content": GOOD[:9]}), delta({"content": GOOD[9:]})


@pytest.mark.parametrize(
    "body",
    [
        chat(PARTS),
        chat(json.dumps([GOOD[:9], GOOD[9:]])),
        chat(json.dumps({"type": "text", "text": GOOD})),
        chat(json.dumps([{"type": "thinking", "thinking": [{"type": "text", "text": "{}"}]}, GOOD])),
        chat(GOOD),
        b"\xef\xbb\xbf" + chat(json.dumps(GOOD)),
        chat(json.dumps(GOOD)).decode().encode("utf-16"),
        chat(json.dumps(GOOD), finish="null"),
        chat(json.dumps(GOOD), finish='"eos"'),
        chat(json.dumps(GOOD))[:-1] + b', "error": null}',
        b"\n\n" + chat(json.dumps(GOOD)),
        chat(json.dumps(GOOD).replace("hm", "h\nm")),
        events(BEGIN, END, DONE),
    ],
)
def test_the_text_of_a_whole_reply_is_found(body: bytes) -> None:
    reply = ask_raw(reply_with(body))
    assert reply.finish_reason == "stop", reply.text
    assert isinstance(read_reply(reply.text, False, RULES, makes=0).outcome, Decision), reply.text


@pytest.mark.parametrize("body", [gzip.compress, zlib.compress, lambda raw: zlib.compress(raw)[2:-4]])
@pytest.mark.parametrize("stream", [False, True])
def test_compression_is_undone_although_nobody_asked_for_it(body: Callable[[bytes], bytes], stream: bool) -> None:
    raw = events(BEGIN, END, DONE) if stream else chat(json.dumps(GOOD))
    packed = body(raw)
    head = b"Content-Encoding: gzip\r\n" if packed[:2] == b"\x1f\x8b" else b"Content-Encoding: deflate\r\n"
    assert ask_raw(reply_with(packed, head + (STREAM if stream else b"")), stream=stream).text == GOOD
    assert ask_raw(reply_with(gzip.compress(raw), STREAM if stream else b""), stream=stream).text == GOOD


def test_compression_that_cannot_be_undone_is_said_and_bounded() -> None:
    zstd = ask_raw(reply_with(b"\x28\xb5\x2f\xfd....", b"Content-Encoding: zstd\r\n"))
    assert (zstd.finish_reason, "'zstd'" in zstd.text) == ("protocol", True)
    cut = ask_raw(reply_with(gzip.compress(chat(json.dumps(GOOD)))[:-9], b"Content-Encoding: gzip\r\n"))
    assert cut.finish_reason == "connection"
    bomb = ask_raw(reply_with(gzip.compress(b" " * 50_000_000), b"Content-Encoding: gzip\r\n"))
    assert bomb.finish_reason == "too_large"


@pytest.mark.parametrize(
    "body",
    [
        events(BEGIN, END, delta({}, "stop"), DONE),
        events(BEGIN, END, DONE),
        events(BEGIN, END, delta({}, "stop")),
        events(BEGIN, END, delta(None, "stop"), DONE),
        events(BEGIN, END, delta(None, "stop"), DONE, line_end="\r\n"),
        events(BEGIN, END, delta(None, "stop"), DONE, line_end="\r"),
        b"data:\n\n: ping\n\nevent: x\nid: 1\n" + events(BEGIN, "", "null", "7", END, DONE) + b": bye",
        b"".join(b"data: " + line.encode() + b"\n" for line in (BEGIN, END, DONE)),
        events(BEGIN, END, DONE).rstrip(),
        events(*(json.dumps(json.loads(e), indent=1).replace("\n", "\ndata: ") for e in (BEGIN, END)), DONE),
        events(delta({"content": [{"type": "text", "text": GOOD}]}), DONE),
        events(delta({"content": {"type": "text", "text": GOOD}}), DONE),
        events(BEGIN, END, json.dumps({"choices": None, "usage": {}}), json.dumps({"usage": None}), DONE),
        events(json.dumps({"choices": [{"message": {"content": GOOD}, "finish_reason": "stop"}]})),
        events(BEGIN, END.replace("hm", "h\\u000am"), DONE),
    ],
)
def test_the_text_of_a_stream_is_found(body: bytes) -> None:
    reply = ask_raw(reply_with(body, STREAM), stream=True)
    assert reply.finish_reason == "stop", reply.text
    assert isinstance(read_reply(reply.text, False, RULES, makes=0).outcome, Decision), reply.text


def test_a_stream_without_an_end_is_a_broken_connection() -> None:
    assert ask_raw(reply_with(events(BEGIN, END), STREAM), stream=True).finish_reason == "connection"


@pytest.mark.parametrize(
    ("message", "finish", "kind"),
    [
        ({"content": None}, "stop", "empty"),
        ({"content": ""}, "stop", "empty"),
        ({"content": " \n"}, "stop", "empty"),
        ({"content": []}, "length", "empty"),
        ({}, None, "empty"),
        ({"content": "", "reasoning_content": GOOD}, "stop", "only_reasoning"),
        ({"content": None, "reasoning": "hm"}, "length", "only_reasoning"),
        ({"content": [{"type": "thinking", "thinking": "hm"}]}, "stop", "only_reasoning"),
        ({"content": None, "refusal": "I cannot"}, "stop", "refused"),
        ({"content": [{"type": "refusal", "refusal": "I cannot"}]}, "stop", "refused"),
        ({"content": GOOD[:5]}, "content_filter", "content_filter"),
        ({"content": GOOD, "reasoning_content": "hm", "refusal": None}, "stop", "stop"),
        ({"content": GOOD[:9], "reasoning_content": "hm"}, "length", "length"),
    ],
)
def test_what_is_no_answer_has_a_kind_of_its_own_and_costs_its_tokens(
    message: dict[str, Any], finish: str | None, kind: str
) -> None:
    usage = {"prompt_tokens": 70, "completion_tokens": 9}
    whole = {"choices": [{"message": message, "finish_reason": finish}], "usage": usage}
    streamed = events(delta(message), delta({}, finish), json.dumps({"choices": [], "usage": usage}), DONE)
    for reply in (
        ask_raw(reply_with(json.dumps(whole).encode())),
        ask_raw(reply_with(streamed, STREAM), stream=True),
    ):
        assert reply.finish_reason == kind, reply
        assert reply.usage.total == 79
        if reply.failed:
            assert engine_failure(reply.finish_reason) in DecisionError


def test_reasoning_that_is_not_shown_is_told_by_its_tokens() -> None:
    usage = '{"prompt_tokens": 7, "completion_tokens": 9, "completion_tokens_details": {"reasoning_tokens": 9}}'
    assert ask_raw(reply_with(chat('""', usage, '"length"'))).finish_reason == "only_reasoning"


def error(code: object, **more: object) -> bytes:
    return json.dumps({"error": {"message": "no", "code": code, **more}}).encode()


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (error(429), "rate_limited"),
        (error("429"), "rate_limited"),
        (error("rate_limit_exceeded"), "rate_limited"),
        (error(None, status="RESOURCE_EXHAUSTED"), "rate_limited"),
        (b"[" + error(503) + b"]", "server_error"),
        (error(None), "server_error"),
        (b'{"error": "overloaded"}', "server_error"),
        (b'{"object": "error", "message": "no", "code": 502}', "server_error"),
        (b'{"type": "error", "error": {"type": "rate_limit_error"}}', "rate_limited"),
        (error(401), "unauthorized"),
        (error("model_not_found"), "model_not_found"),
        (error(400), "protocol"),
        (error("insufficient_quota"), "quota"),
        (error(402), "quota"),
        (error("content_filter"), "content_filter"),
        (error("context_length_exceeded"), "too_large"),
        (error(10**400), "server_error"),
        (error("9" * 5_000), "server_error"),
        (
            b'{"choices": [{"error": {"code": 502}, "finish_reason": "error", "message": {"content": ""}}]}',
            "server_error",
        ),
    ],
)
def test_an_error_under_a_status_of_200_is_what_it_says_it_is(body: bytes, kind: str) -> None:
    assert ask_raw(reply_with(body)).finish_reason == kind
    assert ask_raw(reply_with(events(BEGIN, body.decode()), STREAM), stream=True).finish_reason == kind


@pytest.mark.parametrize(
    ("status", "body", "retried", "kind"),
    [
        (b"408 Timeout", b"", True, "server_error"),
        (b"409 Conflict", b"", True, "server_error"),
        (b"425 Too Early", b"", True, "server_error"),
        (b"400 Bad Request", error("json_validate_failed"), True, "protocol"),
        (b"400 Bad Request", error("invalid_request_error"), False, "protocol"),
        (b"429 Too Many", error("rate_limit_exceeded"), True, "rate_limited"),
        (b"429 Too Many", error("insufficient_quota"), False, "quota"),
        (b"402 Payment Required", b"", False, "quota"),
        (b"400 Bad Request", error(None, message="Your credit balance is too low"), False, "quota"),
        (b"400 Bad Request", error("content_filter"), False, "content_filter"),
        (b"529 Overloaded", b"", True, "server_error"),
        (b"999 Odd", b"", True, "server_error"),
        (b"204 No Content", b"", False, "protocol"),
    ],
)
def test_what_passes_is_asked_again(status: bytes, body: bytes, retried: bool, kind: str) -> None:
    refused, good = reply_with(body, status=status), reply_with(chat(json.dumps(GOOD)))
    assert ask_raw(refused).finish_reason == kind
    client, [reply] = ask_many(one_after_another([refused, good]), 1, retries=1)
    assert client.counts["attempts"] == 1 + retried
    assert reply.finish_reason == ("stop" if retried else kind)


def test_a_used_up_quota_is_not_asked_again_and_again() -> None:
    client, replies = ask_many(reply_with(error("insufficient_quota"), status=b"429 Too Many"), 10, retries=2)
    assert client.counts["attempts"] == 1
    assert {r.finish_reason for r in replies} == {"quota"}
    assert client.breaker.opened == 1


def test_replies_that_fail_a_schema_do_not_close_the_endpoint() -> None:
    client, _ = ask_many(reply_with(error("json_validate_failed"), status=b"400 Bad"), 8, breaker_failures=2)
    assert client.breaker.opened == 0


@pytest.mark.parametrize(
    "header",
    [
        *("nan", "-nan", "inf", "-inf", "1e400", "-5", "9" * 400, "0x10", "", "soon", "1,5", "\u0665"),
        *("Fri, 31 Dec 9999 23:59:59 GMT", "Fri, 31 Dec 9999 23:59:59 -2359", "Mon, 01 Jan 0001 00:00:00 +2359"),
        *("Fri, 31 Dec 99999 23:59:59 GMT", "Wed, 21 Oct 2015 07:28:00 +9999", "Wed, 21 Oct 2015 07:28:00 -0000"),
        *("Wed, 21 Oct 2015 07:28:00 +99999999999", "Wed, 99 Oct 2015 99:99:99 GMT", "Wed, 21 Oct", "0 0 0 0 0"),
    ],
)
def test_any_retry_after_is_a_bounded_wait(header: str) -> None:
    for name in ("Retry-After", "Retry-After-Ms"):
        wait = retry_after_s({name: header})
        assert wait is None or 0 <= wait <= MAX_WAIT_S


@given(st.text())
def test_no_text_of_a_retry_after_raises(header: str) -> None:
    wait = retry_after_s({"Retry-After": header})
    assert wait is None or 0 <= wait <= MAX_WAIT_S


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "choices",
                    "message",
                    "delta",
                    "content",
                    "text",
                    "type",
                    "error",
                    "code",
                    "usage",
                    "reasoning",
                    "refusal",
                    "finish_reason",
                    "tool_calls",
                    "prompt_tokens",
                    "completion_tokens",
                    "value",
                    "x",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
WHOLE = {
    "choices": [{"index": 0, "message": {"role": "assistant", "content": GOOD}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 1, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 0}},
}
CHUNK = json.loads(BEGIN) | {"usage": WHOLE["usage"]}


def spots(value: Any, here: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every spot in a JSON value, by the keys that lead to it."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [here, *(spot for key, one in inner for spot in spots(one, (*here, key)))]


def put(value: Any, spot: tuple[Any, ...], other: Any) -> Any:
    if not spot:
        return other
    copied = dict(value) if isinstance(value, dict) else list(value)
    copied[spot[0]] = put(value[spot[0]], spot[1:], other)
    return copied


def is_one_reply(outcome: Completion | Failure) -> bool:
    if isinstance(outcome, Failure):
        return outcome.kind in ENGINE_FAILURES
    return all(s.finish_reason in {"stop", "length", *ENGINE_FAILURES} for s in outcome.samples)


@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_any_value_at_any_spot_of_a_reply_ends_as_one_reply(data: st.DataObject) -> None:
    value = put(WHOLE, data.draw(st.sampled_from(spots(WHOLE))), data.draw(VALUES))
    assert is_one_reply(read_completion(value, request(1), lambda: "told"))


@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_any_value_at_any_spot_of_an_event_ends_as_one_reply(data: st.DataObject) -> None:
    value = put(CHUNK, data.draw(st.sampled_from(spots(CHUNK))), data.draw(VALUES))
    reply = StreamedReply()
    failure = reply.feed(events(BEGIN, json.dumps(value), DONE)) or reply.end()
    assert is_one_reply(failure or completion([reply.said], reply.usage, request(1)))


@given(st.lists(st.binary(max_size=40)), st.sampled_from(["", "gzip", "deflate", "br", "gzip, gzip", "\x00"]))
def test_any_bytes_are_taken(chunks: list[bytes], encoding: str) -> None:
    decompressor, reply = Decompressor(encoding), StreamedReply()
    if decompressor.refused() is None:
        for chunk in chunks:
            if isinstance(piece := decompressor.feed(chunk), Failure):
                break
            reply.feed(piece)
            decoded(piece, encoding)
        reply.end()


@given(st.binary(max_size=30), st.text(max_size=30))
def test_any_charset_is_taken(raw: bytes, charset: str) -> None:
    assert isinstance(decoded(raw, f"application/json; charset={charset}"), str)


def test_a_charset_that_is_said_is_used() -> None:
    body = chat('"caf\u00e9"').decode().encode("latin-1")
    assert ask_raw(reply_with(body, b"Content-Type: application/json; charset=iso-8859-1\r\n")).text == "caf\u00e9"
    assert ask_raw(reply_with(body, b"Content-Type: application/json; charset=klingon\r\n")).text == "caf\ufffd"


@pytest.mark.parametrize(
    "head",
    [
        *(b"Content-Type: \xff\xfe\r\n", b"Content-Type: ;;;\r\n", b"Content-Type: text/html\r\n", b"X-Odd: \x01\r\n"),
        *(b"Set-Cookie: a=b; Expires=Fri, 31 Dec 99999 23:59:59 GMT\r\n", b"Date: never\r\n", b"Age: -1\r\n"),
        *(b"Keep-Alive: timeout=-5\r\n", b"Content-Encoding: identity\r\n", b"Content-Encoding: \r\n"),
    ],
)
def test_odd_headers_end_as_one_reply(head: bytes) -> None:
    reply = ask_raw(reply_with(chat(json.dumps(GOOD)), head))
    assert reply.finish_reason in ("stop", "protocol", "connection")
    if b"X-Odd" not in head:
        assert reply.text == GOOD
