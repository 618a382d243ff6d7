"""The protocol of a facet: one thing that is kept of a run, from round to table and summary; and its columns.

A facet watches the round loop like any watcher. It knows neither where its tables are written nor how they are shown.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import polars as pl

from swarm.market.orders import Int64
from swarm.market.records import narrow
from swarm.scenarios.protocol import MarketState
from swarm.simulation.long_tables import EndedTable, LongTable, as_texts
from swarm.simulation.loop import RoundOutcome
from swarm.simulation.plan import RunPlan

Tables = Mapping[str, pl.DataFrame]
Kept = Mapping[str, pl.DataFrame | EndedTable]
SHORT_PARTS = 256
"""How many parts of a table are put together at once, where a run has many rounds."""
ROWS_IN_MEMORY = 1 << 18
"""How many rows of a table wait in memory; these and all before them are then written to a file."""


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

    def tables(self) -> Kept:
        """Returns the tables of the rounds so far, by name."""
        ...

    def summary(self, tables: Tables) -> Mapping[str, Any]:
        """Returns the keys that the facet has in the summary; `tables` are those of all facets."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Words:
    """A column of few texts in many rows: row i has `names[index[i]]`."""

    names: Sequence[str]
    index: npt.NDArray[np.integer[Any]]

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, rows: npt.NDArray[Any]) -> "Words":
        return Words(self.names, self.index[rows])


class MindNumbers:
    """The numbers of the minds of a run, which stand for them in columns; `names` grows as plans bring more."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self._of: dict[int, tuple[RunPlan, Int64]] = {}

    def of(self, plan: RunPlan) -> Int64:
        """Returns the number of each trader's mind, [traders], worked out once for each plan."""
        # The plan is kept beside its numbers, so that no other one takes its id.
        if id(plan) not in self._of:
            self.names += sorted({*plan.minds} - {*self.names})
            number = {name: i for i, name in enumerate(self.names)}
            self._of[id(plan)] = plan, np.array([number[name] for name in plan.minds])
        return self._of[id(plan)][1]


class Columns:
    """Rows that come in parts, a mapping of arrays or words each, and become one table.

    Until then integers are kept as narrow as they are, and of a long run's table only the last rows are in memory.
    """

    def __init__(self) -> None:
        self._parts: list[Mapping[str, Any]] = []
        self._rows = self._short = 0
        self._long: LongTable | None = None

    def add(self, part: Mapping[str, Any]) -> None:
        """Adds the rows of a part; all parts have the same columns."""
        self._parts.append({key: _kept(values) for key, values in part.items()})
        self._short += 1
        # What an array takes beside its numbers would be most of a run of ten thousand rounds.
        if self._short == SHORT_PARTS and (joined := _joined(self._parts[-SHORT_PARTS:])) is not None:
            self._parts[-SHORT_PARTS:] = [joined]
        self._short %= SHORT_PARTS
        self._rows += len(next(iter(part.values()), ()))
        if self._rows >= ROWS_IN_MEMORY:
            self._long = self._long or LongTable()
            self._long.append(self._in_memory())
            self._parts, self._rows, self._short = [], 0, 0

    def table(self) -> pl.DataFrame | EndedTable:
        """Returns all rows; no number is a null."""
        rows = self._in_memory()
        return self._long.ended(rows) if self._long else as_texts(rows.lazy()).collect()

    def _in_memory(self) -> pl.DataFrame:
        """Returns the rows that are in memory, words as an Enum."""
        if not self._parts:
            return pl.DataFrame()
        # Put together once, at the end: a table that grows round by round would be copied each time.
        frame = pl.DataFrame([_series(key, [part[key] for part in self._parts]) for key in self._parts[0]])
        return frame.with_columns(pl.selectors.float().fill_nan(None))


def _kept(values: Any) -> Any:
    """Returns a part of a column in little space."""
    if isinstance(values, Words):
        return Words(values.names, narrow(values.index))
    if values.dtype == np.int64:
        return narrow(values)
    # An array of texts has room for the longest in every row.
    return pl.Series(values=values, dtype=pl.String) if values.dtype.kind == "U" else values


def _joined(parts: list[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """Returns several parts as one; None where their words differ."""
    joined: dict[str, Any] = {}
    for key, first in parts[0].items():
        columns = [part[key] for part in parts]
        if isinstance(first, Words):
            if any(column.names != first.names for column in columns):
                return None
            joined[key] = Words(first.names, narrow(np.concatenate([column.index for column in columns])))
        elif isinstance(first, pl.Series):
            joined[key] = pl.concat(columns, rechunk=True)
        else:
            joined[key] = np.concatenate(columns)
    return joined


def _series(key: str, parts: list[Any]) -> pl.Series:
    """Returns a whole column."""
    if isinstance(parts[0], Words):
        return _words(key, parts)
    if isinstance(parts[0], pl.Series):
        texts: pl.Series = pl.concat(parts)
        return texts.rename(key)
    whole = np.concatenate(parts)
    return pl.Series(key, whole.astype(np.int64) if np.issubdtype(whole.dtype, np.signedinteger) else whole)


def _words(key: str, parts: list[Words]) -> pl.Series:
    """Returns words as an Enum, which is written to a file in less CPU than texts; parts may differ in their names."""
    number: dict[str, int] = {}
    # Most parts have the same names: their numbers are looked up once.
    of: dict[tuple[str, ...], npt.NDArray[np.uint32]] = {}
    keys = [tuple(part.names) for part in parts]
    for names in dict.fromkeys(keys):
        of[names] = np.array([number.setdefault(name, len(number)) for name in names], dtype=np.uint32)
    whole = np.concatenate([of[names][part.index] for names, part in zip(keys, parts, strict=True)])
    return pl.Series(key, list(number), dtype=pl.Enum(list(number))).gather(whole)


def markets(outcome: RoundOutcome) -> tuple[RoundOutcome, ...]:
    """Returns the round market by market, where a traveller may have another mind than at home."""
    return outcome.of or (outcome,)


def total(table: pl.DataFrame, column: str) -> int:
    """Returns the sum of a column's known numbers; 0 where the table has no rows."""
    return int(table[column].sum()) if column in table.columns else 0


def known(table: pl.DataFrame, column: str) -> Any:
    """Returns a column's known numbers as an array."""
    return table[column].drop_nulls().to_numpy() if column in table.columns else np.empty(0)
