"""Sweeps: what varies, real small ones, one that is killed and goes on, and mistakes in one line."""

import html
import json
import os
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import psutil
import pytest
from typer.testing import CliRunner

import swarm
from swarm.cli import app
from swarm.errors import ConfigError, SwarmError
from swarm.experiments import variants
from swarm.experiments.page import told_seeds
from tests.patience import patience

ROOT = Path(__file__).parents[2]
CONFIG = str(ROOT / "configs" / "wood-scripted.yaml")


def sweep(out: Path, *more: str, rounds: int = 4) -> list[str]:
    set_ = ["--set", f"rounds={rounds}", "--set", "population=10"]
    return ["sweep", CONFIG, *set_, "--vary", "market.rationing=priority,pro_rata", "--out", str(out), *more]


def test_seeds_and_values_are_read() -> None:
    assert variants.seeds("0..3,7, 2") == (0, 1, 2, 3, 7)
    found = variants.parse(
        ["traders.minds={tiny: 1, zip: 2} | {zip: 1}", "market.mechanism=call, continuous", "a='x,y',z"]
    )
    assert found["traders.minds"] == {"{tiny: 1, zip: 2}": {"tiny": 1, "zip": 2}, "{zip: 1}": {"zip": 1}}
    assert list(found["market.mechanism"].values()) == ["call", "continuous"]
    assert list(found["a"].values()) == ["x,y", "z"]
    crossed = variants.crossed(variants.parse(["rounds=1,2", "population=3,4"]))
    assert [one.label for one in crossed][:2] == ["rounds=1, population=3", "rounds=1, population=4"]
    assert [one.label for one in variants.crossed({})] == ["as it is"]
    assert list(variants.of_values({"m": [{"zip": 1}, "call", 3]})["m"]) == ["{zip: 1}", "call", "3"]


@pytest.mark.parametrize(
    ("arguments", "key", "word"),
    [
        (["--seeds", "3..1"], "--seeds", "lowest"),
        (["--seeds", "some"], "--seeds", "0..19"),
        (["--vary", "rounds"], "--vary", "VALUE"),
        (["--vary", "rounds=1,,2"], "--vary rounds", "missing"),
        (["--vary", "rounds=1", "--vary", "rounds=2"], "--vary rounds", "already"),
        (["--vary", "seed=1,2"], "--vary seed", "--seeds"),
        (["--vary", "rounds=[1"], "--vary rounds", "YAML"),
        (["--vary", "rounds=0,2"], "rounds", "greater"),
        (["--vary", "roundz=1,2"], "roundz", "rounds"),
        (["--vary", "runtime.metrics_port=9464,9465"], "--vary", "same history"),
        (["--seeds", "0..9999", "--vary", "rounds=1,2"], "--vary", "10,000"),
    ],
)
def test_a_mistake_is_named_before_anything_begins(tmp_path: Path, arguments: list[str], key: str, word: str) -> None:
    out = tmp_path / "out"
    with pytest.raises(ConfigError) as refused:
        CliRunner().invoke(
            app, ["sweep", CONFIG, "--out", str(out), *arguments], standalone_mode=False, catch_exceptions=False
        )
    assert refused.value.key == key
    assert word in str(refused.value)
    assert not out.exists()


def test_a_killed_sweep_goes_on_to_what_it_would_have_been(tmp_path: Path) -> None:
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    arguments = ["--seeds", "0,1", "--jobs", "2", "--quiet"]
    environment = {**os.environ, "XDG_CONFIG_HOME": str(tmp_path / "home")}

    def start(out: Path) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "swarm", *sweep(out, *arguments, rounds=20)]
        return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, start_new_session=True)

    begun = start(killed)
    end = time.monotonic() + patience(120)
    # Killed once a run is done and another is going on.
    while not list(killed.glob("runs/*/summary.json")):
        assert begun.poll() is None
        assert time.monotonic() < end
        time.sleep(0.02)
    processes = psutil.Process(begun.pid).children(recursive=True)
    begun.kill()
    begun.wait()
    done = {p.parent.name: p.stat().st_mtime_ns for p in killed.glob("runs/*/summary.json")}
    assert not (killed / "runs.parquet").exists()
    # Its processes end by themselves, and with them their hold on the folders.
    assert not psutil.wait_procs(processes, patience(60))[1]
    assert start(killed).wait(patience(300)) == 0
    assert start(whole).wait(patience(300)) == 0
    assert {n: (killed / "runs" / n / "summary.json").stat().st_mtime_ns for n in done} == done
    both = [pl.read_parquet(folder / "runs.parquet") for folder in (killed, whole)]
    assert both[0].equals(both[1])
    assert len(both[0]) == 4
    assert both[0]["journal_sha256"].n_unique() == 4
    assert pl.read_parquet(killed / "means.parquet").equals(pl.read_parquet(whole / "means.parquet"))


