"""Deploys models on Ray Serve, one deployment each, and owns the client that traders reach them with."""

import asyncio
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from time import perf_counter, sleep
from typing import Any

import ray
from ray import serve
from ray.serve.config import RequestRouterConfig
from ray.serve.context import _get_global_client
from ray.serve.handle import DeploymentHandle

from swarm.errors import ClusterError, ConfigError, ModelError
from swarm.llm import engines
from swarm.llm.config import ModelConfig
from swarm.llm.protocol import Connected, EngineFailure, ModelReply, ModelRequest, Mortal, TokenUsage
from swarm.runtime.applications import named
from swarm.runtime.garbage import collect_seldom
from swarm.runtime.gateway import Gateway
from swarm.runtime.prefix_router import PrefixRouter

POLL_S = 0.1

MAX_ONGOING_BATCHES = 64
"""Batches that one replica works on at once; there is one batch per shard, model and round."""


ENGINE_SHARE = 0.95
"""Of the time until a batch's deadline, the share that the engine gets; the rest is for bringing the replies back."""

MAX_ONGOING_HTTP = 1_024
"""Requests that one gateway has under way at once; what the engines do not take yet waits there."""

API_KEY_ENV = "SWARM_API_KEY"
"""The environment variable that holds the key of a gateway that a Serve config deploys, unless it names another."""

ACCELERATOR_LABEL = "ray.io/accelerator-type"
"""The label that Ray gives each node for its kind of GPU, and that the chart declares for groups without a node yet."""

HEALTH_PERIOD_S = 5.0
HEALTH_TIMEOUT_S = 30.0
"""How often each replica is asked whether its engine is alive; one that is not is replaced."""


class ModelReplica:
    """One replica of a model: the engine of its config behind the protocol of all models."""

    async def __init__(self, config: ModelConfig) -> None:  # type: ignore[misc]  # Serve awaits it
        collect_seldom()
        self.client = engines.in_process(config)
        # A language model takes its time to load, for which the deployment must wait and not the first trader.
        if isinstance(self.client, Connected):
            await self.client.open()

    async def complete(self, requests: Sequence[ModelRequest], deadline_s: float) -> list[ModelReply]:
        """Answers a batch; an engine that keeps connections keeps them for as long as the replica lives."""
        return await self.client.complete(requests, deadline_s)

    async def check_health(self) -> None:
        """Raises if the engine is dead: Serve then puts another replica in this one's place."""
        if isinstance(self.client, Mortal):
            await self.client.check_health()

    async def __del__(self) -> None:
        """Ends what the engine has started; Serve awaits this before it lets a replica go."""
        if isinstance(self.client, Connected):
            await self.client.close()


class ServeModelClient:
    """A `ModelClient` that reaches a deployment by name from any process of the cluster."""

    def __init__(self, application: str) -> None:
        self.application = application
        self._handle: DeploymentHandle[Any] | None = None

    async def complete(self, requests: Sequence[ModelRequest], deadline_s: float) -> list[ModelReply]:
        """Sends one batch; where the deployment fails or is late, every sample gets an error for a reply."""
        started = perf_counter()

        def failed(text: str, reason: EngineFailure) -> list[ModelReply]:
            reply = ModelReply(text, TokenUsage(0, 0), reason, perf_counter() - started)
            return [reply] * sum(request.samples for request in requests)

        try:
            # The engine has an earlier bound of its own; this one is for a replica that does not answer at all.
            async with asyncio.timeout(deadline_s):
                replies = await self._answer(list(requests), started + deadline_s)
        except TimeoutError:
            return failed("the deployment is late", "deadline")
        except Exception as error:
            return failed(f"{type(error).__name__}: {error}".splitlines()[0][:200], "error")
        return replies

    async def _answer(self, requests: list[ModelRequest], deadline: float) -> list[ModelReply]:
        """Returns the replies; where a replica dies over them, another makes the same ones from the same seeds."""
        while True:
            try:
                if self._handle is None:
                    self._handle = serve.get_app_handle(self.application)
                left_s = deadline - perf_counter()
                replies: list[ModelReply] = await self._handle.complete.remote(requests, left_s * ENGINE_SHARE)
            except ray.exceptions.RayActorError:
                # A shard has it already; a replica, which is begun for each model, must not wait for the whole loop.
                from swarm.simulation.remote import ASK_AGAIN_AFTER_S

                await asyncio.sleep(ASK_AGAIN_AFTER_S)
                continue
            return replies


