"""The composition root: a config in, a finished folder out, in this process or over Ray."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic, perf_counter, sleep
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from swarm.config import RunConfig
from swarm.config_file import load, resolve
from swarm.errors import ConfigError
from swarm.llm import engines
from swarm.llm.config import ModelConfig
from swarm.llm.protocol import ModelClient
from swarm.planning import compose, composed
from swarm.preflight import Narrator, check
from swarm.simulation import history
from swarm.simulation.entries import Decided, to_record
from swarm.simulation.folder import RunFolder
from swarm.simulation.journal import JournalWriter
from swarm.simulation.journal_disk import rename, wait_for_writer
from swarm.simulation.loop import Interrupted, Watcher, run_rounds
from swarm.simulation.market import Market, MarketPlan, MarketPort
from swarm.simulation.plan import Fork, RunPlan
from swarm.simulation.record import Recorder, RunRecord
from swarm.simulation.traders import (
    AskableTraders,
    LocalTraders,
    RecordedTraders,
    ResumedTraders,
    Run,
    TradersPort,
    in_background,
    kept_open,
)

if TYPE_CHECKING:
    from swarm.monitoring.hub import Hub
    from swarm.runtime.adapters import RayMarket, RayTraders

LINGER_POLL_S = 0.2
"""How often a run that stays for its metrics looks whether it was told to stop."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where to run: in this process, on the cluster at `address`, or (the default) on a cluster of the run's own."""

    local: bool = False
    address: str | None = None

    @property
    def own_cluster(self) -> bool:
        """Whether the run starts a cluster of its own."""
        return not self.local and self.address is None

    def __str__(self) -> str:
        if self.local:
            return "one process"
        return f"Ray at {self.address}" if self.address else "a Ray cluster of its own"


@dataclass(frozen=True, slots=True)
class Ports:
    """The two sides a round loop talks to, and what they can tell of themselves at the end."""

    market: MarketPort
    traders: AskableTraders
    layout: Callable[[], Mapping[str, Any]]
    losses: Callable[[], Mapping[str, int]]
    outages_s: Callable[[], Sequence[float]] = tuple


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
    if config.regions:
        # What only several regions need is theirs to import.
        from swarm.runtime.region_runs import execute_regions

        return execute_regions(config, place, folder, watchers, narrator, should_stop)
    plan = compose(config)
    check(config, plan, place.own_cluster, place.address is None, narrator)
    with folder.begun():
        folder.write_config(config.record(), plan.config_sha256)
        recorder = Recorder()
        try:
            return _run(config, plan, place, folder, recorder, watchers, narrator, should_stop, {})
        except BaseException:
            # What ended before its first round has left nothing to keep.
            if not recorder.rounds_done:
                folder.discard()
            raise


def resume(
    place: Place,
    folder: RunFolder,
    watchers: tuple[Watcher, ...],
    narrator: Narrator,
    should_stop: Callable[[], bool],
) -> RunResult:
    """Go on with a run that was stopped or killed, from the last record of its journal, and write the folder.

    The rounds that the journal has are run again from what it holds, which asks nobody and takes a fraction of their
    time; the history comes out as if the run had never ended.
    """
    with folder.reopened():
        return _resume(place, folder, watchers, narrator, should_stop)


def _resume(
    place: Place,
    folder: RunFolder,
    watchers: tuple[Watcher, ...],
    narrator: Narrator,
    should_stop: Callable[[], bool],
) -> RunResult:
    config = load(folder.config)
    if config.regions:
        from swarm.runtime.region_runs import resume_regions

        return resume_regions(config, place, folder, watchers, narrator, should_stop)
    wait_for_writer(folder.journal)
    past = history.read(folder.journal) if history.begun(folder.journal) else None
    plan = past.plan(composed) if past else compose(config)
    if past and resolve(past.config_record).sha256() != config.sha256():
        raise ConfigError(
            str(folder.config),
            "this is not the config that the journal was begun with",
            "put it back, or try another future with `swarm fork`",
        )
    check(config, plan.last, place.own_cluster, place.address is None, narrator)
    recorded = past.decisions if past else {}
    if past:
        narrator.phase(f"going on after round {past.rounds}")
    return _run(config, plan, place, folder, Recorder(), watchers, narrator, should_stop, recorded)


