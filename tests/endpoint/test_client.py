"""The client against a fake endpoint in another process: every fault ends as one reply, in time, under its kind."""

import asyncio
import gc
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from time import monotonic
from typing import Any

import pytest

from swarm.agents.decision import Decision, DecisionError, engine_failure, read_reply
from swarm.agents.policies.orders import answer
from swarm.llm.engines.openai.breaker import CircuitBreaker
from swarm.llm.engines.openai.client import OpenAIClient
from swarm.llm.engines.openai.config import OpenAIModel
from swarm.llm.fake_faults import FAULTS, parse_faults
from swarm.llm.fake_model import FakeModel
from swarm.llm.protocol import ModelReply, ModelRequest
from swarm.llm.strict import strict_schema
from swarm.simulation.traders import kept_open
from tests.endpoint.fake_endpoint import Serve
from tests.endpoint.fault_table import ERRORS, FINISH, REPAIRS, RULES, request
from tests.endpoint.raw import HANGS_S, ask_many, ask_raw, chat, raw_endpoint, reply_with
from tests.patience import patience


def ask(client: OpenAIClient, requests: Sequence[ModelRequest], deadline_s: float = HANGS_S) -> list[ModelReply]:
    return asyncio.run(client.complete(requests, deadline_s))


@pytest.mark.parametrize("stream", [False, True])
def test_every_fault_ends_as_it_should_and_is_counted_under_its_kind(serve: Serve, stream: bool) -> None:
    faults = parse_faults("all=0.9")
    endpoint = serve(faults="all=0.9", seed=5)
    hasty, client = (
        OpenAIClient(
            endpoint.model(timeout_s=seconds, retries=1, max_concurrency=256, breaker_failures=1_000, stream=stream)
        )
        for seconds in (1.5, 600.0)
    )
    requests = [request(i) for i in range(300)]
    twin = FakeModel(5, faults)
    met = [twin.fault_of(client.bodies.of(r)) for r in requests]
    assert set(met) == {None, *FAULTS}
    # Only those that nobody answers are asked by the client in haste: on a busy machine, others may take seconds, too.
    hang = [FINISH.get(fault or "") == "timeout" for fault in met]
    late = iter(ask(hasty, [r for r, hangs in zip(requests, hang, strict=True) if hangs], HANGS_S))
    rest = iter(ask(client, [r for r, hangs in zip(requests, hang, strict=True) if not hangs], HANGS_S))
    replies = [next(late if hangs else rest) for hangs in hang]
    for fault, reply in zip(met, replies, strict=True):
        assert reply.finish_reason == FINISH.get(fault or "", "stop"), (fault, reply)
        if reply.failed:
            assert engine_failure(reply.finish_reason) is ERRORS[fault or ""]
            assert reply.usage.total == 0
            continue
        reading = read_reply(reply.text, reply.finish_reason == "length", RULES, makes=0)
        if fault in ERRORS:
            assert reading.outcome is ERRORS[fault], (fault, reply.text)
        else:
            assert isinstance(reading.outcome, Decision), (fault, reading, reply.text)
            assert set(reading.repairs) == REPAIRS.get(fault or "", set())
    assert endpoint.counts() == Counter(fault or "none" for fault in met)


def test_a_busy_endpoint_is_asked_again(serve: Serve) -> None:
    client = OpenAIClient(serve(faults="busy_once=1").model())
    assert {r.finish_reason for r in ask(client, [request(i) for i in range(20)])} == {"stop"}
    assert client.counts["attempts"] == 40
    assert client.counts["retries"] == 20


def test_retries_are_bounded(serve: Serve) -> None:
    client = OpenAIClient(serve(faults="error_500=1").model(retries=3))
    (reply,) = ask(client, [request(1)])
    assert reply.finish_reason == "server_error"
    assert "HTTP 500" in reply.text
    assert client.counts["attempts"] == 4


