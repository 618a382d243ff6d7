"""Commands that measure on this machine; each benchmark lies in `swarm.bench` and is imported when it is asked for."""

from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import typer

from swarm.commands import drama, options, scaling
from swarm.commands.measured import shown as _bench
from swarm.commands.options import (
    AskedToo,
    JsonPath,
    KeepReplies,
    KeepRuns,
    SupplyParts,
    TasksEach,
    Workers,
)
from swarm.errors import ConfigError

app = typer.Typer(name="bench", help="Measure on this machine: medians of five, in one form of JSON.")
app.add_typer(scaling.app)
app.add_typer(drama.app)


@app.callback(invoke_without_command=True)
def help_alone(context: typer.Context) -> None:
    """Help, where no command is named."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@app.command(name="guests")
def bench_guests(json_path: JsonPath = None) -> None:
    """CPU of a round in which 500 agents from outside look and decide over HTTP, five runs; takes two minutes."""
    from swarm.bench import guests as guests_bench

    _bench("guests", guests_bench.measure, json_path)


@app.command(name="economy")
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


@app.command(name="engine")
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

    # Without a model there is nothing to measure, which is written down as such.
    if folder is None:
        _bench("engine", lambda narrator: engine_bench.not_measured(), json_path)
    else:
        _bench("engine", lambda narrator: engine_bench.measure(folder, catalogue, narrator), json_path)


@app.command(name="desks")
def bench_desks(json_path: JsonPath = None) -> None:
    """What smolagents adds to a turn at a desk, stock and ours, with an instant model; takes a few seconds."""
    from swarm.bench import desks as desks_bench

    _bench("desks", desks_bench.measure, json_path)


@app.command(name="strategy")
def bench_strategy(
    tiers: Annotated[
        Literal["solvers", "models", "installed"],
        typer.Option("--tiers", help="Bounded solvers, models on ledgers and plans, or these below SmolLM2."),
    ] = "solvers",
    config: Annotated[
        Path | None,
        typer.Option("--config", metavar="CONFIG", help="Its models are the tiers, each with a price."),
    ] = None,
    base_url: Annotated[
        str | None, typer.Option("--base-url", metavar="URL", help="An endpoint, for --model, beside a tiny model.")
    ] = None,
    model: Annotated[
        list[str] | None, typer.Option("--model", metavar="NAME", help="A model of it; several from the cheapest on.")
    ] = None,
    tasks: TasksEach = None,
    replies: KeepReplies = None,
    json_path: JsonPath = None,
) -> None:
    """A strategy auction beside other routers, on tasks with a known optimum; five minutes, `installed` fifteen."""
    from swarm.bench import strategy as strategy_bench
    from swarm.bench import strategy_models

    # Solvers ask nobody, and what is installed is named by no option.
    named = {"--config": config, "--base-url": base_url, "--model": model, "--tasks": tasks, "--replies": replies}
    heeded = {"solvers": (), "installed": ("--tasks", "--replies"), "models": tuple(named)}[tiers]
    if unheard := [option for option, value in named.items() if value and option not in heeded]:
        raise ConfigError(unheard[0], f"--tiers {tiers} takes no such option", "leave it out, or add --tiers models")
    if tiers == "solvers":
        _bench("strategy", strategy_bench.measure, json_path)
        return
    if tiers == "installed":
        found = strategy_models.installed()
    else:
        found = strategy_models.served(base_url, model or []) if base_url else strategy_models.configured(config)
    # A real model takes seconds a question, the others take none.
    each, name = tasks or (5 if tiers == "installed" else 40), f"strategy_{tiers}"
    _bench(name, lambda narrator: strategy_models.measure(found, each, narrator, name, replies), json_path)


@app.command(name="cascade")
def bench_cascade(json_path: JsonPath = None) -> None:
    """Regret that a larger model removes, by the share of turns that it is asked in; takes five minutes."""
    from swarm.bench import cascade as cascade_bench

    _bench("cascade", cascade_bench.measure, json_path)


@app.command(name="student")
def bench_student(
    json_path: JsonPath = None,
    model: Annotated[
        Path | None, typer.Option("--model", metavar="DIR", help="A student of your own; else the model `profit`.")
    ] = None,
    seeds: Annotated[int, typer.Option(min=2, max=100, metavar="N", help="Paired seeds.")] = 20,
    beside: Annotated[
        list[str] | None,
        typer.Option("--beside", metavar="NAME=DIR", help="Another student to compare with; may be repeated."),
    ] = None,
    keep: Annotated[
        Path | None,
        typer.Option("--keep", metavar="FILE", help="Keep each market as it is played, and go on from there."),
    ] = None,
) -> None:
    """A student beside the population that it learned from, in markets that no training has seen; ten minutes."""
    from swarm.bench import student as student_bench

    others = student_bench.named(beside or [])
    measure = partial(student_bench.measure, model=model, seeds=seeds, beside=others, keep=keep)
    _bench("student", measure, json_path)


@app.command(name="council")
def bench_council(json_path: JsonPath = None) -> None:
    """Councils beside their best member, one member that is sampled, and a rule; takes ten minutes."""
    from swarm.bench import council as council_bench

    _bench("council", council_bench.measure, json_path)


@app.command(name="minds")
def bench_minds(json_path: JsonPath = None) -> None:
    """CPU of a turn beside its calls of models, for each kind of mind; takes a minute."""
    from swarm.bench import minds as minds_bench

    _bench("minds", minds_bench.measure, json_path)


@app.command(name="minds-real")
def bench_minds_real(
    seeds: Annotated[int, typer.Option("--seeds", min=1, max=1_000, metavar="N", help="Markets of each kind.")] = 20,
    rounds: Annotated[int, typer.Option("--rounds", min=2, max=1_000, metavar="N", help="Rounds of each.")] = 12,
    traders: Annotated[int, typer.Option("--traders", min=4, max=1_000, metavar="N", help="Traders of each.")] = 16,
    mixed: Annotated[
        bool, typer.Option("--mixed/--own", help="Markets that a mind shares with rules, too, or its own alone.")
    ] = True,
    mind: Annotated[
        list[str] | None,
        typer.Option("--mind", metavar="NAME", help="Measure these alone; may be given several times."),
    ] = None,
    adapter: Annotated[
        Path | None, typer.Option("--adapter", metavar="FILE", help="A LoRA with which SmolLM2 judges, too.")
    ] = None,
    base_url: Annotated[
        str | None, typer.Option("--base-url", metavar="URL", help="An endpoint whose models are measured, too.")
    ] = None,
    model: Annotated[
        list[str] | None, typer.Option("--model", metavar="NAME", help="A model of the endpoint, one or several times.")
    ] = None,
    keep: Annotated[
        Path | None,
        typer.Option("--keep", metavar="FILE", help="Keep each market as it is played, and go on from there."),
    ] = None,
    json_path: JsonPath = None,
) -> None:
    """Minds in the Wood on the same seeds: installed models, rules, letters by lot; a real model takes hours."""
    from swarm.bench import minds_real as minds_real_bench
    from swarm.bench.minds_played import Size

    size = Size(seeds, rounds, traders, mixed)
    # What is installed is known by itself, and what an endpoint has is named.
    minds = minds_real_bench.at_hand(adapter)
    if base_url:
        minds += minds_real_bench.served(base_url, model or [])
    _bench("minds-real", lambda narrator: minds_real_bench.measure(minds, mind or [], size, narrator, keep), json_path)


@app.command(name="client")
def bench_client(json_path: JsonPath = None) -> None:
    """What a call of an OpenAI-compatible endpoint costs its caller in CPU; takes a few seconds."""
    from swarm.bench import client as client_bench

    _bench("client", client_bench.measure, json_path)


@app.command(name="embedded")
def bench_embedded(json_path: JsonPath = None) -> None:
    """Decisions a second of the embedded models, on one core and on four."""
    from swarm.bench import embedded as embedded_bench

    _bench("embedded", embedded_bench.measure, json_path)


@app.command(name="metrics")
def bench_metrics(json_path: JsonPath = None) -> None:
    """What a run costs more with its metrics on and read every second than with them off; takes a minute or two."""
    from swarm.bench import metrics as metrics_bench

    _bench("metrics", metrics_bench.measure, json_path)


@app.command(name="live")
def bench_live(json_path: JsonPath = None) -> None:
    """What a run of 1,000 traders costs more with its live page open in twenty tabs; takes a minute or two."""
    from swarm.bench import live as live_bench

    _bench("live", live_bench.measure, json_path)


@app.command(name="tokens")
def bench_tokens(json_path: JsonPath = None) -> None:
    """Tokens of prompts by the number of traders and by what they hear, and what pruning changes; takes ten minutes."""
    from swarm.bench import tokens as tokens_bench

    _bench("tokens", tokens_bench.measure, json_path)


@app.command(name="exchange")
def bench_exchange(json_path: JsonPath = None) -> None:
    """Orders a second through both auctions at 1,000 to 1,000,000 orders, and a sync; takes a minute."""
    from swarm.bench import exchange as exchange_bench

    _bench("exchange", exchange_bench.measure, json_path)


@app.command(name="recovery")
def bench_recovery(json_path: JsonPath = None) -> None:
    """How long a lost market takes to be back, from its journal and from a snapshot; takes half a minute."""
    from swarm.bench import recovery as recovery_bench

    _bench("recovery", recovery_bench.measure, json_path)


@app.command(name="supply")
def bench_supply(
    seeds: Annotated[int, typer.Option(min=2, max=100, metavar="N", help="Paired seeds.")] = 10,
    config: AskedToo = None,
    workers: Workers = None,
    keep: KeepRuns = None,
    parts: SupplyParts = None,
    json_path: JsonPath = None,
) -> None:
    """Supply chains of 500 nodes: plans beside a proven bound, and what reading news is worth; takes ten minutes."""
    from swarm.bench import supply as supply_bench

    asked = [part.value for part in parts] if parts else supply_bench.PARTS
    _bench("supply", lambda told: supply_bench.measure(told, seeds, config, workers, keep, asked), json_path)


@app.command(name="contracts")
def bench_contracts(
    data: Annotated[
        Path, typer.Option(metavar="DIR", help="A folder with standard_contracts, cuad, contract_nli, unfair_tos.")
    ] = Path("../shared/data"),
    screener: options.Screener = None,
    config: AskedToo = None,
    cases: options.CasesEach = 120,
    json_path: JsonPath = None,
) -> None:
    """Contracts against rule sets: planted defects, who errs alike, CPU and tokens; with labelled data ten minutes."""
    from swarm.bench import contracts as contracts_bench

    _bench("contracts", lambda narrator: contracts_bench.measure(narrator, data, screener, config, cases), json_path)


@app.command(name="fraud")
def bench_fraud(
    seeds: Annotated[int, typer.Option(min=1, max=100, metavar="N", help="Banks, each of a seed of its own.")] = 10,
    knock_outs: options.KnockOuts = 10,
    data: options.PaymentFiles = None,
    keep: KeepRuns = None,
    json_path: JsonPath = None,
) -> None:
    """A fraud desk beside each of its watchers alone, and without each of them; takes three minutes a seed."""
    from swarm.bench import fraud as fraud_bench

    _bench("fraud", lambda narrator: fraud_bench.measure(narrator, seeds, knock_outs, keep, data or ()), json_path)


@app.command(name="fraud-readers")
def bench_fraud_readers(
    seeds: Annotated[int, typer.Option(min=1, max=100, metavar="N", help="Small banks, each of its own seed.")] = 20,
    config: Annotated[
        Path | None, typer.Option(metavar="CONFIG", help="Its models read, too, with the form `case`.")
    ] = None,
    desks: Annotated[bool, typer.Option(help="Whether every reader takes a seat in runs, too.")] = True,
    attacked: Annotated[int, typer.Option(min=1, metavar="N", help="Cases with 40 memos that give orders each.")] = 6,
    keep: KeepRuns = None,
    json_path: JsonPath = None,
) -> None:
    """Readers of a fraud desk beside the rule in code: cases, memos that give orders, runs; described watchers."""
    from swarm.bench import fraud_readers

    _bench("fraud_readers", lambda n: fraud_readers.measure(n, seeds, config, keep, desks, attacked), json_path)
