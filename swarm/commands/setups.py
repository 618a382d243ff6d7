"""Commands that look at configs, scenarios, models and the machine, and run nothing."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from swarm.commands.options import CONFIG_HELP, AsJson, ConfigPath, Overrides
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
    as_json: AsJson = False,
) -> None:
    """Check a config without running it, or explain every key that a config may have."""
    from swarm import config_file
    from swarm.explain import explain as keys
    from swarm.planning import compose
    from swarm.preflight import check_advisers, check_in_vain, check_rounds, check_shares

    if config is None and not explain:
        raise typer.BadParameter("name a config, or give --explain", param_hint="CONFIG")
    # The keys of a scenario are those of the config's own, or of the Wood where no config is named.
    resolved = config_file.load(config, tuple(overrides or ()), own=True) if config else None
    meanings = list(keys(resolved.scenario["name"] if resolved else "wood")) if explain else []
    if explain and not as_json:
        for key in meanings:
            default = f", default {key.default}" if key.default else ""
            out.print(f"[bold]{escape(key.key)}[/bold]  [dim]{escape(key.kind + default)}[/dim]")
            out.print(f"    {escape(key.meaning)}")
        err.say(
            "In a key, the items of a list count from 0: models.0.name is the name of the first model. Rounds, from 1."
        )
    found: dict[str, Any] = {"keys": [asdict(key) for key in meanings]} if explain else {}
    if resolved:
        plan = compose(resolved).run
        check_in_vain(resolved, plan)
        said = [*check_shares(resolved, plan), *check_rounds(resolved), *check_advisers(resolved)]
        _warn(said)
        found |= {"config": config, "valid": True, "config_sha256": plan.config_sha256, "resolved": resolved.record()}
        found["warnings"] = said
        if not as_json:
            minds = ", ".join(f"{plan.minds.count(m)} {m}" for m in dict.fromkeys(sorted(plan.minds)))
            regions = f" in {len(resolved.regions.all_names)} regions" if resolved.regions else ""
            most = "up to " if plan.population else ""
            out.say(
                f"{config}: valid; {plan.rounds} rounds of {plan.scenario_name} with {most}{plan.traders} traders"
                f"{regions} ({minds}), seed {plan.seed}, config_sha256 {plan.config_sha256}"
            )
    if as_json:
        out.say_json(found)


def _warn(lines: list[str]) -> None:
    for line in lines:
        err.print(f"[yellow]warning[/yellow] {escape(line)}")


@app.command(name="scenarios")
def list_scenarios(as_json: AsJson = False) -> None:
    """List the scenarios: settings with goods, rules and mechanics."""
    from swarm import scenarios

    if as_json:
        out.say_json([{"name": name, "summary": scenarios.find(name).summary} for name in scenarios.names()])
        return

    table = Table(box=None, padding=(0, 2), header_style="dim")
    table.add_column("scenario")
    table.add_column("what it is")
    for name in scenarios.names():
        table.add_row(name, scenarios.find(name).summary)
    out.print(table)


@models_app.callback()
def list_models(context: typer.Context, as_json: AsJson = False) -> None:
    """List what can decide for a trader: engines, their temperaments, and baselines."""
    if context.invoked_subcommand:
        return
    from swarm.agents.baselines import ARBITRAGE, BASELINE_SUMMARIES
    from swarm.llm import engines

    # Each engine says by itself in which lines it is listed.
    rows = [(row.keys, row.what, row.how) for name in engines.names() for row in engines.find(name).rows]
    for baseline, summary in BASELINE_SUMMARIES.items():
        key = "regions.abroad" if baseline == ARBITRAGE else "traders.minds"
        rows.append((f"{key}: {baseline}", "baseline, reads no text", summary))
    if as_json:
        out.say_json([dict(zip(("mind", "what_it_is", "how_it_decides"), row, strict=True)) for row in rows])
        return
    table = Table(box=None, padding=(0, 2), header_style="dim")
    for heading in ("mind", "what it is", "how it decides"):
        table.add_column(heading)
    for row in rows:
        table.add_row(*row)
    out.print(table)


@models_app.command(name="check")
def check_models(config: ConfigPath, overrides: Overrides = None, as_json: AsJson = False) -> None:
    """Ask for each model of a config whether it can be used from here, and run nothing."""
    from swarm import config_file
    from swarm.llm.check import must_be_usable, too_slow, warnings
    from swarm.planning import compose
    from swarm.preflight import check_deadline, first_requests, models_time_s

    resolved = config_file.load(config, tuple(overrides or ()), own=True)
    plan = compose(resolved).run
    must_be_usable(plan.models, plan.shard.budget.tokens_per_turn, requests=first_requests(resolved))
    # Slow models are usable: their traders are late, which is a warning and no error.
    said = [*warnings(plan.models), *check_deadline(resolved), *too_slow(plan.models, models_time_s(resolved))]
    _warn(said)
    # All models were found usable, or `must_be_usable` would have raised.
    if as_json:
        out.say_json(
            {
                "config": config,
                "usable": [{"name": m.name, "engine": m.engine} for m in plan.models],
                "warnings": said,
            }
        )
        return
    names = ", ".join(f"{m.name} ({m.engine})" for m in plan.models) or "no models"
    out.say(f"{config}: usable from here: {names}")


@app.command()
def doctor(as_json: AsJson = False) -> None:
    """Say what this machine has for running swarms, and what each missing part costs."""
    from swarm.doctor import findings

    if as_json:
        out.say_json([asdict(finding) for finding in findings()])
        return

    # What is missing is no fault by itself: the advice beside it says what it costs.
    marks = {"ok": "[green]ok[/green]", "warning": "[yellow]look[/yellow]", "missing": "[dim]none[/dim]"}
    table = Table(box=None, padding=(0, 2), header_style="dim")
    for heading in ("part", "", "found", "what follows"):
        table.add_column(heading)
    for finding in findings():
        table.add_row(finding.part, marks[finding.state], escape(finding.found), escape(finding.advice))
    out.print(table)
