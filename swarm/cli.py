"""The command line: parses, delegates, says what went wrong in one line, sets the exit status."""

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from swarm import __version__, scenarios
from swarm.errors import ReplayMismatch, SwarmError

if TYPE_CHECKING:
    from swarm.runtime.ports import RunsOn
    from swarm.runtime.run import RunResult, Session
    from swarm.simulation.folder import RunFolder

INTERRUPTED_STATUS = 130

app = typer.Typer(
    name="swarm",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help=(
        "Market simulations in which every trader thinks with a small language model.\n\n"
        "[bold]swarm run configs/wood.yaml[/bold] runs the Wood on a Ray cluster of its own and writes a report. "
        "[bold]--local[/bold] needs no Ray and comes to the same history. [bold]swarm doctor[/bold] says what this "
        "machine has."
    ),
)
models_app = typer.Typer(help="The minds that can decide for traders.", invoke_without_command=True)
bench_app = typer.Typer(help="Measure on this machine: medians of five, in one form of JSON.", no_args_is_help=True)
app.add_typer(models_app, name="models")
dashboards_app = typer.Typer(help="The Grafana dashboards of runs.", no_args_is_help=True)
app.add_typer(bench_app, name="bench")
app.add_typer(dashboards_app, name="dashboards")

out = Console(soft_wrap=True, highlight=False)
err = Console(stderr=True, soft_wrap=True, highlight=False)

ConfigPath = Annotated[Path, typer.Argument(metavar="CONFIG", help="A YAML file, say configs/wood.yaml.")]
RunDirectory = Annotated[Path, typer.Argument(metavar="DIR", help="A run's folder, as `swarm run` printed it.")]
Seed = Annotated[int | None, typer.Option("--seed", metavar="N", help="Use this seed in place of the config's.")]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="A.B=VALUE", help="Set one key of the config, say --set rounds=10; may stand several times."
    ),
]
Address = Annotated[
    str | None,
    typer.Option(
        "--address",
        metavar="HOST:PORT",
        envvar="RAY_ADDRESS",
        help="Join this Ray cluster (or `auto`: the one on this machine) in place of starting one. One that asks for a "
        "token gets that of RAY_AUTH_TOKEN_PATH.",
    ),
]
JsonPath = Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write the results here, too.")]


@app.callback()
def root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Say the version and stop.", is_eager=True)] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks of errors.")] = False,
) -> None:
    """Options of all commands; `main` looks for --debug itself, since it may stand anywhere."""
    if version:
        out.print(f"swarm {__version__}")
        raise typer.Exit


