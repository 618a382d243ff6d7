"""Commands over many runs: sweep, list, delete and compare them."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from swarm import limits
from swarm.commands.options import AsJson, ConfigPath, KeyHosts, Overrides, Quiet
from swarm.commands.stopping import INTERRUPTED_STATUS, StopFlag
from swarm.errors import ConfigError
from swarm.terminal import err, out

if TYPE_CHECKING:
    import polars as pl

    from swarm.experiments.sweep import Swept

app = typer.Typer()

Varied = Annotated[
    list[str] | None,
    typer.Option(
        "--vary",
        metavar="A.B=V,W",
        help="Values of one key, parted by commas or by ` | `; several of these are crossed, and the first variant is "
        "what the others are compared with.",
    ),
]
Jobs = Annotated[
    int | None,
    typer.Option(
        "--jobs",
        min=1,
        max=256,
        metavar="N",
        help="Runs side by side. Default: the cores; on a cluster one, which has the cluster to itself.",
    ),
]
SweepAddress = Annotated[
    str | None,
    typer.Option(
        "--address",
        metavar="HOST:PORT",
        help="Do the runs on this Ray cluster (or `auto`: the one on this machine), one after another.",
    ),
]


@app.command()
def sweep(
    config: ConfigPath,
    seeds: Annotated[str, typer.Option("--seeds", metavar="A..B", help="Seeds, say 0..19 or 1,2,7..9.")] = "0..9",
    varied: Varied = None,
    overrides: Overrides = None,
    out_dir: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="The sweep's folder. Default: runs/sweep-<name>-<what varies>."),
    ] = None,
    jobs: Jobs = None,
    address: SweepAddress = None,
    measures: Annotated[
        list[str] | None,
        typer.Option("--measure", metavar="NAME", help="Compare this alone; may stand several times. Default: all."),
    ] = None,
    as_json: AsJson = False,
    keys: KeyHosts = None,
    quiet: Quiet = False,
) -> None:
    """Run a config under many seeds and variants, and compare these: means, paired differences, 95% intervals.

    Each run is one process's, without Ray, or with --address on that cluster. The same command again goes on where it
    was stopped or killed; more seeds add runs. Runs have no page of their own until `swarm report` makes it; the
    sweep's own page has charts of all of them.
    """
    limits.must_suffice(limits.local_gb(), "a run in one process")
    from swarm import config_file, trust
    from swarm.experiments import plan, variants
    from swarm.experiments.sweep import nobody
    from swarm.experiments.sweep import sweep as do_sweep

    # Every variant is checked before anything begins, so that a mistake costs no run.
    data = config_file.read_with(config, tuple(overrides or ()), own=True)
    experiment = plan.plan(data, variants.crossed(variants.parse(varied or ())), variants.seeds(seeds))
    hosts = trust.key_hosts(tuple(keys or ()))
    for resolved in experiment.configs():
        trust.take_as_own(resolved, hosts)

    # The first Ctrl-C lets the rounds end that are going on.
    with StopFlag() as stop:
        swept = do_sweep(
            experiment,
            out_dir,
            jobs=jobs,
            address=address,
            measures=tuple(measures or ()),
            told=nobody if quiet else _tell,
            stop=stop,
        )
    _say(swept, as_json)
    if swept.failed or not swept.finished:
        raise typer.Exit(1 if swept.finished else INTERRUPTED_STATUS)


def _tell(done: int, planned: int, what: str) -> None:
    err.say(f"{done} of {planned}: {what}")


def _say(swept: "Swept", as_json: bool) -> None:
    """Says what a sweep came to: its table, what failed, and where all of it lies."""
    if as_json:
        out.say_json(swept.record)
        return
    for line in lines_of(swept.means):
        out.say(line)
    for folder, why in swept.failed.items():
        err.say(f"failed: {folder}: {why}")
    done = f"{len(swept.runs)} of {swept.planned} runs are done"
    if not swept.finished:
        err.say(f"{done}; the same command goes on")
    out.say(f"{done}, in {swept.folder}: runs.parquet, means.parquet, sweep.json")
    out.say(f"report {swept.report}")


def lines_of(means: "pl.DataFrame") -> list[str]:
    """Returns the table of means as the terminal shows it: each measure, and below it a line for each variant."""
    from swarm.experiments.means import between, chance, figure

    widest = max(map(len, means["variant"].to_list()), default=0)
    lines: list[str] = []
    for (measure,), rows in means.group_by("measure", maintain_order=True):
        lines.append(str(measure))
        for row in rows.iter_rows(named=True):
            line = f"  {row['variant']:{widest}}  {figure(row['mean']):>9}"
            line += between(row["low"], row["high"])
            # What has no pairs, as the first variant has none, is not compared.
            if row["difference"] is not None:
                line += f"   difference {figure(row['difference'], '+')}"
                line += between(row["difference_low"], row["difference_high"], "+")
                line += f", p {chance(row['p'])}" + ("" if row["differs"] else ", which is none")
            lines.append(line)
    return lines


@app.command(name="runs")
def list_runs(
    words: Annotated[
        list[str] | None, typer.Argument(metavar="[WORD]...", help="What folder, name or scenario must have in them.")
    ] = None,
    root: Annotated[Path, typer.Option("--in", metavar="DIR", help="Where runs are looked for.")] = Path("runs"),
    state: Annotated[
        str, typer.Option("--state", metavar="STATE", help="Only those that are finished, stopped, or cut off.")
    ] = "",
    delete: Annotated[
        bool, typer.Option("--delete", help="Delete those that are listed; asks before it does.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: AsJson = False,
) -> None:
    """List runs, those of sweeps included; with words or a state, those that have them; with --delete, remove these."""
    from swarm.experiments import listing
    from swarm.schema import short

    if state and state not in listing.STATES:
        raise ConfigError("--state", f"expected one of {', '.join(listing.STATES)}, got {short(state)}")
    found = listing.found(root, tuple(words or ()), state)
    if as_json:
        out.say_json([run.record() for run in found])
    else:
        for run in found:
            known = f"  {run.rounds} rounds, {run.traders} traders, seed {run.seed}" if run.rounds is not None else ""
            out.say(f"{run.folder}  {run.state}{known}")
        err.say(f"{len(found)} runs in {root}")
    if delete and found:
        # Whoever pipes a yes in has said it with --yes.
        if not yes and not typer.confirm(f"Delete these {len(found)} folders?", err=True):
            raise typer.Exit(1)
        for run in found:
            listing.delete(Path(run.folder))
        err.say(f"{len(found)} runs deleted")


@app.command(name="compare")
def compare_runs(
    directories: Annotated[list[Path], typer.Argument(metavar="DIR DIR...", help="Two or more runs' folders.")],
    as_json: AsJson = False,
) -> None:
    """Say what differs between runs: keys of the config, outcomes, and the first round in which histories part."""
    from swarm.experiments.compare import compare

    if len(directories) < 2:
        raise ConfigError("DIR", "expected two runs or more", "name another folder")
    found = compare(directories)
    if as_json:
        out.say_json(found.record())
        return
    # A value of each run, in the order in which they were named.
    for heading, differing in (("config", found.config), ("outcome", found.outcome)):
        out.say(f"{heading}: {'' if differing else 'the same'}".rstrip())
        for key, values in differing.items():
            out.say(f"  {key}: {' | '.join('-' if value is None else str(value) for value in values)}")
    for folder in found.unmeasured:
        out.say(f"{folder}: no summary can be read, so its outcome is not known; `swarm replay --rebuild` can make one")
    shared = max(min(found.rounds) - 1, 0)
    match found.parted:
        case None:
            out.say(f"history: the same in the {shared} rounds that all have")
        case 0:
            out.say("history: they part before the first round")
        case round_:
            out.say(f"history: they part in round {round_}")