class GatewayReplica(Gateway):
    """The gateway as a deployment; `applications` are the names of the models' Serve applications.

    `api_key_env` names the environment variable that holds the key which its callers must send; None: they need none.
    """

    def __init__(self, applications: Mapping[str, str], api_key_env: str | None = None) -> None:
        clients_by_name = {name: ServeModelClient(app) for name, app in applications.items()}
        super().__init__(clients_by_name, api_key_of(api_key_env) if api_key_env else None)


def deploy(
    run_id: str,
    models: Sequence[ModelConfig],
    timeout_s: float,
    should_stop: Callable[[], bool],
    http_port: int | None = None,
) -> dict[str, str]:
    """Deploys every model, waits until it is up, and returns the names of the applications by model.

    With `http_port`, a gateway answers OpenAI's protocol for all of them on that port of this machine alone.
    """
    logging.getLogger("ray.serve").setLevel(logging.ERROR)
    serve.start(
        proxy_location="Disabled" if http_port is None else "HeadOnly",
        http_options=None if http_port is None else {"host": "127.0.0.1", "port": http_port},
        logging_config={"log_level": "ERROR", "enable_access_log": False},
    )
    applications = named(run_id, models)
    # All models are deployed at once, since each takes its time to load weights.
    replica: Any = serve.deployment(ModelReplica)
    targets = [
        serve.RunTarget(
            target=replica.options(name=m.name, **options(m)).bind(m.placed()),
            name=applications[m.name],
            route_prefix=None,
        )
        for m in models
    ]
    _run(targets, applications, timeout_s, should_stop)
    # The gateway comes after its models, so that nobody finds it answering for what is not up.
    if http_port is not None:
        front: Any = serve.deployment(GatewayReplica)
        gateway = {"gateway": f"swarm-{run_id}-http"}
        target = front.options(name="gateway", ray_actor_options={"num_cpus": 0}).bind(applications)
        _run(
            [serve.RunTarget(target=target, name=gateway["gateway"], route_prefix="/")], gateway, timeout_s, should_stop
        )
    return applications


def build_model(args: Mapping[str, Any]) -> Any:
    """Returns the Serve application of one model, for a Serve config; `args` is an entry of a run's `models`."""
    # Only a Serve config comes this way; replicas and shards do not owe what reads configs.
    from swarm.config_file import resolve

    [model] = resolve({"models": [dict(args)]}).models
    replica: Any = serve.deployment(ModelReplica)
    chosen = options(model)
    if (most := engines.of(model).deployment(model).most_http_requests) is not None:
        # Over HTTP a batch is one request, and the engine takes many at once.
        chosen["max_ongoing_requests"] = most
    return replica.options(name=model.name, **chosen).bind(model.placed())


def build_gateway(args: Mapping[str, Any]) -> Any:
    """Returns the Serve application that speaks OpenAI's protocol for models in applications of their own names.

    `args` has `models`, their names, and may have `api_key_env`, by default SWARM_API_KEY: the environment variable
    that holds the key which callers must send. null lets everybody in who reaches the port.
    """
    where = "args of the gateway"
    if unknown := sorted(set(args) - {"models", "api_key_env"}):
        raise ConfigError(where, f"there is no such key: {unknown[0]}", "known: models, api_key_env")
    models, key = args.get("models"), args.get("api_key_env", API_KEY_ENV)
    if not isinstance(models, list) or not models or not all(isinstance(name, str) for name in models):
        raise ConfigError(f"{where}: models", f"expected a list of applications' names, got {models!r}")
    if key is not None and not (isinstance(key, str) and key):
        raise ConfigError(f"{where}: api_key_env", f"expected the name of an environment variable or null, got {key!r}")
    front: Any = serve.deployment(GatewayReplica)
    chosen = front.options(name="gateway", max_ongoing_requests=MAX_ONGOING_HTTP, ray_actor_options={"num_cpus": 0})
    return chosen.bind({name: name for name in models}, key)


