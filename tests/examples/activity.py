"""An example of a facet: how many traders traded in each round, with its table, its summary and its section."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from swarm.market.orders import Int64
from swarm.report.parts import SectionPlugin, Table
from swarm.scenarios.protocol import MarketState
from swarm.simulation.facets.protocol import Columns, Kept, Tables
from swarm.simulation.loop import RoundOutcome
from swarm.simulation.plan import RunPlan
from swarm.simulation.record import RunRecord


class Activity:
    """Counts, round by round, who bought or sold anything."""

    name = "activity"

    def __init__(self) -> None:
        self._columns = Columns()
        self._ever = np.empty(0, dtype=np.int64)

    def started(self, plan: RunPlan, opening: MarketState, named: Int64) -> None:
        """Begin with nobody."""

    def round_done(self, outcome: RoundOutcome) -> None:
        """Keep a row."""
        trades = outcome.cleared.trades
        active = np.union1d(trades.buyer, trades.seller)
        self._ever = np.union1d(self._ever, active)
        self._columns.add({"round": np.array([outcome.round]), "active_traders": np.array([len(active)])})

    def tables(self) -> Kept:
        """Returns the table `activity`."""
        return {"activity": self._columns.table()}

    def summary(self, tables: Tables) -> Mapping[str, Any]:
        """Returns how many traders ever traded."""
        return {"ever_active_traders": len(self._ever)}


def activity(record: RunRecord) -> tuple[Table, ...]:
    """Returns a table of the rounds; nothing of a run that was recorded without the facet."""
    if "activity" not in record.tables:
        return ()
    rows = tuple((str(round_), str(active)) for round_, active in record.tables["activity"].iter_rows())
    caption = f"In all rounds together, {record.summary['ever_active_traders']} traders bought or sold."
    return (Table("Who trades", caption, ("round", "traders who traded"), rows),)


FACET = Activity
SECTION = SectionPlugin("activity", "Activity", activity)
