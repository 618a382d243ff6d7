"""Keeps a record of a run: the facets that watch it, and the tables and the summary that they make.

Tables are Parquet files, one row per thing that happened. Prices are in ticks, cash and wealth in cents, quantities in
lots, durations in seconds; what nobody knows is null. What is kept, each facet says for itself.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from swarm.market.orders import Int64
from swarm.scenarios.protocol import MarketState
from swarm.simulation import facets
from swarm.simulation.facets.protocol import Facet
from swarm.simulation.long_tables import EndedTable, Tables, scan
from swarm.simulation.loop import RoundOutcome
from swarm.simulation.market import MarketClosing
from swarm.simulation.plan import RunPlan

TABLES = ("prices", "trades", "traders", "decisions", "tokens", "rounds", "steps")
"""The tables that every run has."""
REGION_TABLES = ("regions", "road")
"""Tables that a run of several regions has besides."""


@dataclass(frozen=True, slots=True)
class RunRecord:
    """The record of a finished or interrupted run; `regions` has one of each of several markets."""

    summary: dict[str, Any]
    tables: Mapping[str, pl.DataFrame]
    regions: "Mapping[str, RunRecord]" = field(default_factory=dict)
    made: dict[str, pl.DataFrame] = field(default_factory=dict, repr=False, compare=False)
    """What readers have made of the tables that others need, too, by name."""

    def scan(self, name: str) -> pl.LazyFrame:
        """Returns a table, of which rows and columns are read that are needed once it is collected."""
        return scan(self.tables, name)


class Recorder:
    """A watcher that lets every facet keep its part of a run."""

    def __init__(self) -> None:
        self.facets: tuple[Facet, ...] = facets.made()
        self.rounds_done = 0

    def started(self, plan: RunPlan, opening: MarketState, named: Int64) -> None:
        """Keeps what the run began with."""
        for facet in self.facets:
            facet.started(plan, opening, named)

    def round_done(self, outcome: RoundOutcome) -> None:
        """Keeps one round."""
        self.rounds_done = outcome.round
        for facet in self.facets:
            facet.round_done(outcome)

    def finish(self, closing: MarketClosing, extra: Mapping[str, Any]) -> RunRecord:
        """Returns the record of all rounds so far; `extra` is what only the caller knows."""
        # All tables first: a facet's summary may be made of another one's table.
        kept: dict[str, pl.DataFrame | EndedTable] = {}
        for facet in self.facets:
            kept |= facet.tables()
        tables = Tables(kept)
        summary: dict[str, Any] = {}
        for facet in self.facets:
            summary |= facet.summary(tables)
        summary |= {
            "journal_sha256": closing.journal_sha256,
            "journal": {
                "frames": closing.journal.frames,
                "bytes": closing.journal.bytes,
                "syncs": closing.journal.syncs,
                "sync_s": round(closing.journal.sync_s, 6),
                "snapshots": closing.snapshots.written,
                "market_began_after_round": closing.snapshots.began_after_round,
            },
        }
        return RunRecord({**summary, **extra}, tables)