def api_key_of(variable: str) -> str:
    """Returns the API key in an environment variable; ConfigError where it is not set, lest anybody be let in."""
    key = os.environ.get(variable, "").strip()
    if not key:
        raise ConfigError(
            variable,
            "this environment variable must hold the API key of the gateway, and is not set where it runs",
            "set it on every node before Ray starts there, say to what `openssl rand -hex 32` prints",
        )
    return key


def options(model: ModelConfig) -> dict[str, Any]:
    """Returns how a model's deployment is scaled, placed, watched and routed to."""
    wanted = engines.of(model).deployment(model)
    actor: dict[str, Any] = {"num_cpus": model.num_cpus}
    chosen: dict[str, Any] = {"max_ongoing_requests": MAX_ONGOING_BATCHES, "ray_actor_options": actor}
    if wanted.num_gpus:
        actor["num_gpus"] = wanted.num_gpus
    if wanted.environment:
        actor["runtime_env"] = {"env_vars": dict(wanted.environment)}
    if wanted.accelerator_type is not None:
        actor["label_selector"] = {ACCELERATOR_LABEL: wanted.accelerator_type}
    if wanted.can_die:
        chosen |= {"health_check_period_s": HEALTH_PERIOD_S, "health_check_timeout_s": HEALTH_TIMEOUT_S}
    # Serve takes a fixed number of replicas or bounds to grow within, not both.
    if wanted.most_replicas is None:
        chosen["num_replicas"] = model.replicas
    else:
        chosen["autoscaling_config"] = {
            "min_replicas": model.replicas,
            "max_replicas": wanted.most_replicas,
            "target_ongoing_requests": wanted.target_ongoing_batches,
        }
    if wanted.routing == "prefix":
        router: Any = PrefixRouter
        chosen["request_router_config"] = RequestRouterConfig(request_router_class=router)
    return chosen


def _run(
    targets: Sequence[Any], applications: Mapping[str, str], timeout_s: float, should_stop: Callable[[], bool]
) -> None:
    started = perf_counter()
    serve.run_many(targets, wait_for_applications_running=False)
    # `serve.status` makes the routers' configs anew for each answer, which takes 30 ms of CPU here for five models.
    client: Any = _get_global_client()
    while True:
        # All are waited for together; the first that fails ends the wait for the others.
        told = {overview.name: overview for overview in client.list_serve_statuses()}
        states = {
            name: str(told[app].app_status.status.value) if app in told else "NOT_STARTED"
            for name, app in applications.items()
        }
        if all(state == "RUNNING" for state in states.values()):
            return
        failed = [name for name, state in states.items() if state in ("DEPLOY_FAILED", "UNHEALTHY")]
        if failed or perf_counter() - started > timeout_s:
            name = failed[0] if failed else next(n for n, s in states.items() if s != "RUNNING")
            raise _not_up(name, states[name], told.get(applications[name]), perf_counter() - started)
        if should_stop():
            from swarm.simulation.loop import Interrupted

            raise Interrupted
        sleep(POLL_S)


def _not_up(name: str, state: str, told: Any, waited_s: float) -> Exception:
    """Returns why a model is not up, in one line: in the engine's own words where it has said something."""
    # Ray wraps an engine's own error in a traceback, of which a user wants the one line.
    messages = [told.app_status.message, *(d.message for d in told.deployment_statuses)] if told else []
    for message in messages:
        _, said, rest = message.partition("ModelError: ")
        if said:
            return ModelError(rest.splitlines()[0][:400])
    detail = next((m for m in messages if m), "")
    return ClusterError(
        f"models: {name} is not up after {waited_s:.0f} s ({state}"
        f"{': ' + detail.splitlines()[0][:200] if detail else ''}); raise runtime.start_timeout_s "
        "or give the cluster more CPU, or the GPUs that hardware.num_gpus asks for"
    )


def withdraw(applications: Sequence[str]) -> None:
    """Deletes the applications from a cluster that goes on."""
    for application in applications:
        serve.delete(application, _blocking=False)