@app.command()
def run(
    config: Annotated[Path | None, typer.Argument(metavar="CONFIG", help="A YAML file, say configs/wood.yaml.")] = None,
    seed: Seed = None,
    overrides: Overrides = None,
    out_dir: Annotated[
        Path | None,
        typer.Option(
            "--out", metavar="DIR", help="The run's folder, new or empty. Default: runs/<name>-<seed>-<time>."
        ),
    ] = None,
    local: Annotated[bool, typer.Option("--local", help="Run in this one process, without Ray.")] = False,
    address: Address = None,
    resume: Annotated[
        Path | None,
        typer.Option(
            "--resume", metavar="DIR", help="Go on with this run, which was stopped or killed, in place of a new one."
        ),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")] = False,
) -> None:
    """Run a config to its end and write its folder: journal, tables, summary and report.

    The same seed gives the same journal_sha256 in one process, on a Ray cluster of its own and on one that is there.
    Ctrl-C ends a run after the round it is in; what was done until then is kept and can be replayed. --resume goes on
    with a run that was ended or killed at any point, on any cluster or none, to the history it would have had.
    """
    from swarm import config_file
    from swarm.runtime.run import Session
    from swarm.simulation.folder import RunFolder

    if resume is not None:
        if config is not None or seed is not None or overrides or out_dir is not None:
            raise typer.BadParameter("a resumed run has its config and its folder already", param_hint="--resume")
        folder = RunFolder(resume)
        _run(_runs_on(local, address), folder, quiet, Session.resume)
        return
    if config is None:
        raise typer.BadParameter("name a config, or a run's folder with --resume", param_hint="CONFIG")
    resolved = config_file.load(config, tuple(overrides or ()), seed)
    folder = _new_folder(out_dir, Path("runs") / f"{resolved.name}-{resolved.seed}-{_now()}")
    _run(_runs_on(local, address), folder, quiet, lambda session: session.execute(resolved))


@app.command()
def fork(
    directory: RunDirectory,
    at_round: Annotated[int, typer.Option("--at-round", metavar="N", help="The last round that both runs share.")],
    overrides: Overrides = None,
    out_dir: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="The fork's folder, new or empty. Default: <DIR>-fork-<N>-<time>."),
    ] = None,
    local: Annotated[bool, typer.Option("--local", help="Run in this one process, without Ray.")] = False,
    address: Address = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")] = False,
) -> None:
    """Go on from a round of a run under a changed config: another future of the same past.

    The fork's journal has the past up to that round as it was, then what was changed, so that it replays on its own.
    """
    from swarm.runtime.fork import fork as begin_fork
    from swarm.runtime.run import Session
    from swarm.simulation.folder import RunFolder

    folder = _new_folder(out_dir, directory.with_name(f"{directory.resolve().name}-fork-{at_round}-{_now()}"))
    begin_fork(RunFolder(directory), at_round, tuple(overrides or ()), folder)
    _run(_runs_on(local, address), folder, quiet, Session.resume)


def _runs_on(local: bool, address: str | None) -> "RunsOn":
    from swarm.runtime.ports import RunsOn

    return RunsOn(local=local, address=None if local or address in (None, "", "local") else address)


def _run(runs_on: "RunsOn", folder: "RunFolder", quiet: bool, start: Callable[["Session"], "RunResult"]) -> None:
    """Run until the end or Ctrl-C, and say what it came to."""
    from swarm.progress import Progress
    from swarm.report import outcome
    from swarm.runtime.run import Session
    from swarm.simulation.loop import Interrupted

    stop = _StopFlag()
    progress = Progress(out, quiet)
    try:
        with stop, progress.shown():
            result = start(Session(runs_on, folder, (progress,), progress, stop))
    except Interrupted:
        err.print("stopped before the first round; nothing was recorded")
        raise typer.Exit(INTERRUPTED_STATUS) from None
    summary = result.record.summary
    if not result.finished:
        err.print(
            f"stopped after round {summary['rounds']} of {summary['rounds_planned']}; the journal is whole up to there "
            f"and `swarm run --resume {result.folder.path}` goes on"
        )
    for line in outcome.lines(summary):
        out.print(escape(line))
    out.print(f"journal_sha256 {summary['journal_sha256']}")
    out.print(f"report {result.folder.report}")
    if not result.finished:
        raise typer.Exit(INTERRUPTED_STATUS)