def fork(parent: RunFolder, at_round: int, overrides: tuple[str, ...], folder: RunFolder) -> RunConfig:
    """Begin another future: a folder whose journal has the parent's history up to a round, and then another config.

    `resume` goes on from there. The population, the scenario and the tick must stay, since accounts and prices do.
    """
    parent.check()
    parent.check_config()
    parent_config = load(parent.config)
    config = load(parent.config, overrides)
    if parent_config.regions or config.regions:
        raise ConfigError("regions", "a run of several regions cannot be forked", "run it again with other keys")
    past = history.read(parent.journal)
    past.plan(composed)
    for place in ("population", "market.tick_cents", "scenario.name"):
        before, after = (_at(c.record(), place) for c in (parent_config, config))
        if before != after:
            raise ConfigError(place, f"expected {before!r} as in the past of this fork, got {after!r}")
    if (parent_config.market.margin is None) != (config.market.margin is None):
        raise ConfigError(
            "market.margin", "expected margin accounts as in the past of this fork, which debts come from"
        )
    if not 1 <= at_round <= past.rounds:
        raise ConfigError("--at-round", f"expected a whole round of the parent, 1 to {past.rounds}, got {at_round}")
    if config.rounds <= at_round:
        raise ConfigError("rounds", f"expected more than {at_round}, the round of the fork, got {config.rounds}")
    plan = compose(config)
    with folder.begun():
        unfinished = folder.journal.with_suffix(".part")
        # The journal gets its name when it is whole, and the config comes last: with less there is nothing to resume.
        with JournalWriter(unfinished) as writer:
            for payload in history.up_to_round(parent.journal, at_round):
                writer.append_payload(payload)
            writer.append(to_record(Fork(at_round, writer.sha256, overrides, plan).entry()))
        rename(unfinished, folder.journal)
        folder.write_config(config.record(), plan.config_sha256)
    return config


def _at(record: Mapping[str, Any], place: str) -> Any:
    here: Any = record
    for key in place.split("."):
        here = here[key]
    return here


def _run(
    config: RunConfig,
    plan: RunPlan,
    place: Place,
    folder: RunFolder,
    recorder: Recorder,
    watchers: tuple[Watcher, ...],
    narrator: Narrator,
    should_stop: Callable[[], bool],
    recorded: Mapping[int, Decided],
) -> RunResult:
    with metrics(config, plan, place, folder, len(recorded), narrator) as exported:
        result = _rounds(config, plan, place, folder, recorder, watchers, narrator, should_stop, recorded, exported)
        if exported is not None:
            exported.hub.finished()
            linger(config.runtime.metrics_linger_s, exported.address, narrator, should_stop)
    return result


def _rounds(
    config: RunConfig,
    plan: RunPlan,
    place: Place,
    folder: RunFolder,
    recorder: Recorder,
    watchers: tuple[Watcher, ...],
    narrator: Narrator,
    should_stop: Callable[[], bool],
    recorded: Mapping[int, Decided],
    exported: "Exported | None",
) -> RunResult:
    begun = perf_counter()
    with open_ports(config, plan.last, place, folder.journal, narrator, should_stop, plan.market) as ports:
        if exported is not None:
            exported.hub.attach(int(ports.layout()["shards"]), lambda: len(ports.outages_s()))
            watchers = (exported.hub, *watchers)
        set_up_s = perf_counter() - begun
        narrator.phase("running")
        traders: TradersPort = ports.traders
        if recorded:
            traders = ResumedTraders(RecordedTraders(plan.shards_by_round(), recorded), ports.traders)
        # What is recorded is taken in whole, however early the run is told to stop: the tables need all of it.
        stop = from_call(len(recorded) + 1, should_stop)
        done = run_rounds(plan, ports.market, traders, (recorder, *watchers), stop)
        closing = ports.market.close()
        extra = {
            "finished": done == plan.last.rounds,
            "resumed_after_round": max(recorded, default=0),
            "forks": [[f.round, f.parent_sha256, list(f.changes)] for f in plan.forks()],
            "place": str(place),
            "layout": dict(ports.layout()),
            "metrics_address": exported.address if exported else None,
            "lost": {**ports.losses(), **closing.snapshots.losses()},
            "market_outages_s": list(ports.outages_s()),
            "set_up_s": round(set_up_s, 3),
            "run_s": round(perf_counter() - begun - set_up_s, 3),
        }
        record = recorder.finish(closing, extra)
        folder.write_record(record)
    return reported(folder, record, narrator, finished=done == plan.last.rounds)


def reported(folder: RunFolder, record: RunRecord, narrator: Narrator, *, finished: bool) -> RunResult:
    """The result of a run whose report is written, too."""
    narrator.phase("writing the report")
    # The charts' libraries take half a second to import, which belongs at the end of a run and not at its start.
    from swarm.report.page import render

    folder.write_report(render(record))
    return RunResult(folder, record, finished)


def from_call(first: int, should_stop: Callable[[], bool]) -> Callable[[], bool]:
    """`should_stop` from its call number `first` on, and no before."""
    calls = 0

    def stop() -> bool:
        nonlocal calls
        calls += 1
        return calls >= first and should_stop()

    return stop


@dataclass(frozen=True, slots=True)
class Exported:
    """A run's metrics, and where they are read."""

    hub: "Hub"
    address: str


