"""Opens the ports of a run: its markets and their traders, in this process or on a Ray cluster."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from swarm.config import RunConfig, RuntimeConfig
from swarm.llm import engines
from swarm.llm.config import ModelConfig
from swarm.llm.protocol import ModelClient
from swarm.preflight import Narrator
from swarm.runtime.applications import named
from swarm.runtime.garbage import collected_seldom
from swarm.scenarios.spreading import Spreads
from swarm.simulation.loop import Interrupted
from swarm.simulation.market import Market, MarketClosing, MarketPlan, MarketPort
from swarm.simulation.plan import RunPlan, WorldPlan
from swarm.simulation.traders import AskableTraders, LocalTraders, Run, in_background, kept_open

if TYPE_CHECKING:
    from swarm.runtime.adapters import RayMarket, RayTraders


@dataclass(frozen=True, slots=True)
class RunsOn:
    """The choice of where a run runs: this process, the cluster at `address`, or else a cluster of its own."""

    local: bool = False
    address: str | None = None

    @property
    def own_cluster(self) -> bool:
        """Tells whether the run starts a cluster of its own."""
        return not self.local and self.address is None

    def __str__(self) -> str:
        if self.local:
            return "one process"
        return f"Ray at {self.address}" if self.address else "a Ray cluster of its own"


IN_THIS_PROCESS = RunsOn(local=True)
NewMarket = Callable[[MarketPlan, Path | None], MarketPort]
"""Makes a market that keeps its journal in a file, or in none."""


@dataclass(frozen=True, slots=True)
class Ports:
    """The two sides that a round loop talks to, and what they can tell of themselves at the end."""

    market: MarketPort
    traders: AskableTraders
    layout: Callable[[], Mapping[str, Any]]
    losses: Callable[[], Mapping[str, int]]
    outages_s: Callable[[], Sequence[float]] = tuple


@contextmanager
def open_ports(
    config: RunConfig,
    plan: WorldPlan,
    runs_on: RunsOn,
    journals: Sequence[Path | None],
    narrator: Narrator,
    should_stop: Callable[[], bool],
    clients: Mapping[str, ModelClient] | None = None,
    new_market: NewMarket = Market,
) -> Iterator[list[Ports]]:
    """Yields the ports of a run's markets, each with its journal; all that was started for them ends with the block.

    A market begins as the run's first plan says, and traders are asked as its last one does. In this process, `clients`
    are asked in place of the config's models, and `new_market` makes the markets.
    """
    # A market starts from the first plan and takes forks from its journal; traders are asked by the last plan.
    rounds, models = config.runtime.snapshot_rounds, plan.last.run.models
    markets = [
        (own.last, replace(own.market, snapshot_rounds=rounds), journal)
        for own, journal in zip(plan.markets, journals, strict=True)
    ]
    if runs_on.local:
        clients = clients or engines.all_in_process(models)
        with collected_seldom(), kept_open(clients.values()) as runner, ExitStack() as stack:
            # One market has the event loop to itself; several share one that runs in a thread of its own.
            run = runner.run if len(markets) == 1 else stack.enter_context(in_background(runner))
            yield [_local_ports(own, new_market(begun, journal), clients, run) for own, begun, journal in markets]
        return
    with collected_seldom(), _ray_ports_of(config, models, markets, runs_on, narrator, should_stop) as opened:
        yield opened


@contextmanager
def _ray_ports_of(
    config: RunConfig,
    models: Sequence[ModelConfig],
    markets: Sequence[tuple[RunPlan, MarketPlan, Path | None]],
    runs_on: RunsOn,
    narrator: Narrator,
    should_stop: Callable[[], bool],
) -> Iterator[list[Ports]]:
    """Yields the ports of markets on a cluster: the one at an address, or one of the run's own."""
    narrator.phase(f"joining Ray at {runs_on.address}" if runs_on.address else "starting Ray")
    # Importing ray takes a second or more, which a local run does not owe.
    from swarm.runtime import cluster, shard_actors

    with ExitStack() as stack:
        stack.enter_context(cluster.sigterm_kept())
        room = sum(own.traders for own, _, _ in markets)
        # Importing Ray Serve takes as long again as importing ray, which a run of rules alone does not owe.
        imports = ["swarm.runtime.serving"] if models else []
        stack.enter_context(
            cluster.joined_cluster(runs_on.address)
            if runs_on.address
            else cluster.own_cluster(config.runtime, room, imports)
        )
        stop_early(should_stop)
        shard_actors.nodes_with(config.runtime.labels)
        run_id = uuid4().hex[:8]
        applications = named(run_id, models)
        begin = partial(_begun, config.runtime, markets, applications, stack, narrator, should_stop)
        # A cluster that is joined may grow for the models, and shards are to be spread over what it has then. On one of
        # the run's own, they start while Ray Serve does.
        begun = begin() if runs_on.own_cluster else []
        if models:
            from swarm.runtime import serving

            narrator.phase(f"deploying {len(models)} models")
            serving.deploy(run_id, tuple(models), config.runtime.start_timeout_s, should_stop, config.runtime.http_port)
            if runs_on.address:
                stack.callback(serving.withdraw, list(applications.values()))
        begun = begun or begin()
        for _, traders in begun:
            traders.wait()
        yield [ports for ports, _ in begun]


