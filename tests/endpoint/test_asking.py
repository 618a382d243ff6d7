"""How requests are put where an endpoint wants them otherwise: keys, headers, queries, Azure's ways, proxies."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from yarl import URL

from swarm.config_file import resolve
from swarm.errors import ConfigError
from swarm.llm.engines.openai import asking
from swarm.llm.engines.openai.client import OpenAIClient
from swarm.llm.engines.openai.config import OpenAIModel
from swarm.llm.protocol import ModelReply
from tests.endpoint.fault_table import request
from tests.endpoint.raw import chat

ENTRY = {"name": "m", "engine": "openai", "base_url": "http://127.0.0.1:9/v1", "model": "x"}


def entry(**changes: Any) -> OpenAIModel:
    return OpenAIModel.model_validate_json(json.dumps({**ENTRY, **changes}))


def body(**changes: Any) -> dict[str, Any]:
    asked: dict[str, Any] = json.loads(asking.Bodies(entry(**changes)).of(request(5)))
    return asked


def test_keys_are_left_out_and_added() -> None:
    omit = ["temperature", "seed", "max_tokens", "stream_options"]
    lean = body(stream=True, request={"omit": omit})
    assert lean.keys() == {"model", "messages", "stream", "response_format"}
    extra = {"reasoning_effort": "low", "chat_template_kwargs": {"enable_thinking": False}, "max_tokens": 900}
    assert extra.items() <= body(request={"omit": ["max_tokens"], "extra": extra}).items()
    renamed = {"max_tokens_key": "max_completion_tokens", "request": {"omit": ["max_tokens"]}}
    assert not {"max_tokens", "max_completion_tokens"} & body(**renamed).keys()


@pytest.mark.parametrize(
    ("section", "key"),
    [
        ({"omit": ["messages"]}, "models.0.request.omit"),
        ({"extra": {"messages": []}}, "request.extra.messages"),
        ({"extra": {"response_format": {}}}, "request.extra.response_format"),
        ({"extra": {"model": "y"}}, "request.extra.model"),
        ({"extra": {"temperature": 1}}, "request.extra.temperature"),
        ({"extra": {"max_tokens": 1}}, "request.extra.max_tokens"),
        ({"extra": {"x": "y" * 5_000}}, "models.0.request.extra"),
        ({"headers": {"Authorization": "Bearer s3cret"}}, "api_key_env"),
        ({"headers": {"api-key": "s3cret"}}, "api_key_header"),
        ({"headers": {"X-Goog-Api-Key": "s3cret"}}, "api_key_env"),
        ({"headers": {"Cookie": "s3cret"}}, "api_key_env"),
        ({"headers": {"Host": "s3cret"}}, "Host"),
        ({"headers": {"X-A": "s3cret\r\nX-B: 1"}}, "printable"),
        ({"headers": {"X A": "s3cret"}}, "names of headers"),
        ({"query": {"api_key": "s3cret"}}, "api_key_env"),
        ({"query": {"access_token": "s3cret"}}, "api_key_env"),
        ({"queries": {}}, "models.0.request.queries"),
    ],
)
def test_what_a_section_may_not_hold_is_named_and_no_secret_is_shown(section: dict[str, Any], key: str) -> None:
    with pytest.raises(ConfigError) as raised:
        resolve({"models": [{**ENTRY, "request": section}]})
    assert key in str(raised.value)
    assert "s3cret" not in str(raised.value)


@pytest.mark.parametrize("header", ["Content-Length", "host", "Transfer-Encoding", "Connection"])
def test_a_key_is_carried_by_no_header_that_the_connection_needs(header: str) -> None:
    with pytest.raises(ConfigError, match=f"api_key_header {header} is written by the client"):
        resolve({"models": [{**ENTRY, "api_key_header": header}]})


def head_of(client_of: Callable[[str], OpenAIClient]) -> bytes:
    """The head of one request, as it comes to the address that `client_of` is told; it is answered."""
    heads: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        answer = chat('"x"')
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(answer) + answer)
        await writer.drain()
        writer.close()

    async def run() -> ModelReply:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        async with server:
            client = client_of(f"127.0.0.1:{server.sockets[0].getsockname()[1]}")
            return (await client.complete([request(1)], 5.0))[0]

    assert asyncio.run(run()).finish_reason == "stop"
    [head] = heads
    return head


def test_azures_ways_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_KEY", "sesame")

    def azure(address: str) -> OpenAIClient:
        return OpenAIClient(
            entry(
                base_url=f"http://{address}/openai/deployments/d",
                api_key_env="AZURE_KEY",
                api_key_header="api-key",
                request={"query": {"api-version": "2024-10-21"}, "headers": {"X-Team": "wood"}},
            )
        )

    head = head_of(azure)
    assert head.startswith(b"POST /openai/deployments/d/chat/completions?api-version=2024-10-21 HTTP/1.1\r\n")
    assert b"\r\napi-key: sesame\r\n" in head
    assert b"\r\nX-Team: wood\r\n" in head
    assert b"authorization" not in head.lower()


def test_proxies_of_the_environment_are_taken_but_never_for_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    assert asking.proxy_for(URL("http://models.example/v1")) is None
    monkeypatch.setenv("http_proxy", "http://me:pw@proxy.example:3128")
    monkeypatch.setenv("HTTPS_PROXY", "proxy.example:3129")
    monkeypatch.setenv("no_proxy", "inside.example,10.0.0.7")
    plain = asking.proxy_for(URL("http://models.example/v1"))
    assert plain == URL("http://me:pw@proxy.example:3128")
    secure = asking.proxy_for(URL("https://models.example/v1"))
    assert secure == URL("http://proxy.example:3129")
    for host in ("127.0.0.1", "127.9.9.9", "[::1]", "localhost", "wood.localhost", "inside.example", "10.0.0.7"):
        assert asking.proxy_for(URL(f"http://{host}:8000/v1")) is None


def test_a_request_goes_through_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)

    def behind_the_proxy(address: str) -> OpenAIClient:
        monkeypatch.setenv("http_proxy", f"http://me:pw@{address}")
        return OpenAIClient(entry(base_url="http://models.invalid/v1", retries=0))

    head = head_of(behind_the_proxy)
    assert head.startswith(b"POST http://models.invalid/v1/chat/completions HTTP/1.1\r\n")
    assert b"\r\nProxy-Authorization: Basic " in head