@contextmanager
def metrics(
    config: RunConfig, plan: RunPlan, place: Place, folder: RunFolder, recorded_rounds: int, narrator: Narrator
) -> Iterator[Exported | None]:
    """The metrics of a run on their port while the block runs; None where the config has none."""
    runtime = config.runtime
    if runtime.metrics_port is None:
        yield None
        return
    # A run without metrics does not owe the import of an HTTP server.
    from swarm.monitoring import hub, port

    one = hub.Hub(plan, str(place), folder.path, recorded_rounds)
    with port.exported(one, runtime.metrics_host, runtime.metrics_port) as address:
        narrator.phase(f"metrics at {address}")
        yield Exported(one, address)


def linger(seconds: float, address: str, narrator: Narrator, should_stop: Callable[[], bool]) -> None:
    """Keep the metrics for a while, or until the run is told to stop."""
    end = monotonic() + seconds
    if seconds and not should_stop():
        narrator.phase(f"keeping the metrics at {address} for {seconds:g} s; Ctrl-C ends this")
    while not should_stop() and (left := end - monotonic()) > 0:
        sleep(min(left, LINGER_POLL_S))


@contextmanager
def open_ports(
    config: RunConfig,
    plan: RunPlan,
    place: Place,
    journal: Path | None,
    narrator: Narrator,
    should_stop: Callable[[], bool],
    first_market: MarketPlan | None = None,
) -> Iterator[Ports]:
    """The ports of a run at `place`; everything that was started for them ends with the block.

    `first_market` is what the market was begun with where that is not the plan's: in the past of a fork.
    """
    opened = [(plan, first_market or plan.market, journal)]
    with open_all_ports(config, plan.models, opened, place, narrator, should_stop) as ports:
        yield ports[0]


@contextmanager
def open_all_ports(
    config: RunConfig,
    models: Sequence[ModelConfig],
    markets: Sequence[tuple[RunPlan, MarketPlan, Path | None]],
    place: Place,
    narrator: Narrator,
    should_stop: Callable[[], bool],
) -> Iterator[list[Ports]]:
    """The ports of several markets on one cluster, or in this process, with the models that all of them share.

    Of each market, `markets` has its plan, what it was begun with, and its journal.
    """
    rounds = config.runtime.snapshot_rounds
    markets = [(plan, replace(begun, snapshot_rounds=rounds), journal) for plan, begun, journal in markets]
    if place.local:
        clients = engines.all_in_process(models)
        with kept_open(clients.values()) as runner, ExitStack() as stack:
            run = runner.run if len(markets) == 1 else stack.enter_context(in_background(runner))
            yield [_local_ports(own, Market(begun, journal), clients, run) for own, begun, journal in markets]
        return
    narrator.phase(f"joining Ray at {place.address}" if place.address else "starting Ray")
    # Importing ray takes a second or more, which a local run does not owe.
    from swarm.runtime import adapters, cluster, serving, shard_actors

    with ExitStack() as stack:
        stack.enter_context(cluster.sigterm_kept())
        stack.enter_context(
            cluster.joined_cluster(place.address) if place.address else cluster.own_cluster(config.runtime)
        )
        stop_early(should_stop)
        labels = config.runtime.labels
        shard_actors.nodes_with(labels)
        narrator.phase(f"deploying {len(models)} models")
        applications = (
            serving.deploy(
                uuid4().hex[:8],
                tuple(models),
                config.runtime.start_timeout_s,
                should_stop,
                config.runtime.http_port,
            )
            if models
            else {}
        )
        if place.address:
            stack.callback(serving.withdraw, list(applications.values()))
        traders = sum(plan.traders for plan, _, _ in markets)
        size = cluster.shard_size(traders, config.runtime.traders_per_actor, cluster.cores())
        shards = sum(-(-plan.traders // size) for plan, _, _ in markets)
        many = "the market" if len(markets) == 1 else f"{len(markets)} markets"
        narrator.phase(f"starting {many} and {shards} shards")
        opened: list[Ports] = []
        for plan, market_plan, journal in markets:
            ray_market = adapters.RayMarket(market_plan, str(journal.absolute()) if journal else None)
            stack.callback(ray_market.end)
            ray_traders = adapters.RayTraders(
                plan.shard, applications, size, labels, config.runtime.start_timeout_s, should_stop
            )
            stack.callback(ray_traders.end)
            opened.append(_ray_ports(ray_market, ray_traders, size, len(applications)))
        yield opened


def _local_ports(plan: RunPlan, market: Market, clients: Mapping[str, ModelClient], run: Run) -> Ports:
    traders = LocalTraders(plan.shard, clients, run)
    return Ports(market, traders, lambda: {"shards": 1, "traders_per_shard": plan.traders}, dict)


def _ray_ports(market: "RayMarket", traders: "RayTraders", size: int, deployments: int) -> Ports:
    return Ports(
        market,
        traders,
        lambda: {**traders.layout(), "traders_per_shard": size, "deployments": deployments},
        lambda: {**traders.lost, **market.lost},
        lambda: [round(seconds, 3) for seconds in market.outages_s],
    )


def stop_early(should_stop: Callable[[], bool]) -> None:
    """Raise Interrupted if the run was told to stop before its first round."""
    if should_stop():
        raise Interrupted
