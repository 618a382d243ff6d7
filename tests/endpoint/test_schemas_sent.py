"""What really goes over the wire: every form's schema in the strict dialect, and its replies read as if in process."""

import asyncio
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest
from aiohttp import web

from swarm.config_file import resolve
from swarm.llm.fake_model import FakeModel
from swarm.runtime.play import play
from swarm.simulation.record import RunRecord
from tests.unit.test_strict_schemas import violations


@contextmanager
def listening(bodies: list[dict[str, Any]]) -> Iterator[str]:
    """A fake endpoint in a thread of this process, which keeps the bodies that it gets."""

    @web.middleware
    async def keep(request: web.Request, handler: Any) -> web.StreamResponse:
        bodies.append(await request.json())
        response: web.StreamResponse = await handler(request)
        return response

    loop, begun, found = asyncio.new_event_loop(), threading.Event(), list[str]()

    async def serve() -> None:
        app = FakeModel().app()
        app.middlewares.append(keep)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        found.append(f"http://127.0.0.1:{runner.addresses[0][1]}/v1")
        begun.set()

    def run() -> None:
        loop.run_until_complete(serve())
        loop.run_forever()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert begun.wait(30)
    try:
        yield found[0]
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()


def config(models: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    return {
        "name": "forms",
        "seed": 4,
        "rounds": 4,
        "population": 15,
        "models": [{"name": name, **entry} for name, entry in models.items()],
        "traders": {
            "minds": {"said": 1, "letters": 1, "desk": 1},
            "desks": [{"name": "desk", "model": "said"}],
            "standing": {"max_rounds": 4},
        },
    }


def played(models: Mapping[str, Mapping[str, Any]]) -> RunRecord:
    """The record of a run with these models."""
    return play(resolve(config(models))).record


@pytest.mark.parametrize("stream", [False, True])
def test_every_schema_that_is_sent_is_strict_and_the_replies_to_it_are_read(stream: bool) -> None:
    bodies: list[dict[str, Any]] = []
    with listening(bodies) as url:
        shared = {"engine": "openai", "base_url": url, "stream": stream}
        record = played({"said": {**shared, "model": "value"}, "letters": {**shared, "model": "panic", "form": "menu"}})
    formats = [body["response_format"] for body in bodies]
    assert len(formats) > 50
    assert {f["type"] for f in formats} == {"json_schema"}
    assert all(f["json_schema"]["strict"] is True for f in formats)
    schemas = [f["json_schema"]["schema"] for f in formats]
    assert {tuple(sorted(schema["properties"])) for schema in schemas} == {
        ("answer",),
        ("arguments", "name"),
        ("gossip", "orders", "stand", "thought", "wake"),
    }
    assert [wrong for schema in schemas if (wrong := violations(schema))] == []
    assert record.summary["decision_errors"] == {}
    decisions = record.tables["decisions"]
    for mind in ("said", "letters", "desk"):
        assert decisions.filter(decisions["mind"] == mind)["orders"].sum() > 0
