"""Commands that run, go on with, replay and report runs."""

import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from swarm import limits
from swarm.commands import live as live_pages
from swarm.commands.live import LiveFor, LivePage, Pace, Visitors
from swarm.commands.options import (
    CONFIG_HELP,
    Address,
    AsJson,
    Chapter,
    KeyHosts,
    Live,
    LiveAt,
    LiveHosts,
    Local,
    Out,
    Overrides,
    Quiet,
    RunDirectory,
    Seed,
    Trust,
)
from swarm.commands.stopping import INTERRUPTED_STATUS, StopFlag
from swarm.errors import ConfigError, OutputError, ReplayMismatch
from swarm.terminal import err, out

if TYPE_CHECKING:
    from swarm.live.opened import Opened
    from swarm.runtime.ports import RunsOn
    from swarm.runtime.run import RunResult, Session
    from swarm.simulation.folder import RunFolder

app = typer.Typer()


@app.command()
def run(
    context: typer.Context,
    config: Annotated[Path | None, typer.Argument(metavar="CONFIG", help=CONFIG_HELP)] = None,
    seed: Seed = None,
    overrides: Overrides = None,
    out_dir: Out = None,
    local: Local = None,
    address: Address = None,
    resume: Annotated[
        Path | None,
        typer.Option(
            "--resume", metavar="DIR", help="Go on with this run, which was stopped or killed, in place of a new one."
        ),
    ] = None,
    trust: Trust = False,
    keys: KeyHosts = None,
    live: Live = False,
    live_at: LiveAt = None,
    live_hosts: LiveHosts = None,
    visitors: Visitors = None,
    pace: Pace = 1.0,
    live_for: LiveFor = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Run a config to its end and write its folder: journal, tables, summary and report.

    The same seed gives the same journal_sha256 in one process, on a Ray cluster of its own and on one that is there.
    Ctrl-C ends a run after the round it is in; what was done until then is kept and can be replayed. --resume goes on
    with a run that was ended or killed at any point, on any cluster or none, to the history it would have had.
    """
    # Where a run that goes on ran, only its folder tells.
    _check_memory(bool(local) or resume is not None)
    from swarm import config_file
    from swarm import trust as trusting
    from swarm.runtime.run import Session

    # What may be refused comes before the run's folder, so that a refusal leaves nothing behind.
    hosts = trusting.key_hosts(tuple(keys or ()))
    page = live_pages.asked_for(live, live_at, live_hosts, visitors, pace, live_for)
    if resume is not None:
        if config is not None or seed is not None or overrides or out_dir is not None:
            raise ConfigError("--resume", "a resumed run has its config, its seed and its folder already")
        folder = _trusted(resume, hosts, trust)
        where = _where(context, folder, local, address, quiet, as_json)
        _run(where, folder, quiet, as_json, Session.resume, page)
        return
    if config is None:
        raise ConfigError("CONFIG", "expected a config, say wood or a YAML file, or a run's folder with --resume")
    resolved = config_file.load(config, tuple(overrides or ()), seed, own=True)
    # Who names a config on the command line trusts it, and so the folder that comes of it.
    trusting.take_as_own(resolved, hosts)
    folder = _new_folder(out_dir, Path("runs") / f"{resolved.name}-{resolved.seed}-{_now()}")
    _say_unused(context, local, address)
    _run(_runs_on(bool(local), address), folder, quiet, as_json, lambda session: session.execute(resolved), page)


def _trusted(directory: Path, hosts: Any, trust: bool) -> "RunFolder":
    """Returns the folder of a run that is to go on, once it is known what its config demands."""
    from swarm import config_file
    from swarm import trust as trusting

    folder = _found(directory)
    folder.check_config()
    # A folder of somebody else's is looked at, and its demands are shown, before it is gone on with.
    found = config_file.load(folder.config)
    trusting.check_key_hosts(found, hosts)
    _say_trusted(trusting.must_be_trusted(folder.path, trusting.demands(found, hosts), trust))
    return folder


@app.command()
def fork(
    context: typer.Context,
    directory: RunDirectory,
    at_round: Annotated[
        int | None, typer.Option("--at-round", metavar="N", help="The last round that both runs share.")
    ] = None,
    chapter: Chapter = None,
    seed: Seed = None,
    overrides: Overrides = None,
    out_dir: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="The fork's folder, new or empty. Default: <DIR>-fork-<N>-<time>."),
    ] = None,
    local: Local = None,
    address: Address = None,
    trust: Trust = False,
    keys: KeyHosts = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Go on from a round of a run under a changed config: another future of the same past.

    The fork's journal has the past up to that round as it was, then what was changed, so that it replays on its own.
    """
    _check_memory(local=True)
    from swarm import config_file
    from swarm import trust as trusting
    from swarm.runtime.fork import chapter as next_chapter
    from swarm.runtime.fork import fork as begin_fork
    from swarm.runtime.run import Session

    parent = _found(directory)
    parent.check_config()
    begun: tuple[str, ...] = ()
    if chapter is not None and at_round is None:
        at_round, begun = next_chapter(parent, chapter)
    elif chapter is not None or at_round is None:
        raise ConfigError("--at-round", "expected either this or --chapter", "give a round, or a chapter's length")
    # What stands on the command line counts more than what makes a chapter.
    changes = (*begun, *(overrides or ()), *([] if seed is None else [f"seed={seed}"]))
    # The parent's config and the fork's: what differs was said by this user, just now.
    found, changed = config_file.load(parent.config), config_file.load(parent.config, changes)
    hosts = trusting.key_hosts(tuple(keys or ()))
    trusting.check_key_hosts(changed, hosts)
    # What the parent's config demands and the fork keeps needs a word; what stands on the command line has it.
    own = set(trusting.demands(found, hosts))
    kept = [demand for demand in trusting.demands(changed, hosts) if demand in own]
    _say_trusted(trusting.must_be_trusted(parent.path, kept, trust))
    trusting.remember(trusting.demands(changed))
    folder = _new_folder(out_dir, directory.with_name(f"{directory.resolve().name}-fork-{at_round}-{_now()}"))
    runs_on = _where(context, parent, local, address, quiet, as_json)
    begin_fork(parent, at_round, changes, folder)
    _run(runs_on, folder, quiet, as_json, Session.resume)


def _check_memory(local: bool) -> None:
    what = "a run in one process" if local else "a run over Ray (--local takes less)"
    limits.must_suffice(limits.local_gb() + (0.0 if local else limits.RAY_MORE_GB), what)


def _found(directory: Path) -> "RunFolder":
    """Returns the folder of a run that is there, with nothing in it that leads elsewhere."""
    from swarm.simulation.folder import RunFolder

    folder = RunFolder(directory)
    folder.check()
    return folder


def _say_trusted(new: Any) -> None:
    for demand in new:
        err.say(f"trusted from now on: {demand.text}")


def _runs_on(local: bool, address: str | None) -> "RunsOn":
    from swarm.runtime.ports import RunsOn

    # RAY_ADDRESS may say "local" or nothing at all, as Ray itself takes it.
    return RunsOn(local=local, address=None if local or address in (None, "", "local") else address)


def _named(context: typer.Context, option: str) -> bool:
    """Whether an option stands on the command line, and has not its default or a variable's value."""
    source = context.get_parameter_source(option)
    return source is not None and source.name == "COMMANDLINE"


def _say_unused(context: typer.Context, local: bool | None, address: str | None) -> None:
    if local and _named(context, "address"):
        err.say(f"--address {address} is not used: --local runs in this process")


def _where(
    context: typer.Context, folder: "RunFolder", local: bool | None, address: str | None, quiet: bool, as_json: bool
) -> "RunsOn":
    """Where a run goes on: as the options say, else where it ran."""
    # RAY_ADDRESS says where the cluster of this machine is, and not that this run is to leave its process.
    named = _named(context, "address")
    _say_unused(context, local, address)
    if local is None and not named and folder.ran_locally():
        if not quiet:
            (err if as_json else out).say("in one process, where this run ran; --ray would go over Ray")
        local = True
    if not local:
        _check_memory(local=False)
    return _runs_on(bool(local), address)


def _run(
    runs_on: "RunsOn",
    folder: "RunFolder",
    quiet: bool,
    as_json: bool,
    start: Callable[["Session"], "RunResult"],
    page: LivePage | None = None,
) -> None:
    """Runs until the end or Ctrl-C, and says what it came to; with a page, for as long as that is to stay."""
    from swarm.progress import Progress
    from swarm.runtime.run import Session

    # The first Ctrl-C lets the round end, so the run is whole up to there.
    stop = StopFlag()
    # What is printed on the way must not stand among what is read as JSON.
    console = err if as_json else out
    progress = Progress(console, quiet)
    with ExitStack() as stack:
        stack.enter_context(stop)
        shown = stack.enter_context(live_pages.opened(page, folder, stop, console)) if page else None
        with progress.shown():
            if shown is None:
                session = Session(runs_on, folder, (progress,), progress, stop)
            else:
                watchers = (progress, *shown.watchers)
                session = Session(runs_on, folder, watchers, progress, shown.stop, hands=shown.hands)
            result = _played(session, start, shown)
        _say_result(result, as_json)
        if page and shown:
            live_pages.stay(page, shown.url, stop)
    # A run that was stopped says so in its status as well, and has a summary all the same.
    if not result.finished:
        raise typer.Exit(INTERRUPTED_STATUS)


def _played(session: "Session", start: Callable[["Session"], "RunResult"], shown: "Opened | None") -> "RunResult":
    """Returns what a run came to, and lets its page say how it ended."""
    from swarm.simulation.loop import Interrupted

    try:
        result = start(session)
    except Interrupted:
        err.say("stopped before the first round; nothing was recorded")
        raise typer.Exit(INTERRUPTED_STATUS) from None
    if shown is not None and (told := shown.over("finished" if result.finished else "stopped")):
        err.say(told)
    return result


def _say_result(result: "RunResult", as_json: bool) -> None:
    """Says what a run came to, line by line or as JSON."""
    # Whoever reads JSON has all of it in one value, the summary included.
    if as_json:
        out.say_json(
            {
                "folder": result.folder.path,
                "report": result.folder.report,
                "finished": result.finished,
                "untouched": result.untouched,
                "summary": result.record.summary,
            }
        )
        return
    from swarm.report import outcome

    summary = result.record.summary
    if result.untouched:
        out.say(
            f"{result.folder.path}: this run is finished, all {summary['rounds']} rounds, and nothing was changed; "
            "`swarm fork` tries another future"
        )
    if not result.finished:
        err.say(
            f"stopped after round {summary['rounds']} of {summary['rounds_planned']}; the journal is complete up to "
            f"there and `swarm run --resume {result.folder.path}` goes on"
        )
    for line in outcome.lines(summary):
        out.say(line)
    out.say(f"journal_sha256 {summary['journal_sha256']}")
    out.say(f"report {result.folder.report}")


@app.command()
def replay(
    directory: RunDirectory,
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="Also write tables, summary and report anew from the journal.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Rebuild a run from its journal alone and say whether the recorded history holds.

    No model is asked and no cluster is needed. Exit status 0: it holds; 1: it does not; 2: no complete journal.
    """
    _check_memory(local=True)
    from swarm.planning import composed
    from swarm.report.page import render
    from swarm.simulation.replay import replay as replay_journals
    from swarm.simulation.world_record import WorldRecorder

    folder = _found(directory)
    recorder = WorldRecorder()
    result = replay_journals(folder.journals, composed, (recorder,))
    replayed = folder.path if folder.region_journals else folder.journal
    planned = result.plan.rounds
    # A killed run ends within a round, whose records count for nothing.
    if result.torn_bytes or result.unfinished_records:
        (err if as_json else out).say(
            f"the journal ends within round {result.rounds + 1}: {result.unfinished_records} records and "
            f"{result.torn_bytes} bytes behind the last complete round are no part of the history"
        )
    # The history must be what the journal says and what the summary said when the run ended.
    if result.mismatch:
        raise ReplayMismatch(f"{replayed}: the history does not hold: {result.mismatch}")
    recorded = folder.recorded_sha256()
    if recorded not in (None, result.replayed_sha256):
        raise ReplayMismatch(
            f"{replayed}: the journal replays to {result.replayed_sha256}, but summary.json says {recorded}"
        )
    if rebuild:
        finished = result.rounds == planned
        # What a journal cannot know: where the run was, and what it lost on the way.
        extra: dict[str, Any] = {"finished": finished, "runs_on": "a replay of the journal", "layout": {}, "lost": {}}
        record = recorder.finish(result.closings, extra)
        with folder.rewritten():
            folder.write_record(record)
            folder.write_report(render(record))
        (err if as_json else out).say(f"report {folder.report}")
    if as_json:
        # Whoever reads this has the status for what does not hold.
        found = {"folder": folder.path, "holds": True, "rounds": result.rounds, "rounds_planned": planned}
        found["journal_sha256"] = result.replayed_sha256
        out.say_json(found | {"unfinished_records": result.unfinished_records, "torn_bytes": result.torn_bytes})
        return
    complete = "all" if result.rounds == planned else f"{result.rounds} of"
    out.say(f"the history holds: {complete} {planned} rounds replayed")
    out.say(f"journal_sha256 {result.replayed_sha256}")


@app.command()
def report(directory: RunDirectory, as_json: AsJson = False) -> None:
    """Write a run's report again from its summary and tables."""
    _check_memory(local=True)
    from polars.exceptions import PolarsError

    from swarm.report.page import render

    folder = _found(directory)
    record = folder.read_record()
    try:
        page = render(record)
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, PolarsError) as error:
        raise OutputError(
            f"{folder.path}: summary and tables are not those of a run that this version reports "
            f"({type(error).__name__}: {error}); `swarm replay --rebuild` makes them anew from the journal"
        ) from error
    with folder.rewritten():
        folder.write_report(page)
    if as_json:
        out.say_json({"folder": folder.path, "report": folder.report})
        return
    out.say(f"report {folder.report}")


def _new_folder(named: Path | None, generated: Path) -> "RunFolder":
    """Returns the folder that was named, or the first of the generated name which is free."""
    from swarm.simulation.folder import RunFolder

    return RunFolder(named) if named else RunFolder(generated, or_next=True)


def _now() -> str:
    return time.strftime("%Y%m%dT%H%M%S")
