"""The protocol of a facet: one thing that is kept of a run, from round to table and summary; and its columns.

A facet watches the round loop like any watcher. It knows neither where its tables are written nor how they are shown.
"""

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import polars as pl

from swarm.market.orders import Int64
from swarm.scenarios.protocol import MarketState
from swarm.simulation.loop import RoundOutcome
from swarm.simulation.plan import RunPlan

Tables = Mapping[str, pl.DataFrame]


class Facet(Protocol):
    """One thing that is kept of a run."""

    @property
    def name(self) -> str:
        """What is kept."""
        ...

    def started(self, plan: RunPlan, opening: MarketState, named: Int64) -> None:
        """Takes note that the run begins under this plan, which knows its forks, with these balances."""
        ...

    def round_done(self, outcome: RoundOutcome) -> None:
        """Keeps one round, under the plan that held in it."""
        ...

    def tables(self) -> Tables:
        """Returns the tables of the rounds so far, by name."""
        ...

    def summary(self, tables: Tables) -> Mapping[str, Any]:
        """Returns the keys that the facet has in the summary; `tables` are those of all facets."""
        ...


class Columns:
    """Rows that come in parts, a mapping of arrays each, and become one table."""

    def __init__(self) -> None:
        self._parts: list[Mapping[str, Any]] = []

    def add(self, part: Mapping[str, Any]) -> None:
        """Adds the rows of a part; all parts have the same columns."""
        self._parts.append(part)

    def table(self) -> pl.DataFrame:
        """Returns all rows; no number is a null."""
        if not self._parts:
            return pl.DataFrame()
        # Put together once, at the end: a table that grows round by round would be copied each time.
        frame = pl.DataFrame({key: np.concatenate([part[key] for part in self._parts]) for key in self._parts[0]})
        return frame.with_columns(pl.selectors.float().fill_nan(None))


def markets(outcome: RoundOutcome) -> tuple[RoundOutcome, ...]:
    """Returns the round market by market, where a traveller may have another mind than at home."""
    return outcome.of or (outcome,)


def total(table: pl.DataFrame, column: str) -> int:
    """Returns the sum of a column's known numbers; 0 where the table has no rows."""
    return int(table[column].sum()) if column in table.columns else 0


def known(table: pl.DataFrame, column: str) -> Any:
    """Returns a column's known numbers as an array."""
    return table[column].drop_nulls().to_numpy() if column in table.columns else np.empty(0)