@app.command()
def replay(
    directory: RunDirectory,
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="Also write tables, summary and report anew from the journal.")
    ] = False,
) -> None:
    """Rebuild a run from its journal alone and say whether the recorded history holds.

    No model is asked and no cluster is needed. Exit status 0: it holds; 1: it does not; 2: there is no whole journal.
    """
    from swarm.planning import composed
    from swarm.report.page import render
    from swarm.simulation.folder import RunFolder
    from swarm.simulation.replay import replay as replay_journals
    from swarm.simulation.world_record import WorldRecorder

    folder = RunFolder(directory)
    folder.check()
    recorder = WorldRecorder()
    result = replay_journals(folder.journals, composed, (recorder,))
    place = folder.path if folder.region_journals else folder.journal
    planned = result.plan.rounds
    if result.torn_bytes or result.unfinished_records:
        out.print(
            f"the journal ends within round {result.rounds + 1}: {result.unfinished_records} records and "
            f"{result.torn_bytes} bytes behind the last whole round are no part of the history"
        )
    if result.mismatch:
        raise ReplayMismatch(f"{place}: the history does not hold: {result.mismatch}")
    recorded = folder.recorded_sha256()
    if recorded not in (None, result.replayed_sha256):
        raise ReplayMismatch(
            f"{place}: the journal replays to {result.replayed_sha256}, but summary.json says {recorded}"
        )
    if rebuild:
        finished = result.rounds == planned
        extra: dict[str, Any] = {"finished": finished, "place": "a replay of the journal", "layout": {}, "lost": {}}
        record = recorder.finish(result.closings, extra)
        folder.write_record(record)
        folder.write_report(render(record))
        out.print(f"report {folder.report}")
    whole = "all" if result.rounds == planned else f"{result.rounds} of"
    out.print(f"the history holds: {whole} {planned} rounds replayed")
    out.print(f"journal_sha256 {result.replayed_sha256}")


@app.command()
def report(directory: RunDirectory) -> None:
    """Write a run's report again from its summary and tables."""
    from swarm.report.page import render
    from swarm.simulation.folder import RunFolder

    folder = RunFolder(directory)
    folder.check()
    folder.write_report(render(folder.read_record()))
    out.print(f"report {folder.report}")


@app.command()
def validate(
    config: Annotated[Path | None, typer.Argument(metavar="[CONFIG]", help="A YAML file to check.")] = None,
    overrides: Overrides = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="List every key with its type, bounds, default and meaning.")
    ] = False,
) -> None:
    """Check a config without running it, or explain every key that a config may have."""
    from swarm import config_file
    from swarm.explain import explain as keys
    from swarm.planning import compose

    if config is None and not explain:
        raise typer.BadParameter("name a config, or give --explain", param_hint="CONFIG")
    resolved = config_file.load(config, tuple(overrides or ())) if config else None
    if explain:
        name = resolved.scenario["name"] if resolved else "wood"
        for key in keys(name):
            default = f", default {key.default}" if key.default else ""
            out.print(f"[bold]{escape(key.place)}[/bold]  [dim]{escape(key.kind + default)}[/dim]")
            out.print(f"    {escape(key.meaning)}")
    if resolved:
        plan = compose(resolved).run
        minds = ", ".join(f"{plan.minds.count(m)} {m}" for m in dict.fromkeys(sorted(plan.minds)))
        regions = f" in {len(resolved.regions.all_names)} regions" if resolved.regions else ""
        most = "up to " if plan.population else ""
        out.print(
            f"{config}: valid; {plan.rounds} rounds of {plan.scenario_name} with {most}{plan.traders} traders{regions} "
            f"({minds}), seed {plan.seed}, config_sha256 {plan.config_sha256}"
        )


@app.command(name="scenarios")
def list_scenarios() -> None:
    """List the scenarios: settings with goods, rules and mechanics."""
    table = Table(box=None, padding=(0, 2), header_style="dim")
    table.add_column("scenario")
    table.add_column("what it is")
    for name in scenarios.names():
        table.add_row(name, scenarios.find(name).summary)
    out.print(table)


