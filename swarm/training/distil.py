"""The assembly line from runs to a model: judge turns, school a student, let it play, judge that too, school again.

Runs are replayed from their journals, so that neither a model nor a cluster is needed; torch is imported where the
schooling begins.
"""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from time import monotonic
from typing import Any

from swarm import planning
from swarm.config import RunConfig
from swarm.config_file import resolve
from swarm.errors import ConfigError, OutputError
from swarm.llm.engines.embedded.config import STUDENT, EmbeddedModel
from swarm.runtime.play import play
from swarm.simulation.folder import RunFolder
from swarm.simulation.history import complete_pasts
from swarm.simulation.loop import Watcher
from swarm.simulation.replay import replay
from swarm.training.advantages import Advantages, Judged
from swarm.training.corpus import TEMPERAMENTS, market_config
from swarm.training.labels import Bool, held_out, taken, to_learn
from swarm.training.recipe import Distilling, Labels, Tell

MINE = "student"
"""What the student is called where it plays."""

DRAWN_FROM = 700_001
"""Numbers of the markets that are drawn to learn from; those of examinations lie far above."""

HELD_OUT = 0.15
"""Share of rounds that no step of schooling sees."""


def distil(
    runs: Sequence[Path], out: Path, wanted: Distilling, tell: Tell, examples: Path | None = None
) -> dict[str, Any]:
    """Makes a student from runs, writes `model.onnx` and `distil.json` into `out`, and returns what the latter holds.

    ConfigError where a run has no turn to learn from, or none is named and no market drawn.
    """
    from swarm.training.student import Schooling, examine, school

    if not runs and not wanted.markets:
        raise ConfigError("swarm distil", "expected runs to learn from, or --markets", "name folders of `swarm run`")
    # Time is for judging and schooling together; what it does not suffice for is counted.
    until = monotonic() + 60 * wanted.minutes
    left_out: Counter[str] = Counter()
    settings: list[RunConfig] = []
    parts: list[Judged] = []
    for name, config, found in _judged_runs(runs, wanted):
        if monotonic() > until and parts:
            left_out["runs for which there was no time"] += 1
            continue
        tell(f"{name}: {len(found)} turns judged")
        left_out += found.left_out
        settings.append(config)
        parts.append(found.corpus())
        if examples:
            _append(examples, found, wanted.margin_ticks, new=len(parts) == 1)
    # The first schooling learns from others' states, each further one from the student's own, too.
    model = EmbeddedModel.weights_of(wanted.base)
    schooling = Schooling(steps=wanted.steps, seed=wanted.seed)
    record: dict[str, Any] = {"recipe": asdict(wanted), "runs": [str(run) for run in runs], "stages": []}
    for stage in range(wanted.relabelled + 1):
        if stage and monotonic() < until:
            own = _own_states(model, settings, stage, wanted, until)
            tell(f"stage {stage + 1}: {len(own)} turns of the student judged")
            left_out += own.left_out
            parts.append(own.corpus())
        # The same rounds stay held out from stage to stage only where nothing was added; a stage is marked on its own.
        everything = Judged.join(parts)
        examined = held_out(everything, HELD_OUT, wanted.seed)
        taught, shares = to_learn(taken(everything, ~examined), wanted)
        target = out / (STUDENT if stage == wanted.relabelled else f"stage-{stage + 1}.onnx")
        seconds = school(model, taught, shares, schooling, target, tell, until)
        marks = examine(target, taken(everything, examined))
        record["stages"].append({"judged": len(everything), "learnt": len(taught), "school_s": round(seconds), **marks})
        tell(f"stage {stage + 1}: {marks['gain_ticks']} ticks a turn of {marks['best_ticks']} on rounds held out")
        # For comparison, of the same turns of others: what was done, in all of them or in as many drawn by lot.
        if wanted.ablations and not stage:
            record["ablations"] = _ablations(everything, examined, wanted, out, tell)
        model = target
    record["left_out"] = dict(left_out)
    (out / "distil.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return record


def _ablations(
    judged: Judged, examined: Bool, wanted: Distilling, out: Path, tell: Tell
) -> dict[str, dict[str, float]]:
    """Schools the students that imitate what was done, each into a folder of its name; returns their marks."""
    from swarm.training.student import Schooling, examine, school

    found: dict[str, dict[str, float]] = {}
    begin, schooling = EmbeddedModel.weights_of(wanted.base), Schooling(steps=wanted.steps, seed=wanted.seed)
    kinds: dict[str, Labels] = {"unfiltered": "chosen", "random": "random"}
    for name, kind in kinds.items():
        taught, shares = to_learn(taken(judged, ~examined), replace(wanted, labels=kind))
        (out / name).mkdir(exist_ok=True)
        target = out / name / STUDENT
        seconds = school(begin, taught, shares, schooling, target, tell)
        marks = examine(target, taken(judged, examined))
        found[name] = {"learnt": len(taught), "school_s": round(seconds), **marks}
        tell(f"{name}: {marks['gain_ticks']} ticks a turn of {marks['best_ticks']} on rounds held out")
    return found


def _append(path: Path, found: Advantages, margin_ticks: int, new: bool) -> None:
    """Writes the clear turns as conversations, one JSON object a line, as trainers of language models read them."""
    try:
        with path.open("w" if new else "a", encoding="utf-8") as file:
            file.writelines(json.dumps(one) + "\n" for one in found.conversations(margin_ticks))
    except OSError as error:
        raise OutputError(f"{path}: the examples cannot be written ({error.strerror})") from error


def _judged_runs(runs: Sequence[Path], wanted: Distilling) -> Iterator[tuple[str, RunConfig, Advantages]]:
    """Yields the name, the config and the judged turns of each run that is named, then of each market drawn."""
    for path in runs:
        watching = Advantages(wanted.turns_per_round)
        config = watch_again(path, watching)
        if not len(watching):
            raise ConfigError(
                str(path),
                "expected turns that a model answered from a menu, got none",
                "distil needs runs of models whose form is menu",
            )
        yield str(path), config, watching
    for number in range(DRAWN_FROM, DRAWN_FROM + wanted.markets):
        config = _drawn(number)
        watching = Advantages(wanted.turns_per_round)
        play(config, watching)
        yield f"market {number}", config, watching


def watch_again(path: Path, watching: Watcher) -> RunConfig:
    """Replays a run's folder before a watcher, and returns the run's config."""
    folder = RunFolder(path)
    folder.check()
    record = complete_pasts(folder.journals, planning.composed)[0].config_record
    replay(folder.journals, planning.composed, (watching,))
    return resolve({key: value for key, value in record.items() if key != "region"})


def _drawn(number: int) -> RunConfig:
    """Returns a drawn market, in which the embedded models take the part of their teachers."""
    config = market_config(number)
    config["models"] = [{"name": f"menu-{t}", "engine": "embedded", "temperament": t} for t in TEMPERAMENTS]
    return resolve(config)


def _own_states(model: Path, settings: Sequence[RunConfig], stage: int, wanted: Distilling, until: float) -> Advantages:
    """Returns turns of the student in the settings of the runs, where it is half of all traders."""
    watching = Advantages(wanted.own_turns_per_round, models=frozenset({MINE}))
    for config in settings:
        if monotonic() > until:
            watching.left_out["settings for which there was no time"] += 1
            continue
        play(among(config, model, stage), watching)
    return watching


def among(config: RunConfig, model: Path, stage: int) -> RunConfig:
    """Returns a run's config under another seed, with the student in the place of half of its traders."""
    # Half of all traders: its own states are met among those that it learned from.
    record = config.model_dump(mode="json", exclude_unset=True)
    weights = dict(record.get("traders", {}).get("minds") or {m["name"]: 1 for m in record["models"]})
    record["models"] = [*record["models"], {"name": MINE, "engine": "embedded", "path": str(model)}]
    record["traders"] = {**record.get("traders", {}), "minds": {**weights, MINE: sum(weights.values())}}
    record["seed"] = config.seed + 1_000_003 * stage
    return resolve(record)
