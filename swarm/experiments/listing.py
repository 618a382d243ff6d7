"""Finds runs under a folder, says of each what its summary says, and removes them; one that was cut off has none."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from swarm.errors import OutputError
from swarm.simulation.folder import RunFolder

DEEPEST = 4
"""How many folders below the one that is named a run may lie: a sweep's runs lie two below."""


STATES = ("finished", "stopped", "cut off")


@dataclass(frozen=True, slots=True)
class Found:
    """A run's folder, and what is known of it: `state` is finished, stopped, or cut off where there is no summary."""

    folder: str
    state: str
    name: str = ""
    scenario: str = ""
    seed: int | None = None
    rounds: int | None = None
    traders: int | None = None
    trades: int | None = None
    journal_sha256: str = ""

    def record(self) -> dict[str, Any]:
        """Returns it in plain values."""
        return asdict(self)


def found(root: Path, words: tuple[str, ...] = (), state: str = "") -> list[Found]:
    """Returns the runs under a folder whose folder, name or scenario has each of the words, by folder."""
    if not root.is_dir():
        raise OutputError(f"{root}: there is no such folder; name one that has runs in it with --in")
    runs = (_read(folder) for folder in _folders(root, DEEPEST))
    return sorted(
        (
            run
            for run in runs
            if state in ("", run.state) and all(w in f"{run.folder} {run.name} {run.scenario}" for w in words)
        ),
        key=lambda run: run.folder,
    )


def delete(folder: Path) -> None:
    """Removes a run's folder; OutputError where the run is still going on, or something in it is not its own."""
    with RunFolder(folder).rewritten():
        try:
            shutil.rmtree(folder)
        except OSError as error:
            raise OutputError(f"{folder}: this folder cannot be removed ({error.strerror})") from error


def _folders(root: Path, depth: int) -> Iterator[Path]:
    """Yields the folders of runs below, and looks into none of these; links are not followed."""
    for child in root.iterdir():
        if child.is_symlink() or not child.is_dir():
            continue
        # A run has its config before anything else, and a folder of something else is passed over.
        if (child / "config.yaml").is_file():
            yield child
        elif depth:
            yield from _folders(child, depth - 1)


def _read(folder: Path) -> Found:
    try:
        summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
        ended = bool(summary.get("finished")) and summary["rounds"] == summary["rounds_planned"]
        names = ("name", "scenario", "seed", "rounds", "traders", "trades", "journal_sha256")
        return Found(str(folder), "finished" if ended else "stopped", **{name: summary[name] for name in names})
    except (OSError, ValueError, LookupError, AttributeError, TypeError, RecursionError):
        return Found(str(folder), "cut off")
