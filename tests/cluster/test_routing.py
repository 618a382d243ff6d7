"""Prefix-aware routing on real replicas: a chat's later steps go where its first one went, what is new is spread."""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest

from swarm.config import RuntimeConfig
from swarm.llm.engines.vllm.config import VllmModel
from swarm.llm.protocol import Message, ModelRequest

pytestmark = [pytest.mark.ray, pytest.mark.apart]
REPLICAS = 3

HANGS_S = 300.0
"""What is not over by then hangs."""


def step(chat: int, number: int) -> list[ModelRequest]:
    """A batch of one: step `number` of an agent's chat, which holds all steps before it."""
    said = [Message("system", "Rules."), Message("user", f"You are agent {chat}.")]
    for i in range(number):
        said += [Message("assistant", f"tool {i}"), Message("user", f"result {i}")]
    return [ModelRequest(tuple(said), {}, 16, 0)]


def test_a_chat_stays_with_its_replica_until_that_is_too_busy() -> None:
    from ray import serve

    from swarm.runtime.cluster import own_cluster
    from swarm.runtime.serving import options

    class Telling:
        """Says which replica it is, after a while."""

        async def complete(self, requests: Sequence[Any], wait_s: float) -> str:
            await asyncio.sleep(wait_s)
            name: str = serve.get_replica_context().replica_id.unique_id
            return name

    wanted = VllmModel.model_validate(
        {"name": "m", "engine": "vllm", "source": "a/b", "replicas": REPLICAS, "hardware": {"routing": "prefix"}}
    )
    chosen = options(wanted)
    assert chosen["num_replicas"] == REPLICAS
    assert chosen["ray_actor_options"]["num_gpus"] == 1
    with own_cluster(RuntimeConfig(num_cpus=2)):
        serve.start(proxy_location="Disabled")
        telling: Any = serve.deployment(Telling)
        handle: Any = serve.run(
            telling.options(**{**chosen, "ray_actor_options": {"num_cpus": 0}}).bind(), name="t", route_prefix=None
        )
        homes = {chat: handle.complete.remote(step(chat, 0), 0.0).result(timeout_s=HANGS_S) for chat in range(20)}
        assert len(set(homes.values())) == REPLICAS, "what is new is spread"
        for number in range(1, 4):
            for chat, home in homes.items():
                assert handle.complete.remote(step(chat, number), 0.0).result(timeout_s=HANGS_S) == home
        under_way = []
        for number in range(9):
            under_way.append(handle.complete.remote(step(0, number), 2.0))
            time.sleep(0.05)
        busy = Counter(response.result(timeout_s=HANGS_S) for response in under_way)
        assert len(busy) > 1, "a replica that is much busier than the others lets them have some"
