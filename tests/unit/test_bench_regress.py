"""The comparison of the README's figures with those that are committed."""

import json
from pathlib import Path
from typing import Any

import pytest

from swarm.bench import form, regress
from swarm.bench.regress import COMMITTED, TOLERANCE, compared, merged, table
from swarm.bench.table import TEN
from swarm.errors import ConfigError

ROOT = Path(__file__).parents[2]


def written(folder: Path, changes: dict[str, Any]) -> Path:
    """A folder with the committed files, in which some figures have other values."""
    folder.mkdir()
    for file in (ROOT / COMMITTED).glob("*.json"):
        bench = json.loads(file.read_text(encoding="utf-8"))
        for result in bench["results"]:
            result["value"] = changes.get(result["name"], result["value"])
        (folder / file.name).write_text(json.dumps(bench), encoding="utf-8")
    return folder


def test_every_figure_of_the_readme_has_a_tolerance() -> None:
    assert set(TOLERANCE) == set(TEN)


def test_worse_is_up_or_down_as_the_figure_has_it(tmp_path: Path) -> None:
    before = {"cpu_ms_per_turn_1000": 0.4, "turns_per_s_1000": 1_000.0, "token_slope": 1.0, "kb_per_trader": 10.0}
    now = {"cpu_ms_per_turn_1000": 0.5, "turns_per_s_1000": 700.0, "token_slope": 0.9, "kb_per_trader": None}
    found = {one.name: one for one in compared(written(tmp_path / "before", before), written(tmp_path / "now", now))}
    assert found["cpu_ms_per_turn_1000"].worse == pytest.approx(0.25)
    assert found["turns_per_s_1000"].worse == pytest.approx(0.3)
    verdicts = {name: found[name].verdict for name in now}
    assert verdicts == {
        "cpu_ms_per_turn_1000": "WORSE",
        "turns_per_s_1000": "WORSE",
        "token_slope": "better",
        "kb_per_trader": "not measured",
    }
    assert found["round_s_100000"].verdict == "same"


@pytest.mark.parametrize("told", ["many", "0", "1.5", "", "100", "٣"])
def test_a_number_of_runs_that_is_none_is_refused_in_a_line(told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(form.RUNS_ENV, told)
    with pytest.raises(ConfigError, match="SWARM_BENCH_RUNS: expected a number of runs from 1 to 99"):
        form.runs()
    monkeypatch.setenv(form.RUNS_ENV, "3")
    assert form.runs() == 3


def test_the_table_has_a_line_for_each_figure_and_nothing_need_be_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr("sys.argv", ["regress", "--keep", str(tmp_path), "--only"])
    regress.main()
    told = capsys.readouterr().out
    assert told.strip() == table(compared(ROOT / COMMITTED, tmp_path))
    assert told.count("not measured") == len(TEN)


def test_runs_in_turns_are_put_together_by_their_medians() -> None:
    forms: list[dict[str, Any]] = [
        {"bench": "x", "results": [{"name": "a", "value": a, "unit": "s"}, {"name": "b", "value": None, "unit": "s"}]}
        for a in (3.0, 1.0, None, 2.0)
    ]
    assert merged(forms) == {
        "bench": "x",
        "results": [
            {"name": "a", "value": 2.0, "unit": "s", "runs": [3.0, 1.0, 2.0]},
            {"name": "b", "value": None, "unit": "s"},
        ],
    }


@pytest.mark.parametrize(
    ("told", "reason"),
    [(["--runs", "0"], "from 1 to 99, got 0"), (["--before", "nowhere"], "nowhere has no folder swarm")],
)
def test_what_cannot_be_measured_is_refused_in_a_line(
    told: list[str], reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["regress", *told])
    with pytest.raises(SystemExit, match="2"):
        regress.main()
    assert reason in capsys.readouterr().err
