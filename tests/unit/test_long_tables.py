"""Tables of long runs: their rows lie in files, and nobody who reads them can tell."""

import json
import tempfile
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from swarm import temporary
from swarm.config_file import resolve
from swarm.errors import OutputError
from swarm.report import aggregates
from swarm.runtime.ports import IN_THIS_PROCESS
from swarm.runtime.run import Session
from swarm.simulation.facets import protocol
from swarm.simulation.facets.protocol import Columns, Words
from swarm.simulation.folder import RunFolder
from swarm.simulation.long_tables import EndedTable, LongTable, Tables

CONFIG = {
    "rounds": 12,
    "population": 40,
    "models": [{"name": "scripted", "temperament": "value"}],
    "traders": {"minds": {"scripted": 1, "zi_c": 2, "zip": 1}},
}


def _run(folder: Path, monkeypatch: pytest.MonkeyPatch, rows: int) -> RunFolder:
    """Play CONFIG with at most so many rows of a table in memory."""
    monkeypatch.setattr(protocol, "ROWS_IN_MEMORY", rows)
    return Session(IN_THIS_PROCESS, RunFolder(folder), report=False).execute(resolve(CONFIG)).folder


def test_a_run_whose_tables_lie_in_files_is_the_same_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    in_memory = _run(tmp_path / "short", monkeypatch, 1_000_000)
    in_files = _run(tmp_path / "long", monkeypatch, 50)
    first, second = in_memory.read_record(), in_files.read_record()
    assert first.tables.keys() == second.tables.keys()
    for name in first.tables:
        timed = [column for column in first.tables[name].columns if column.endswith("_s")]
        assert_frame_equal(first.tables[name].drop(timed), second.tables[name].drop(timed))
    for key in ("trades", "tokens", "quality", "wealth", "journal_sha256"):
        assert json.dumps(first.summary[key]) == json.dumps(second.summary[key]), key


def test_what_a_report_shows_is_the_same_for_a_long_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = _run(tmp_path / "run", monkeypatch, 1_000_000).read_record()
    profits, traded = aggregates.profits(record), aggregates.traded_value(record, "mind")
    # The same record, its tables in files and its traders taken a few at a time.
    record.made.clear()
    monkeypatch.setattr(aggregates, "ROWS_AT_ONCE", 50)
    kept: dict[str, pl.DataFrame | EndedTable] = dict(record.tables)
    for name in ("traders", "trades", "decisions"):
        long = LongTable()
        for part in record.tables[name].iter_slices(30):
            long.append(part)
        kept[name] = long.ended(pl.DataFrame())
    long_record = type(record)(record.summary, Tables(kept))
    assert_frame_equal(profits, aggregates.profits(long_record))
    assert_frame_equal(traded, aggregates.traded_value(long_record, "mind"))
    assert aggregates.errors_by_mind(record) == aggregates.errors_by_mind(long_record)
    for chart in (aggregates.wealth_gini, aggregates.turns_by_mind):
        assert_frame_equal(chart(record), chart(long_record))
    assert_frame_equal(
        aggregates.spread(record, "wealth_cents", 100), aggregates.spread(long_record, "wealth_cents", 100)
    )


def test_few_rows_of_a_table_are_in_memory_and_all_are_there_in_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "ROWS_IN_MEMORY", 100)
    columns, short = Columns(), []
    for round_ in range(37):
        # A part's numbers need one byte or eight, and its words differ from those before.
        numbers = np.arange(17) + round_ * 10**15 * (round_ % 2)
        words = Words([f"kind {round_}", "other"], np.arange(17) % 2)
        columns.add({"round": np.full(17, round_), "number": numbers, "word": words, "share": np.full(17, np.nan)})
        short += [(round_, int(n), words.names[int(i)], None) for n, i in zip(numbers, words.index, strict=True)]
        assert sum(len(part["round"]) for part in columns._parts) < 100
    table = columns.table()
    assert isinstance(table, EndedTable)
    assert table.scan().collect().rows() == short


@pytest.mark.parametrize("rows", [7, 1_000])
def test_words_lie_in_files_as_numbers_and_are_texts_to_who_reads_them(
    monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    monkeypatch.setattr(protocol, "ROWS_IN_MEMORY", rows)
    columns = Columns()
    # Names may come twice, in another order, and more of them later.
    for names in (["fox", "owl", "fox"], ["owl", "fox", "a badger with a long name"], ["owl", "fox", "fox"]):
        columns.add({"word": Words(names, np.array([2, 0, 1, 2]))})
    table = columns.table()
    if isinstance(table, EndedTable):
        [lying] = table._owner._files
        assert isinstance(pl.scan_parquet(lying).collect_schema()["word"], pl.Enum)
        table = table.scan().collect()
    assert table.schema == {"word": pl.String}
    assert table["word"].to_list() == [
        *("fox", "fox", "owl", "fox"),
        *("a badger with a long name", "owl", "fox", "a badger with a long name"),
        *("fox", "owl", "fox", "fox"),
    ]


def test_a_full_disk_is_named_with_what_helps(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pl.DataFrame, "write_parquet", full)
    with pytest.raises(OutputError, match="TMPDIR"):
        LongTable().append(pl.DataFrame({"x": [1]}))


def test_what_a_killed_process_left_of_a_table_goes_with_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    killed = tmp_path / f"{temporary.PREFIX}table-killed"
    killed.mkdir()
    (killed / temporary.LOCK).touch()
    table = LongTable()
    [own] = tmp_path.iterdir()
    assert own != killed
    del table
    assert not own.exists()


def test_a_temporary_folder_that_is_gone_is_named_with_what_helps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    with pytest.raises(OutputError, match="TMPDIR"):
        LongTable()


def test_a_temporary_folder_of_any_name_is_read_or_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    odd = tmp_path / "a [x] *?{1,2}"
    odd.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(odd))
    table = LongTable()
    table.append(pl.DataFrame({"x": [1]}))
    assert table.ended(pl.DataFrame({"x": [2]})).scan().collect()["x"].to_list() == [1, 2]
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "\udcff"))
    with pytest.raises(OutputError, match="TMPDIR"):
        LongTable()
