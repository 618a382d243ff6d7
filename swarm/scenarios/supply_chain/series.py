"""Reads customers' demand from a table of text; gaps, fractions and unknown nodes are refused by row and name."""

import numpy as np

from swarm.scenarios.supply_chain.cells import CellsError, read_cells, whole
from swarm.scenarios.supply_chain.network import Int64, Network
from swarm.scenarios.supply_chain.table import MAX_NUMBER

KEY = "scenario.series"


class SeriesError(ValueError):
    """A row of a series that cannot be demand."""


def read_series(text: str, network: Network) -> Int64:
    """Returns [rounds, nodes] units; SeriesError names the first row that is wrong."""
    try:
        rows = read_cells(text)
    except CellsError as error:
        raise SeriesError(f"row {error.row or 1}: {error}") from None
    head = rows[0][1] if rows else []
    if head[:1] != ["round"]:
        raise SeriesError("row 1: expected a column 'round' first, then one for each node that sells to customers")
    selling = [name for name, sells in zip(network.names, network.sells.tolist(), strict=True) if sells]
    for name in head[1:]:
        if name not in selling or head.count(name) > 1:
            why = "stands there twice" if head.count(name) > 1 else "is no node that sells to customers"
            raise SeriesError(f"row 1: {name!r} {why}; known: {', '.join(selling[:8])}")
    if missing := [name for name in selling if name not in head]:
        raise SeriesError(f"row 1: there is no column for {missing[0]!r}, which sells to customers")
    # [rounds, nodes]; nodes that sell to nobody stay at 0.
    units = np.zeros((len(rows) - 1, len(network)), dtype=np.int64)
    column = [network.names.index(name) for name in head[1:]]
    if not len(units):
        raise SeriesError("row 2: expected the demand of round 1, and there is no row")
    for index, (number, row) in enumerate(rows[1:]):
        if row[0] != str(index + 1):
            raise SeriesError(f"row {number}: expected round {index + 1}, got {row[0][:20]!r}: rounds have no gaps")
        if any(row[len(head) :]):
            raise SeriesError(f"row {number}: it has {len(row)} cells, and the first row {len(head)} columns")
        for node, name, asked in zip(column, head[1:], [*row[1:], *[""] * len(column)], strict=False):
            units[index, node] = _units(asked, number, name)
    return units


def _units(text: str, row: int, name: str) -> int:
    if not text:
        raise SeriesError(f"row {row} ({name}): there is a gap; write 0 where nobody asked for anything")
    units = whole(text)
    if units is None or not 0 <= units <= MAX_NUMBER:
        raise SeriesError(f"row {row} ({name}): expected whole units from 0 to {MAX_NUMBER:,}, got {text[:20]!r}")
    return units


def classic(network: Network) -> Int64:
    """Returns the beer game's customers: four cases a week, and eight from the fifth on."""
    weeks = np.array([4, 4, 4, 4, 8], dtype=np.int64)
    return np.where(network.sells[None, :], weeks[:, None], 0)
