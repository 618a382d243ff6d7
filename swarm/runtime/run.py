"""The composition root: a config in, a finished folder out, in this process or over Ray."""

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any, Protocol
from uuid import uuid4

from swarm.config import RunConfig, check_budget, check_desks, compose
from swarm.errors import ConfigError
from swarm.llm.config import OpenAIModel, VllmModel
from swarm.runtime.clients import client_of
from swarm.simulation.folder import RunFolder
from swarm.simulation.loop import Interrupted, Watcher, run_rounds
from swarm.simulation.market import Market, MarketPort
from swarm.simulation.plan import RunPlan
from swarm.simulation.record import Recorder, RunRecord
from swarm.simulation.traders import LocalTraders, TradersPort, kept_open

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Place:
    """Where to run: in this process, on the cluster at `address`, or (the default) on a cluster of the run's own."""

    local: bool = False
    address: str | None = None

    def __str__(self) -> str:
        if self.local:
            return "one process"
        return f"Ray at {self.address}" if self.address else "a Ray cluster of its own"


@dataclass(frozen=True, slots=True)
class Ports:
    """The two sides a round loop talks to, and what they can tell of themselves at the end."""

    market: MarketPort
    traders: TradersPort
    layout: Mapping[str, Any]
    losses: Callable[[], Mapping[str, int]]


class Narrator(Protocol):
    """Who is told what goes on before the first round and after the last."""

    def phase(self, text: str) -> None:
        """Something that takes a while has begun."""
        ...


@dataclass(frozen=True, slots=True)
class RunResult:
    """A run that ended: `finished` is False if it was told to stop before its last round."""

    folder: RunFolder
    record: RunRecord
    finished: bool


def execute(
    config: RunConfig,
    place: Place,
    folder: RunFolder,
    watchers: tuple[Watcher, ...],
    narrator: Narrator,
    should_stop: Callable[[], bool],
) -> RunResult:
    """Run to the end, or to the last whole round once `should_stop` says so, and write the folder."""
    plan = compose(config)
    check_budget(config)
    check_desks(config)
    check_models(config, plan, place, narrator)
    folder.create()
    folder.write_config(config.record(), plan.config_sha256)
    recorder = Recorder()
    try:
        return _run(config, plan, place, folder, recorder, watchers, narrator, should_stop)
    except BaseException:
        # What ended before its first round has left nothing to keep.
        if not recorder.rounds_done:
            folder.discard()
        raise


def _run(
    config: RunConfig,
    plan: RunPlan,
    place: Place,
    folder: RunFolder,
    recorder: Recorder,
    watchers: tuple[Watcher, ...],
    narrator: Narrator,
    should_stop: Callable[[], bool],
) -> RunResult:
    begun = perf_counter()
    with open_ports(config, plan, place, folder.journal, narrator, should_stop) as ports:
        set_up_s = perf_counter() - begun
        narrator.phase("running")
        done = run_rounds(plan, ports.market, ports.traders, (recorder, *watchers), should_stop)
        closing = ports.market.close()
        extra = {
            "finished": done == plan.rounds,
            "place": str(place),
            "layout": dict(ports.layout),
            "lost": dict(ports.losses()),
            "set_up_s": round(set_up_s, 3),
            "run_s": round(perf_counter() - begun - set_up_s, 3),
        }
        record = recorder.finish(closing, extra)
        folder.write_record(record)
    narrator.phase("writing the report")
    # The charts' libraries take half a second to import, which belongs at the end of a run and not at its start.
    from swarm.simulation.report import render

    folder.write_report(render(record))
    return RunResult(folder, record, done == plan.rounds)


@contextmanager
def open_ports(
    config: RunConfig,
    plan: RunPlan,
    place: Place,
    journal: Path | None,
    narrator: Narrator,
    should_stop: Callable[[], bool],
) -> Iterator[Ports]:
    """The ports of a run at `place`; everything that was started for them ends with the block."""
    if place.local:
        market = Market(plan.market, journal)
        clients = {m.name: client_of(m) for m in plan.models}
        with kept_open(clients.values()) as runner:
            traders = LocalTraders(plan.shard, clients, runner)
            yield Ports(market, traders, {"shards": 1, "traders_per_shard": plan.traders}, dict)
        return
    narrator.phase(f"joining Ray at {place.address}" if place.address else "starting Ray")
    # Importing ray takes a second or more, which a local run does not owe.
    from swarm.runtime import adapters, cluster, serving

    with ExitStack() as stack:
        stack.enter_context(
            cluster.joined_cluster(place.address) if place.address else cluster.own_cluster(config.runtime)
        )
        stop_early(should_stop)
        narrator.phase(f"deploying {len(plan.models)} models")
        applications = (
            serving.deploy(
                uuid4().hex[:8],
                plan.models,
                config.runtime.start_timeout_s,
                should_stop,
                config.runtime.http_port,
            )
            if plan.models
            else {}
        )
        if place.address:
            stack.callback(serving.withdraw, list(applications.values()))
        size = cluster.shard_size(plan.traders, config.runtime.traders_per_actor, cluster.cores())
        narrator.phase(f"starting the market and {-(-plan.traders // size)} shards")
        ray_market = adapters.RayMarket(plan.market, str(journal.absolute()) if journal else None)
        stack.callback(ray_market.end)
        ray_traders = adapters.RayTraders(plan.shard, applications, size, config.runtime.start_timeout_s, should_stop)
        stack.callback(ray_traders.end)
        yield Ports(
            ray_market,
            ray_traders,
            {"shards": ray_traders.shards, "traders_per_shard": size, "deployments": len(applications)},
            lambda: ray_traders.lost,
        )


def check_models(config: RunConfig, plan: RunPlan, place: Place, narrator: Narrator) -> None:
    """Raise before anything is started where models cannot be used, or not in this way."""
    if config.runtime.http_port is not None and (place.local or place.address):
        raise ConfigError(
            "runtime.http_port",
            "models answer over HTTP on a cluster of the run's own alone",
            "set it to null, or leave out --local and --address",
        )
    if not any(isinstance(m, OpenAIModel | VllmModel) for m in plan.models):
        return
    narrator.phase("checking the models")
    # The check imports an HTTP client, which a run without an endpoint does not owe.
    from swarm.llm import check

    check.must_be_usable(plan.models, config.budget.tokens_per_turn, here=place.address is None)
    for line in check.warnings(plan.models):
        log.warning("%s", line)


def stop_early(should_stop: Callable[[], bool]) -> None:
    """Raise Interrupted if the run was told to stop before its first round."""
    if should_stop():
        raise Interrupted
