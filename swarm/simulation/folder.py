"""Keeps a run's folder: `config.yaml`, `journal.swarm`, `summary.json`, `tables/*.parquet`, `report.html`.

`runs_on.json` says whether the run was played in one process or over Ray; nothing of its history depends on that.
"""

import errno
import fcntl
import json
import os
import stat
from collections.abc import Container, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import polars as pl
import yaml

from swarm.errors import OutputError, called
from swarm.simulation.journal_disk import head_path
from swarm.simulation.record import REGION_TABLES, TABLES, RunRecord

REGIONS = "regions"
"""The folder that has a folder for each of several regions, with its journal, tables and summary."""
TABLES_FOLDER = "tables"
FOLDERS = (REGIONS, TABLES_FOLDER)
"""The folders that a run's folder has; what else lies in it is not looked at."""
SUMMARY = "summary.json"
RUNS_ON = "runs_on.json"
GUESTS = ("guests.json", "guest_decisions.jsonl")
"""What a run with guests keeps beside its journal: hashes of their tokens, and what they have sent."""


class RunFolder:
    """The folder of one run."""

    def __init__(self, path: Path, *, or_next: bool = False) -> None:
        """Takes the folder at `path`, or, with `or_next`, the first of `path`, `path-2`, ... that is not there."""
        # A run that is handed in to a cluster has no shell that would do this for it.
        self.path = path.expanduser()
        self._or_next = or_next
        self._made = False

    @property
    def journal(self) -> Path:
        """The journal's file."""
        return self.path / "journal.swarm"

    def region(self, name: str) -> "RunFolder":
        """Returns where one of several regions is kept."""
        return RunFolder(self.path / REGIONS / name)

    @property
    def region_journals(self) -> dict[str, Path]:
        """The journals of the regions by name; none where the run is of one market."""
        return {part.name: RunFolder(part).journal for part in sorted((self.path / REGIONS).glob("*"))}

    @property
    def journals(self) -> dict[str, Path]:
        """The journals of all the run's markets, by name; a single one has none."""
        return self.region_journals or {"": self.journal}

    def market(self, name: str) -> "RunFolder":
        """Returns where the market of this name is kept: that of a region, or the folder itself for a single one."""
        return self.region(name) if name else self

    @property
    def report(self) -> Path:
        """The report's file."""
        return self.path / "report.html"

    @property
    def config(self) -> Path:
        """The resolved config's file."""
        return self.path / "config.yaml"

    @contextmanager
    def begun(self) -> Iterator[None]:
        """Makes the folder, or finds it empty, and keeps it for this process alone in the block; OutputError if not.

        The lock is the system's, on the folder itself: it goes with the process, however that ends.
        """
        descriptor = self._create()
        try:
            yield
        finally:
            os.close(descriptor)

    @contextmanager
    def reopened(self) -> Iterator[None]:
        """Keeps the folder of a run that is to go on this process's alone while the block runs."""
        self.check()
        self.check_config()
        with self.rewritten():
            yield

    @contextmanager
    def rewritten(self) -> Iterator[None]:
        """Keeps the folder, whose tables, summary and report are to be made anew, this process's alone in the block."""
        self.check()
        descriptor = locked(self.path)
        if descriptor is None:
            raise OutputError(f"{self.path}: the run in this folder is still going on; wait for it or end it")
        try:
            yield
        finally:
            os.close(descriptor)

    def check(self) -> None:
        """Raises OutputError where this is no run's folder, or where something in it is no file or folder of its own.

        A folder may come from somebody else: a link in it would have its reader read, and its run write, elsewhere.
        """
        if not self.path.is_dir():
            what = "this is a file" if self.path.exists() else "there is no such folder"
            raise OutputError(f"{self.path}: {what}; name a run's folder as `swarm run` printed it")
        own = (self.config, self.journal, self.path / REGIONS, self.path / SUMMARY)
        if not any(os.path.lexists(path) for path in own):
            # Said before anything below is looked at: who names the wrong folder may have named a large one.
            names = ", ".join(path.name for path in own)
            raise OutputError(
                f"{self.path}: this is no run's folder: it has none of {names}; name one as `swarm run` printed it"
            )
        for found in _walk(self.path, FOLDERS):
            if not stat.S_ISREG(found.stat(follow_symlinks=False).st_mode):
                what = "a link" if found.is_symlink() else "no regular file"
                raise OutputError(
                    f"{found.path}: this is {what}, and a run's folder has none; put the file itself in its place"
                )

    def check_config(self) -> None:
        """Raises OutputError where the folder holds no config that a run could go on with."""
        if self.config.exists():
            return
        if self.journal.exists() or self.region_journals:
            raise OutputError(f"{self.config}: this file is missing; put it back from a copy")
        raise OutputError(
            f"{self.path}: there is no config.yaml here, so its run was ended before it had written one; "
            "remove the folder and start the run anew"
        )

    def _create(self) -> int:
        """Makes the folder, takes it, and returns the descriptor that holds the lock."""
        wanted = self.path
        try:
            number = 1
            while True:
                number += 1
                self._made = self._made_now()
                descriptor = locked(self.path)
                if descriptor is not None:
                    # Looked at once the lock is held: another run may have begun in it just now.
                    if not any(self.path.iterdir()):
                        if os.access(self.path, os.W_OK | os.X_OK):
                            return descriptor
                        raise PermissionError(errno.EACCES, "Permission denied")
                    os.close(descriptor)
                if not self._or_next:
                    what = "another run has taken this folder" if descriptor is None else "this folder is not empty"
                    raise OutputError(
                        f"{self.path}: {what}, and a run is never written over another; "
                        f"name a new folder with {how_to_name()}"
                    )
                self.path = wanted.with_name(f"{wanted.name}-{number}")
        except OSError as error:
            raise OutputError(
                f"{self.path}: this folder cannot be written to ({error.strerror}); name another with {how_to_name()}"
            ) from error

    def _made_now(self) -> bool:
        """Makes the folder where it is not there, and returns whether it was made."""
        try:
            self.path.mkdir(parents=True)
        except FileExistsError:
            # What is there may be a file, or a link to nowhere.
            if not self.path.is_dir():
                raise
            return False
        return True

    def write_config(self, record: Mapping[str, Any], sha256: str) -> None:
        """Keeps the resolved config, with its digest in the first line."""
        text = yaml.safe_dump(dict(record), sort_keys=False, allow_unicode=True)
        write_text(
            self.config, f"# config_sha256 {sha256} of all but `runtime`, which does not shape the history.\n{text}"
        )

    def write_runs_on(self, local: bool) -> None:
        """Keeps whether the run is played in one process."""
        write_text(self.path / RUNS_ON, json.dumps({"local": local}) + "\n")

    def ran_locally(self) -> bool | None:
        """Returns whether the run was last played in one process; None where nobody knows."""
        try:
            local = json.loads((self.path / RUNS_ON).read_text(encoding="utf-8"))["local"]
        except (OSError, ValueError, LookupError, TypeError, RecursionError):
            return None
        return local if isinstance(local, bool) else None

    def write_record(self, record: RunRecord) -> None:
        """Writes the tables and, last, the summary: a folder with a summary is whole."""
        for name, own in record.regions.items():
            self.region(name).write_record(own)
        tables = self.path / TABLES_FOLDER
        try:
            tables.mkdir(exist_ok=True)
        except OSError as error:
            raise OutputError(f"{tables}: this folder cannot be made ({error.strerror})") from error
        for name in record.tables:
            write_table(tables / f"{name}.parquet", record.scan(name))
        write_text(self.path / SUMMARY, json.dumps(record.summary, indent=2) + "\n")

    def write_report(self, html: str) -> None:
        """Keeps the report."""
        write_text(self.report, html)

    def recorded_sha256(self) -> str | None:
        """Returns the journal's hash as the summary has it; None where there is no summary."""
        try:
            return str(self._summary()["journal_sha256"])
        except (OSError, ValueError, KeyError):
            return None

    def discard(self) -> None:
        """Removes what a run has left that was stopped before its first round."""
        parts = [journal.parent for journal in self.region_journals.values()]
        for journal in (self.journal, *self.region_journals.values()):
            journal.unlink(missing_ok=True)
            head_path(journal).unlink(missing_ok=True)
        for file in (self.config, *(self.path / name for name in (RUNS_ON, *GUESTS))):
            file.unlink(missing_ok=True)
        for emptied in (*parts, self.path / REGIONS):
            if emptied.is_dir() and not any(emptied.iterdir()):
                emptied.rmdir()
        # A folder that was there before stays, empty as it was found.
        if self._made and not any(self.path.iterdir()):
            self.path.rmdir()

    def read_record(self) -> RunRecord:
        """Returns the summary and the tables; OutputError where the folder holds no finished record."""
        try:
            summary = self._summary()
            # Tables that every run has must be there, so that a folder with a lost one is refused.
            ours = (*TABLES, *REGION_TABLES) if summary.get("regions") else TABLES
            # Plug-ins may have kept more.
            others = [path.stem for path in sorted((self.path / TABLES_FOLDER).glob("*.parquet"))]
            names = dict.fromkeys((*ours, *others))
            tables = {name: pl.read_parquet(self.path / TABLES_FOLDER / f"{name}.parquet") for name in names}
        except FileNotFoundError as error:
            what = Path(error.filename).name if error.filename else "a table"
            raise OutputError(
                f"{self.path}: {what} is not there, so the run was killed or goes on still; `swarm run --resume` "
                "goes on with one that was killed, and `swarm replay --rebuild` makes a record of the rounds it has"
            ) from error
        except (OSError, ValueError, pl.exceptions.PolarsError) as error:
            raise OutputError(
                f"{self.path}: no record of a run can be read here ({error}); "
                "`swarm replay --rebuild` can make one anew from a journal"
            ) from error
        return RunRecord(summary, tables)

    def _summary(self) -> dict[str, Any]:
        """Returns the summary; ValueError where the file holds none."""
        path = self.path / SUMMARY
        try:
            summary = json.loads(path.read_text(encoding="utf-8"))
        except RecursionError as error:
            raise ValueError(f"{path}: nested too deep") from error
        if not isinstance(summary, dict):
            raise ValueError(f"{path}: this is no summary of a run")
        return summary


