"""What a judge is taught: menus of simulated markets or of runs, some of them held out. It knows no network."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from swarm.errors import ConfigError
from swarm.seeding import draw_some
from swarm.training.corpus import HELD_OUT_FROM
from swarm.training.distil import HELD_OUT, watch_again
from swarm.training.offers import HindsightOffers, OfRound, first_of, offers_of
from swarm.training.recipe import JudgeRecipe

HINDSIGHT = "what each action would have brought"


@dataclass(frozen=True, slots=True)
class Lessons:
    """Menus by round, to learn from and to be examined on; who says what is best; turns of runs left out, by reason."""

    taught: list[OfRound]
    held_out: list[OfRound]
    teacher: str
    left_out: dict[str, int] = field(default_factory=dict)


def simulated(recipe: JudgeRecipe) -> Lessons:
    """Returns menus of drawn markets, and what they are worth to the rule of a temperament."""
    # Markets of training have numbers far below HELD_OUT_FROM, so that none is both taught and examined.
    taught, _ = offers_of(1 + 10_000 * recipe.seed, recipe.menus, recipe.temperament)
    held_out, _ = offers_of(HELD_OUT_FROM, recipe.held_out_menus, recipe.temperament)
    return Lessons(taught, held_out, f"the {recipe.temperament} rule")


def of_runs(runs: Sequence[Path], recipe: JudgeRecipe) -> Lessons:
    """Returns menus of runs and what each of their actions would have brought; whole rounds are held out.

    ConfigError where a run has no turn that a model answered from a menu or by judging one.
    """
    found: list[OfRound] = []
    left_out: Counter[str] = Counter()
    for run in runs:
        watching = HindsightOffers()
        watch_again(run, watching)
        if not watching.rounds:
            raise ConfigError(
                str(run),
                "expected turns that a model answered from a menu or by judging, got none",
                "name runs of models whose form is menu or judge",
            )
        found += watching.rounds
        left_out += watching.left_out
    if len(found) < 2:
        raise ConfigError("--run", "expected at least two rounds, of which one is held out", "name longer runs")
    # Whole rounds, drawn by the seed, are only ever examined on.
    most = max(1, round(HELD_OUT * len(found)))
    examined = set(draw_some(most, recipe.seed, "held out", np.arange(len(found))).tolist())
    taught = first_of([one for i, one in enumerate(found) if i not in examined], recipe.menus)
    held_out = first_of([found[i] for i in sorted(examined)], recipe.held_out_menus)
    return Lessons(taught, held_out, HINDSIGHT, dict(left_out))