@models_app.callback()
def list_models(context: typer.Context) -> None:
    """List what can decide for a trader: engines, their temperaments, and baselines."""
    if context.invoked_subcommand:
        return
    from swarm.agents.baselines import ARBITRAGE, BASELINE_SUMMARIES
    from swarm.llm.catalogue import CATALOGUE
    from swarm.llm.scripted import TEMPERAMENT_SUMMARIES

    table = Table(box=None, padding=(0, 2), header_style="dim")
    for heading in ("mind", "what it is", "how it decides"):
        table.add_column(heading)
    for entry in CATALOGUE.values():
        size = f"{entry.lab}, {entry.parameters_b:g} B parameters, {entry.bytes_of_weights / 2**30:.0f} GiB"
        table.add_row(
            f"engine: vllm, catalogue: {entry.name}",
            f"language model, {size}{', gated' if entry.gated else ''}",
            f"{entry.role}; {entry.licence}; {entry.quirks}",
        )
    for name, summary in TEMPERAMENT_SUMMARIES.items():
        table.add_row(f"engine: scripted, temperament: {name}", "scripted policy, no language model", summary)
    for name, summary in TEMPERAMENT_SUMMARIES.items():
        what = "language model of this project's own, 0.99 M parameters; travels with the code"
        table.add_row(
            f"engine: embedded, temperament: {name}", what, f"Schooled to choose as this rule does: {summary}"
        )
    table.add_row("engine: openai", "any model behind an OpenAI-compatible API", "As base_url and model say.")
    for baseline, summary in BASELINE_SUMMARIES.items():
        place = "regions.abroad" if baseline == ARBITRAGE else "traders.minds"
        table.add_row(f"{place}: {baseline}", "baseline, reads no text", summary)
    out.print(table)


@models_app.command(name="check")
def check_models(config: ConfigPath, overrides: Overrides = None) -> None:
    """Ask for each model of a config whether it can be used from here, and run nothing."""
    from swarm import config_file
    from swarm.llm.check import must_be_usable, too_slow
    from swarm.planning import compose
    from swarm.preflight import check_deadline, models_time_s

    resolved = config_file.load(config, tuple(overrides or ()))
    plan = compose(resolved).run
    must_be_usable(plan.models, plan.shard.budget.tokens_per_turn)
    for line in (*check_deadline(resolved), *too_slow(plan.models, models_time_s(resolved))):
        err.print(f"[yellow]warning[/yellow] {escape(line)}")
    names = ", ".join(f"{m.name} ({m.engine})" for m in plan.models) or "no models"
    out.print(f"{config}: usable from here: {names}")


@app.command()
def train(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="A folder for the weights and the record of it.")],
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="What the simulated markets are drawn from.")] = 1,
) -> None:
    """Train the five embedded models anew, on the choices of rules over simulated markets; half an hour on four cores.

    It needs torch: pip install 'thousand-token-wood[train]'. The weights that travel with the code came of --seed 1.
    """
    from swarm.training.lesson import Lesson, train_models

    record = train_models(directory, Lesson(seed=seed), out.print)
    agreement = ", ".join(f"{name} {share:.3f}" for name, share in record["agreement"].items())
    out.print(f"agreement with the rules on held-out markets: {agreement}")
    out.print(f"weights {directory}")


@app.command(name="fake-model")
def fake_model(
    host: Annotated[str, typer.Option(metavar="HOST", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65_535, metavar="N", help="Port; 0 takes a free one.")] = 8_000,
    seed: Annotated[int, typer.Option(metavar="N", help="What the faults are drawn from.")] = 1,
    faults: Annotated[
        str, typer.Option(metavar="NAME=RATE,...", help="Faults by rate, say all=0.3 or reset=0.05,late=0.1.")
    ] = "",
    latency_s: Annotated[float, typer.Option(min=0.0, metavar="S", help="Seconds before each answer.")] = 0.0,
    list_faults: Annotated[bool, typer.Option("--list", help="List the faults and stop.")] = False,
) -> None:
    """Serve an OpenAI-compatible endpoint that answers by a rule and misbehaves at given rates, until Ctrl-C."""
    from swarm.llm.fake_model import FAULTS, parse_faults, serve_forever

    if list_faults:
        for name, meaning in FAULTS.items():
            out.print(f"{name:22} {meaning}")
        return
    serve_forever(
        host,
        port,
        seed,
        parse_faults(faults),
        latency_s,
        ready=lambda url: out.print(f"serving {url} (models value, momentum, maker, hoarder, panic); Ctrl-C ends it"),
    )


