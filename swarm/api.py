"""The Python API: run, resume, replay, fork, play and sweep, with typed results; `swarm` exports what is public here.

It does what the command line does, without a terminal: nothing is printed, and errors are `swarm.errors.SwarmError`.
"""

import asyncio
import copy
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import polars as pl

from swarm import arguments, config_file, planning, trust
from swarm.config import RunConfig
from swarm.errors import ConfigError, OutputError, ReplayMismatch
from swarm.experiments import variants
from swarm.experiments.plan import plan
from swarm.experiments.sweep import Swept, nobody
from swarm.experiments.sweep import sweep as do_sweep
from swarm.runtime.fork import chapter as next_chapter
from swarm.runtime.fork import fork as begin_fork
from swarm.runtime.play import play as play_config
from swarm.runtime.ports import RunsOn
from swarm.runtime.run import Session
from swarm.scenarios.protocol import Int64, MarketState
from swarm.schema import short
from swarm.simulation.folder import RunFolder
from swarm.simulation.loop import RoundOutcome
from swarm.simulation.plan import RunPlan
from swarm.simulation.record import RunRecord
from swarm.simulation.replay import replay as replay_journals
from swarm.simulation.traces import queried
from swarm.simulation.why import Explained
from swarm.simulation.why import why as explain
from swarm.simulation.world import never
from swarm.simulation.world_record import WorldRecorder

T = TypeVar("T")
ConfigLike = RunConfig | Mapping[str, Any] | Path | str
"""A config as `load` takes it: the path of a YAML file, plain values, or one that is loaded already."""

Changes = Mapping[str, Any]
"""Values by key, say `{"rounds": 10, "market.tick_cents": 5}`, as `--set` gives them on the command line."""


@dataclass(frozen=True, slots=True)
class Progress:
    """A round that is over: its number, how many the run has, and the price of each good in ticks."""

    round: int
    rounds: int
    prices: Mapping[str, int]


OnRound = Callable[[Progress], object]
"""Who is told of each round; a notebook's progress bar, say."""


class Table(pl.DataFrame):
    """A table of a run: a polars DataFrame whose `to_pandas` needs no pyarrow."""

    def to_pandas(self, *_: Any, **__: Any) -> Any:
        """Returns the table as a pandas DataFrame; OutputError where pandas is not installed."""
        try:
            import pandas as pd
        except ImportError as error:
            raise OutputError(
                "pandas: it is not installed; install it with `pip install pandas`, or stay with polars"
            ) from error
        # By way of lists: polars' own conversion needs pyarrow.
        return pd.DataFrame({name: self[name].to_list() for name in self.columns})


@dataclass(frozen=True, slots=True)
class Result:
    """A run that ended, `finished` or stopped before its last round; `folder` is None where nothing was written."""

    folder: Path | None
    summary: Mapping[str, Any]
    tables: Mapping[str, Table]
    finished: bool

    @property
    def journal_sha256(self) -> str:
        """The hash that stands for the entire history."""
        return str(self.summary["journal_sha256"])

    def why(self, trader: int, round: int) -> tuple[Explained, ...]:
        """Returns what a trader saw, said and did in a round, and what else it might have had, for each of its markets.

        OutputError where nothing was written: the journal has what is to be told.
        """
        arguments.must_be_whole(trader=trader, round=round)
        journals = self._kept().journals
        return tuple(_apart(lambda: explain(journals, planning.composed, trader, round)))

    def query(self, sql: str) -> Table:
        """Returns what a query in polars' SQL comes to; `calls`, `orders` and `messages` are made in a replay.

        OutputError where nothing was written.
        """
        if not isinstance(sql, str):
            raise ConfigError("sql", f"expected a query in SQL, got {short(sql)}")
        folder = self._kept()
        return Table(_apart(lambda: queried(folder, planning.composed, sql)))

    def _kept(self) -> RunFolder:
        if self.folder is None:
            raise OutputError("this run has no folder; `swarm.run` writes one, `swarm.play` does not")
        return RunFolder(self.folder)

    def __repr__(self) -> str:
        where = f" in {self.folder}" if self.folder else ""
        return (
            f"<{self.summary['rounds']} rounds of {self.summary['scenario']} with {self.summary['traders']} traders"
            f"{where}; tables {', '.join(self.tables)}>"
        )


def load(config: ConfigLike, *, seed: int | None = None, changes: Changes | None = None) -> RunConfig:
    """Returns a checked config, with every default written out; ConfigError names the first key that is wrong."""
    match config:
        case str() | Path():
            data = config_file.read_with(Path(config), own=True)
        case RunConfig():
            data = config.record()
        case Mapping():
            # A copy, since changes are written into it and the caller's values stay as they are.
            data = config_file.with_plugins(copy.deepcopy(dict(config)), Path())
        case _:
            raise ConfigError(
                "config", f"expected a YAML file's path, a table of keys or a loaded config, got {short(config)}"
            )
    for key, value in arguments.changes(changes).items():
        config_file.put(data, key, value)
    if seed is not None:
        data["seed"] = seed
    return config_file.resolve(data)


