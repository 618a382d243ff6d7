"""What is wrong with a model is said in one line that names it, the reason and the way out."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from aiohttp import web

from swarm.config_file import resolve
from swarm.errors import ModelError
from swarm.llm.check import must_be_usable, problems, too_slow
from swarm.llm.engines.openai.config import OpenAIModel
from swarm.llm.engines.scripted.config import ScriptedModel
from swarm.preflight import first_requests
from tests.endpoint.fake_endpoint import Serve
from tests.patience import patience


def model(url: str, **changes: object) -> OpenAIModel:
    return OpenAIModel.model_validate({"name": "m", "engine": "openai", "base_url": url, "model": "value", **changes})


def only(found: list[str]) -> str:
    (line,) = found
    assert "\n" not in line
    assert line.startswith("models: m: ")
    assert "; " in line
    return line


def test_what_serves_is_no_problem(serve: Serve) -> None:
    endpoint = serve()
    scripted = ScriptedModel.model_validate({"name": "s", "temperament": "value"})
    must_be_usable([scripted, endpoint.model(), endpoint.model(model="panic", context_tokens=1_000)], 1_000)
    assert problems([scripted], 1_000) == []
    assert problems([endpoint.model(model="scripted-value")], 1_000) == [], "served, though not listed"


def test_each_problem_is_a_line_of_its_own(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    endpoint = serve(context_tokens=600)
    locked = serve(api_key="sesame")
    monkeypatch.setenv("WOOD_KEY", "wrong")
    monkeypatch.delenv("NO_KEY", raising=False)
    assert "no endpoint answers at http://127.0.0.1:9/v1 (Connection refused); start" in only(
        problems([model("http://127.0.0.1:9/v1")], 1_000)
    )
    assert "has no model 'valu' (did you mean value?); correct its model; it has value, " in only(
        problems([endpoint.model(name="m", model="valu")], 500)
    )
    assert "its context holds 600 tokens and budget.tokens_per_turn is 1000; lower" in only(
        problems([endpoint.model(name="m")], 1_000)
    )
    assert "holds 300 tokens" in only(problems([endpoint.model(name="m", context_tokens=300)], 500))
    assert "wants an API key (HTTP 401)" in only(problems([locked.model(name="m")], 500))
    assert "refuses the key in WOOD_KEY (HTTP 401)" in only(
        problems([locked.model(name="m", api_key_env="WOOD_KEY")], 500)
    )
    assert "NO_KEY is not set" in only(problems([locked.model(name="m", api_key_env="NO_KEY")], 500))
    elsewhere = endpoint.url.removesuffix("/v1")
    assert "does not speak OpenAI's protocol" in only(problems([model(elsewhere)], 500))
    with pytest.raises(ModelError) as raised:
        must_be_usable([endpoint.model(name="a"), endpoint.model(name="b")], 1_000)
    assert [line.split(":")[1] for line in str(raised.value).splitlines()] == [" a", " b"]


@contextmanager
def site(*routes: web.RouteDef) -> Iterator[str]:
    """A server in a thread with an event loop of its own."""
    loop = asyncio.new_event_loop()
    app = web.Application()
    app.add_routes(routes)
    runner = web.AppRunner(app, access_log=None)
    loop.run_until_complete(runner.setup())
    loop.run_until_complete(web.TCPSite(runner, "127.0.0.1", 0).start())
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(timeout=patience(10))
        loop.call_soon_threadsafe(loop.stop)
        thread.join(timeout=patience(10))
        loop.close()


async def _sign_in(_: web.Request) -> web.Response:
    return web.Response(text="<html>Sign in</html>", content_type="text/html")


async def _away(_: web.Request) -> web.Response:
    raise web.HTTPFound("http://127.0.0.1:1/")


async def _broken(_: web.Request) -> web.Response:
    return web.Response(status=503)


async def _slow(_: web.Request) -> web.Response:
    await asyncio.sleep(2)
    return web.Response()


async def _says_yes(_: web.Request) -> web.Response:
    return web.json_response({"choices": [{"message": {"content": "yes"}}]})


def test_what_is_no_endpoint_is_recognised() -> None:
    with site(web.get("/v1/models", _sign_in)) as url:
        assert "does not speak OpenAI's protocol" in only(problems([model(url)], 500))
    with site(web.post("/v1/chat/completions", _away)) as url:
        assert "sends one elsewhere (HTTP 302)" in only(problems([model(url)], 500))
    with site(web.post("/v1/chat/completions", _broken)) as url:
        assert "answers HTTP 503" in only(problems([model(url)], 500))
    with site(web.post("/v1/chat/completions", _slow)) as url:
        assert "does not answer within 0.2 s" in only(problems([model(url)], 500, timeout_s=0.2))
    with site(web.post("/v1/chat/completions", _sign_in)) as url:
        assert "not a chat completion" in only(problems([model(url)], 500))
    with site(web.post("/v1/chat/completions", _says_yes)) as url:
        assert problems([model(url)], 500) == []


def test_an_endpoint_slower_than_a_round_is_named_and_others_are_not(serve: Serve) -> None:
    slow = serve(latency_s=30.0).model(name="slow")
    quick, gone = serve().model(name="quick"), serve().model(name="gone", base_url="http://127.0.0.1:9/v1")
    [line] = too_slow([slow, quick, gone], 3.0)
    assert line.startswith("models: slow: a completion of one token takes more than the 3 s that a round gives models")
    assert too_slow([], 3.0) == []


Body = dict[str, Any]


@contextmanager
def picky(refuses: Callable[[Body], str | None], *routes: web.RouteDef) -> Iterator[str]:
    """An endpoint that refuses what `refuses` finds in a body, in those words."""

    async def complete(request: web.Request) -> web.Response:
        body = await request.json()
        if (words := refuses(body)) is not None:
            return web.json_response({"error": {"message": words, "type": "invalid_request_error"}}, status=400)
        return web.json_response({"choices": [{"message": {"content": '{"ready": "yes"}'}, "finish_reason": "stop"}]})

    with site(web.post("/v1/chat/completions", complete), *routes) as url:
        yield url


@pytest.mark.parametrize(
    ("refuses", "mend", "changes"),
    [
        (
            lambda b: "Use 'max_completion_tokens' instead." if "max_tokens" in b else None,
            "set max_tokens_key: max_completion_tokens: then it answers",
            {},
        ),
        (
            lambda b: "System role not supported" if b["messages"][0]["role"] == "system" else None,
            "set system_role: false: then",
            {},
        ),
        (
            lambda b: (
                "json_schema is not supported" if b.get("response_format", {}).get("type") == "json_schema" else None
            ),
            "set response_format: json_object: then",
            {},
        ),
        (lambda b: "no" if "response_format" in b else None, "set response_format: none: then", {}),
        (lambda b: "unknown field seed" if "seed" in b else None, "set send_seed: false: then", {}),
        (
            lambda b: (
                "Use max_completion_tokens"
                if "max_tokens" in b
                else "temperature does not support 0.7"
                if "temperature" in b
                else None
            ),
            "set max_tokens_key: max_completion_tokens and request.omit: [temperature]: then",
            {},
        ),
        (lambda b: "unknown field top_k" if "top_k" in b else None, "request.extra without top_k", {"top_k": 3}),
        (lambda b: "I take nothing", "docs/models.md", {}),
    ],
)
def test_what_is_refused_is_told_with_the_key_to_change(
    refuses: Callable[[Body], str | None], mend: str, changes: dict[str, Any]
) -> None:
    with picky(refuses) as url:
        line = only(problems([model(url, request={"extra": changes})], 500))
    assert "refuses what a run asks (HTTP 400" in line
    assert mend in line


def test_a_listing_alone_never_refuses_a_model() -> None:
    async def array(_: web.Request) -> web.Response:
        return web.json_response([{"id": "other"}, "value", 7, None])

    async def forbidden(_: web.Request) -> web.Response:
        return web.Response(status=403)

    for listing in (array, forbidden, _sign_in, _broken, _away):
        with picky(lambda body: None, web.get("/v1/models", listing)) as url:
            assert problems([model(url)], 500) == []


def test_the_check_asks_what_the_run_asks() -> None:
    bodies: list[Body] = []

    def note(body: Body) -> None:
        bodies.append(body)

    config = resolve({"models": [{"name": "m", "engine": "openai", "base_url": "http://127.0.0.1:9/v1", "model": "x"}]})
    requests = first_requests(config)
    with picky(note) as url:
        asked = model(url, model="x", request={"omit": ("seed",), "extra": {"reasoning_effort": "low"}})
        assert problems([asked], 1_000, requests=requests) == []
    [body] = bodies
    assert "ROUND 1 of" in body["messages"][-1]["content"]
    assert body["response_format"]["json_schema"]["schema"]["properties"].keys() >= {"orders", "gossip"}
    assert body["reasoning_effort"] == "low"
    assert "seed" not in body


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ({"content": None, "reasoning_content": "hm"}, "it only reasons within max_completion_tokens"),
        ({"content": ""}, "it gives no answer"),
        ({"refusal": "no"}, "it gives no answer"),
    ],
)
def test_a_model_that_gives_no_answer_is_not_usable(message: Body, words: str) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.json_response({"choices": [{"message": message, "finish_reason": "stop"}]})

    with site(web.post("/v1/chat/completions", answer)) as url:
        assert words in only(problems([model(url)], 500))


@pytest.mark.parametrize("body", [None, {"choices": None}, {"choices": [{"message": None}]}, [{"choices": []}]])
def test_what_is_unreadable_each_time_is_not_usable_although_the_model_is_listed(body: Any) -> None:
    async def complete(_: web.Request) -> web.Response:
        return web.json_response(body)

    async def listing(_: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": [{"id": "value"}]})

    with site(web.post("/v1/chat/completions", complete), web.get("/v1/models", listing)) as url:
        assert len(problems([model(url, model="value")], 500)) == 1
