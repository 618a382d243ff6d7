"""Models as Ray Serve deployments, one each, and the client that traders reach them with."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from time import perf_counter, sleep
from typing import Any

from ray import serve
from ray.serve.handle import DeploymentHandle

from swarm.errors import ClusterError
from swarm.llm import engines
from swarm.llm.config import ModelConfig
from swarm.llm.protocol import Connected, ModelReply, ModelRequest, TokenUsage
from swarm.simulation.loop import Interrupted

POLL_S = 0.1

MAX_ONGOING_BATCHES = 64
"""Batches that one replica works on at once; there is one batch per shard, model and round."""


ENGINE_SHARE = 0.95
"""Of the time until a batch's deadline, the share that the engine gets; the rest is for bringing the replies back."""


class ModelReplica:
    """One replica of a model: the engine of its config behind the protocol of all models."""

    def __init__(self, config: ModelConfig) -> None:
        self.client = engines.in_process(config)

    async def complete(self, requests: Sequence[ModelRequest], deadline_s: float) -> list[ModelReply]:
        """Answer a batch; an engine that keeps connections keeps them for as long as the replica lives."""
        if isinstance(self.client, Connected):
            await self.client.open()
        return await self.client.complete(requests, deadline_s)


class ServeModelClient:
    """A `ModelClient` that reaches a deployment by name from any process of the cluster."""

    def __init__(self, application: str) -> None:
        self.application = application
        self._handle: DeploymentHandle[Any] | None = None

    async def complete(self, requests: Sequence[ModelRequest], deadline_s: float) -> list[ModelReply]:
        """Send one batch; where the deployment fails or is late, every request gets an error for a reply."""
        started = perf_counter()
        try:
            if self._handle is None:
                self._handle = serve.get_app_handle(self.application)
            response = self._handle.complete.remote(list(requests), deadline_s * ENGINE_SHARE)
            replies: list[ModelReply] = await asyncio.wait_for(response, deadline_s)
        except Exception as error:
            reason = f"{type(error).__name__}: {error}".splitlines()[0][:200]
            failed = ModelReply(reason, TokenUsage(0, 0), "error", perf_counter() - started)
            return [failed] * len(requests)
        return replies


def deploy(
    run_id: str, models: Sequence[ModelConfig], timeout_s: float, should_stop: Callable[[], bool]
) -> dict[str, str]:
    """Deploy every model and wait until it is up: the names of the applications by model."""
    logging.getLogger("ray.serve").setLevel(logging.ERROR)
    serve.start(proxy_location="Disabled", logging_config={"log_level": "ERROR", "enable_access_log": False})
    applications = {m.name: f"swarm-{run_id}-{m.name}" for m in models}
    replica: Any = serve.deployment(ModelReplica)
    targets = [
        serve.RunTarget(
            target=replica.options(
                name=m.name,
                num_replicas=m.replicas,
                max_ongoing_requests=MAX_ONGOING_BATCHES,
                ray_actor_options={"num_cpus": m.num_cpus},
            ).bind(m),
            name=applications[m.name],
            route_prefix=None,
        )
        for m in models
    ]
    started = perf_counter()
    serve.run_many(targets, wait_for_applications_running=False)
    while True:
        status = serve.status().applications
        states = {name: status[app].status if app in status else "NOT_STARTED" for name, app in applications.items()}
        if all(state == "RUNNING" for state in states.values()):
            return applications
        failed = [name for name, state in states.items() if state in ("DEPLOY_FAILED", "UNHEALTHY")]
        if failed or perf_counter() - started > timeout_s:
            name = failed[0] if failed else next(n for n, s in states.items() if s != "RUNNING")
            detail = status[applications[name]].message if applications[name] in status else ""
            raise ClusterError(
                f"models: {name} is not up after {perf_counter() - started:.0f} s ({states[name]}"
                f"{': ' + detail.splitlines()[0][:200] if detail else ''}); raise runtime.start_timeout_s "
                "or give the cluster more CPU"
            )
        if should_stop():
            raise Interrupted
        sleep(POLL_S)


def withdraw(applications: Sequence[str]) -> None:
    """Delete the applications from a cluster that goes on."""
    for application in applications:
        serve.delete(application, _blocking=False)