@app.command()
def monitor(
    targets: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[HOST:PORT]...",
            help="Where runs show their metrics (runtime.metrics_port). Default: 127.0.0.1:9464.",
        ),
    ] = None,
    prometheus: Annotated[
        Path | None, typer.Option("--prometheus", metavar="FILE", help="The program. Default: that on the PATH.")
    ] = None,
    port: Annotated[int, typer.Option(min=1, max=65_535, metavar="N", help="Port of Prometheus.")] = 9_090,
    every_s: Annotated[
        float, typer.Option("--every", min=0.1, max=3_600.0, metavar="S", help="Seconds between two readings.")
    ] = 5.0,
    directory: Annotated[
        Path, typer.Option("--dir", metavar="DIR", help="Where its config and its data are kept.")
    ] = Path("runs/prometheus"),
) -> None:
    """Run Prometheus beside runs on this machine, with the project's rules and alerts, until Ctrl-C.

    A run shows its metrics with --set runtime.metrics_port=9464. Ray's own endpoints are found where Ray runs with its
    dashboard (runtime.dashboard_port), also if it starts later. deploy/local has the same with Grafana, for Docker.
    """
    from swarm.monitoring import monitor as monitoring

    found = tuple(map(monitoring.target_of, targets or [f"127.0.0.1:{monitoring.USUAL_METRICS_PORT}"]))
    program = monitoring.find_prometheus(prometheus)
    wanted = monitoring.Monitoring(program, directory, found, port, every_s)
    with _StopFlag() as stop:
        monitoring.run(
            wanted,
            stop,
            lambda pid: out.print(
                f"Prometheus at {wanted.address} (process {pid}), alerts under /alerts; Ctrl-C ends it"
            ),
        )


@app.command()
def doctor() -> None:
    """Say what this machine has for running swarms, and what each missing part costs."""
    from swarm.doctor import findings

    marks = {"ok": "[green]ok[/green]", "warning": "[yellow]look[/yellow]", "missing": "[dim]none[/dim]"}
    table = Table(box=None, padding=(0, 2), header_style="dim")
    for heading in ("part", "", "found", "what follows"):
        table.add_column(heading)
    for finding in findings():
        table.add_row(finding.part, marks[finding.state], escape(finding.found), escape(finding.advice))
    out.print(table)


@dashboards_app.command(name="push")
def push_dashboards(
    url: Annotated[
        str,
        typer.Option("--url", metavar="URL", envvar="GRAFANA_URL", help="Grafana, say https://grafana.example.org."),
    ],
    prometheus: Annotated[
        str,
        typer.Option("--prometheus", metavar="URL", help="Prometheus, at the address by which Grafana reaches it."),
    ] = "http://127.0.0.1:9090",
    every_s: Annotated[
        int, typer.Option("--every", min=1, max=300, metavar="S", help="Seconds between Prometheus' readings.")
    ] = 5,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Send the token over plain http to another machine, too.")
    ] = False,
) -> None:
    """Put data source, folder and dashboards into a Grafana over its HTTP API; again, it changes what differs.

    The token of a service account with the role Admin is taken from the environment, GRAFANA_TOKEN, and from nowhere
    else. What files have provisioned there is left as it is.
    """
    from swarm.monitoring import dashboards, grafana

    found = dashboards.committed()
    with grafana.connected(url, os.environ.get(grafana.TOKEN_VARIABLE, ""), insecure) as server:
        for pushed in grafana.push(server, list(found.values()), prometheus, every_s):
            out.print(escape(f"{pushed.what}: {pushed.outcome}{'  ' + pushed.url if pushed.url else ''}"))