def _begun(
    runtime: RuntimeConfig,
    markets: Sequence[tuple[RunPlan, MarketPlan, Path | None]],
    applications: Mapping[str, str],
    stack: ExitStack,
    narrator: Narrator,
    should_stop: Callable[[], bool],
) -> list[tuple[Ports, "RayTraders"]]:
    """Begins the actors of markets, which end with the stack; returns their ports, and the traders to wait for."""
    from swarm.runtime import adapters, cluster, parts

    size = cluster.shard_size(sum(own.traders for own, _, _ in markets), runtime.traders_per_actor, cluster.cores())
    shards = sum(-(-own.traders // size) for own, _, _ in markets)
    many = "the market" if len(markets) == 1 else f"{len(markets)} markets"
    narrator.phase(f"starting {many} and {shards} shards")
    # Everything that is started is ended in the reverse order, also where a later start fails.
    begun: list[tuple[Ports, RayTraders]] = []
    for own, market_plan, journal in markets:
        path = str(journal.absolute()) if journal else None
        market = adapters.RayMarket(market_plan, path, bool(applications))
        stack.callback(market.end)
        traders = adapters.RayTraders(
            own.shard, applications, size, runtime.labels, runtime.start_timeout_s, should_stop
        )
        stack.callback(traders.end)
        # As many parts of the scenario's own work as there are shards; one alone is done in this process.
        spread, count = None, -(-own.traders // size)
        if isinstance(own.scenario, Spreads) and count > 1:
            spread = parts.RayParts(own.scenario.parts(count), runtime.labels)
            stack.callback(spread.end)
            own.scenario.spread(spread.take)
        begun.append((_ray_ports(market, traders, size, len(applications), len(spread or ())), traders))
    return begun


def _local_ports(plan: RunPlan, market: MarketPort, clients: Mapping[str, ModelClient], run: Run) -> Ports:
    traders = LocalTraders(plan.shard, clients, run)
    return Ports(market, traders, lambda: {"shards": 1, "traders_per_shard": plan.traders}, dict)


def _ray_ports(market: "RayMarket", traders: "RayTraders", size: int, deployments: int, parts: int) -> Ports:
    spread = {"parts": parts} if parts else {}
    return Ports(
        market,
        traders,
        lambda: {**traders.layout(), "traders_per_shard": size, "deployments": deployments, **spread},
        lambda: {**traders.lost, **market.lost},
        lambda: [round(seconds, 3) for seconds in market.outages_s],
    )


def told(ports: Sequence[Ports], closings: Sequence[MarketClosing]) -> dict[str, Any]:
    """Returns what the ports and the markets say of themselves at the end, all markets together."""
    layouts = [port.layout() for port in ports]
    layout = {"regions": len(layouts), **layouts[0]} if len(layouts) > 1 else dict(layouts[0])
    # Each market has shards of its own, so these add up.
    layout |= {key: sum(one[key] for one in layouts) for key in ("shards", "shards_moved") if key in layouts[0]}
    # Nodes come and go for all markets alike.
    shards_by_node = sum((Counter(one.get("shards_by_node", {})) for one in layouts), Counter[str]())
    if shards_by_node:
        layout["shards_by_node"] = dict(sorted(shards_by_node.items()))
    losses = [*(port.losses() for port in ports), *(closing.snapshots.losses() for closing in closings)]
    return {
        "layout": layout,
        "lost": {
            key: sum(one.get(key, 0) for one in losses) for key in dict.fromkeys(k for one in losses for k in one)
        },
        "market_outages_s": [seconds for port in ports for seconds in port.outages_s()],
    }


def stop_early(should_stop: Callable[[], bool]) -> None:
    """Raises Interrupted if the run was told to stop before its first round."""
    if should_stop():
        raise Interrupted