def run(
    config: ConfigLike,
    *,
    out: Path | str | None = None,
    seed: int | None = None,
    changes: Changes | None = None,
    local: bool = True,
    address: str | None = None,
    progress: OnRound | None = None,
    stop: Callable[[], bool] | None = None,
) -> Result:
    """Runs a config to its end and writes its folder; in this process, unless `local` is False or `address` given.

    `stop` is asked before every round; once it says yes, the run ends there, and `resume` goes on with it.
    """
    loaded = load(config, seed=seed, changes=changes)
    # Who calls this wrote the config, and so trusts it.
    trust.take_as_own(loaded, trust.key_hosts())
    folder = _new_folder(out, Path("runs") / f"{loaded.name}-{loaded.seed}-{_now()}")
    session = _session(folder, local, address, progress, stop)
    return _apart(lambda: _result(session.execute(loaded)))


def resume(
    folder: Path | str,
    *,
    local: bool | None = None,
    address: str | None = None,
    progress: OnRound | None = None,
    stop: Callable[[], bool] | None = None,
    trusted: bool = False,
) -> Result:
    """Goes on with a run that was stopped or killed, to the history it would have had.

    It goes on where it ran, in this process or over Ray, unless `local` or `address` says otherwise. Of a finished run
    nothing changes.

    `trusted` says that a folder of somebody else may do what its config demands (`swarm.errors.TrustError`).
    """
    kept = RunFolder(arguments.path(folder, "folder"))
    _must_be_trusted(kept, trusted)
    session = _session(kept, _as_it_ran(kept, local), address, progress, stop)
    return _apart(lambda: _result(session.resume()))


def fork(
    folder: Path | str,
    at_round: int | None = None,
    *,
    chapter: int | None = None,
    out: Path | str | None = None,
    seed: int | None = None,
    changes: Changes | None = None,
    local: bool | None = None,
    address: str | None = None,
    progress: OnRound | None = None,
    stop: Callable[[], bool] | None = None,
    trusted: bool = False,
) -> Result:
    """Runs another future of a run's past: all up to `at_round` as it was, and from there a changed config.

    With `chapter` in place of `at_round` it goes on from the last round for so many more, with what is remembered;
    exiles return. It runs where its past ran, in this process or over Ray, unless `local` or `address` says otherwise.
    """
    parent = RunFolder(arguments.path(folder, "folder"))
    changed = {**arguments.changes(changes), **({} if seed is None else {"seed": seed})}
    # What was given is looked at before the folder is.
    if (at_round is None) == (chapter is None):
        raise ConfigError("at_round", "expected either this or chapter", "give a round, or a chapter's length")
    arguments.must_be_whole(**({"at_round": at_round} if chapter is None else {"chapter": chapter}))
    _must_be_trusted(parent, trusted)
    # A chapter is a fork at the last round, with changes of its own that the caller's own come after.
    last, begun = (at_round, ()) if at_round is not None else next_chapter(parent, chapter or 0)
    trust.remember(trust.demands(load(config_file.load(parent.config), changes=changed)))
    overrides = (*begun, *(config_file.as_override(*change) for change in changed.items()))
    child = _new_folder(out, parent.path.with_name(f"{parent.path.resolve().name}-fork-{last}-{_now()}"))
    begin_fork(parent, last, overrides, child)
    session = _session(child, _as_it_ran(parent, local), address, progress, stop)
    return _apart(lambda: _result(session.resume()))


def replay(folder: Path | str) -> Result:
    """Rebuilds a run from its journals alone, and writes nothing; ReplayMismatch where the history does not hold."""
    kept = RunFolder(arguments.path(folder, "folder"))
    kept.check()
    recorder = WorldRecorder()
    result = replay_journals(kept.journals, planning.composed, (recorder,))
    if not result.holds:
        raise ReplayMismatch(f"{kept.path}: the history does not hold: {result.mismatch or 'its hash is another'}")
    # A journal tells no times and no places, so these are left empty.
    finished = result.rounds == result.plan.rounds
    extra = {"finished": finished, "runs_on": "a replay of the journal", "layout": {}, "lost": {}}
    return _of_record(kept.path, recorder.finish(result.closings, extra), finished)


def play(
    config: ConfigLike,
    *,
    seed: int | None = None,
    changes: Changes | None = None,
    progress: OnRound | None = None,
    stop: Callable[[], bool] | None = None,
) -> Result:
    """Plays a config to its end in this process, and writes nothing at all."""
    loaded = load(config, seed=seed, changes=changes)
    arguments.must_be_callable(progress=progress, stop=stop)
    trust.check_key_hosts(loaded, trust.key_hosts())
    watchers = (_Told(progress),) if progress else ()
    played = _apart(lambda: play_config(loaded, *watchers, stop=stop or never))
    return _of_record(None, played.record, played.rounds == loaded.rounds)


