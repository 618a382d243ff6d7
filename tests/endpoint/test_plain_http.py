"""Plain HTTP of the client's own against whatever a server may send, beside what aiohttp makes of the same bytes."""

import asyncio
import socket
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import aiohappyeyeballs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from swarm.llm.engines.openai.plain_http import ACCEPTED_S, MAX_HEAD_BYTES, OPENED_AT_ONCE, PlainHttp
from swarm.llm.protocol import ModelReply
from tests.endpoint.fault_table import request
from tests.endpoint.raw import HANGS_S, Answer, ask_many, asked, chat, raw_endpoint, reply_with

BODY = chat('"a whole reply"')
OTHER = chat('"somebody else\'s"')
SIZED = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(BODY)
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def chunks(body: bytes, size: int) -> bytes:
    parts = [body[i : i + size] for i in range(0, len(body), size)]
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts)


SENT = {
    "sized": (SIZED + BODY, "stop"),
    "chunked": (CHUNKED + chunks(BODY, 7) + b"0\r\n\r\n", "stop"),
    "chunked with extensions and a trailer": (
        CHUNKED + b"%x;name=value\r\n%b\r\n" % (len(BODY), BODY) + b"0\r\nContent-Type: text/event-stream\r\n\r\n",
        "stop",
    ),
    "until the connection ends": (b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n" + BODY, "stop"),
    "an older version": (b"HTTP/1.0 200 OK\r\n\r\n" + BODY, "stop"),
    "no reason": (b"HTTP/1.1 200\r\nContent-Length: %d\r\n\r\n" % len(BODY) + BODY, "stop"),
    "line ends without a carriage return": (SIZED.replace(b"\r\n", b"\n") + BODY, "stop"),
    "odd letters in a header": (SIZED[:-2] + b"X-Odd: \xff\xfe caf\xc3\xa9\r\n\r\n" + BODY, "stop"),
    "news that a response is to come": (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + SIZED + BODY,
        "stop",
    ),
    "the end is announced": (SIZED[:-2] + b"Connection: close\r\n\r\n" + BODY, "stop"),
    "something behind the end": (SIZED[:-2] + b"Connection: close\r\n\r\n" + BODY + b"what?", "stop"),
    "cut in the head": (SIZED[:20], "connection"),
    "cut in the body": (SIZED + BODY[:-3], "connection"),
    "cut in a chunk": (CHUNKED + chunks(BODY, 7)[:-9], "connection"),
    "cut before the last chunk": (CHUNKED + chunks(BODY, 7), "connection"),
    "nothing at all": (b"", "connection"),
    "another protocol": (b"SSH-2.0-OpenSSH_9.6\r\n", "protocol"),
    "two lengths": (SIZED[:-2] + b"Content-Length: 5\r\n\r\n" + BODY, "protocol"),
    "a length that is none": (b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n" + BODY, "protocol"),
    "a chunk without a size": (CHUNKED + b"what\r\n" + BODY, "protocol"),
    "an upgrade": (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: ws\r\nConnection: Upgrade\r\n\r\n", "protocol"),
    "an endless head": (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * MAX_HEAD_BYTES, "protocol"),
    "an endless header": (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 4 * MAX_HEAD_BYTES, "protocol"),
    "an endless trailer": (CHUNKED + chunks(BODY, 7) + b"0\r\nX: " + b"y" * 4 * MAX_HEAD_BYTES, "protocol"),
    "endless trailers": (CHUNKED + chunks(BODY, 7) + b"0\r\n" + b"X: y\r\n" * MAX_HEAD_BYTES, "protocol"),
    "a status that is none": (b"HTTP/1.1 000 What\r\nContent-Length: 2\r\n\r\n{}", "protocol"),
    "no body": (b"HTTP/1.1 204 No Content\r\n\r\n", "protocol"),
    "a refusal": (b"HTTP/1.1 429 Too Many\r\nretry-AFTER: 300\r\nContent-Length: 2\r\n\r\n{}", "rate_limited"),
}


def sends(pieces: Sequence[bytes]) -> Answer:
    """Sends one response in pieces and hangs up."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asked(reader)
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)
        writer.close()

    return answer


def reply_to(pieces: Sequence[bytes]) -> ModelReply:
    return ask_many(sends(pieces), 1)[1][0]


@pytest.fixture(params=["plain", "aiohttp"])
def either(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "aiohttp":
        monkeypatch.setattr(PlainHttp, "reaches", lambda *_: False)
    return str(request.param)


@pytest.mark.parametrize("sent", SENT)
def test_whatever_is_sent_is_read_alike(either: str, sent: str) -> None:
    data, reason = SENT[sent]
    reply = reply_to([data])
    # aiohttp takes a reply for broken that something stands behind, and waits for what comes behind an upgrade.
    if either == "aiohttp" and sent in ("something behind the end", "an upgrade"):
        assert reply.failed
        return
    assert reply.finish_reason == reason, reply.text
    assert reply.failed or reply.text == "a whole reply"


@pytest.mark.parametrize("sent", [name for name in SENT if "endless" not in name])
def test_it_is_all_the_same_in_how_many_pieces_it_comes(sent: str) -> None:
    data, reason = SENT[sent]
    reply = reply_to([data[i : i + 1] for i in range(len(data))])
    assert reply.finish_reason == reason, reply.text


@pytest.mark.parametrize("sent", SENT)
def test_the_event_loop_of_a_replica_reads_it_alike(sent: str) -> None:
    data, reason = SENT[sent]

    async def run() -> ModelReply:
        async with raw_endpoint(sends([data])) as (client, _):
            return (await client.complete([request(1)], HANGS_S))[0]

    with asyncio.Runner(loop_factory=pytest.importorskip("uvloop").new_event_loop) as runner:
        assert runner.run(run()).finish_reason == reason


@given(st.sampled_from(["sized", "chunked", "news that a response is to come", "cut in a chunk"]), st.data())
def test_wherever_it_is_cut_into_pieces(sent: str, data: st.DataObject) -> None:
    whole, reason = SENT[sent]
    cuts = sorted({0, len(whole), *data.draw(st.lists(st.integers(1, len(whole) - 1), max_size=6))})
    assert reply_to([whole[a:b] for a, b in pairwise(cuts)]).finish_reason == reason


@pytest.mark.parametrize("behind", [SIZED + OTHER, b"HTTP/1.1 200 OK\r\n", b"\x00what?"])
@pytest.mark.parametrize("at_once", [True, False])
def test_what_comes_behind_a_response_answers_no_other_request(behind: bytes, at_once: bool) -> None:
    """Else a server, or who can write into its connection, would put words into another trader's mouth."""
    first = [True]

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asked(reader)
        if not first:
            writer.write(SIZED + BODY)
            return
        first.clear()
        writer.write(SIZED + BODY + (behind if at_once else b""))
        await writer.drain()
        if not at_once:
            await asyncio.sleep(0.05)
            writer.write(behind)

    async def run() -> None:
        async with raw_endpoint(answer) as (client, connections):
            await client.open()
            assert [r.text for r in await client.complete([request(1)], HANGS_S)] == ["a whole reply"]
            await asyncio.sleep(0.2)
            assert [r.text for r in await client.complete([request(2)], HANGS_S)] == ["a whole reply"]
            assert len(connections) == 2
            await client.close()

    asyncio.run(run())


async def body_of(http: PlainHttp, sent: bytes = b"{}") -> bytes:
    async with http.post(sent) as response:
        pieces = []
        while piece := await response.content.readany():
            pieces.append(piece)
        return b"".join(pieces)


def test_what_has_come_by_the_time_of_the_next_request_answers_it_not() -> None:
    """A loop that is busy has not read it yet, and it would come as the first that there is of the next response."""
    writers: list[asyncio.StreamWriter] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asked(reader)
        writers.append(writer)
        writer.write(SIZED + BODY)

    async def run() -> None:
        async with raw_endpoint(answer) as (client, connections):
            http = PlainHttp(URL(client.config.base_url), {})
            assert await body_of(http) == BODY
            # It is sent at once, and the client sees no turn of the loop before it asks again.
            writers[0].write(SIZED + OTHER[: len(BODY)])
            assert await body_of(http) == BODY
            assert len(connections) == 2
            await http.close()

    asyncio.run(run())


def test_what_is_answered_before_all_of_it_is_sent_costs_the_connection() -> None:
    # More than the system's buffers hold.
    long = b"x" * 32_000_000

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(SIZED + BODY)
        await reader.readexactly(len(long))

    async def run() -> None:
        async with raw_endpoint(answer) as (client, connections):
            http = PlainHttp(URL(client.config.base_url), {})
            for _ in range(2):
                assert await body_of(http, long) == BODY
            assert len(connections) == 2
            await http.close()

    asyncio.run(run())


def test_connections_are_kept_while_the_server_keeps_them(either: str) -> None:
    async def run(answer: Answer) -> int:
        async with raw_endpoint(answer, max_concurrency=4) as (client, connections):
            await client.open()
            for batch in range(3):
                replies = await client.complete([request(10 * batch + i) for i in range(4)], HANGS_S)
                assert {r.finish_reason for r in replies} == {"stop"}
                await asyncio.sleep(0.05)
            await client.close()
            return len(connections)

    assert asyncio.run(run(reply_with(BODY))) <= 4
    # A server that hangs up behind each response without saying so is met with a new connection each time.
    assert asyncio.run(run(sends([SIZED + BODY]))) == 12


def test_a_reply_of_many_pieces_that_nobody_hurries_to_read_is_whole() -> None:
    text = "word " * 3_900
    body = chat(f'"{text}"') + b" " * 900_000
    assert ask_many(reply_with(body), 1)[1][0].text == text
    assert ask_many(reply_with(body + b" " * 200_000), 1)[1][0].finish_reason == "too_large"


def test_a_given_up_request_gives_its_connection_up() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        late = b"call 1" in await asked(reader)
        if late:
            await asyncio.sleep(0.6)
        writer.write(SIZED + (OTHER[: len(BODY)] if late else BODY))

    async def run() -> None:
        async with raw_endpoint(answer, max_concurrency=1, timeout_s=0.3) as (client, _):
            await client.open()
            assert (await client.complete([request(1)], 0.2))[0].finish_reason in ("deadline", "stop")
            assert (await client.complete([request(2)], HANGS_S))[0].text == "a whole reply"
            await client.close()

    asyncio.run(run())


def test_a_host_that_there_is_not_is_named_as_that() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asked(reader)

    async def run() -> ModelReply:
        async with raw_endpoint(answer, base_url="http://127.0.0.1:9/v1") as (client, _):
            return (await client.complete([request(1)], HANGS_S))[0]

    reply = asyncio.run(run())
    assert (reply.finish_reason, reply.text) == ("connection", "Connection refused")


def test_a_name_that_nobody_knows_is_looked_up_once_for_all_that_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """A look-up that fails may take seconds, and those that took turns would end as timeouts."""
    looked_up: list[object] = []

    async def fails(host: str, port: int, **_: object) -> None:
        looked_up.append(host)
        await asyncio.sleep(0.05)
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    async def run() -> list[ModelReply]:
        base_url = "http://no-such-host.invalid/v1"
        async with raw_endpoint(sends([]), base_url=base_url, max_concurrency=50, breaker_failures=100) as (client, _):
            monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", fails)
            await client.open()
            replies = await client.complete([request(i) for i in range(50)], HANGS_S)
            assert len(looked_up) == 1
            replies += await client.complete([request(1)], HANGS_S)
            assert len(looked_up) == 2
            await client.close()
            return replies

    said = "ConnectionError: no-such-host.invalid has no address: Name or service not known"
    assert {(r.finish_reason, r.text) for r in asyncio.run(run())} == {("connection", said)}


def test_many_new_connections_are_opened_a_few_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the system drops those that find the server's queue full, and tries again after a second."""
    opening, most = 0, 0
    start = aiohappyeyeballs.start_connection

    async def counted(*args: Any, **more: Any) -> socket.socket:
        nonlocal opening, most
        opening += 1
        most = max(most, opening)
        try:
            return await start(*args, **more)
        finally:
            # The place is kept a little longer than the handshake takes.
            asyncio.get_running_loop().call_later(ACCEPTED_S / 2, closed)

    def closed() -> None:
        nonlocal opening
        opening -= 1

    monkeypatch.setattr(aiohappyeyeballs, "start_connection", counted)

    async def run() -> None:
        async with raw_endpoint(reply_with(BODY), max_concurrency=300) as (client, connections):
            replies = await client.complete([request(i) for i in range(300)], HANGS_S)
            assert {reply.finish_reason for reply in replies} == {"stop"}
            assert len(connections) > OPENED_AT_ONCE

    asyncio.run(run())
    assert 1 < most <= OPENED_AT_ONCE