def test_the_pause_that_an_endpoint_asks_for_is_waited_for(serve: Serve) -> None:
    client = OpenAIClient(serve(faults="rate_limited_for_1_s=1").model(retries=1))
    started = monotonic()
    (reply,) = ask(client, [request(1)])
    assert reply.finish_reason == "rate_limited"
    assert client.counts["attempts"] == 2
    assert monotonic() - started >= 0.9


def test_a_pause_that_would_miss_the_deadline_is_not_waited_for() -> None:
    limited = reply_with(b"{}", b"Retry-After: 400\r\n", b"429 Too Many Requests")
    client, (reply,) = ask_many(limited, 1, retries=10)
    assert reply.finish_reason == "rate_limited"
    assert client.counts["attempts"] == 1


@pytest.mark.parametrize("fault", ["drip", "silent", "late"])
def test_the_deadline_bounds_the_whole_call(serve: Serve, fault: str) -> None:
    client = OpenAIClient(serve(faults=f"{fault}=1").model(timeout_s=60.0, max_concurrency=2))
    started = monotonic()
    replies = ask(client, [request(i) for i in range(8)], deadline_s=1.0)
    assert {r.finish_reason for r in replies} == {"deadline"}
    # Far from the hour that the slowest of these faults would take, whatever else the machine does.
    assert 0.9 < monotonic() - started < patience(10)


def test_a_late_reply_is_nobody_elses(serve: Serve) -> None:
    client = OpenAIClient(serve(faults="late=0.5", late_s=0.8).model(timeout_s=0.5, max_concurrency=4))
    wanted = {i: answer("value", request(i).messages[-1].content, i, RULES.schema()) for i in range(60)}
    answered = 0
    with kept_open([client]) as runner:
        for first in range(0, 60, 20):
            numbers = range(first, first + 20)
            replies = runner.run(client.complete([request(i) for i in numbers], 2.0))
            for number, reply in zip(numbers, replies, strict=True):
                if not reply.failed:
                    answered += 1
                    assert reply.text == wanted[number]
    assert 0 < answered < 60


def test_a_request_is_put_as_the_endpoint_wants_it() -> None:
    entry = {"name": "m", "engine": "openai", "base_url": "http://127.0.0.1:9/v1", "model": "gemma"}

    def body(**changes: object) -> dict[str, Any]:
        asked: dict[str, Any] = json.loads(
            OpenAIClient(OpenAIModel.model_validate({**entry, **changes})).bodies.of(request(5))
        )
        return asked

    plain = body()
    assert plain["model"] == "gemma"
    assert [m["role"] for m in plain["messages"]] == ["system", "user"]
    assert (plain["max_tokens"], plain["temperature"], plain["seed"]) == (200, 0.7, 5)
    assert plain["response_format"]["json_schema"]["schema"] == strict_schema(RULES.schema())
    assert "stream" not in plain
    assert body(response_format="json_object")["response_format"] == {"type": "json_object"}
    assert "response_format" not in body(response_format="none")
    assert "seed" not in body(send_seed=False)
    (only,) = body(system_role=False)["messages"]
    assert only["role"] == "user"
    assert only["content"].startswith("You trade.\n\nROUND 1")
    assert body(max_tokens_key="max_completion_tokens")["max_completion_tokens"] == 200
    assert body(stream=True)["stream"] is True


def test_no_more_requests_are_under_way_than_the_endpoint_can_serve(serve: Serve) -> None:
    client = OpenAIClient(serve(latency_s=0.1).model(max_concurrency=4))
    started = monotonic()
    replies = ask(client, [request(i) for i in range(20)])
    assert {r.finish_reason for r in replies} == {"stop"}
    assert monotonic() - started >= 0.5


def test_a_stream_that_runs_away_is_given_up(serve: Serve) -> None:
    client = OpenAIClient(serve(faults="loop=1").model(stream=True))
    (reply,) = ask(client, [replace(request(1), max_tokens=2_000)])
    assert client.counts["given_up"] == 1
    assert reply.finish_reason == "length"
    assert read_reply(reply.text, True, RULES, makes=0).outcome is DecisionError.LOOP


