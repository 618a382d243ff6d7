"""Does an experiment: its runs side by side, then one folder with their table, the means, and what was found.

A sweep that was stopped or killed goes on when it is asked for again: runs that are done are read, others go on.
"""

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import yaml

from swarm.errors import ConfigError, OutputError, called, suggest
from swarm.experiments.means import means, moving
from swarm.experiments.outcomes import outcomes
from swarm.experiments.plan import RUNS, Experiment, Planned
from swarm.experiments.workers import Job, run_all, usual_jobs
from swarm.runtime.ports import IN_THIS_PROCESS, RunsOn
from swarm.simulation.folder import RunFolder, how_to_name, locked, write_table, write_text
from swarm.simulation.record import RunRecord
from swarm.simulation.world import never

Told = Callable[[int, int, str], object]
"""Who is told of each run that ends: how many are done, how many there are, and which one it was and how it ended."""


@dataclass(frozen=True, slots=True)
class Swept:
    """What an experiment came to: a row per run, a row per measure and variant, and why runs failed, by folder."""

    folder: Path
    experiment: Experiment
    runs: pl.DataFrame
    means: pl.DataFrame
    failed: Mapping[str, str]

    @property
    def planned(self) -> int:
        """How many runs the experiment has."""
        return len(self.experiment)

    @property
    def report(self) -> Path:
        """The page with charts of all runs."""
        return self.folder / "report.html"

    @property
    def finished(self) -> bool:
        """Whether all runs are done or have failed."""
        return len(self.runs) + len(self.failed) == self.planned

    @property
    def record(self) -> dict[str, Any]:
        """What was found, in plain values, as `sweep.json` has it."""
        return {
            "name": self.experiment.name,
            "folder": str(self.folder),
            "variants": [variant.label for variant in self.experiment.variants],
            "seeds": list(self.experiment.seeds),
            "runs": len(self.runs),
            "planned": self.planned,
            "failed": dict(self.failed),
            "means": self.means.to_dicts(),
        }


def nobody(done: int, planned: int, what: str) -> None:
    """Is told of a run, and says nothing."""


def sweep(
    experiment: Experiment,
    folder: Path | None = None,
    *,
    jobs: int | None = None,
    address: str | None = None,
    measures: Sequence[str] = (),
    told: Told = nobody,
    stop: Callable[[], bool] = never,
) -> Swept:
    """Does what is left of an experiment, `jobs` runs at a time, and writes its folder.

    `measures` are those that are compared; all that differ between runs, if none is named. With `address` each run is
    on that Ray cluster, else in a process without Ray.
    """
    path = (folder or experiment.folder).expanduser()
    runs_on = IN_THIS_PROCESS if address is None else RunsOn(address=address)
    # A run on a cluster has all of it, so that a second would wait for what the first one holds.
    at_once = jobs or (usual_jobs() if address is None else 1)
    _make(path)
    with _alone(path):
        planned = {run.folder: run for run in experiment.runs()}
        rows: dict[str, dict[str, Any]] = {}
        todo: list[Job] = []
        for name, run in planned.items():
            own = path / RUNS / name
            found = _done(own, run)
            if found is None:
                todo.append(Job(own, run.config.record()))
            else:
                rows[name] = found
        # Each run counts from its folder on, as in a sweep that finds it done.
        failed: dict[str, str] = {}
        for ended in run_all(todo, at_once, stop, runs_on) if todo else ():
            name = ended.job.folder.name
            run = planned[name]
            if ended.finished:
                rows[name] = _row(ended.job.folder, run, RunFolder(ended.job.folder).read_record())
            elif ended.error:
                failed[name] = ended.error
            else:
                # Told to stop: its journal is kept, and it counts when it is done.
                continue
            what = f"{run.variant.label}, seed {run.seed}" + (f": failed: {ended.error}" if ended.error else "")
            told(len(rows) + len(failed), len(experiment), what)
        return _written(path, experiment, [rows[name] for name in planned if name in rows], failed, measures)


def _make(path: Path) -> None:
    """Makes the folder of an experiment; OutputError where it cannot be, or holds something else."""
    try:
        # A sweep's folder is known by the one of its runs, which is there even where all of them fail.
        if path.is_dir() and any(path.iterdir()) and not (path / RUNS).is_dir():
            raise OutputError(
                f"{path}: this folder has other things in it than a sweep; name a new one with {how_to_name()}"
            )
        (path / RUNS).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"{path}: this folder cannot be written to ({error.strerror}); name another with {how_to_name()}"
        ) from error


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Keeps the folder this process's alone in the block, since two sweeps at once would do the same runs."""
    descriptor = locked(path)
    if descriptor is None:
        raise OutputError(f"{path}: another sweep is going on in this folder; wait for it or end it")
    try:
        yield
    finally:
        os.close(descriptor)


def _done(path: Path, run: Planned) -> dict[str, Any] | None:
    """Returns the row of a run that was done before; None where it was not, or not to its end."""
    folder = RunFolder(path)
    if folder.recorded_sha256() is None:
        return None
    record = folder.read_record()
    return _row(path, run, record) if record.summary.get("finished") else None


def _row(path: Path, run: Planned, record: RunRecord) -> dict[str, Any]:
    """Returns the row of a run that is done; OutputError where the folder has the run of another config."""
    summary = record.summary
    if summary["config_sha256"] != run.config.sha256():
        raise OutputError(
            f"{path}: this run has another config than its name says; remove it, and the sweep does it anew"
        )
    return {
        "variant": run.variant.label,
        **run.variant.texts,
        "seed": run.seed,
        "folder": f"{RUNS}/{path.name}",
        "rounds": summary["rounds"],
        "journal_sha256": summary["journal_sha256"],
        **outcomes(record),
    }


def _written(
    path: Path, experiment: Experiment, rows: list[dict[str, Any]], failed: Mapping[str, str], wanted: Sequence[str]
) -> Swept:
    """Writes `runs.parquet`, `means.parquet`, `sweep.json` and `report.html`, and returns what they say."""
    described = {"variant", "seed", "folder", "rounds", "journal_sha256", *experiment.variants[0].texts}
    # [runs] rows; whatever is no description of a run is a measure.
    runs = pl.DataFrame(rows, infer_schema_length=None)
    measures = [name for name in runs.columns if name not in described]
    for name in wanted:
        if rows and name not in measures:
            key, known = called("--measure", "measures"), f"known: {', '.join(measures)}"
            raise ConfigError(key, f"there is no {name}{suggest(name, measures)}", known)
    table = (
        means(runs, list(wanted) or moving(runs, measures))
        if rows
        else means(pl.DataFrame({"variant": [], "seed": []}), [])
    )
    swept = Swept(path, experiment, runs, table, failed)
    write_table(path / "runs.parquet", runs.lazy())
    write_table(path / "means.parquet", table.lazy())
    write_text(path / "sweep.json", json.dumps(swept.record, indent=1) + "\n")
    write_text(path / "sweep.yaml", yaml.safe_dump(dict(experiment.data), sort_keys=False, allow_unicode=True))
    # The charts' libraries take half a second to import, which belongs at the end.
    from swarm.experiments.page import render

    write_text(swept.report, render(experiment, path, runs, table, failed))
    return swept
