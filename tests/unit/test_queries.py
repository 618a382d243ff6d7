"""Queries over a run: those of the page run, tables made in a replay agree with the others, mistakes are named."""

import json
import re
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

import swarm
from swarm.cli import app
from swarm.config_file import resolve
from swarm.errors import ConfigError, OutputError
from swarm.planning import composed
from swarm.runtime.ports import RunsOn
from swarm.runtime.run import Session
from swarm.simulation.folder import RunFolder
from swarm.simulation.traces import TABLES, queried, traces

PAGE = Path(__file__).parents[2] / "docs" / "queries.md"
QUERIES = re.findall(r"```sql\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
ROUNDS = 3
CONFIG = {
    "seed": 5,
    "rounds": ROUNDS,
    "population": 10,
    "models": [{"name": "value", "temperament": "value", "fault_rate": 0.3}],
    "traders": {"minds": {"value": 2, "zip": 1}},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    made = RunFolder(tmp_path_factory.mktemp("runs") / "run")
    Session(RunsOn(local=True), made, report=False).execute(resolve(CONFIG))
    return made


def test_each_query_of_the_page_runs(folder: RunFolder) -> None:
    assert len(QUERIES) > 9
    for sql in QUERIES:
        assert queried(folder, composed, sql).columns, sql


def test_the_tables_of_a_replay_agree_with_those_of_the_folder(folder: RunFolder) -> None:
    made, tables = traces(folder.journals, composed, frozenset(TABLES)), folder.read_record().tables
    calls = made["calls"]
    assert calls["missing"].null_count() == calls.height > 0
    assert calls["prompt"].null_count() == 0
    assert calls["prompt_tokens"].sum() == tables["decisions"]["prompt_tokens"].sum()
    refused = made["orders"].filter(pl.col("refused").is_not_null())
    assert refused.height == sum(folder.read_record().summary["order_rejections"].values())
    # The last round's lines are heard by nobody, so that the summary does not count them.
    heard = made["messages"].filter(pl.col("round") < ROUNDS)
    assert heard.height == folder.read_record().summary["messages"]["said"]


def test_all_tables_are_shown_and_a_killed_run_is_told(folder: RunFolder, tmp_path: Path) -> None:
    assert set(TABLES) < set(queried(folder, composed, "SHOW TABLES")["name"])
    killed = RunFolder(tmp_path / "killed")
    killed.path.mkdir()
    for path in (killed.config, killed.journal):
        path.write_bytes((folder.path / path.name).read_bytes())
    with pytest.raises(OutputError, match=r"summary\.json is not there.*--resume") as refused:
        queried(killed, composed, "SELECT 1")
    assert "Errno" not in str(refused.value)


def test_a_wrong_query_is_told_in_a_line_with_the_tables(folder: RunFolder) -> None:
    for sql in ("SELECT * FROM nothing", "SELEC", "SELECT nope FROM trades"):
        with pytest.raises(ConfigError, match="tables of this run: calls") as error:
            queried(folder, composed, sql)
        assert error.value.key == "SQL"


def test_the_command_prints_a_table_or_json(folder: RunFolder) -> None:
    asked = ["query", str(folder.path), "SELECT COUNT(*) AS n FROM trades"]
    told = CliRunner().invoke(app, asked).output
    (row,) = json.loads(CliRunner().invoke(app, [*asked, "--json"]).output)
    assert told.split() == ["n", str(row["n"])]


@pytest.mark.parametrize(
    "sql", ["DROP TABLE trades", "/* a */ -- b\n delete FROM trades", "create table x as SELECT 1"]
)
def test_a_query_that_would_change_something_is_refused(folder: RunFolder, sql: str) -> None:
    with pytest.raises(ConfigError, match="would change") as error:
        queried(folder, composed, sql)
    assert error.value.key == "SQL"


def test_numbers_that_json_does_not_have_are_null(folder: RunFolder) -> None:
    sql = "SELECT CAST('inf' AS DOUBLE) AS a, CAST('nan' AS DOUBLE) AS b, 0.5 AS c"
    assert json.loads(CliRunner().invoke(app, ["query", str(folder.path), sql, "--json"]).output) == [
        {"a": None, "b": None, "c": 0.5}
    ]


def test_a_long_table_says_what_it_leaves_out(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("swarm.commands.traces.MOST_ROWS", 2)
    asked = ["query", str(folder.path), "SELECT trader FROM traders"]
    shown = CliRunner().invoke(app, asked)
    rows = len(json.loads(CliRunner().invoke(app, [*asked, "--json"]).output))
    assert rows > 2
    assert len(shown.stdout.splitlines()) == 3
    assert f"first 2 of {rows} rows" in shown.stderr


def test_a_row_that_is_wider_than_the_terminal_is_printed_column_by_column(folder: RunFolder) -> None:
    asked = ["query", str(folder.path), "SELECT * FROM trades LIMIT 2"]
    shown = CliRunner().invoke(app, asked).stdout
    rows = json.loads(CliRunner().invoke(app, [*asked, "--json"]).output)
    lines = [line.split() for line in shown.splitlines()]
    assert len(lines) == 2 * (1 + len(rows[0]))
    for name, value in rows[1].items():
        assert [name, str(value)] in lines


def test_a_query_that_finds_nothing_says_so(folder: RunFolder) -> None:
    asked = ["query", str(folder.path), "SELECT * FROM trades WHERE price_ticks < 0"]
    assert CliRunner().invoke(app, asked).stderr == "no rows\n"


def test_a_run_without_a_folder_says_so() -> None:
    played = swarm.play(CONFIG)
    with pytest.raises(OutputError, match="folder"):
        played.why(3, 2)
    with pytest.raises(OutputError, match="folder"):
        played.query("SELECT * FROM trades")
