"""Folders of clusters in the temporary folder: those of the dead go, all others stay."""

import json
import os
import subprocess
import sys
from pathlib import Path

import psutil

from swarm.runtime import temporary

HELD = """
import sys
from pathlib import Path
from swarm.runtime import temporary
print(temporary.new(Path(sys.argv[1])), flush=True)
sys.stdin.read()
"""


def test_the_folder_of_a_killed_owner_goes_and_all_others_stay(tmp_path: Path) -> None:
    own = Path(temporary.new(tmp_path))
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", HELD, str(tmp_path)], stdin=pipe, stdout=pipe, text=True) as owner:
        assert owner.stdout is not None
        killed = Path(owner.stdout.readline().strip())
        assert temporary.clear(tmp_path) == []
        owner.kill()
    strangers = tmp_path / f"{temporary.PREFIX}stranger"
    strangers.mkdir()
    (tmp_path / f"{temporary.PREFIX}link").symlink_to(killed)
    (tmp_path / f"{temporary.PREFIX}file").write_text("")
    reborn = tmp_path / f"{temporary.PREFIX}reborn"
    reborn.mkdir()
    started = psutil.Process().create_time() - 3_600
    (reborn / temporary.OWNER).write_text(json.dumps({"pid": os.getpid(), "started": started}))
    for name, text in (("bad", "{"), ("list", "[]"), ("words", '{"pid": "x", "started": "y"}')):
        (tmp_path / f"{temporary.PREFIX}{name}").mkdir()
        (tmp_path / f"{temporary.PREFIX}{name}" / temporary.OWNER).write_text(text)
    assert set(temporary.clear(tmp_path)) == {killed, reborn}
    assert own.is_dir()
    assert strangers.is_dir()
    assert len(list(tmp_path.iterdir())) == 7


def test_a_folder_that_a_living_process_works_in_stays(tmp_path: Path) -> None:
    folder = tmp_path / f"{temporary.PREFIX}orphans"
    folder.mkdir()
    (folder / temporary.OWNER).write_text(json.dumps({"pid": 2**22 + 1, "started": 1.0}))
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", "input()", f"--dir={folder}"], stdin=pipe, text=True) as worker:
        assert temporary.clear(tmp_path) == []
        worker.communicate("\n")
    assert temporary.clear(tmp_path) == [folder]
