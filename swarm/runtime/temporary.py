"""Keeps folders of Ray clusters in the temporary folder: each names its owner, and goes once that is dead.

A run that is killed cannot remove its folder, so the next one does. It knows nothing of what Ray keeps there.
"""

import json
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

import psutil

PREFIX = "swarm-ray-"
OWNER = "owner.json"

# Sockets below this folder must have short paths, which the usual place on macOS has not.
ROOT = Path("/tmp")  # noqa: S108


def new(root: Path = ROOT) -> str:
    """Returns a new folder that is this process's."""
    folder = tempfile.mkdtemp(prefix=PREFIX, dir=root)
    own = psutil.Process()
    (Path(folder) / OWNER).write_text(json.dumps({"pid": own.pid, "started": own.create_time()}), encoding="utf-8")
    return folder


def clear(root: Path = ROOT) -> list[Path]:
    """Removes this user's folders whose owner is dead, and returns them; what has no owner written in it stays."""
    removed: list[Path] = []
    for folder in root.glob(f"{PREFIX}*"):
        with suppress(OSError, ValueError, KeyError, TypeError):
            kept = folder.lstat()
            # The temporary folder is everybody's: what is another user's, or only points elsewhere, is left alone.
            if folder.is_symlink() or not folder.is_dir() or kept.st_uid != os.getuid():
                continue
            owner = json.loads((folder / OWNER).read_text(encoding="utf-8"))
            if not _lives(int(owner["pid"]), float(owner["started"])) and not _used(folder):
                shutil.rmtree(folder, ignore_errors=True)
                removed.append(folder)
    return removed


def _lives(pid: int, started: float) -> bool:
    """Tells whether the process that wrote this is still there; a later one may have got its number."""
    try:
        return abs(psutil.Process(pid).create_time() - started) < 1.0
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True


def _used(folder: Path) -> bool:
    """Tells whether a process of the cluster outlives its owner; Ray names the folder in all of their arguments."""
    name = str(folder)
    return any(
        name in argument for process in psutil.process_iter(["cmdline"]) for argument in process.info["cmdline"] or ()
    )
