"""Plays a config to its end without a folder, for tests, benchmarks and training."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import polars as pl

from swarm.agents.observation import Observation
from swarm.config import RunConfig
from swarm.llm.protocol import ModelClient
from swarm.planning import compose
from swarm.preflight import Narrator
from swarm.runtime.ports import IN_THIS_PROCESS, NewMarket, RunsOn, open_ports, told
from swarm.runtime.run import SILENT
from swarm.simulation.folder import RunFolder
from swarm.simulation.loop import Watcher
from swarm.simulation.market import Market, MarketPort
from swarm.simulation.parties import of_run
from swarm.simulation.party import Party
from swarm.simulation.plan import RunPlan, WorldPlan
from swarm.simulation.record import RunRecord
from swarm.simulation.traders import AskableTraders, Gathered, TradersPort
from swarm.simulation.world import World, never
from swarm.simulation.world_record import WorldRecorder


@dataclass(frozen=True, slots=True, eq=False)
class Played:
    """A run that was played: its plan, its rounds, its record, and its markets, whose journals are closed."""

    plan: WorldPlan
    rounds: int
    record: RunRecord
    markets: tuple[MarketPort, ...]

    @property
    def summary(self) -> Mapping[str, Any]:
        """The summary, as a run's folder has it."""
        return self.record.summary

    @property
    def tables(self) -> Mapping[str, pl.DataFrame]:
        """The tables, as a run's folder has them."""
        return self.record.tables

    @property
    def journal_sha256(self) -> str:
        """The hash of the run."""
        return str(self.record.summary["journal_sha256"])


class Shown:
    """The traders of a single market, who decide as they would, and what they were shown, round by round.

    `play(config, traders=shown.asking)` lets them be asked.
    """

    def __init__(self) -> None:
        self.seen: list[Observation] = []
        self._port: TradersPort | None = None

    def asking(self, _: RunPlan, port: TradersPort) -> TradersPort:
        """Returns these traders, who from now on ask those of `port`."""
        self._port = port
        return self

    def decide(self, seen: Observation) -> Gathered:
        """Asks everybody."""
        if self._port is None:
            raise RuntimeError("there is nobody to ask: give play() the method `asking`")
        self.seen.append(seen)
        return self._port.decide(seen)


def play(
    config: RunConfig,
    *watchers: Watcher,
    runs_on: RunsOn = IN_THIS_PROCESS,
    journals_in: Path | None = None,
    plan: WorldPlan | None = None,
    clients: Mapping[str, ModelClient] | None = None,
    traders: Callable[[RunPlan, AskableTraders], TradersPort] = lambda _, port: port,
    new_market: NewMarket = Market,
    narrator: Narrator = SILENT,
    stop: Callable[[], bool] = never,
    clock: Callable[[], float] = perf_counter,
    hands: Sequence[Party] = (),
) -> Played:
    """Plays a config to its end, or until `stop` says so, without a folder; in this process, unless told otherwise.

    `plan` is played in place of the config's own: one that forks, say. `clients` are asked in place of the config's
    models, and `traders` may put others in the place of a market's own. `new_market` makes the markets of this process.
    `journals_in` is a folder that keeps the journals, as a run's folder does. `clock` tells seconds, and times rounds.
    `hands` are parties beside those of the config.
    """
    plan = plan or compose(config)
    folder = RunFolder(journals_in) if journals_in else None
    # [markets] paths, or None for journals that are kept in memory.
    journals = [folder.market(name).journal if folder else None for name in plan.names]
    for journal in journals:
        if journal is not None:
            journal.parent.mkdir(parents=True, exist_ok=True)
    recorder = WorldRecorder()

    def parties(now: WorldPlan) -> Sequence[Party]:
        return of_run(now.run.config_record, now.run.seed, hands=hands)

    with open_ports(config, plan, runs_on, journals, narrator, stop, clients, new_market) as ports:
        seats = [(port.market, traders(own, port.traders)) for own, port in zip(plan.markets, ports, strict=True)]
        watching = (recorder, *watchers)
        world = World(plan, seats, watching, parties, clock)
        rounds = world.play(stop)
        closings = [port.market.close() for port in ports]
        extra = {"finished": rounds == plan.last.run.rounds, "runs_on": str(runs_on), **told(ports, closings)}
    # After the ports are closed, since only then a journal's hash is final.
    record = recorder.finish(closings, extra)
    return Played(plan, rounds, record, tuple(port.market for port in ports))
