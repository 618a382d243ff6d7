"""`swarm run --resume` after kills at random moments, and `swarm fork`: the same history, or another future."""

import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from swarm.config_file import load
from swarm.errors import ConfigError, JournalError, OutputError
from swarm.planning import composed
from swarm.runtime.fork import fork
from swarm.runtime.ports import RunsOn
from swarm.runtime.run import RunResult, Session
from swarm.simulation.folder import RunFolder
from swarm.simulation.history import read
from swarm.simulation.journal import JournalReader, JournalWriter
from swarm.simulation.replay import replay
from tests.patience import patience
from tests.refusals import refused

SWARM = [sys.executable, "-m", "swarm"]
CONFIG: dict[str, Any] = {
    "name": "small",
    "seed": 4,
    "rounds": 8,
    "population": 20,
    "models": [{"name": "a", "temperament": "value"}, {"name": "b", "temperament": "maker", "fault_rate": 0.2}],
    "traders": {"minds": {"a": 2, "b": 1, "zip": 3, "zi_c": 1}},
    "scenario": {"name": "wood", "shocks": [{"kind": "venture", "round": 3, "rounds": 3, "good": "honey"}]},
}


def written(path: Path, **changes: Any) -> Path:
    path.write_text(yaml.safe_dump(CONFIG | changes))
    return path


def run(folder: Path, config: Path, stop_after: int | None = None) -> RunResult:
    calls = 0

    def should_stop() -> bool:
        nonlocal calls
        calls += 1
        return stop_after is not None and calls > stop_after

    return Session(RunsOn(local=True), RunFolder(folder), stop=should_stop, report=False).execute(load(config))


def go_on(folder: Path) -> RunResult:
    return Session(RunsOn(local=True), RunFolder(folder), report=False).resume()


def records(folder: Path) -> list[Any]:
    return list(JournalReader(folder / "journal.swarm"))


@pytest.fixture(scope="module")
def parent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("parent")
    run(folder / "run", written(folder / "config.yaml"))
    return folder / "run"


