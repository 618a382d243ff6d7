"""Holds tables that are too long for memory: all but their last rows lie in files until the run is over.

The files are in a folder of the system's for temporary files (TMPDIR), which goes with the table, with its process, or,
where that was killed, with the next one that has such a table.
"""

import weakref
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import gettempdir

import polars as pl

from swarm import temporary
from swarm.errors import OutputError


class LongTable:
    """The rows of one table, in files of so many each, and none, or the last ones, behind them in memory."""

    def __init__(self) -> None:
        try:
            root = Path(gettempdir())
            temporary.clear(root)
            # Polars reads no path that is not UTF-8.
            root.as_posix().encode()
            self._folder = Path(temporary.new("table", root))
        except (OSError, UnicodeEncodeError) as error:
            raise _unwritable("TMPDIR", error) from error
        self._files: list[Path] = []
        # Also at the end of the process.
        weakref.finalize(self, temporary.remove, str(self._folder))

    def append(self, frame: pl.DataFrame) -> None:
        """Writes rows behind those that there are; OutputError where the disk is full, say."""
        path = self._folder / f"{len(self._files)}.parquet"
        try:
            # They are read once or twice, from this disk: what is fastest to write is best.
            frame.write_parquet(path, compression="lz4", statistics=False)
        except (OSError, pl.exceptions.PolarsError) as error:
            raise _unwritable(str(path), error) from error
        self._files.append(path)

    def ended(self, last: pl.DataFrame) -> "EndedTable":
        """Returns the table with `last` behind it."""
        return EndedTable(self, [pl.scan_parquet(path, glob=False) for path in self._files], last)


def _unwritable(where: str, error: Exception) -> OutputError:
    return OutputError(f"{where}: rows of a table cannot be written ({error}); set TMPDIR to a folder with more room")


class EndedTable:
    """A long table as it stood at some time, which is read where it is needed and never as one."""

    def __init__(self, owner: LongTable, files: list[pl.LazyFrame], last: pl.DataFrame) -> None:
        # The files are there as long as their owner is.
        self._owner = owner
        self._files = files
        self._last = last

    def scan(self) -> pl.LazyFrame:
        """Returns all rows, which are read when they are collected; words are texts."""
        parts = [*self._files, self._last.lazy()] if self._last.height else self._files
        # Files may have other words than those before them.
        return pl.concat([as_texts(part) for part in parts], how="vertical_relaxed")


def as_texts(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Returns rows whose words, which wait as an Enum, are texts."""
    # A cast makes each text anew, which takes ten times as long.
    return rows.with_columns(pl.selectors.enum().map_batches(_texts, return_dtype=pl.String, is_elementwise=True))


def _texts(words: pl.Series) -> pl.Series:
    if not isinstance(words.dtype, pl.Enum):
        return words
    return words.dtype.categories.gather(words.to_physical()).alias(words.name)


class Tables(Mapping[str, pl.DataFrame]):
    """The tables of a run by name; a long one is read anew each time that it is asked for, and `scan` reads parts."""

    def __init__(self, tables: Mapping[str, pl.DataFrame | EndedTable]) -> None:
        self._tables = dict(tables)

    def __getitem__(self, name: str) -> pl.DataFrame:
        found = self._tables[name]
        return found.scan().collect() if isinstance(found, EndedTable) else found

    def __iter__(self) -> Iterator[str]:
        return iter(self._tables)

    def __len__(self) -> int:
        return len(self._tables)

    def scan(self, name: str) -> pl.LazyFrame:
        """Returns a table whose rows are read when they are collected, and then only the columns that are needed."""
        found = self._tables[name]
        return found.scan() if isinstance(found, EndedTable) else found.lazy()


def scan(tables: Mapping[str, pl.DataFrame], name: str) -> pl.LazyFrame:
    """Returns a table of a run's, long or not, as `Tables.scan` does."""
    return tables.scan(name) if isinstance(tables, Tables) else tables[name].lazy()


def columns(tables: Mapping[str, pl.DataFrame], name: str, *wanted: str) -> pl.DataFrame:
    """Returns some columns of a table; none of a table that has none, since it has no rows."""
    found = scan(tables, name)
    return found.select(set(found.collect_schema()) & {*wanted}).collect()
