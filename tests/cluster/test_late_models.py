"""Deployments that are late, fail or answer too little, over real Ray: every sample gets its one reply."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest

from swarm.config import RuntimeConfig
from swarm.llm.asking import asked_of
from swarm.llm.engines.scripted.config import ScriptedModel
from swarm.llm.protocol import Message, ModelReply, ModelRequest, TokenUsage

pytestmark = [pytest.mark.ray, pytest.mark.apart]

SHORT = ModelRequest((Message("user", "ROUND 1"),), {"type": "string", "enum": ["AA"]}, 20, 1)
LONG = ModelRequest((Message("user", "ROUND 2"),), {"type": "string", "enum": ["AA"]}, 20, 2, more_seeds=(3, 4, 5))


class Failing:
    """A deployment that breaks in whichever way its batch names."""

    async def complete(self, requests: Sequence[Any], deadline_s: float) -> Any:
        match requests[0].messages[0].content:
            case "raise":
                raise RuntimeError("out of memory\nand more of it")
            case "too few":
                return [ModelReply("AA", TokenUsage(1, 1), "stop", 0.0)] * len(requests)
            case "late":
                await asyncio.sleep(600)
        return None


def test_every_sample_of_a_batch_is_answered_by_reason_whatever_a_deployment_does() -> None:
    from ray import serve

    from swarm.runtime.cluster import own_cluster
    from swarm.runtime.serving import ModelReplica, ServeModelClient

    def reasons(application: str, deadline_s: float, said: str = "ROUND 1") -> Counter[str]:
        first = ModelRequest((Message("user", said),), SHORT.schema, 20, 1)
        client = ServeModelClient(application)
        replies = asyncio.run(asked_of(client, [first, LONG], deadline_s))
        assert len(replies) == 5
        assert "\n" not in "".join(reply.text for reply in replies)
        return Counter(reply.finish_reason for reply in replies)

    with own_cluster(RuntimeConfig(num_cpus=2)):
        serve.start(proxy_location="Disabled")
        replica: Any = serve.deployment(ModelReplica)
        failing: Any = serve.deployment(Failing)
        no_cores = {"num_cpus": 0}
        slow = ScriptedModel(name="slow", temperament="value", form="menu", latency_s=600.0)
        prompt = ScriptedModel(name="prompt", temperament="value", form="menu")
        for model in (slow, prompt):
            serve.run(replica.options(ray_actor_options=no_cores).bind(model), name=model.name, route_prefix=None)
        serve.run(failing.options(ray_actor_options=no_cores).bind(), name="failing", route_prefix=None)

        assert reasons("prompt", 60.0) == {"stop": 5}
        assert reasons("slow", 1.0) == {"deadline": 5}
        assert reasons("failing", 1.0, "late") == {"deadline": 5}
        assert reasons("failing", 60.0, "raise") == {"error": 5}
        assert reasons("failing", 60.0, "too few") == {"protocol": 5}
        assert reasons("failing", 60.0, "nothing") == {"error": 5}
        assert reasons("nobody", 60.0) == {"error": 5}
        serve.delete("slow", _blocking=False)