@dashboards_app.command(name="build")
def build_dashboards(
    directory: Annotated[
        Path, typer.Argument(metavar="[DIR]", help="Where the JSON is written.", show_default=True)
    ] = Path("dashboards"),
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit with 1 if a file is not what would be written.")
    ] = False,
) -> None:
    """Build the dashboards' JSON from the code; needs grafana-foundation-sdk, as `make setup` installs it."""
    from swarm.monitoring import dashboards

    texts = dashboards.built()
    differing = dashboards.differing(texts, directory)
    if check:
        for name in differing:
            err.print(escape(f"{directory / name}.json is not what the code builds; `make dashboards` writes it anew"))
        raise typer.Exit(1 if differing else 0)
    dashboards.write(texts, directory)
    out.print(escape(f"{directory}: {len(texts)} dashboards, {', '.join(differing) or 'none'} changed"))


@bench_app.command(name="round")
def bench_round(json_path: JsonPath = None) -> None:
    """A round of 1,000 traders in one process and over Ray, five runs of each in turn; takes about three minutes."""
    from swarm.bench import round as round_bench

    _bench("round", round_bench.measure, json_path)


@bench_app.command(name="turns")
def bench_turns(json_path: JsonPath = None) -> None:
    """CPU and time of a turn beside a model that answers at once over HTTP, and in a second; takes five minutes."""
    from swarm.bench import turns as turns_bench

    _bench("turns", turns_bench.measure, json_path)


@bench_app.command(name="economy")
def bench_economy(
    config: Annotated[
        Path | None, typer.Option("--config", metavar="CONFIG", help="Measure the models of this config, one by one.")
    ] = None,
    traders: Annotated[int, typer.Option("--traders", min=1, max=100_000, metavar="N", help="How many.")] = 1_000,
    usd_per_core_hour: Annotated[
        float, typer.Option("--usd-per-core-hour", min=0.0, metavar="USD", help="What a core is taken to cost.")
    ] = 0.04,
    json_path: JsonPath = None,
) -> None:
    """Valid decisions, cost per million turns and seconds per round, for each model at hand; takes ten minutes."""
    from swarm.bench import economy as economy_bench

    _bench("economy", lambda narrator: economy_bench.measure(config, traders, usd_per_core_hour, narrator), json_path)


@bench_app.command(name="engine")
def bench_engine(
    folder: Annotated[
        Path | None, typer.Option("--engine", metavar="DIR", help="A folder with a model for vLLM on the CPU.")
    ] = None,
    catalogue: Annotated[
        str, typer.Option("--catalogue", metavar="NAME", help="The catalogue's entry that the model looks like.")
    ] = "llama-3.2-3b",
    json_path: JsonPath = None,
) -> None:
    """How busy the swarm keeps a real vLLM engine, and what its prefix cache misses; takes ten minutes."""
    from swarm.bench import engine as engine_bench

    if folder is None:
        _bench("engine", lambda narrator: engine_bench.not_measured(), json_path)
    else:
        _bench("engine", lambda narrator: engine_bench.measure(folder, catalogue, narrator), json_path)


@bench_app.command(name="scale")
def bench_scale(json_path: JsonPath = None) -> None:
    """A round of 100,000 baselines over Ray, and the memory of a trader at 10,000; takes five minutes."""
    from swarm.bench import scale as scale_bench

    _bench("scale", scale_bench.measure, json_path)


@bench_app.command(name="desks")
def bench_desks(json_path: JsonPath = None) -> None:
    """What smolagents adds to a turn at a desk, stock and ours, with an instant model; takes a few seconds."""
    from swarm.bench import desks as desks_bench

    _bench("desks", desks_bench.measure, json_path)


@bench_app.command(name="client")
def bench_client(json_path: JsonPath = None) -> None:
    """What a call of an OpenAI-compatible endpoint costs its caller in CPU; takes a few seconds."""
    from swarm.bench import client as client_bench

    _bench("client", client_bench.measure, json_path)


@bench_app.command(name="embedded")
def bench_embedded(json_path: JsonPath = None) -> None:
    """Decisions a second of the embedded models, on one core and on four."""
    from swarm.bench import embedded as embedded_bench

    _bench("embedded", embedded_bench.measure, json_path)


