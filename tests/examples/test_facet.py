"""The example of a facet: it is kept, written, shown and replayed without a line of ours that knows it."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from swarm.config_file import resolve
from swarm.planning import composed
from swarm.plugins import VARIABLE
from swarm.report.page import render
from swarm.runtime.ports import RunsOn
from swarm.runtime.run import Session
from swarm.simulation.folder import RunFolder
from swarm.simulation.record import Recorder
from swarm.simulation.replay import replay

CONFIG: dict[str, Any] = {"rounds": 10, "population": 15, "traders": {"minds": {"zip": 1}}}


def test_a_facet_is_kept_shown_and_replayed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without = Session(RunsOn(local=True), RunFolder(tmp_path / "without"), report=False).execute(resolve(CONFIG))
    monkeypatch.setenv(VARIABLE, "tests.examples.activity")
    folder = RunFolder(tmp_path / "run")
    record = Session(RunsOn(local=True), folder, report=False).execute(resolve(CONFIG)).record
    assert record.summary["journal_sha256"] == without.record.summary["journal_sha256"]
    table = record.tables["activity"]
    assert table["round"].to_list() == list(range(1, 11))
    trades = record.tables["trades"]
    for round_, active in table.iter_rows():
        rows = trades.filter(pl.col("round") == round_)
        assert active == len({*rows["buyer"].to_list(), *rows["seller"].to_list()})
    assert 0 < record.summary["ever_active_traders"] <= 15
    again = Recorder()
    closing = replay(folder.journal, composed, (again,)).closing
    assert again.finish(closing, {}).tables["activity"].equals(table)
    read = folder.read_record()
    assert read.tables["activity"].equals(table)
    assert "traders bought or sold" in render(read)
    assert "traders bought or sold" not in render(without.record)
