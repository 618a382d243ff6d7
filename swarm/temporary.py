"""Keeps folders of clusters and of tables in a temporary folder: each is locked by its owner and goes after it.

A run that is killed cannot remove its folder, so the next one does. It knows nothing of what is kept there.
"""

import fcntl
import os
import shutil
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

import psutil

PREFIX = "swarm-"
LOCK = "owner.lock"

# Sockets below this folder must have short paths, which the usual place on macOS has not.
ROOT = Path("/tmp")  # noqa: S108

_owned: dict[str, tuple[int, int]] = {}
"""The folders of this process: the process, which a fork of it is not, and the file that it holds the lock by."""


def new(kind: str, root: Path = ROOT) -> str:
    """Returns a new folder that is this process's, with a word in its name that says what for; or OSError."""
    folder = tempfile.mkdtemp(prefix=f"{PREFIX}{kind}-", dir=root)
    try:
        # A lock ends with its process however that ends, on whatever clock and in whatever container.
        made = Path(folder) / "making.lock"
        held = os.open(made, os.O_CREAT | os.O_RDWR, 0o600)
        fcntl.flock(held, fcntl.LOCK_EX)
        # Nobody finds it under its name before it is locked.
        made.rename(made.with_name(LOCK))
    except OSError:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    _owned[folder] = os.getpid(), held
    return folder


def remove(folder: str) -> None:
    """Removes a folder of this process's, and none of the process that it was forked from."""
    pid, held = _owned.get(folder, (0, 0))
    if pid == os.getpid():
        del _owned[folder]
        _emptied(Path(folder))
        os.close(held)


def clear(root: Path = ROOT) -> list[Path]:
    """Removes this user's folders whose owner is dead, and returns them; what has no lock in it stays."""
    dead: dict[Path, int] = {}
    for folder in root.glob(f"{PREFIX}*"):
        with suppress(OSError):
            # The temporary folder is everybody's: what is another user's, or only points elsewhere, is left alone.
            if folder.is_symlink() or not folder.is_dir() or folder.stat().st_uid != os.getuid():
                continue
            if (held := _locked(folder / LOCK)) is not None:
                dead[folder] = held
    # Processes of a cluster may outlive its owner; Ray names the folder in all of their arguments.
    named = "\0".join(_arguments()) if dead else ""
    removed = [folder for folder in dead if str(folder) not in named and _emptied(folder)]
    for held in dead.values():
        os.close(held)
    return removed


def _locked(path: Path) -> int | None:
    """Returns a file that is open and locked, or None where a living process holds it; OSError where there is none."""
    file = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        if stat.S_ISREG(os.fstat(file).st_mode):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return file
    except BlockingIOError:
        pass
    os.close(file)
    return None


def _emptied(folder: Path) -> bool:
    """Removes a folder, its lock last, so that what is cut short is taken up by the next; tells whether it is gone."""
    with suppress(OSError):
        for path in [path for path in folder.iterdir() if path.name != LOCK]:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                with suppress(OSError):
                    path.unlink()
        # Where something could not be removed, the lock stays with it.
        if [path.name for path in folder.iterdir()] == [LOCK]:
            shutil.rmtree(folder)
    return not folder.exists()


def _arguments() -> list[str]:
    """Returns the arguments of all processes that this user may look at."""
    return [argument for process in psutil.process_iter(["cmdline"]) for argument in process.info["cmdline"] or ()]
