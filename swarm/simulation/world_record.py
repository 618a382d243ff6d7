"""Runs of several regions: their ports on one cluster, their folders in one folder, their record as a whole."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from time import perf_counter
from typing import Any

from swarm.config import RunConfig, resolve
from swarm.errors import ConfigError
from swarm.planning import compose_regions
from swarm.preflight import Narrator, check
from swarm.runtime.run import (
    Exported,
    Place,
    Ports,
    RunResult,
    from_call,
    linger,
    metrics,
    open_all_ports,
    reported,
)
from swarm.simulation import history
from swarm.simulation.folder import RunFolder
from swarm.simulation.journal import wait_for_writer
from swarm.simulation.loop import RoundLoop, Watcher
from swarm.simulation.plan import RunPlan
from swarm.simulation.regions import Regions, RegionsPlan, run_regions
from swarm.simulation.traders import RecordedTraders, ResumedTraders, TradersPort
from swarm.simulation.whole import Onlookers


def execute_regions(
    config: RunConfig,
    place: Place,
    folder: RunFolder,
    watchers: tuple[Watcher, ...],
    narrator: Narrator,
    should_stop: Callable[[], bool],
) -> RunResult:
    """Run all regions to the end, or to the last round that is whole in all of them, and write their folders."""
    plan = _checked(config, place, narrator)
    folder.create()
    folder.write_config(config.record(), plan.whole.config_sha256)
    onlookers = Onlookers(plan, watchers)
    try:
        return _run(config, plan, place, folder, onlookers, narrator, should_stop, [None] * len(plan.plans))
    except BaseException:
        # What ended before its first round has left nothing to keep.
        if not onlookers.rounds_done:
            folder.discard()
        raise


def resume_regions(
    config: RunConfig,
    place: Place,
    folder: RunFolder,
    watchers: tuple[Watcher, ...],
    narrator: Narrator,
    should_stop: Callable[[], bool],
) -> RunResult:
    """Go on with all regions, each from the last record of its journal; one may have come further than another."""
    plan = _checked(config, place, narrator)
    pasts: list[history.History | None] = []
    for name in plan.names:
        journal = folder.region(name).journal
        wait_for_writer(journal)
        past = history.read(journal) if history.begun(journal) else None
        if past:
            _must_be_of(config, name, past, folder)
        pasts.append(past)
    plan = replace(plan, plans=tuple(_as_begun(own, past) for own, past in zip(plan.plans, pasts, strict=True)))
    whole = min((past.rounds if past else 0) for past in pasts)
    narrator.phase(f"going on after round {whole}")
    return _run(config, plan, place, folder, Onlookers(plan, watchers), narrator, should_stop, pasts)


def _run(
    config: RunConfig,
    plan: RegionsPlan,
    place: Place,
    folder: RunFolder,
    onlookers: Onlookers,
    narrator: Narrator,
    should_stop: Callable[[], bool],
    pasts: Sequence[history.History | None],
) -> RunResult:
    recorded = max((len(past.decisions) for past in pasts if past), default=0)
    with metrics(config, plan.whole, place, folder, recorded, narrator) as exported:
        result = _rounds(config, plan, place, folder, onlookers, narrator, should_stop, pasts, recorded, exported)
        if exported is not None:
            exported.hub.finished()
            linger(config.runtime.metrics_linger_s, exported.address, narrator, should_stop)
    return result


def _rounds(
    config: RunConfig,
    plan: RegionsPlan,
    place: Place,
    folder: RunFolder,
    onlookers: Onlookers,
    narrator: Narrator,
    should_stop: Callable[[], bool],
    pasts: Sequence[history.History | None],
    recorded: int,
    exported: Exported | None,
) -> RunResult:
    begun = perf_counter()
    folders = [folder.region(name) for name in plan.names]
    for own in folders:
        own.path.mkdir(parents=True, exist_ok=True)
    markets = [(own, own.market, to.journal) for own, to in zip(plan.plans, folders, strict=True)]
    with (
        open_all_ports(config, plan.whole.models, markets, place, narrator, should_stop) as ports,
        ThreadPoolExecutor(len(ports), "region") as pool,
    ):
        if exported is not None:
            exported.hub.attach(
                sum(int(port.layout()["shards"]) for port in ports), lambda: sum(len(p.outages_s()) for p in ports)
            )
            onlookers.add(exported.hub)
        set_up_s = perf_counter() - begun
        narrator.phase("running")
        loops = [
            RoundLoop(own, port.market, _traders(own, port, past), onlookers.each(number))
            for number, (own, port, past) in enumerate(zip(plan.plans, ports, pasts, strict=True))
        ]
        onlookers.started()
        regions = Regions(plan, loops, pool, (onlookers,))
        # What is recorded is taken in whole, however early the run is told to stop: the tables need all of it.
        done = run_regions(regions, from_call(recorded + 1, should_stop))
        closings = [port.market.close() for port in ports]
        extra = {
            "finished": done == plan.whole.rounds,
            "resumed_after_round": min((past.rounds if past else 0) for past in pasts),
            "forks": [],
            "place": str(place),
            "layout": _layout([port.layout() for port in ports]),
            "metrics_address": exported.address if exported else None,
            "lost": _sums([*(port.losses() for port in ports), *(c.snapshots.losses() for c in closings)]),
            "market_outages_s": [seconds for port in ports for seconds in port.outages_s()],
            "set_up_s": round(set_up_s, 3),
            "run_s": round(perf_counter() - begun - set_up_s, 3),
        }
        record, each = onlookers.finish(closings, extra)
        for own, of_region in zip(folders, each, strict=True):
            own.write_record(of_region)
        folder.write_record(record)
    return reported(folder, record, narrator, finished=done == plan.whole.rounds)


def _sums(counts: Sequence[Mapping[str, int]]) -> dict[str, int]:
    return {key: sum(one.get(key, 0) for one in counts) for key in dict.fromkeys(key for one in counts for key in one)}


def _layout(layouts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Where the shards of all regions are; nodes come and go for all of them alike."""
    shards_by_node = sum((Counter(one.get("shards_by_node", {})) for one in layouts), Counter[str]())
    summed = {key: sum(one[key] for one in layouts) for key in ("shards", "shards_moved") if key in layouts[0]}
    return {"regions": len(layouts), **layouts[0], **summed} | (
        {"shards_by_node": dict(sorted(shards_by_node.items()))} if shards_by_node else {}
    )


def _traders(plan: RunPlan, ports: Ports, past: history.History | None) -> TradersPort:
    """The traders of a region, who say again what its journal has of them."""
    if past is None or not past.decisions:
        return ports.traders
    return ResumedTraders(RecordedTraders(plan.shards_by_round(), past.decisions), ports.traders)


def _checked(config: RunConfig, place: Place, narrator: Narrator) -> RegionsPlan:
    plan = compose_regions(config)
    check(config, plan.whole, place.own_cluster, place.address is None, narrator)
    return plan


def _must_be_of(config: RunConfig, name: str, past: history.History, folder: RunFolder) -> None:
    """ConfigError if a journal is of another region, or of a run with another config."""
    record = dict(past.config_record)
    if record.pop("region", None) != name:
        raise ConfigError(str(folder.region(name).journal), f"this is not the journal of {name}", "put it back")
    if resolve(record).sha256() != config.sha256():
        raise ConfigError(str(folder.config), "this is not the config that the journals were begun with", "put it back")


def _as_begun(plan: RunPlan, past: history.History | None) -> RunPlan:
    """The plan whose journal begins as that of the past does, which may lack keys that there are by now."""
    return replace(plan, config_sha256=past.header[1], config_record=past.header[2]) if past else plan