def sweep(
    config: ConfigLike,
    *,
    seeds: Iterable[int],
    vary: Mapping[str, Sequence[Any]] | None = None,
    changes: Changes | None = None,
    out: Path | str | None = None,
    jobs: int | None = None,
    address: str | None = None,
    measures: Sequence[str] = (),
    progress: Callable[[int, int, str], object] | None = None,
    stop: Callable[[], bool] | None = None,
) -> Swept:
    """Runs a config under each seed and combination of values, several runs side by side, and compares the variants.

    Again, it goes on where it was stopped; `address` has each run on that Ray cluster. Runs have processes of their
    own, so a script calls it below `if __name__ == "__main__":`. `progress` is told how many runs are done, how many
    there are, and which ended.
    """
    arguments.must_be_callable(progress=progress, stop=stop)
    if jobs is not None and (type(jobs) is not int or jobs < 1):
        raise ConfigError("jobs", f"expected a number of processes, 1 or more, got {short(jobs)}")
    if isinstance(measures, str) or not isinstance(measures, Sequence):
        raise ConfigError("measures", f"expected a list of names, got {short(measures)}")
    _must_be_address(address)
    folder = arguments.path(out, "out") if out is not None else None
    data = load(config, changes=changes).record()
    experiment = plan(data, variants.crossed(variants.of_values({} if vary is None else vary)), arguments.seeds(seeds))
    # Who calls this wrote the config, and so trusts it.
    hosts = trust.key_hosts()
    for loaded in experiment.configs():
        trust.take_as_own(loaded, hosts)
    told = progress or nobody
    return do_sweep(experiment, folder, jobs=jobs, address=address, measures=measures, told=told, stop=stop or never)


def _must_be_trusted(folder: RunFolder, trusted: bool) -> None:
    """Raises TrustError where a folder's config demands what was never said yes to."""
    folder.check()
    folder.check_config()
    config, hosts = config_file.load(folder.config), trust.key_hosts()
    trust.check_key_hosts(config, hosts)
    trust.must_be_trusted(folder.path, trust.demands(config, hosts), trusted)


def _session(
    folder: RunFolder, local: bool, address: str | None, progress: OnRound | None, stop: Callable[[], bool] | None
) -> Session:
    arguments.must_be_callable(progress=progress, stop=stop)
    _must_be_address(address)
    runs_on = RunsOn(local=local and address is None, address=address)
    return Session(runs_on, folder, (_Told(progress),) if progress else (), stop=stop or never)


def _must_be_address(address: Any) -> None:
    if address is not None and not isinstance(address, str):
        raise ConfigError("address", f"expected HOST:PORT, or auto, got {short(address)}")


def _result(ended: Any) -> Result:
    return _of_record(ended.folder.path, ended.record, ended.finished)


def _of_record(folder: Path | None, record: RunRecord, finished: bool) -> Result:
    return Result(folder, record.summary, {name: Table(table) for name, table in record.tables.items()}, finished)


def _new_folder(named: Path | str | None, generated: Path) -> RunFolder:
    return RunFolder(generated, or_next=True) if named is None else RunFolder(arguments.path(named, "out"))


def _as_it_ran(folder: RunFolder, local: bool | None) -> bool:
    """Whether a run goes on in this process, as it is told to or, by default, as it ran."""
    return folder.ran_locally() is not False if local is None else local


def _now() -> str:
    return time.strftime("%Y%m%dT%H%M%S")


def _apart(work: Callable[[], T]) -> T:
    """Returns what `work` returns, from a thread of its own where this one has an event loop, as notebooks have."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return work()
    done: list[T] = []
    failed: list[BaseException] = []

    def call() -> None:
        try:
            done.append(work())
        # Raised again below, in the caller's thread; else it would only be printed.
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=call, name="swarm", daemon=True)
    thread.start()
    thread.join()
    if failed:
        raise failed[0]
    return done[0]


class _Told:
    """A watcher that tells a callback of each round."""

    def __init__(self, told: OnRound) -> None:
        self._told = told
        self._rounds = 0

    def started(self, plan: RunPlan, opening: MarketState, named: Int64) -> None:
        """Takes note of how many rounds the run has."""
        self._rounds = plan.rounds

    def round_done(self, outcome: RoundOutcome) -> None:
        """Tells the callback of a round that is over."""
        # Python's own integers, which a callback can print or write as JSON.
        prices = zip(outcome.plan.scenario.goods, outcome.state.reference_ticks.tolist(), strict=True)
        self._told(Progress(outcome.round, self._rounds, dict(prices)))
