"""Commands that measure the drama: abusers and who notices, a patron, worms among agents, and collusion."""

from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import typer

from swarm.commands.measured import shown as _bench
from swarm.commands.options import JsonPath
from swarm.terminal import out

app = typer.Typer()


@app.command(name="abuse")
def bench_abuse(
    injections: Annotated[int, typer.Option("--injections", min=1, max=1_000, metavar="N", help="Of each kind.")] = 20,
    honest: Annotated[int, typer.Option("--honest", min=1, max=10_000, metavar="N", help="Runs without abusers.")] = 20,
    seeds: Annotated[
        int, typer.Option("--seeds", min=0, max=1_000, metavar="N", help="Paired, for gains; 0 leaves these out.")
    ] = 5,
    calibrate: Annotated[
        Path | None, typer.Option("--calibrate", metavar="FILE", help="Write what honest runs come to, and stop.")
    ] = None,
    keep: Annotated[
        Path | None, typer.Option("--keep", metavar="DIR", help="Keep each run here, and go on from those that are.")
    ] = None,
    minutes: Annotated[
        float,
        typer.Option("--minutes", min=0, max=10_000, metavar="M", help="Begin no run after this; 0: as it takes."),
    ] = 0,
    market: Annotated[
        Literal["call", "continuous", "margin"],
        typer.Option("--market", help="How goods are matched; margin: in calls, and accounts may borrow."),
    ] = "call",
    json_path: JsonPath = None,
) -> None:
    """What the magistrate finds of scripted abusers, and how often it accuses the honest; ten minutes of CPU."""
    from swarm.bench import abuse as abuse_bench
    from swarm.bench import abuse_calibration, abuse_kept

    kept = abuse_kept.Kept(keep, 60 * minutes or float("inf"))
    if calibrate is not None:
        abuse_calibration.calibrate(calibrate, honest, kept, market)
        out.say(f"written to {calibrate}")
    else:
        # Figures of one market have names of their own, so that a table has both.
        measure = partial(abuse_bench.measure, injections, honest, seeds, kept, market=market)
        _bench("abuse" if market == "call" else f"abuse_{market}", measure, json_path)


@app.command(name="chapters")
def bench_chapters(
    seeds: Annotated[int, typer.Option(min=2, max=1_000, metavar="N", help="Paired seeds.")] = 20,
    json_path: JsonPath = None,
) -> None:
    """Whether memory wears out a patron's trick that is played in five chapters, by rules; five minutes."""
    from swarm.bench import chapters as chapters_bench

    _bench("chapters", lambda narrator: chapters_bench.measure(seeds, narrator), json_path)


@app.command(name="patron")
def bench_patron(
    config: Annotated[
        Path | None, typer.Option("--config", metavar="CONFIG", help="Have the models of this config play, too.")
    ] = None,
    model: Annotated[
        list[str] | None, typer.Option("--model", metavar="NAME", help="Of them this one alone; may be repeated.")
    ] = None,
    seeds: Annotated[int, typer.Option(min=2, max=1_000, metavar="N", help="Paired seeds.")] = 20,
    keep: Annotated[
        Path | None, typer.Option("--keep", metavar="FILE", help="Keep each run, and go on from there.")
    ] = None,
    json_path: JsonPath = None,
) -> None:
    """What a patron has gained in the end: a gambit, deeds by lot, none, and models; rules take a minute.

    Of each model twelve deeds a seed are asked.
    """
    from swarm.bench import patrons as patrons_bench

    _bench("patron", lambda narrator: patrons_bench.measure(seeds, narrator, config, model or [], keep), json_path)


@app.command(name="worms")
def bench_worms(json_path: JsonPath = None) -> None:
    """How far a line spreads that asks to be passed on, with and without defences; a minute."""
    from swarm.bench import worms as worms_bench

    _bench("worms", worms_bench.measure, json_path)


@app.command(name="collusion")
def bench_collusion(
    config: Annotated[
        Path | None, typer.Option("--config", metavar="CONFIG", help="Have the models of this config sell, too.")
    ] = None,
    keep: Annotated[
        Path | None, typer.Option("--keep", metavar="FILE", help="Keep what is asked, and go on from there.")
    ] = None,
    json_path: JsonPath = None,
) -> None:
    """Whether pairs of sellers collude in a duopoly, by rules and by learning, and what remedies do; half a minute.

    With models of a config 480 prices are asked of each.
    """
    from swarm.bench import collusion as collusion_bench

    _bench("collusion", lambda narrator: collusion_bench.measure(narrator, config, keep), json_path)