def test_a_stream_tells_when_its_first_token_came(serve: Serve) -> None:
    endpoint = serve(latency_s=0.05)
    (streamed,) = ask(OpenAIClient(endpoint.model(stream=True)), [request(1)])
    assert streamed.first_token_s is not None
    assert 0.05 <= streamed.first_token_s <= streamed.latency_s
    (whole,) = ask(OpenAIClient(endpoint.model()), [request(1)])
    assert whole.first_token_s is None


def test_the_key_goes_with_the_request_and_nowhere_else(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    endpoint = serve(api_key="sesame")
    monkeypatch.delenv("WOOD_KEY", raising=False)
    (unset,) = ask(OpenAIClient(endpoint.model(api_key_env="WOOD_KEY")), [request(1)])
    assert unset.finish_reason == "unauthorized"
    assert "WOOD_KEY" in unset.text
    monkeypatch.setenv("WOOD_KEY", "wrong")
    (wrong,) = ask(OpenAIClient(endpoint.model(api_key_env="WOOD_KEY")), [request(1)])
    assert wrong.finish_reason == "unauthorized"
    monkeypatch.setenv("WOOD_KEY", "sesame")
    client = OpenAIClient(endpoint.model(api_key_env="WOOD_KEY"))
    (right,) = ask(client, [request(1)])
    assert right.finish_reason == "stop"
    assert "sesame" not in client._told("your key sesame is fine")


def test_an_unknown_model_is_told_apart(serve: Serve) -> None:
    (reply,) = ask(OpenAIClient(serve().model(model="gpt-99")), [request(1)])
    assert reply.finish_reason == "model_not_found"


def test_an_endpoint_that_is_down_is_left_alone_and_found_again(serve: Serve) -> None:
    broken = serve(faults="error_500=1")
    client = OpenAIClient(broken.model(retries=0, breaker_failures=5, breaker_rest_s=patience(0.2), max_concurrency=1))
    requests = [request(i) for i in range(30)]

    async def rounds() -> list[dict[str, int]]:
        answers = [await client.complete(requests, HANGS_S) for _ in range(2)]
        return [dict(Counter(str(r.finish_reason) for r in replies)) for replies in answers]

    first, second = asyncio.run(rounds())
    assert first == {"server_error": 5, "circuit_open": 25}
    assert second == {"server_error": 1, "circuit_open": 29}, "one probe after the rest"
    assert client.breaker.opened == 1


def test_an_outage_costs_no_round_after_it_has_ended() -> None:
    rest_s = patience(0.2)
    answers = iter([b"{}"] * 5 + [chat('"x"')] * 200)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reply_with(next(answers))(reader, writer)

    async def run() -> list[list[str]]:
        async with raw_endpoint(answer, breaker_failures=5, breaker_rest_s=rest_s, max_concurrency=1) as (client, _):
            await client.open()
            requests = [request(i) for i in range(20)]
            broken = await client.complete(requests, HANGS_S)
            # Two shards ask at once: one finds out that the endpoint is back, and the other has the good of it.
            back = await asyncio.gather(*(client.complete(requests, HANGS_S) for _ in range(2)))
            await client.close()
            return [[r.finish_reason for r in replies] for replies in (broken, *back)]

    broken, *back = asyncio.run(run())
    assert Counter(broken) == {"protocol": 5, "circuit_open": 15}
    assert back == [["stop"] * 20] * 2


def test_the_breaker_counts_failures_in_a_row_that_began_after_the_last_success() -> None:
    breaker = CircuitBreaker(failures=3, rest_s=5.0)
    breaker.succeeded(10.0)
    for _ in range(50):
        breaker.failed(9.0, 12.0)
    assert breaker.admits(12.0)
    for _ in range(2):
        breaker.failed(12.0, 12.5)
    breaker.succeeded(13.0)
    for _ in range(2):
        breaker.failed(13.0, 13.5)
    assert breaker.admits(13.5)
    breaker.failed(13.0, 14.0)
    assert breaker.is_open
    assert not breaker.admits(18.9)
    assert breaker.admits(19.0), "the probe"
    assert not breaker.admits(19.1), "one probe at a time"
    breaker.succeeded(19.5)
    assert breaker.admits(19.5)
    assert breaker.opened == 1


@pytest.mark.parametrize(
    ("body", "head"),
    [
        (b"{}", b""),
        (b"[]", b""),
        (b"null", b""),
        (b'{"choices": []}', b""),
        (b'{"choices": [null]}', b""),
        (b'{"choices": [{"message": "x"}]}', b""),
        (chat("7"), b""),
        (b"\xff\xfe", b""),
        (b"[" * 100_000, b""),
        (b"\x1f\x8b\x09\x00", b"Content-Encoding: gzip\r\n"),
        (b"{}", b"X: " + b"y" * 20_000 + b"\r\n"),
    ],
)
def test_what_is_no_chat_completion_is_a_protocol_error(body: bytes, head: bytes) -> None:
    reply = ask_raw(reply_with(body, head))
    assert reply.finish_reason == "protocol"
    assert len(reply.text) <= 250


def test_a_server_of_another_protocol_is_a_protocol_error() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(b"220 mail.example ESMTP\r\n")
        raise ConnectionError

    assert ask_raw(answer).finish_reason == "protocol"


def test_a_redirect_is_not_followed() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(b"HTTP/1.1 307 Elsewhere\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n")
        raise ConnectionError

    assert ask_raw(answer).finish_reason == "protocol"


@pytest.mark.parametrize("usage", ["null", '{"prompt_tokens": -1, "completion_tokens": 3}', '"much"', "[1]"])
def test_a_usage_that_is_none_is_estimated(usage: str) -> None:
    reply = ask_raw(reply_with(chat('"wait and see"', usage)))
    assert reply.usage.completion == 3
    assert 80 < reply.usage.prompt < 120


def test_usage_of_the_endpoint_is_taken() -> None:
    huge = ask_raw(reply_with(chat('"x"', '{"prompt_tokens": 1e30, "completion_tokens": 99999999999999999999}')))
    assert huge.usage.completion == 1
    told = ask_raw(reply_with(chat('"x"', '{"prompt_tokens": 70, "completion_tokens": 9}')))
    assert (told.usage.prompt, told.usage.completion) == (70, 9)


def test_text_that_no_journal_could_write_is_escaped() -> None:
    reply = ask_raw(reply_with(chat('"\\ud800 \\u00e9"')))
    assert reply.text == "\\ud800 \u00e9"


def test_connections_are_kept_over_rounds_in_one_event_loop() -> None:
    async def run() -> tuple[int, int]:
        async with raw_endpoint(reply_with(chat('"x"'))) as (client, connections):
            await client.open()
            for _ in range(5):
                assert [r.finish_reason for r in await client.complete([request(1)] * 4, HANGS_S)] == ["stop"] * 4
            kept = len(connections)
            await client.close()
            await client.complete([request(1)], HANGS_S)
            return kept, len(connections)

    kept, after = asyncio.run(run())
    assert kept <= 2
    assert after == kept + 1


def test_a_client_that_is_not_open_leaves_nothing_behind_in_any_loop(serve: Serve) -> None:
    client = OpenAIClient(serve().model())
    for number in range(3):
        assert ask(client, [request(number)])[0].finish_reason == "stop"
    with kept_open([client]) as runner:
        for number in range(3):
            assert runner.run(client.complete([request(number)], HANGS_S))[0].finish_reason == "stop"
        assert ask_elsewhere(client)[0].finish_reason == "stop"
    gc.collect()  # What was left open would warn now, and a warning is an error.


def ask_elsewhere(client: OpenAIClient) -> list[ModelReply]:
    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(client.complete([request(9)], HANGS_S))
    finally:
        loop.close()


def test_a_closed_port_is_a_connection_error() -> None:
    model = {"name": "x", "engine": "openai", "base_url": "http://127.0.0.1:9/v1", "model": "x", "retries": 1}
    client = OpenAIClient(OpenAIModel.model_validate(model))
    (reply,) = ask(client, [request(1)])
    assert reply.finish_reason == "connection"
    assert client.counts["attempts"] == 2