def locked(path: Path) -> int | None:
    """Returns a descriptor of a folder that holds its lock, the system's; None if another process has it."""
    while True:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        except OSError:
            # A file system without locks on folders; the journal's own lock is left.
            return descriptor
        # Who was stopped early removes the folder that it had made; the lock is then of one that is gone.
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(descriptor), path.stat()):
                return descriptor
        os.close(descriptor)
        path.mkdir(parents=True, exist_ok=True)


def write_text(path: Path, text: str) -> None:
    """Writes a file and makes it durable; OutputError where it cannot be."""
    # Under another name first: a file is there whole or not at all, and a link in its place is not followed.
    part = _part(path)
    try:
        with part.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        raise OutputError(f"{path}: this file cannot be written ({error.strerror})") from error


def write_table(path: Path, table: pl.LazyFrame) -> None:
    """Writes a table's file, which is there whole or not at all; OutputError where it cannot be."""
    try:
        table.sink_parquet(part := _part(path))
        part.replace(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise OutputError(f"{path}: this table cannot be written ({error})") from error


def how_to_name() -> str:
    """Returns what a caller names another folder with."""
    return called("--out", "`out`")


def _part(path: Path) -> Path:
    """Returns what a file is called until it is whole; whatever lay there from before is gone."""
    part = path.with_name(f".{path.name}.part")
    part.unlink(missing_ok=True)
    return part


def _walk(path: Path, into: Container[str] | None = None) -> Iterator[os.DirEntry[str]]:
    """Yields all that lies below a folder and is no folder, links to folders included; none of them is followed.

    Of the folders in this one, only those `into` are entered, where that is given.
    """
    with os.scandir(path) as entries:
        for entry in entries:
            if not entry.is_dir(follow_symlinks=False):
                yield entry
            elif into is None or entry.name in into:
                yield from _walk(Path(entry.path))
