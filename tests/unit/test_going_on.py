"""What a person meets who goes on with a run: finished ones, folders that are none, where it ran, missing plug-ins."""

import json
from pathlib import Path
from typing import Any

import pytest

import swarm
from swarm.plugins import VARIABLE
from swarm.report import outcome
from swarm.runtime.ports import RunsOn
from swarm.runtime.run import Session

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "configs" / "wood-scripted.yaml"
SMALL: dict[str, Any] = {"rounds": 3, "population": 8}
PANEL = "tests.examples.panel"
GUESS = {"scenario": {"name": "guess"}, "models": [{"name": "m", "temperament": "value"}]}
WISE = {
    "traders.define": {"wise": {"mind": "panel", "models": ["scripted-value", "scripted-panic"]}},
    "traders.minds": {"wise": 1},
}


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home"))


def content(folder: Path) -> dict[str, tuple[bytes, int]]:
    found = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {str(path): (path.read_bytes(), path.stat().st_mtime_ns) for path in found}


@pytest.mark.parametrize("regions", [None, {"count": 2, "travellers": 1}])
def test_a_finished_run_is_left_as_it_is(tmp_path: Path, regions: dict[str, int] | None) -> None:
    ran = swarm.run(CONFIG, changes={**SMALL, "regions": regions}, out="run")
    before = content(tmp_path / "run")
    again = swarm.resume("run")
    assert content(tmp_path / "run") == before
    assert again.finished
    assert again.summary == json.loads((tmp_path / "run" / "summary.json").read_text())
    assert again.tables["trades"].equals(ran.tables["trades"])
    (tmp_path / "run" / "summary.json").unlink()
    assert swarm.resume("run").journal_sha256 == ran.journal_sha256
    assert (tmp_path / "run" / "summary.json").exists()


def test_a_folder_that_is_no_run_is_one_line_however_large_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tables" / "deep").mkdir(parents=True)
    monkeypatch.setattr("swarm.simulation.folder._walk", lambda *_: pytest.fail("it looks at all that is there"))
    for use in (swarm.replay, swarm.resume, lambda folder: swarm.fork(folder, 1)):
        with pytest.raises(swarm.SwarmError, match="no run's folder") as refused:
            use(str(tmp_path))
        assert "\n" not in str(refused.value)


def test_what_lies_beside_a_run_is_not_looked_at(tmp_path: Path) -> None:
    swarm.run(CONFIG, changes=SMALL, out="run")
    (tmp_path / "run" / "notes").mkdir()
    (tmp_path / "run" / "notes" / "link").symlink_to(CONFIG)
    assert swarm.replay("run").finished


def test_what_goes_on_goes_where_it_ran_unless_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    went: list[RunsOn] = []

    def resume(session: Session) -> None:
        went.append(session.runs_on)
        raise KeyboardInterrupt

    swarm.run(CONFIG, changes=SMALL, out="run")
    monkeypatch.setattr(Session, "resume", resume)
    cases: list[tuple[str, dict[str, Any], RunsOn]] = [
        ('{"local": true}', {}, RunsOn(local=True)),
        ('{"local": false}', {}, RunsOn()),
        ('{"local": true}', {"local": False}, RunsOn()),
        ('{"local": false}', {"local": True}, RunsOn(local=True)),
        ('{"local": true}', {"address": "auto"}, RunsOn(address="auto")),
        ("nonsense", {}, RunsOn(local=True)),
    ]
    for number, (kept, told, where) in enumerate(cases):
        (tmp_path / "run" / "runs_on.json").write_text(kept)
        with pytest.raises(KeyboardInterrupt):
            swarm.resume("run", **told)
        with pytest.raises(KeyboardInterrupt):
            swarm.fork("run", 1, out=f"fork{number}", **told)
        assert went == [where, where], (kept, told)
        went.clear()


@pytest.mark.parametrize(
    ("changes", "module", "words"),
    [
        (WISE, PANEL, ("kind of mind 'panel'", VARIABLE, "council, desk, guest, listener, model, own, rule")),
        ({"traders.staffing": {"name": "tariff", "cheaper": "scripted-value"}}, "tests.examples.tariff", ("'tariff'",)),
        (GUESS, "tests.examples.guess", ("guess", "wood")),
        ({"models": [{"name": "m", "engine": "parrot"}]}, "tests.examples.parrot", ("parrot", "scripted")),
    ],
)
def test_a_run_with_a_plug_in_says_which_is_missing_and_how_it_is_given(
    monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], module: str, words: tuple[str, ...]
) -> None:
    monkeypatch.setenv(VARIABLE, module)
    swarm.run(CONFIG, changes={**SMALL, **changes}, out="run")
    monkeypatch.delenv(VARIABLE)
    for use in (swarm.replay, swarm.resume):
        with pytest.raises(swarm.SwarmError) as refused:
            use("run")
        told = str(refused.value)
        assert all(word in told for word in (*words, VARIABLE)), told
        assert "restore" not in told
    monkeypatch.setenv(VARIABLE, module)
    assert swarm.replay("run").finished


def test_a_plug_in_s_module_that_is_not_there_is_not_the_journal_s_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, PANEL)
    swarm.run(CONFIG, changes={**SMALL, **WISE}, out="run")
    monkeypatch.setenv(VARIABLE, "nowhere.at.all")
    with pytest.raises(swarm.SwarmError, match=r"nowhere\.at\.all") as refused:
        swarm.replay("run")
    assert "restore" not in str(refused.value)


def test_a_run_whose_market_lends_says_what_that_came_to_also_in_several_regions() -> None:
    lending = {**SMALL, "rounds": 8, "population": 12, "market.margin": {"interest_ppm": 100_000}}
    one = swarm.play(CONFIG, changes=lending).summary
    several = swarm.play(CONFIG, changes={**lending, "regions": {"count": 2, "travellers": 1}}).summary
    own = [of["margin"] for of in several["regions"]["of"].values()]
    assert len(own) == 2
    assert set(one["margin"]) == set(several["margin"]) == set(own[0])
    for key in ("interest_cents", "defaults"):
        assert several["margin"][key] == sum(of[key] for of in own)
    for key in ("written_off", "owed"):
        assert several["margin"][key] == {asset: sum(of[key][asset] for of in own) for asset in own[0][key]}
    assert "margin" not in swarm.play(CONFIG, changes=SMALL).summary
    assert any(line.startswith("loans: ") for line in outcome.lines(several))


def test_a_council_is_told_as_one_in_the_last_lines() -> None:
    council = {"name": "three", "members": ["scripted-value", "scripted-maker", "scripted-panic"]}
    models = [{"name": f"scripted-{of}", "temperament": of, "form": "menu"} for of in ("value", "maker", "panic")]
    changes = {**SMALL, "models": models, "traders": {"councils": [council], "minds": {"three": 1}}}
    lines = outcome.lines(swarm.play(CONFIG, changes=changes).summary)
    assert any("the council three" in line for line in lines)
    told = next(line for line in lines if line.startswith("three is a council of 3"))
    assert "scripted-maker" in told
    assert "24 turns" in told
