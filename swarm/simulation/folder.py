"""A run's folder: `config.yaml`, `journal.swarm`, `journal.head`, `summary.json`, `tables/*.parquet`, `report.html`."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl
import yaml

from swarm.errors import OutputError
from swarm.simulation.journal_disk import head_path
from swarm.simulation.record import REGION_TABLES, TABLES, RunRecord

REGIONS = "regions"
"""The folder that has a folder for each of several regions, with its journal, tables and summary."""


class RunFolder:
    """Where one run is kept."""

    def __init__(self, path: Path) -> None:
        # A run that is handed in to a cluster has no shell that would do this for it.
        self.path = path.expanduser()
        self._made = False

    @property
    def journal(self) -> Path:
        """The journal's file."""
        return self.path / "journal.swarm"

    def region(self, name: str) -> "RunFolder":
        """Where one of several regions is kept."""
        return RunFolder(self.path / REGIONS / name)

    @property
    def region_journals(self) -> dict[str, Path]:
        """The journals of the regions by name; none where the run is of one market."""
        return {part.name: RunFolder(part).journal for part in sorted((self.path / REGIONS).glob("*"))}

    @property
    def report(self) -> Path:
        """The report's file."""
        return self.path / "report.html"

    @property
    def config(self) -> Path:
        """The resolved config's file."""
        return self.path / "config.yaml"

    def create(self) -> None:
        """Make the folder; OutputError where it cannot be written to or holds a run already."""
        try:
            self._made = not self.path.exists()
            self.path.mkdir(parents=True, exist_ok=True)
            if any(self.path.iterdir()):
                raise OutputError(
                    f"{self.path}: this folder is not empty, and a run is never written over another; "
                    "name a new folder with --out"
                )
            if not os.access(self.path, os.W_OK | os.X_OK):
                raise PermissionError(13, "Permission denied")
        except OSError as error:
            raise OutputError(
                f"{self.path}: this folder cannot be written to ({error.strerror}); name another with --out"
            ) from error

    def write_config(self, record: Mapping[str, Any], sha256: str) -> None:
        """Keep the resolved config, with its digest in the first line."""
        text = yaml.safe_dump(dict(record), sort_keys=False, allow_unicode=True)
        self._write(
            self.config, f"# config_sha256 {sha256} of all but `runtime`, which does not shape the history.\n{text}"
        )

    def write_record(self, record: RunRecord) -> None:
        """Write the tables and, last, the summary: a folder with a summary is whole."""
        tables = self.path / "tables"
        tables.mkdir(exist_ok=True)
        for name, table in record.tables.items():
            try:
                table.write_parquet(tables / f"{name}.parquet")
            except OSError as error:
                raise OutputError(f"{tables / name}.parquet: this table cannot be written ({error})") from error
        self._write(self.path / "summary.json", json.dumps(record.summary, indent=2) + "\n")

    def write_report(self, html: str) -> None:
        """Keep the report."""
        self._write(self.report, html)

    def recorded_sha256(self) -> str | None:
        """The journal's hash as the summary has it; None where there is no summary."""
        try:
            summary = json.loads((self.path / "summary.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return str(summary.get("journal_sha256"))

    def discard(self) -> None:
        """Remove what a run has left that was stopped before its first round."""
        parts = [journal.parent for journal in self.region_journals.values()]
        for journal in (self.journal, *self.region_journals.values()):
            journal.unlink(missing_ok=True)
            head_path(journal).unlink(missing_ok=True)
        self.config.unlink(missing_ok=True)
        for emptied in (*parts, self.path / REGIONS):
            if emptied.is_dir() and not any(emptied.iterdir()):
                emptied.rmdir()
        if self._made and not any(self.path.iterdir()):
            self.path.rmdir()

    def read_record(self) -> RunRecord:
        """The summary and the tables; OutputError where the folder holds no finished record."""
        try:
            summary = json.loads((self.path / "summary.json").read_text(encoding="utf-8"))
            names = (*TABLES, *REGION_TABLES) if summary.get("regions") else TABLES
            tables = {name: pl.read_parquet(self.path / "tables" / f"{name}.parquet") for name in names}
        except (OSError, ValueError) as error:
            raise OutputError(
                f"{self.path}: no record of a run can be read here ({error}); "
                "`swarm replay` can rebuild one from a journal with --rebuild"
            ) from error
        return RunRecord(summary, tables)

    def _write(self, path: Path, text: str) -> None:
        try:
            path.write_text(text, encoding="utf-8")
        except OSError as error:
            raise OutputError(f"{path}: this file cannot be written ({error.strerror})") from error
