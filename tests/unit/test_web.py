"""A small server of this process answers those alone who name its host, and knows its own tokens."""

import http.client
import json
import socket
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from swarm.errors import ConfigError
from swarm.web.guard import HEADERS, Guarded, hostname
from swarm.web.server import Bound, served
from swarm.web.tokens import Tokens, new_token


async def echo(request: Request) -> JSONResponse:
    return JSONResponse({"bytes": len(await request.body())})


@pytest.fixture(scope="module")
def bound() -> Iterator[Bound]:
    app = Starlette(routes=[Route("/", echo, methods=["GET", "POST"])])
    with served(Guarded(app, most_bytes=1_000), "127.0.0.1", 0, "--live-at") as address:
        yield address


def asked(
    bound: Bound, headers: dict[str, str], body: bytes | Iterator[bytes] | None = None
) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection(bound.host, bound.port, timeout=10)
    chunked = body is not None and not isinstance(body, bytes)
    connection.request("POST" if body else "GET", "/", body, headers, encode_chunked=chunked)
    response = connection.getresponse()
    response.body = response.read()  # type: ignore[attr-defined]
    connection.close()
    return response


def test_answers_say_what_a_browser_may_load(bound: Bound) -> None:
    response = asked(bound, {})
    assert response.status == 200
    for name, value in HEADERS.items():
        assert response.headers[name] == value


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1:80", "[::1]:80"])
def test_its_own_names_are_answered(bound: Bound, host: str) -> None:
    assert asked(bound, {"host": host}).status == 200


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "", "localhost.evil.example:80", "::1"])
def test_other_names_are_not(bound: Bound, host: str) -> None:
    response = asked(bound, {"host": host})
    assert response.status == 421
    assert response.headers["content-security-policy"]


@pytest.mark.parametrize("origin", ["null", "http://evil.example", "http://evil.example:80#http://localhost", ""])
def test_pages_of_other_origins_are_refused(bound: Bound, origin: str) -> None:
    assert asked(bound, {"origin": origin}, b"{}").status == 403
    assert asked(bound, {"origin": bound.url}, b"{}").status == 200


def test_bodies_are_bounded_whether_or_not_their_length_is_told(bound: Bound) -> None:
    assert json.loads(asked(bound, {}, b"x" * 1_000).body) == {"bytes": 1_000}  # type: ignore[attr-defined]
    assert asked(bound, {}, b"x" * 1_001).status == 413
    chunked = asked(bound, {"transfer-encoding": "chunked"}, iter([b"x" * 600] * 2))
    assert chunked.status == 413


def test_a_port_that_is_taken_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused = pytest.raises(ConfigError, match=rf"--live-at: port {port} of 127.0.0.1 cannot be used")
        with refused, served(Starlette(), "127.0.0.1", port, "--live-at"):
            pass
    with pytest.raises(ConfigError, match="no address"), served(Starlette(), "no such host", 0, "--live-at"):
        pass


def test_a_port_can_be_taken_again_at_once() -> None:
    with served(Starlette(), "127.0.0.1", 0, "--live-at") as first:
        asked(first, {})
    with served(Starlette(), "127.0.0.1", first.port, "--live-at") as second:
        assert second == first


def test_tokens_are_known_by_name() -> None:
    alice, bob = new_token(), new_token()
    tokens = Tokens({"alice": alice, "bob": bob})
    assert len(alice) >= 43
    assert tokens.whose(f"Bearer {alice}") == "alice"
    assert tokens.whose(f"bearer {bob}") == "bob"
    for wrong in ("", "Bearer", "Bearer ", f"Basic {alice}", f"Bearer {alice}x", alice, "Bearer " + "x" * 10_000):
        assert tokens.whose(wrong) is None
    assert alice not in repr(vars(tokens))


@given(st.text())
def test_no_other_text_is_a_token(given_text: str) -> None:
    assert Tokens({"alice": new_token()}).whose(f"Bearer {given_text}") is None
    hostname(given_text)
