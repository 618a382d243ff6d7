"""A run's folder: one run at a time, whole files, nothing in it that leads elsewhere; with real processes."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from swarm.errors import OutputError
from swarm.simulation.folder import RunFolder

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "configs" / "wood-scripted.yaml"
SWARM = [sys.executable, "-m", "swarm"]
HOLD = """
import sys
import time
from pathlib import Path
from swarm.simulation.folder import RunFolder
with RunFolder(Path(sys.argv[1])).begun():
    print("taken", flush=True)
    sys.stdin.read()
"""


def start(*arguments: str | Path, cwd: Path = ROOT) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    environment.pop("RAY_ADDRESS", None)
    pipe = subprocess.PIPE
    return subprocess.Popen(
        [*map(str, arguments)], env=environment, stdout=pipe, stderr=pipe, stdin=pipe, text=True, cwd=cwd
    )


def test_of_two_runs_started_at_once_in_one_folder_one_runs(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    options: list[str | Path] = [
        "run",
        CONFIG,
        "--local",
        "--set",
        "rounds=3",
        "--set",
        "population=10",
        "--out",
        folder,
    ]
    both = [start(*SWARM, *options, "--seed", seed) for seed in ("1", "2")]
    said = [process.communicate() for process in both]
    assert sorted(process.returncode for process in both) == [0, 2], said
    lost = next(err for process, (_, err) in zip(both, said, strict=True) if process.returncode == 2)
    won = next(out for process, (out, _) in zip(both, said, strict=True) if process.returncode == 0)
    assert str(folder) in lost.replace("\n", "")
    assert "Traceback" not in lost
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["journal_sha256"] in won
    replay = start(*SWARM, "replay", folder)
    assert "history holds" in replay.communicate()[0]


def test_a_living_run_keeps_its_folder_and_a_killed_one_does_not(tmp_path: Path) -> None:
    holder = start(sys.executable, "-c", HOLD, tmp_path / "run")
    assert holder.stdout is not None
    assert holder.stdout.readline() == "taken\n"
    folder = RunFolder(tmp_path / "run")
    folder.config.write_text("seed: 1\n")
    with pytest.raises(OutputError, match="going on"), folder.reopened():
        pass
    with pytest.raises(OutputError, match="another run"), RunFolder(tmp_path / "run").begun():
        pass
    with pytest.raises(OutputError, match="going on"), folder.rewritten():
        pass
    holder.send_signal(signal.SIGKILL)
    holder.communicate()
    with folder.reopened():
        pass


def test_generated_names_never_meet(tmp_path: Path) -> None:
    one, two, three = (RunFolder(tmp_path / "run", or_next=True) for _ in range(3))
    with one.begun(), two.begun():
        one.config.write_text("seed: 1\n")
    with three.begun():
        pass
    # The second was left empty, so the third may have it.
    assert [folder.path.name for folder in (one, two, three)] == ["run", "run-2", "run-2"]


def test_a_folder_of_a_run_that_was_stopped_early_is_left_to_the_next(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    with folder.begun():
        folder.discard()
        assert not folder.path.exists()
    with folder.begun():
        assert folder.path.is_dir()


@pytest.mark.parametrize("name", ["summary.json", "report.html", "journal.swarm", "tables", "tables/trades.parquet"])
def test_a_link_in_a_folder_is_refused(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "run"
    (folder / "tables").mkdir(parents=True)
    (folder / "config.yaml").write_text("seed: 1\n")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("mine")
    if (folder / name).is_dir():
        (folder / name).rmdir()
    (folder / name).symlink_to(elsewhere)
    with pytest.raises(OutputError, match="link") as refused, RunFolder(folder).reopened():
        pass
    assert name in str(refused.value)
    assert elsewhere.read_text() == "mine"


def test_a_file_is_written_whole_or_not_at_all_and_through_no_link(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("mine")
    folder = RunFolder(tmp_path / "run")
    with folder.begun():
        folder.report.symlink_to(elsewhere)
        folder.write_report("<html>")
    assert elsewhere.read_text() == "mine"
    assert folder.report.read_text() == "<html>"
    assert not folder.report.is_symlink()


def test_what_is_no_run_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "empty").mkdir()
    (tmp_path / "journal").mkdir()
    (tmp_path / "journal" / "journal.swarm").write_text("")
    os.mkfifo(tmp_path / "journal" / "pipe")
    for name, word in (
        ("nowhere", "no such folder"),
        ("file", "a file"),
        ("empty", "no run.s folder"),
        ("journal", "pipe"),
    ):
        with pytest.raises(OutputError, match=word) as refused, RunFolder(tmp_path / name).reopened():
            pass
        assert name in str(refused.value)
    (tmp_path / "journal" / "pipe").unlink()
    with pytest.raises(OutputError, match=r"config\.yaml"), RunFolder(tmp_path / "journal").reopened():
        pass


@pytest.mark.parametrize("text", ["[]", "5", "null", "{}", "[" * 100_000, "\x00"])
def test_a_summary_that_is_none_is_told(tmp_path: Path, text: str) -> None:
    (tmp_path / "summary.json").write_text(text)
    assert RunFolder(tmp_path).recorded_sha256() is None
    with pytest.raises(OutputError, match="record"):
        RunFolder(tmp_path).read_record()


def test_runs_without_a_named_folder_never_meet(tmp_path: Path) -> None:
    options: list[str | Path] = ["run", CONFIG, "--local", "--set", "rounds=1", "--set", "population=4"]
    runs = [start(*SWARM, *options, cwd=tmp_path) for _ in range(3)]
    said = [run.communicate() for run in runs]
    assert [run.returncode for run in runs] == [0, 0, 0], said
    assert len(list((tmp_path / "runs").iterdir())) == 3


def test_of_two_that_go_on_with_one_run_one_does(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    options: list[str | Path] = ["--local", "--set", "rounds=4000", "--set", "population=10"]
    begun = start(*SWARM, "run", CONFIG, *options, "--out", folder)
    while not (folder / "journal.swarm").exists():
        assert begun.poll() is None
        time.sleep(0.05)
    begun.kill()
    begun.communicate()
    both = [start(*SWARM, "run", "--resume", folder, "--local") for _ in range(2)]
    while all(one.poll() is None for one in both):
        time.sleep(0.05)
    lost, kept = sorted(both, key=lambda one: one.poll() is None)
    _, complaint = lost.communicate()
    assert lost.returncode == 2
    assert complaint.count("\n") == 1
    assert "going on" in complaint
    kept.kill()
    kept.communicate()