def test_a_stopped_run_goes_on_to_the_journal_and_the_tables_it_would_have_had(parent: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    stopped = run(folder, written(tmp_path / "config.yaml"), stop_after=5)
    assert (stopped.finished, stopped.record.summary["rounds"]) == (False, 5)
    result = go_on(folder)
    assert result.finished
    assert (folder / "journal.swarm").read_bytes() == (parent / "journal.swarm").read_bytes()
    expected = RunFolder(parent).read_record()
    assert result.record.summary["resumed_after_round"] == 5
    for key in ("journal_sha256", "trades", "wealth", "decision_errors", "tokens", "conservation", "rounds"):
        assert result.record.summary[key] == expected.summary[key]
    for name, table in result.record.tables.items():
        clocks = [c for c in table.columns if c.endswith("_s")]
        assert table.drop(clocks).equals(expected.tables[name].drop(clocks)), name


def test_a_finished_run_stays_as_it_is(parent: Path) -> None:
    before = (parent / "journal.swarm").read_bytes()
    assert go_on(parent).finished
    assert (parent / "journal.swarm").read_bytes() == before


def test_a_run_that_is_killed_again_and_again_ends_in_the_same_journal(tmp_path: Path) -> None:
    config = written(tmp_path / "config.yaml", rounds=120)
    complete = run(tmp_path / "complete", config).record.summary["journal_sha256"]
    folder, dice, kills = tmp_path / "killed", random.Random(3), 0
    arguments = [str(config), "--out", str(folder)]
    while True:
        process = subprocess.Popen([*SWARM, "run", *arguments, "--local", "--quiet"], stdout=subprocess.PIPE, text=True)
        journal = folder / "journal.swarm"
        grown = (journal.stat().st_size if journal.exists() else 0) + dice.randrange(150_000)
        deadline = time.monotonic() + patience(60)
        while process.poll() is None and time.monotonic() < deadline:
            if kills < 4 and journal.exists() and journal.stat().st_size >= grown:
                process.send_signal(signal.SIGKILL)
                process.wait()
                kills += 1
                break
            time.sleep(0.001)
        process.communicate(timeout=patience(60))
        if process.returncode == 0:
            break
        assert process.returncode == -signal.SIGKILL
        arguments = ["--resume", str(folder)]
    assert kills >= 3
    assert json.loads((folder / "summary.json").read_text())["journal_sha256"] == complete


def test_two_processes_cannot_write_one_journal(parent: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("swarm.simulation.journal_disk.LOCK_PATIENCE_S", 0.1)
    path = tmp_path / "journal.swarm"
    with (
        JournalWriter(path),
        pytest.raises(JournalError, match="another process"),
        JournalWriter(path, JournalReader(path)),
    ):
        pass


def test_a_changed_config_is_not_gone_on_with(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    run(folder, written(tmp_path / "config.yaml"), stop_after=2)
    config = yaml.safe_load((folder / "config.yaml").read_text())
    (folder / "config.yaml").write_text(yaml.safe_dump(config | {"seed": 5}))
    with pytest.raises(ConfigError, match="journal"):
        go_on(folder)
    # Where its processes live is no part of a history.
    (folder / "config.yaml").write_text(yaml.safe_dump(config | {"runtime": {"num_cpus": 2}}))
    assert go_on(folder).finished


def test_there_is_nothing_to_resume_where_no_run_was(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"config\.yaml"):
        go_on(tmp_path)


def forked(parent: Path, folder: Path, at_round: int, *changes: str) -> RunResult:
    fork(RunFolder(parent), at_round, changes, RunFolder(folder))
    return go_on(folder)


@pytest.mark.parametrize(
    "change",
    [
        "seed=9",
        "market.rationing=pro_rata",
        "traders.minds={a: 1, truthful: 1}",
        "market.mechanisms={honey: continuous}",
        "scenario.harvest_lots={honey: 5}",
    ],
)
def test_a_fork_shares_the_past_and_has_another_future(parent: Path, tmp_path: Path, change: str) -> None:
    result = forked(parent, tmp_path / "fork", 4, change)
    assert result.finished
    before, after = records(parent), records(tmp_path / "fork")
    index = next(i for i, record in enumerate(after) if record[0] == "Forked")
    assert after[:index] == before[:index]
    assert after[index - 1][:2] == ["RoundEnded", 4]
    _, round_, parent_sha256, changes, config_sha256, _, _ = after[index]
    with JournalWriter(None) as past:
        for record in before[:index]:
            past.append(record)
    assert (round_, parent_sha256, changes) == (4, past.sha256, [change])
    assert config_sha256 == load(tmp_path / "fork" / "config.yaml").sha256()
    assert after[index + 1 :] != before[index:]
    assert result.record.summary["rounds"] == 8
    assert result.record.summary["forks"] == [[4, parent_sha256, [change]]]


def test_a_fork_that_changes_nothing_goes_the_same_way(parent: Path, tmp_path: Path) -> None:
    forked(parent, tmp_path / "fork", 4)
    assert [r for r in records(tmp_path / "fork") if r[0] != "Forked"] == records(parent)


def test_a_fork_of_a_fork_can_be_longer_and_replays_and_resumes(parent: Path, tmp_path: Path) -> None:
    forked(parent, tmp_path / "one", 4, "rounds=12")
    forked(tmp_path / "one", tmp_path / "two", 9, "rounds=10", "market.drift_permille=10")
    assert [f.round for f in read(tmp_path / "two" / "journal.swarm").forks] == [4, 9]
    complete = (tmp_path / "two" / "journal.swarm").read_bytes()
    for folder in ("one", "two"):
        assert replay(tmp_path / folder / "journal.swarm", composed).holds
    reader = JournalReader(tmp_path / "two" / "journal.swarm")
    starts = [offset for offset, _ in reader.payloads()]
    # The record of the fork was durable before the fork's run began, and all after it may be lost.
    own = [r[0] for r in reader].index("Forked", [r[0] for r in reader].index("Forked") + 1) + 1
    for cut in starts[own::9]:
        (tmp_path / "two" / "journal.swarm").write_bytes(complete[:cut])
        (tmp_path / "two" / "journal.head").unlink(missing_ok=True)
        go_on(tmp_path / "two")
        assert (tmp_path / "two" / "journal.swarm").read_bytes() == complete


@pytest.mark.parametrize(
    ("at_round", "change", "key"),
    [
        (0, "seed=2", "at_round"),
        (9, "seed=2", "at_round"),
        (4, "population=21", "population"),
        (4, "market.tick_cents=10", "market.tick_cents"),
        (4, "rounds=4", "rounds"),
        (4, "no.such=1", "no"),
    ],
)
def test_a_fork_that_cannot_be_is_refused_and_leaves_nothing(
    parent: Path, tmp_path: Path, at_round: int, change: str, key: str
) -> None:
    with refused(key):
        fork(RunFolder(parent), at_round, (change,), RunFolder(tmp_path / "fork"))
    assert not (tmp_path / "fork").exists()


def test_a_fork_is_not_made_over_a_run(parent: Path, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="not empty"):
        fork(RunFolder(parent), 4, (), RunFolder(parent))
    assert [p.name for p in tmp_path.iterdir()] == []
