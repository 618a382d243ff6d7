"""Commands that look at configs, scenarios, models and the machine, and run nothing."""

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from swarm.commands.options import CONFIG_HELP, ConfigPath, Overrides
from swarm.terminal import err, out

app = typer.Typer()
models_app = typer.Typer(name="models", help="The minds that can decide for traders.", invoke_without_command=True)


@app.command()
def validate(
    config: Annotated[Path | None, typer.Argument(metavar="[CONFIG]", help=CONFIG_HELP)] = None,
    overrides: Overrides = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="List every key with its type, bounds, default and meaning.")
    ] = False,
) -> None:
    """Check a config without running it, or explain every key that a config may have."""
    from swarm import config_file
    from swarm.explain import explain as keys
    from swarm.planning import compose
    from swarm.simulation import parties

    if config is None and not explain:
        raise typer.BadParameter("name a config, or give --explain", param_hint="CONFIG")
    # The keys of a scenario are those of the config's own, or of the Wood where no config is named.
    resolved = config_file.load(config, tuple(overrides or ())) if config else None
    if explain:
        name = resolved.scenario["name"] if resolved else "wood"
        for key in keys(name):
            default = f", default {key.default}" if key.default else ""
            out.print(f"[bold]{escape(key.key)}[/bold]  [dim]{escape(key.kind + default)}[/dim]")
            out.print(f"    {escape(key.meaning)}")
        err.say(
            "In a key, the items of a list count from 0: models.0.name is the name of the first model. Rounds, from 1."
        )
    if resolved:
        parties.read(resolved.parties)
        plan = compose(resolved).run
        minds = ", ".join(f"{plan.minds.count(m)} {m}" for m in dict.fromkeys(sorted(plan.minds)))
        regions = f" in {len(resolved.regions.all_names)} regions" if resolved.regions else ""
        most = "up to " if plan.population else ""
        out.say(
            f"{config}: valid; {plan.rounds} rounds of {plan.scenario_name} with {most}{plan.traders} traders{regions} "
            f"({minds}), seed {plan.seed}, config_sha256 {plan.config_sha256}"
        )


@app.command(name="scenarios")
def list_scenarios() -> None:
    """List the scenarios: settings with goods, rules and mechanics."""
    from swarm import scenarios

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
    from swarm.llm import engines

    table = Table(box=None, padding=(0, 2), header_style="dim")
    for heading in ("mind", "what it is", "how it decides"):
        table.add_column(heading)
    for name in engines.names():
        # Each engine says by itself in which lines it is listed.
        for row in engines.find(name).rows:
            table.add_row(row.keys, row.what, row.how)
    for baseline, summary in BASELINE_SUMMARIES.items():
        key = "regions.abroad" if baseline == ARBITRAGE else "traders.minds"
        table.add_row(f"{key}: {baseline}", "baseline, reads no text", summary)
    out.print(table)


@models_app.command(name="check")
def check_models(config: ConfigPath, overrides: Overrides = None) -> None:
    """Ask for each model of a config whether it can be used from here, and run nothing."""
    from swarm import config_file
    from swarm.llm.check import must_be_usable, too_slow, warnings
    from swarm.planning import compose
    from swarm.preflight import check_deadline, first_requests, models_time_s

    resolved = config_file.load(config, tuple(overrides or ()))
    plan = compose(resolved).run
    must_be_usable(plan.models, plan.shard.budget.tokens_per_turn, requests=first_requests(resolved))
    # Slow models are usable: their traders are late, which is a warning and no error.
    for line in (
        *warnings(plan.models),
        *check_deadline(resolved),
        *too_slow(plan.models, models_time_s(resolved)),
    ):
        err.print(f"[yellow]warning[/yellow] {escape(line)}")
    # All models were found usable, or `must_be_usable` would have raised.
    names = ", ".join(f"{m.name} ({m.engine})" for m in plan.models) or "no models"
    out.say(f"{config}: usable from here: {names}")


@app.command()
def doctor() -> None:
    """Say what this machine has for running swarms, and what each missing part costs."""
    from swarm.doctor import findings

    # What is missing is no fault by itself: the advice beside it says what it costs.
    marks = {"ok": "[green]ok[/green]", "warning": "[yellow]look[/yellow]", "missing": "[dim]none[/dim]"}
    table = Table(box=None, padding=(0, 2), header_style="dim")
    for heading in ("part", "", "found", "what follows"):
        table.add_column(heading)
    for finding in findings():
        table.add_row(finding.part, marks[finding.state], escape(finding.found), escape(finding.advice))
    out.print(table)
