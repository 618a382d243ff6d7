"""Every command that prints a result prints it as JSON when asked, and nothing else on that stream."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

import swarm
from swarm.cli import app
from swarm.errors import ReplayMismatch

CONFIG = str(Path(__file__).parents[2] / "configs" / "wood-scripted.yaml")
SMALL = ("--set", "rounds=2", "--set", "population=8")

SERVERS = {"fake-model", "monitor"}
"""Commands that serve until they are ended and come to nothing."""

GROUPS = {"", "bench", "dashboards"}
"""Names that do nothing by themselves."""


def commands() -> Iterator[tuple[str, Any]]:
    """All commands by name, those of groups included."""

    def below(name: str, command: Any) -> Iterator[tuple[str, Any]]:
        yield name, command
        for own, child in getattr(command, "commands", {}).items():
            yield from below(f"{name} {own}".strip(), child)

    yield from below("", typer.main.get_command(app))


def test_every_command_that_prints_a_result_takes_json() -> None:
    names = dict(commands())
    assert {"run", "models", "models check", "bench round", "sweep"} <= names.keys()
    lacking = {
        name
        for name, command in names.items()
        if not any("--json" in getattr(parameter, "opts", ()) for parameter in command.params)
    }
    assert lacking == SERVERS | GROUPS


def answer(*words: str, status: int = 0) -> Any:
    """What a command prints, which must be JSON as a whole."""
    found = CliRunner().invoke(app, list(words), catch_exceptions=False)
    assert found.exit_code == status, found.output
    return json.loads(found.stdout)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("json") / "run"
    swarm.run(CONFIG, changes={"rounds": 2, "population": 8}, out=path)
    return path


def test_a_run_and_its_ends(folder: Path, tmp_path: Path) -> None:
    ran = answer("run", CONFIG, *SMALL, "--local", "--out", str(tmp_path / "run"), "--json")
    assert (ran["finished"], ran["folder"]) == (True, str(tmp_path / "run"))
    assert ran["summary"] == json.loads((tmp_path / "run" / "summary.json").read_text())
    assert answer("run", "--resume", str(folder), "--json")["untouched"]
    forked = answer("fork", str(folder), "--at-round", "1", "--out", str(tmp_path / "fork"), "--seed", "9", "--json")
    assert forked["summary"]["forks"]
    assert answer("replay", str(folder), "--rebuild", "--json")["journal_sha256"] == ran["summary"]["journal_sha256"]
    assert answer("report", str(folder), "--json")["report"] == str(folder / "report.html")


def test_a_replay_that_does_not_hold_is_an_error_and_no_json(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    swarm.run(CONFIG, changes={"rounds": 2, "population": 8}, seed=99, out=other)
    (other / "summary.json").write_bytes((folder / "summary.json").read_bytes())
    found = CliRunner().invoke(app, ["replay", str(other), "--json"])
    assert isinstance(found.exception, ReplayMismatch)
    assert not found.stdout


def test_what_looks_into_runs(folder: Path, tmp_path: Path) -> None:
    (why,) = answer("why", str(folder), "--trader", "3", "--round", "1", "--json")
    assert why["trader"] == 3
    rows = answer(
        "query", str(folder), "SELECT 1.5 AS a, CAST(1 AS DOUBLE) / 0 AS b, good FROM trades LIMIT 1", "--json"
    )
    assert (rows[0]["a"], rows[0]["b"]) == (1.5, None)
    assert answer("runs", "--in", str(folder.parent), "--json")[0]["state"] == "finished"
    assert answer("compare", str(folder), str(folder), "--json")["first_round_that_differs"] is None
    swept = answer("sweep", CONFIG, *SMALL, "--seeds", "1", "--jobs", "1", "--out", str(tmp_path / "sweep"), "--json")
    assert swept["runs"] == 1


def test_what_looks_at_setups(tmp_path: Path) -> None:
    checked = answer("validate", CONFIG, "--explain", "--json")
    assert checked["valid"]
    assert checked["resolved"]["scenario"]["name"] == "wood"
    assert any(key["key"] == "rounds" for key in checked["keys"])
    assert any(one["name"] == "wood" for one in answer("scenarios", "--json"))
    assert any("zip" in one["mind"] for one in answer("models", "--json"))
    assert answer("models", "check", CONFIG, "--json")["warnings"] == []
    assert any(one["part"] == "Python" for one in answer("doctor", "--json"))
    built = answer("dashboards", "build", str(tmp_path), "--json")
    assert (built["written"], sorted(built["dashboards"])) == (True, sorted(path.stem for path in tmp_path.iterdir()))
    assert answer("dashboards", "build", str(tmp_path / "none"), "--check", "--json", status=1)["differing"]


def test_a_benchmark_prints_the_form_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    from swarm.bench import recovery
    from swarm.bench.form import Result

    results = [Result("figure", 1.0, "s", "lower")]
    monkeypatch.setattr(recovery, "measure", lambda progress: results)
    said = answer("bench", "recovery", "--json", "-")
    assert (said["bench"], said["results"][0]["value"]) == ("recovery", 1.0)
