"""Five models of five architectures at once, each a Ray Serve deployment: by handle, over HTTP, and after a death."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from swarm.agents.decision import Decision, read_reply
from swarm.config import RuntimeConfig
from swarm.llm.protocol import ModelReply, ModelRequest
from tests.processes import free_port
from tests.vllm.conftest import RULES, SYSTEM, model, requests
from tests.vllm.test_engine import engines_below

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]

START_S = 500.0
MEMORY_LIMIT_GB = 9.0
BACK_S = 240.0


@dataclass(frozen=True)
class Served:
    """Five deployments, an actor that reaches them by handle, and the port of their HTTP API."""

    applications: dict[str, str]
    actor: Any
    port: int
    start_s: float

    def ask(self, name: str, batch: list[ModelRequest], deadline_s: float = 60) -> list[ModelReply]:
        """What a model answers a batch that an actor sends."""
        import ray

        replies: list[ModelReply] = ray.get(
            self.actor.ask.remote(self.applications[name], batch, deadline_s), timeout=deadline_s + 30
        )
        return replies

    def http(self, path: str, body: Any = None, kind: str = "application/json") -> tuple[int, Any]:
        """The status and the value of an HTTP request."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}",
            data=None if body is None else json.dumps(body).encode(),
            headers={"content-type": kind},
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                text = response.read().decode()
                return response.status, json.loads(text) if text.startswith("{") else text
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())


@pytest.fixture(scope="module")
def served(folders: dict[str, Path]) -> Iterator[Served]:
    import ray

    from swarm.runtime import serving
    from swarm.runtime.cluster import own_cluster

    class Asker:
        def __init__(self) -> None:
            self.clients: dict[str, Any] = {}

        async def ask(self, application: str, batch: list[Any], deadline_s: float) -> list[Any]:
            from swarm.runtime.serving import ServeModelClient

            client = self.clients.setdefault(application, ServeModelClient(application))
            return list(await client.complete(batch, deadline_s))

    port = free_port()
    with own_cluster(RuntimeConfig(num_cpus=4)):
        started = time.monotonic()
        models = [model(folder) for folder in folders.values()]
        applications = serving.deploy("test", models, START_S, lambda: False, port)
        actor = ray.remote(Asker).options(num_cpus=0).remote()
        yield Served(applications, actor, port, time.monotonic() - started)
        engines = engines_below()
        assert len(engines) == len(applications)
    _, alive = psutil.wait_procs(engines, timeout=20)
    assert not alive, "an engine outlived its cluster"


def test_five_models_answer_at_once_by_handle_from_an_actor(served: Served, say: Callable[[str], None]) -> None:
    batch = requests(24)
    started = time.monotonic()
    with ThreadPoolExecutor(5) as pool:
        answers = dict(
            zip(served.applications, pool.map(lambda n: served.ask(n, batch), served.applications), strict=True)
        )
    took = time.monotonic() - started
    for name, replies in answers.items():
        assert [r.finish_reason for r in replies] == ["stop"] * len(batch), (name, replies[0].text)
        for reply in replies:
            outcome = read_reply(reply.text, False, RULES, makes=-1).outcome
            assert isinstance(outcome, Decision), (name, reply.text)
    memory = _memory_of_engines_gb()
    say(f"five up in {served.start_s:.0f} s, {memory:.1f} GB, {5 * len(batch) / took:.0f} requests/s")
    assert memory < MEMORY_LIMIT_GB


def test_the_rules_reach_a_model_without_a_system_role(served: Served) -> None:
    short, long = (served.ask("gemma-2-2b", requests(1, system)) for system in ("Be brief.", SYSTEM))
    assert not short[0].failed
    assert long[0].usage.prompt > short[0].usage.prompt + 50, "the rules are part of the prompt"


def test_what_all_prompts_share_is_computed_once(served: Served) -> None:
    for name in served.applications:
        # Other rules than those of the other tests, so that nothing is there from them.
        first, *others = served.ask(name, requests(1, "Other rules. " + SYSTEM)) + served.ask(
            name, requests(6, "Other rules. " + SYSTEM)[1:]
        )
        assert first.usage.cached_prompt < 32
        for reply in others:
            # Mistral's template puts the rules in front of the message as well where there is one message.
            assert reply.usage.cached_prompt >= reply.usage.prompt // 2, name
            assert reply.usage.cached_prompt % 32 == 0


def test_the_same_seeds_give_the_same_replies(served: Served) -> None:
    one, two = (served.ask("qwen-2.5-7b", requests(16)) for _ in range(2))
    assert [r.text for r in one] == [r.text for r in two]
    assert len({r.text for r in one}) == 16


def test_other_peoples_clients_are_answered_over_http(served: Served) -> None:
    status, listing = served.http("/v1/models")
    assert status == 200
    assert [m["id"] for m in listing["data"]] == list(served.applications)
    body = {
        "model": "gemma-2-2b",
        "messages": [{"role": "system", "content": SYSTEM}, {"role": "user", "content": "PURSE 100"}],
        "max_tokens": 250,
        "temperature": 0.5,
        "seed": 3,
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "decision", "schema": RULES.schema(), "strict": True},
        },
    }
    status, reply = served.http("/v1/chat/completions", body)
    assert status == 200, reply
    choice = reply["choices"][0]
    assert choice["finish_reason"] == "stop"
    assert set(json.loads(choice["message"]["content"])) == {"thought", "orders", "gossip"}
    assert reply["usage"]["total_tokens"] == reply["usage"]["prompt_tokens"] + reply["usage"]["completion_tokens"]
    assert "cached_tokens" in reply["usage"]["prompt_tokens_details"]
    status, stream = served.http("/v1/chat/completions", body | {"stream": True})
    assert status == 200
    assert stream.endswith("data: [DONE]\n\n")
    free = {"model": "phi-3.5-mini", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 5}
    assert served.http("/v1/chat/completions", free)[0] == 200
    assert served.http("/v1/chat/completions", body | {"model": "gpt-9"})[0] == 404
    assert served.http("/v1/chat/completions", body | {"max_tokens": 5_000})[0] == 400
    assert served.http("/v1/chat/completions", body, kind="text/plain")[0] == 415


def test_an_engine_that_is_killed_comes_back(served: Served, say: Callable[[str], None]) -> None:
    [victim] = [p for p in engines_below() if "mistral-nemo" in " ".join((p.parent() or p).cmdline())]
    victim.kill()
    killed = time.monotonic()
    assert all(r.failed for r in served.ask("mistral-nemo", requests(2), 20)), "failures are replies"
    assert not served.ask("phi-3.5-mini", requests(1))[0].failed, "the others go on"
    while time.monotonic() - killed < BACK_S:
        if not any(r.failed for r in served.ask("mistral-nemo", requests(2), 20)):
            say(f"back after {time.monotonic() - killed:.0f} s")
            return
        time.sleep(1)
    pytest.fail(f"not back after {BACK_S:.0f} s")


def _memory_of_engines_gb() -> float:
    """What the replicas and their engines hold for themselves."""
    engines = engines_below()
    held = [*engines, *(p for engine in engines if (p := engine.parent()))]
    return sum(p.memory_full_info().uss for p in held) / 1e9
