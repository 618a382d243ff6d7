"""Commands that serve or watch beside runs."""

import os
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from swarm.commands.options import AsJson
from swarm.commands.stopping import StopFlag
from swarm.terminal import err, out

app = typer.Typer()
dashboards_app = typer.Typer(name="dashboards", help="The Grafana dashboards of runs.")


@dashboards_app.callback(invoke_without_command=True)
def help_alone(context: typer.Context) -> None:
    """Says the help, where no command is named."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


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
    from swarm.llm.fake_faults import FAULTS, parse_faults
    from swarm.llm.fake_model import serve_forever

    # The list is for reading, one fault a line, and starts nothing.
    if list_faults:
        for name, meaning in FAULTS.items():
            out.say(f"{name:22} {meaning}")
        return
    serve_forever(
        host,
        port,
        seed,
        parse_faults(faults),
        latency_s,
        ready=lambda url: out.say(f"serving {url} (models value, momentum, maker, hoarder, panic); Ctrl-C ends it"),
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
    # Only this command owes the import of what runs Prometheus.
    from swarm.monitoring import monitor as monitoring

    found = tuple(map(monitoring.target_of, targets or [f"127.0.0.1:{monitoring.USUAL_METRICS_PORT}"]))
    program = monitoring.find_prometheus(prometheus)
    wanted = monitoring.Monitoring(program, directory, found, port, every_s)
    with StopFlag() as stop:
        monitoring.run(
            wanted,
            stop,
            lambda pid: out.say(
                f"Prometheus at {wanted.address} (process {pid}), alerts under /alerts; Ctrl-C ends it"
            ),
        )


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
    as_json: AsJson = False,
) -> None:
    """Put data source, folder and dashboards into a Grafana over its HTTP API; again, it changes what differs.

    The token of a service account with the role Admin is taken from the environment, GRAFANA_TOKEN, and from nowhere
    else. What files have provisioned there is left as it is.
    """
    from swarm.monitoring import dashboards, grafana

    # The committed JSON is pushed, so that Grafana's library is not needed to push.
    found = dashboards.committed()
    with grafana.connected(url, os.environ.get(grafana.TOKEN_VARIABLE, ""), insecure) as server:
        outcomes = []
        for pushed in grafana.push(server, list(found.values()), prometheus, every_s):
            outcomes.append(asdict(pushed))
            (err if as_json else out).say(f"{pushed.what}: {pushed.outcome}{'  ' + pushed.url if pushed.url else ''}")
    if as_json:
        out.say_json(outcomes)


@dashboards_app.command(name="build")
def build_dashboards(
    directory: Annotated[
        Path, typer.Argument(metavar="[DIR]", help="Where the JSON is written.", show_default=True)
    ] = Path("dashboards"),
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit with 1 if a file is not what would be written.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Build the dashboards' JSON from the code; needs grafana-foundation-sdk, as `make setup` installs it."""
    from swarm.monitoring import dashboards

    # What is committed must be what the code builds, to the byte.
    texts = dashboards.built()
    differing = dashboards.differing(texts, directory)
    if check:
        for name in differing:
            err.say(f"{directory / name}.json is not what the code builds; `make dashboards` writes it anew")
    else:
        dashboards.write(texts, directory)
    if as_json:
        out.say_json({"folder": directory, "dashboards": list(texts), "differing": differing, "written": not check})
    if check:
        raise typer.Exit(1 if differing else 0)
    if as_json:
        return
    out.say(f"{directory}: {len(texts)} dashboards, {', '.join(differing) or 'none'} changed")