@bench_app.command(name="metrics")
def bench_metrics(json_path: JsonPath = None) -> None:
    """What a run costs more with its metrics on and read every second than with them off; takes a minute or two."""
    from swarm.bench import metrics as metrics_bench

    _bench("metrics", metrics_bench.measure, json_path)


@bench_app.command(name="tokens")
def bench_tokens(json_path: JsonPath = None) -> None:
    """Tokens of prompts by the number of traders and by what they hear, and what pruning changes; takes ten minutes."""
    from swarm.bench import tokens as tokens_bench

    _bench("tokens", tokens_bench.measure, json_path)


@bench_app.command(name="exchange")
def bench_exchange(json_path: JsonPath = None) -> None:
    """Orders a second through both auctions at 1,000 to 1,000,000 orders, and a sync; takes a minute."""
    from swarm.bench import exchange as exchange_bench

    _bench("exchange", exchange_bench.measure, json_path)


@bench_app.command(name="recovery")
def bench_recovery(json_path: JsonPath = None) -> None:
    """How long a lost market takes to be back, from its journal and from a snapshot; takes half a minute."""
    from swarm.bench import recovery as recovery_bench

    _bench("recovery", recovery_bench.measure, json_path)


def _bench(name: str, measure: Callable[[Any], list[Any]], json_path: Path | None) -> None:
    from swarm.bench.form import machine, write_json
    from swarm.progress import Progress

    progress = Progress(err)
    with progress.shown():
        results = measure(progress)
    table = Table(box=None, padding=(0, 2), header_style="dim")
    for heading in ("figure", "median of 5", "aim", "unit", ""):
        justify: Literal["left", "right"] = "right" if heading in ("median of 5", "aim") else "left"
        table.add_column(heading, justify=justify, overflow="fold")
    for result in results:
        value = "-" if result.value is None else f"{result.value:,.6g}"
        aim = "" if result.aim is None else f"{'<=' if result.better == 'lower' else '>='} {result.aim:,.6g}"
        verdict = {None: "", True: "reached", False: "[yellow]short of the aim[/yellow]"}[result.reached]
        table.add_row(result.name, value, aim, result.unit, verdict or escape(result.note))
    out.print(table)
    out.print("machine: " + ", ".join(f"{key} {value}" for key, value in machine().items()), style="dim")
    if json_path is not None:
        write_json(json_path, name, results)
        out.print(f"written to {json_path}")


class _StopFlag:
    """Set by the first Ctrl-C or SIGTERM; the second Ctrl-C ends the process as Python would."""

    def __init__(self) -> None:
        self._set = False

    def __call__(self) -> bool:
        return self._set

    def __enter__(self) -> "_StopFlag":
        self._before = {s: signal.signal(s, self._stop) for s in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        if self._set and number == signal.SIGINT:
            raise KeyboardInterrupt
        self._set = True


def _new_folder(named: Path | None, generated: Path) -> "RunFolder":
    """The folder that was named, or the first of the generated name which is free."""
    from swarm.simulation.folder import RunFolder

    return RunFolder(named) if named else RunFolder(generated, or_next=True)


def _now() -> str:
    return time.strftime("%Y%m%dT%H%M%S")


def main() -> None:
    """The console script: runs the app, and turns errors into one line and an exit status."""
    debug = "--debug" in sys.argv
    # --debug may stand anywhere, as in `swarm run CONFIG --debug`.
    arguments = [a for a in sys.argv[1:] if a != "--debug"]
    try:
        app(arguments, standalone_mode=True)
    except SwarmError as error:
        if debug:
            raise
        err.print(f"[red]error[/red] {escape(str(error))}")
        sys.exit(error.exit_status)
    except KeyboardInterrupt:
        if debug:
            raise
        err.print("stopped")
        sys.exit(INTERRUPTED_STATUS)
    except BrokenPipeError:
        # Somebody closed the pipe, as `swarm ... | head` does; nothing is left to say.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


if __name__ == "__main__":
    main()