def test_more_seeds_add_runs_and_json_says_what_was_found(tmp_path: Path) -> None:
    out = tmp_path / "out"
    first = CliRunner().invoke(app, sweep(out, "--seeds", "1,2", "-q", "--jobs", "1"), catch_exceptions=False)
    assert first.exit_code == 0, first.output
    done = {p: p.stat().st_mtime_ns for p in out.glob("runs/*/summary.json")}
    found = CliRunner().invoke(
        app,
        sweep(out, "--seeds", "1..3", "-q", "--jobs", "1", "--measure", "trades", "--json"),
        catch_exceptions=False,
    )
    assert found.exit_code == 0, found.output
    assert len(done) == 4
    assert all(path.stat().st_mtime_ns == before for path, before in done.items())
    said = json.loads(found.stdout)
    assert (said["runs"], said["planned"], said["seeds"]) == (6, 6, [1, 2, 3])
    assert [row["measure"] for row in said["means"]] == ["trades"] * 2
    # A variant's mean is that of its runs' own summaries.
    own = pl.read_parquet(out / "runs.parquet").filter(pl.col("market.rationing") == "priority")
    trades = [json.loads((out / folder / "summary.json").read_text())["trades"] for folder in own["folder"]]
    assert said["means"][0]["mean"] == pytest.approx(sum(trades) / 3)
    page = (out / "report.html").read_text()
    for word in ("6 of 6 runs", "market.rationing=pro_rata", "Every run", own["journal_sha256"][0][:16]):
        assert word in page
    # A chart of the differences, and one of the measure that was named.
    assert page.count("data-chart=") == 2
    # The page's command is of the same sweep, by the config that the folder has.
    words = shlex.split(html.unescape(re.findall(r"<code>(swarm sweep .*?)</code>", page)[0]))
    again = CliRunner().invoke(app, [*words[1:], "-q", "--measure", "trades", "--json"], catch_exceptions=False)
    assert json.loads(again.stdout) == said
    with pytest.raises(ConfigError, match=r"--measure.*trades"):
        CliRunner().invoke(
            app,
            sweep(out, "--seeds", "1..3", "-q", "--measure", "tradez"),
            standalone_mode=False,
            catch_exceptions=False,
        )


def test_runs_that_all_fail_are_told_and_tried_again(tmp_path: Path) -> None:
    for _ in range(2):
        swept = swarm.sweep(
            CONFIG, seeds=[1], changes={"rounds": 2, "runtime.http_port": 8123}, jobs=1, out=tmp_path / "out"
        )
        assert swept.finished
        (why,) = swept.failed.values()
        assert why.startswith("runtime.http_port: ")
        page = swept.report.read_text()
        assert "Runs that failed" in page
        assert "No run is done yet" in page
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").touch()
    with pytest.raises(SwarmError, match="other things"):
        swarm.sweep(CONFIG, seeds=[1], out=tmp_path / "other")


def say(*arguments: str) -> str:
    found = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
    assert found.exit_code == 0, found.output
    return found.stdout


def test_runs_are_listed_compared_and_deleted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home"))
    config = swarm.load(CONFIG, changes={"rounds": 3, "population": 10})
    first, same, other = (tmp_path / "runs" / name for name in ("first", "same", "other"))
    whole = swarm.run(config, out=first)
    rounds: list[swarm.Progress] = []
    swarm.run(config, out=same, progress=rounds.append, stop=lambda: len(rounds) == 2)
    swarm.fork(first, 1, seed=99, out=other)
    (tmp_path / "runs" / "no-run").mkdir()

    found = json.loads(say("runs", "--in", str(tmp_path / "runs"), "--json"))
    assert [(Path(run["folder"]).name, run["state"]) for run in found] == [
        ("first", "finished"),
        ("other", "finished"),
        ("same", "stopped"),
    ]
    assert found[0]["journal_sha256"] == whole.journal_sha256
    assert say("runs", "--in", str(tmp_path / "runs"), "oth").splitlines() == [
        f"{other}  finished  3 rounds, 10 traders, seed 99"
    ]
    # What was stopped parts from nothing; a fork parts in the round after it, and its key is named.
    alike = json.loads(say("compare", str(first), str(same), "--json"))
    assert (alike["config"], alike["first_round_that_differs"]) == ({}, None)
    assert alike["rounds"] == [3, 2]
    unlike = json.loads(say("compare", str(first), str(other), "--json"))
    assert (unlike["config"], unlike["first_round_that_differs"]) == ({"seed": [7, 99]}, 2)
    assert "history: the same in the 2 rounds that all have" in say("compare", str(first), str(same))

    (same / "summary.json").write_text("{")
    assert json.loads(say("compare", str(first), str(same), "--json"))["unmeasured"] == [str(same)]
    assert f"{same}: no summary" in say("compare", str(first), str(same))

    say("runs", "--in", str(tmp_path / "runs"), "--state", "cut off", "--delete", "--yes")
    assert [path.name for path in sorted((tmp_path / "runs").iterdir())] == ["first", "no-run", "other"]


def test_mistakes_about_runs_are_one_line(tmp_path: Path) -> None:
    for arguments, word in (
        (["runs", "--in", str(tmp_path / "none")], "no such folder"),
        (["runs", "--in", str(tmp_path), "--state", "done"], "finished"),
        (["compare", str(tmp_path)], "two runs"),
        (["compare", str(tmp_path), str(tmp_path)], str(tmp_path)),
    ):
        with pytest.raises(SwarmError, match=re.escape(word)):
            CliRunner().invoke(app, arguments, standalone_mode=False, catch_exceptions=False)


def test_names_of_others_are_text_on_the_page_and_seeds_are_told_as_ranges(tmp_path: Path) -> None:
    evil = "<script>alert(1)</script>"
    shock = {"kind": "mania", "round": 1, "rounds": 1, "good": "honey", "title": evil}
    changes = {"rounds": 2, "population": 6}
    vary = {"scenario.shocks": [[shock]]}
    swept = swarm.sweep(CONFIG, changes=changes, vary=vary, seeds=[5, 1, 2, 3], jobs=1, out=tmp_path / "out")
    page = swept.report.read_text()
    assert evil not in page
    assert html.escape(evil) in page
    assert told_seeds(swept.experiment.seeds) == "5,1..3"
    assert "nothing to compare" in page
    # One variant has means, too, and no chart of differences.
    assert "Means and differences" in page
    assert 'id="differs"' not in page
