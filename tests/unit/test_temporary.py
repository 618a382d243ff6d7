"""Folders of clusters and tables in the temporary folder: those of the dead go, all others stay."""

import fcntl
import multiprocessing
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from swarm import temporary

HELD = """
import sys
from pathlib import Path
from swarm import temporary
print(temporary.new("table", Path(sys.argv[1])), flush=True)
sys.stdin.read()
"""


def left(root: Path, name: str) -> Path:
    """What a dead process has left: its folder, with a lock that nobody holds."""
    folder = root / f"{temporary.PREFIX}{name}"
    folder.mkdir()
    (folder / temporary.LOCK).touch()
    return folder


def test_the_folder_of_a_killed_owner_goes_and_all_others_stay(tmp_path: Path) -> None:
    own = Path(temporary.new("ray", tmp_path))
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", HELD, str(tmp_path)], stdin=pipe, stdout=pipe, text=True) as owner:
        assert owner.stdout is not None
        killed = Path(owner.stdout.readline().strip())
        assert temporary.clear(tmp_path) == []
        owner.kill()
    dead = left(tmp_path, "dead")
    (dead / "below").mkdir()
    (dead / "link").symlink_to(own)
    stays = [own, tmp_path / f"{temporary.PREFIX}link", tmp_path / f"{temporary.PREFIX}file"]
    stays[1].symlink_to(killed)
    stays[2].write_text("")
    for name in ("stranger", "fifo", "folder"):
        stays.append(tmp_path / f"{temporary.PREFIX}{name}")
        stays[-1].mkdir()
    # Opening a pipe that nobody writes to would wait for ever.
    os.mkfifo(tmp_path / f"{temporary.PREFIX}fifo" / temporary.LOCK)
    (tmp_path / f"{temporary.PREFIX}folder" / temporary.LOCK).mkdir()
    assert set(temporary.clear(tmp_path)) == {killed, dead}
    assert set(tmp_path.iterdir()) == set(stays)
    temporary.remove(str(own))
    assert not own.exists()


def test_a_folder_that_a_living_process_works_in_stays(tmp_path: Path) -> None:
    folder = left(tmp_path, "orphans")
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", "input()", f"--dir={folder}"], stdin=pipe, text=True) as worker:
        assert temporary.clear(tmp_path) == []
        worker.communicate("\n")
    assert temporary.clear(tmp_path) == [folder]


def test_a_fork_removes_nothing_of_its_parents(tmp_path: Path) -> None:
    folder = temporary.new("table", tmp_path)
    child = multiprocessing.get_context("fork").Process(target=temporary.remove, args=(folder,))
    child.start()
    child.join()
    assert child.exitcode == 0
    assert Path(folder).is_dir()
    temporary.remove(folder)
    assert list(tmp_path.iterdir()) == []


def test_what_a_removal_left_when_it_was_cut_short_is_taken_up_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = left(tmp_path, "dead")
    (folder / "below").mkdir()
    with monkeypatch.context() as patched:
        patched.setattr(shutil, "rmtree", lambda *_, **__: None)
        assert temporary.clear(tmp_path) == []
    assert temporary.clear(tmp_path) == [folder]


def test_a_folder_that_cannot_be_locked_is_not_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(fcntl, "flock", full)
    with pytest.raises(OSError, match="No space"):
        temporary.new("table", tmp_path)
    monkeypatch.undo()
    assert list(tmp_path.iterdir()) == []
