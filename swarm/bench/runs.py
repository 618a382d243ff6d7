"""Plays the runs that benchmarks measure: five scripted policies in the wood, from end to end, watched once warm."""

import tempfile
from pathlib import Path
from statistics import median
from typing import Any, get_args

from swarm.config import RunConfig
from swarm.config_file import resolve
from swarm.llm.temperament import Temperament
from swarm.planning import compose
from swarm.preflight import Narrator, check_models
from swarm.runtime import play as run
from swarm.runtime.ports import RunsOn
from swarm.scenarios.protocol import MarketState
from swarm.simulation.loop import RoundOutcome, Watcher
from swarm.simulation.plan import RunPlan

TEMPERAMENTS: tuple[Temperament, ...] = get_args(Temperament)


class Warm:
    """A watcher that keeps how long the rounds took that came after the warm-up."""

    def __init__(self, warm_up_rounds: int) -> None:
        self.warm_up_rounds = warm_up_rounds
        self.seconds: list[float] = []
        self.turns = 0

    def started(self, plan: RunPlan, opening: MarketState, named: object) -> None:
        """Has nothing to measure yet."""

    def round_done(self, outcome: RoundOutcome) -> None:
        """Keeps a round once the processes are warm."""
        # The first rounds import, connect and fill caches.
        if outcome.round > self.warm_up_rounds:
            self.seconds.append(outcome.duration_s)
            self.turns += len(outcome.gathered.turns)

    @property
    def median_s(self) -> float:
        """Returns the median of a warm round's seconds."""
        return median(self.seconds)

    @property
    def turns_per_s(self) -> float:
        """Returns turns a second over all warm rounds."""
        return self.turns / sum(self.seconds)


def scripted(name: str, **keys: Any) -> RunConfig:
    """Returns the wood with a model for each scripted policy."""
    return resolve(
        {"name": name, "models": [{"name": f"scripted-{t}", "temperament": t} for t in TEMPERAMENTS], **keys}
    )


def play(config: RunConfig, runs_on: RunsOn, narrator: Narrator, *watchers: Watcher) -> None:
    """Plays a whole run with its journal and its tables, as `swarm run` has them, in a folder that ends with it."""
    # An endpoint that does not answer would else show as a very fast run.
    check_models(config, compose(config).run, runs_on.own_cluster, runs_on.address is None, narrator)
    with tempfile.TemporaryDirectory() as folder:
        run.play(config, *watchers, runs_on=runs_on, journals_in=Path(folder), narrator=narrator)
