"""Commands that measure how far one machine reaches: a round, a turn, and what grows with traders and with rounds."""

from typing import Annotated

import typer

from swarm.commands.measured import shown as _bench
from swarm.commands.options import JsonPath
from swarm.errors import ConfigError

app = typer.Typer()


@app.command(name="round")
def bench_round(json_path: JsonPath = None) -> None:
    """A round of 1,000 traders in one process and over Ray, five runs of each in turn; takes about three minutes."""
    from swarm.bench import round as round_bench

    _bench("round", round_bench.measure, json_path)


@app.command(name="turns")
def bench_turns(json_path: JsonPath = None) -> None:
    """CPU and time of a turn beside a model that answers at once over HTTP, and in a second; takes five minutes."""
    from swarm.bench import turns as turns_bench

    _bench("turns", turns_bench.measure, json_path)


@app.command(name="scale")
def bench_scale(json_path: JsonPath = None) -> None:
    """A round of 100,000 baselines over Ray, and the memory of a trader at 10,000; takes five minutes."""
    from swarm.bench import scale as scale_bench

    _bench("scale", scale_bench.measure, json_path)


@app.command(name="growth")
def bench_growth(
    json_path: JsonPath = None,
    most: Annotated[
        int, typer.Option("--most", min=100, max=1_000_000, metavar="N", help="The most traders.")
    ] = 1_000_000,
    only: Annotated[
        list[str] | None, typer.Option("--only", metavar="NAME", help="Of baselines, tiny and standing, this one.")
    ] = None,
) -> None:
    """What a round costs from 100 traders to a million, in one process; takes ten minutes and 6 GB."""
    from swarm.bench import growth as growth_bench

    if unknown := set(only or ()) - growth_bench.MINDS.keys():
        raise ConfigError("--only", f"expected {', '.join(growth_bench.MINDS)}, got {min(unknown)}")
    _bench("growth", lambda narrator: growth_bench.measure(narrator, most, tuple(only or ())), json_path)


@app.command(name="million")
def bench_million(
    json_path: JsonPath = None,
    traders: Annotated[
        int, typer.Option("--traders", min=2_000, max=2_000_000, metavar="N", help="How many traders.")
    ] = 1_000_000,
    regions: Annotated[int, typer.Option("--regions", min=1, max=20, metavar="N", help="Over how many markets.")] = 1,
) -> None:
    """A round of a million baselines over Ray and in one process, to one history; takes five minutes and 10 GB."""
    from swarm.bench import million as million_bench

    _bench("million", lambda narrator: million_bench.measure(narrator, traders, regions), json_path)


@app.command(name="long")
def bench_long(
    json_path: JsonPath = None,
    rounds: Annotated[int, typer.Option("--rounds", min=100, max=100_000, metavar="N", help="How many.")] = 10_000,
) -> None:
    """Whether time and memory of a round stay the same over 10,000 of 200 traders; takes five minutes."""
    from swarm.bench import long as long_bench

    _bench("long", lambda narrator: long_bench.measure(narrator, rounds - rounds % long_bench.TENTHS), json_path)


@app.command(name="start")
def bench_start(json_path: JsonPath = None) -> None:
    """What `import swarm`, `swarm --help` and `swarm run wood` until its first round take; five of each in turn."""
    from swarm.bench import start as start_bench

    _bench("start", start_bench.measure, json_path)
