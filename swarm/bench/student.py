"""What a student is worth beside the population that it learned from, paired over seeds that no training has seen.

In markets of students alone: efficiency, beside the five together, the best of them and a rule. In markets where
students are half of the traders: what they and the others gain a turn, and what the others gain where all are of the
five.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from swarm.bench.form import Result, paired
from swarm.bench.runs import TEMPERAMENTS
from swarm.experiments.workers import side_by_side, usual_jobs
from swarm.preflight import Narrator
from swarm.runtime.play import play
from swarm.simulation.loop import RoundOutcome
from swarm.training.evaluate import economy_config
from swarm.training.surplus import Surplus, gained_ticks

SEEDS = 20
SCENARIOS = ("wood", "double_auction")
MINE = "student"
FIVE = {f"tiny-{t}": 1 for t in TEMPERAMENTS}
BEST_SINGLE, RULE = "tiny-value", "truthful"
"""The best of the five by itself, and a rule; each makes up a market of its own."""

EFFICIENCY_AIM = 0.03


@dataclass(frozen=True, slots=True)
class _Market:
    """What one market came to: its efficiency, and ticks a turn of students and of the others, 0 where none is."""

    efficiency: float
    student_ticks: float
    others_ticks: float


class _Kept(Surplus):
    """Watches a market: its surplus, and the ticks and the turns of students and of all others."""

    def __init__(self) -> None:
        super().__init__()
        self._gained, self._turns = {True: 0, False: 0}, {True: 0, False: 0}

    def round_done(self, outcome: RoundOutcome) -> None:
        """Adds up a round."""
        super().round_done(outcome)
        if outcome.basis is None:
            return
        ticks = gained_ticks(outcome.basis.seen, outcome.cleared)
        student = np.array([mind == MINE for mind in outcome.plan.shard.minds])
        for mine in (True, False):
            self._gained[mine] += int(ticks[student == mine].sum())
            self._turns[mine] += int((student == mine).sum())

    def a_turn(self, mine: bool) -> float:
        """Returns the ticks that a turn gained."""
        return self._gained[mine] / max(self._turns[mine], 1)


def measure(narrator: Narrator, model: Path | None = None, seeds: int = SEEDS) -> list[Result]:
    """Returns efficiencies and gains of the student at `model`, or of the one that travels with the code."""
    # One job is a market of one population and seed; all are independent, and none is timed.
    populations = ({MINE: 1}, FIVE, {**FIVE, MINE: len(FIVE)}, {BEST_SINGLE: 1}, {RULE: 1})
    jobs = [(s, minds, seed, model) for s in SCENARIOS for minds in populations for seed in range(seeds)]
    narrator.phase(f"{len(jobs)} markets of {seeds} seeds")
    played = iter(side_by_side(_market, jobs, usual_jobs()))
    results: list[Result] = []
    for scenario in SCENARIOS:
        alone, five, mixed, best, rule = ([next(played) for _ in range(seeds)] for _ in populations)
        own = np.array([m.efficiency for m in alone])
        for name, beside, aim in (
            ("the_five", five, EFFICIENCY_AIM),
            (BEST_SINGLE, best, None),
            (RULE, rule, None),
        ):
            figure = f"efficiency_{scenario}_students_over_{name}"
            results.append(_paired(figure, own, [m.efficiency for m in beside], "share", aim))
        others, before = [m.others_ticks for m in mixed], [m.others_ticks for m in five]
        results.append(
            _paired(f"gain_{scenario}_of_others_beside_students", np.array(others), before, "ticks a turn", 0.0)
        )
        students = np.array([m.student_ticks for m in mixed])
        results.append(
            _paired(f"gain_{scenario}_students_over_others_beside_them", students, others, "ticks a turn", None)
        )
    return results


def _market(scenario: str, minds: dict[str, int], seed: int, model: Path | None) -> "_Market":
    weights = {"temperament": "profit"} if model is None else {"path": str(model)}
    kept = _Kept()
    play(economy_config(scenario, minds, seed, [{"name": MINE, "engine": "embedded", **weights}]), kept)
    return _Market(kept.efficiency, kept.a_turn(True), kept.a_turn(False))


def _paired(name: str, these: np.ndarray, those: list[float], unit: str, aim: float | None) -> Result:
    # Paired by seed: the same worths and shocks, so that luck in them cancels out.
    differences = (these - np.array(those)).tolist()
    middle = round(float(np.mean(differences)), 4)
    note = f"{these.mean():.4g} beside {np.mean(those):.4g}; {len(differences)} seeds: {paired(differences, unit)}"
    return Result(name, middle, unit, "higher", aim, tuple(round(d, 4) for d in differences), note=note)
