"""A server that answers by hand, and the client that asks it: for replies that no well-behaved server gives."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

from swarm.llm.engines.openai.client import OpenAIClient
from swarm.llm.engines.openai.config import OpenAIModel
from swarm.llm.protocol import ModelReply
from tests.endpoint.fault_table import request

HANGS_S = 300.0
"""What is not over by then hangs."""

Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def asked(reader: asyncio.StreamReader) -> bytes:
    """The body of the next request."""
    length = 0
    while (line := await reader.readline()).strip():
        if line.lower().startswith(b"content-length:"):
            length = int(line.split(b":")[1])
    return await reader.readexactly(length)


def reply_with(body: bytes, head: bytes = b"", status: bytes = b"200 OK") -> Answer:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asked(reader)
        writer.write(b"HTTP/1.1 " + status + b"\r\n" + head + b"Content-Length: %d\r\n\r\n" % len(body) + body)

    return answer


def one_after_another(answers: Sequence[Answer]) -> Answer:
    left = iter(answers)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await next(left)(reader, writer)

    return answer


@asynccontextmanager
async def raw_endpoint(answer: Answer, **changes: object) -> AsyncIterator[tuple[OpenAIClient, list[int]]]:
    """A client of a server that answers by hand; the list grows by one with each connection."""
    connections: list[int] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(1)
        try:
            while not reader.at_eof():
                await answer(reader, writer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    model = {"name": "raw", "engine": "openai", "base_url": f"http://127.0.0.1:{port}/v1", "model": "x"}
    async with server:
        yield (
            OpenAIClient(OpenAIModel.model_validate({**model, "retries": 0, "max_concurrency": 2, **changes})),
            connections,
        )


def ask_raw(answer: Answer, **changes: object) -> ModelReply:
    return ask_many(answer, 1, **changes)[1][0]


def ask_many(answer: Answer, count: int, **changes: object) -> tuple[OpenAIClient, list[ModelReply]]:
    """The client and what became of so many requests, one after another."""

    async def run() -> tuple[OpenAIClient, list[ModelReply]]:
        async with raw_endpoint(answer, **changes) as (client, _):
            return client, [(await client.complete([request(i)], HANGS_S))[0] for i in range(count)]

    return asyncio.run(run())


def chat(content: str, usage: str = "null", finish: str = '"stop"') -> bytes:
    return f'{{"choices":[{{"message":{{"content":{content}}},"finish_reason":{finish}}}],"usage":{usage}}}'.encode()


STREAM = b"Content-Type: text/event-stream; charset=utf-8\r\n"


def events(*data: str, line_end: str = "\n") -> bytes:
    return "".join(f"data: {one}{line_end * 2}" for one in data).encode()
