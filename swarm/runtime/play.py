"""Plays a config to its end without a folder, for tests, benchmarks and training."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from swarm.config import RunConfig
from swarm.llm.protocol import ModelClient
from swarm.planning import compose
from swarm.preflight import Narrator
from swarm.runtime.ports import IN_THIS_PROCESS, RunsOn, open_ports
from swarm.runtime.run import SILENT
from swarm.simulation.folder import RunFolder
from swarm.simulation.loop import Watcher
from swarm.simulation.market import MarketPort
from swarm.simulation.parties import of_run
from swarm.simulation.plan import RunPlan, WorldPlan
from swarm.simulation.record import RunRecord
from swarm.simulation.traders import TradersPort
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


def play(
    config: RunConfig,
    *watchers: Watcher,
    runs_on: RunsOn = IN_THIS_PROCESS,
    journals_in: Path | None = None,
    clients: Mapping[str, ModelClient] | None = None,
    traders: Callable[[RunPlan, TradersPort], TradersPort] = lambda _, port: port,
    narrator: Narrator = SILENT,
    stop: Callable[[], bool] = never,
) -> Played:
    """Plays a config to its end, or until `stop` says so, without a folder; in this process, unless told otherwise.

    `clients` are asked in place of the config's models, and `traders` may put others in the place of a market's own.
    `journals_in` is a folder that keeps the journals, as a run's folder does.
    """
    plan = compose(config)
    folder = RunFolder(journals_in) if journals_in else None
    # [markets] paths, or None for journals that are kept in memory.
    journals = [folder.market(name).journal if folder else None for name in plan.names]
    for journal in journals:
        if journal is not None:
            journal.parent.mkdir(parents=True, exist_ok=True)
    recorder = WorldRecorder()
    with open_ports(config, plan, runs_on, journals, narrator, stop, clients) as ports:
        seats = [(port.market, traders(own, port.traders)) for own, port in zip(plan.markets, ports, strict=True)]
        world = World(plan, seats, (recorder, *watchers), lambda now: of_run(now.run.config_record, now.run.seed))
        rounds = world.play(stop)
        closings = [port.market.close() for port in ports]
    # After the ports are closed, since only then a journal's hash is final.
    record = recorder.finish(closings, {"finished": rounds == plan.last.run.rounds})
    return Played(plan, rounds, record, tuple(port.market for port in ports))
