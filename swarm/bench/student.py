"""What a student is worth beside the population that it learned from, paired over seeds that no training has seen.

In markets of students alone: efficiency, beside the five together, the best of them, a rule, and other students, and
how often they pass. In markets where students are half of the traders: what they and the others gain a turn, and what
the others gain where all are of the five. In markets with shocks and company that no training had: efficiency again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from swarm.bench.form import Result, paired
from swarm.bench.kept import Kept, digests
from swarm.bench.runs import TEMPERAMENTS
from swarm.config import RunConfig
from swarm.config_file import resolve
from swarm.errors import ConfigError
from swarm.experiments.workers import side_by_side, usual_jobs
from swarm.figures import figure
from swarm.llm.engines.embedded.config import EmbeddedModel
from swarm.preflight import Narrator
from swarm.runtime.play import play
from swarm.simulation.loop import RoundOutcome
from swarm.training.advantages import Advantages
from swarm.training.evaluate import economy_config
from swarm.training.labels import lawful
from swarm.training.surplus import Surplus, gained_ticks

SEEDS = 20
SCENARIOS = ("wood", "double_auction")
MINE = "student"
FIVE = {f"tiny-{t}": 1 for t in TEMPERAMENTS}
BEST_SINGLE, RULE = "tiny-value", "truthful"
"""The best of the five by itself, and a rule; each makes up a market of its own."""

STRANGERS = {"zi_c": 1, "zip": 1, "truthful": 3}
"""The other half of a market that is held out: the rule that most of them go by was in no market of training."""

EFFICIENCY_AIM = 0.03
PASSES_AIM = 0.05
JUDGED = 2
"""Turns of a round whose best action is looked up, to see whether passing was best."""

BATCH = 10
"""Markets that are played side by side before they are kept."""

Population = Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Job:
    """One market: who trades, its setting and seed, and the student, by default the one that travels with the code."""

    minds: Population
    scenario: str = ""
    seed: int = 0
    model: str | None = None
    strange: bool = False
    judged: bool = False


@dataclass(frozen=True, slots=True)
class _Market:
    """What one market came to: its efficiency, and ticks a turn of students and of the others, 0 where none is.

    `passes`, if judged, are shares of turns: that passed, in which all else would have lost, and in which nothing would
    have gained. Between the last two an order would have found nobody, and passing is as good.
    """

    efficiency: float
    student_ticks: float
    others_ticks: float
    passes: Sequence[float] = ()


class _Gains(Surplus):
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


def named(beside: Sequence[str]) -> dict[str, Path]:
    """Returns the students that are named as NAME=DIR; ConfigError where one has no name or no model."""
    found: dict[str, Path] = {}
    for told in beside:
        name, _, path = told.partition("=")
        if not name or not path or not EmbeddedModel(name=MINE, engine="embedded", path=Path(path)).weights.is_file():
            raise ConfigError("--beside", f"expected NAME=DIR with a model of `swarm distil`, got {told!r}")
        found[name] = Path(path)
    return found


def measure(
    narrator: Narrator,
    model: Path | None = None,
    seeds: int = SEEDS,
    beside: Mapping[str, Path] = {},
    keep: Path | None = None,
) -> list[Result]:
    """Returns efficiencies and gains of the student at `model`, or of the one that travels with the code.

    `beside` has other students by their names. Markets are kept in the file `keep`, from which a measurement goes on.
    """
    mine, kept = None if model is None else str(model), Kept(keep)
    half = sum(STRANGERS.values())
    # Each kind of market by its name: who trades in it.
    kinds: dict[str, Job] = {
        "own": Job(minds={MINE: 1}, model=mine, judged=True),
        "the_five": Job(minds=FIVE),
        "mixed": Job(minds={**FIVE, MINE: len(FIVE)}, model=mine),
        BEST_SINGLE: Job(minds={BEST_SINGLE: 1}),
        RULE: Job(minds={RULE: 1}),
        "strange": Job(minds={**STRANGERS, MINE: half}, model=mine, strange=True),
        "strange_five": Job(minds={**STRANGERS, **dict.fromkeys(FIVE, half // len(FIVE))}, strange=True),
        **{name: Job(minds={MINE: 1}, model=str(path)) for name, path in beside.items()},
    }
    results: list[Result] = []
    for scenario in SCENARIOS:
        played: dict[str, list[_Market]] = {}
        for kind, job in kinds.items():
            narrator.phase(f"{scenario}, {kind}: {seeds} seeds")
            jobs = [replace(job, scenario=scenario, seed=seed) for seed in range(seeds)]
            played[kind] = _played(jobs, kept)
        results += _results(scenario, played, [BEST_SINGLE, RULE, *beside])
    return results


def _results(scenario: str, played: Mapping[str, list[_Market]], others: Sequence[str]) -> list[Result]:
    """Returns the figures of one scenario, of whose kinds of markets each has one for each seed."""

    def over(name: str, these: str, those: str, aim: float | None = None) -> Result:
        a, b = ([market.efficiency for market in played[kind]] for kind in (these, those))
        return _paired(f"efficiency_{scenario}_{name}", a, b, "share", aim)

    mixed = played["mixed"]
    strangers = [market.others_ticks for market in mixed]
    passes, least, most = np.array([market.passes for market in played["own"]]).mean(0).tolist()
    return [
        over("students_over_the_five", "own", "the_five", EFFICIENCY_AIM),
        *(over(f"students_over_{name}", "own", name) for name in others),
        over("held_out_students_over_the_five", "strange", "strange_five", EFFICIENCY_AIM),
        Result(
            f"passes_{scenario}_away_from_the_best", round(max(least - passes, passes - most, 0.0), 4), "share",
            "lower", PASSES_AIM,
            note=f"it passes in {passes:.3f} of turns; in {least:.3f} all else would have lost, in {most:.3f} nothing "
            f"would have gained; {JUDGED} turns a round of {len(mixed)} seeds",
        ),
        _paired(
            f"gain_{scenario}_of_others_beside_students", strangers, [m.others_ticks for m in played["the_five"]],
            "ticks a turn", 0.0,
        ),
        _paired(
            f"gain_{scenario}_students_over_others_beside_them", [m.student_ticks for m in mixed], strangers,
            "ticks a turn", None,
        ),
    ]  # fmt: skip


def _played(jobs: Sequence[Job], kept: Kept) -> list[_Market]:
    """Returns what each job's market came to, those that are not kept played side by side."""
    found: list[_Market] = []
    # Kept some at a time, so that whoever is stopped loses few and processes are not begun for each.
    for first in range(0, len(jobs), BATCH):
        part = jobs[first : first + BATCH]
        missing = [job for job in part if kept.get(_key(job)) is None]
        at_once = min(usual_jobs(), max(len(missing), 1))
        for job, market in zip(missing, side_by_side(_market, [(j,) for j in missing], at_once), strict=True):
            kept.put(_key(job), asdict(market))
        found += [_Market(**kept.get(_key(job))) for job in part]
    return found


def _key(job: Job) -> dict[str, Any]:
    """Returns what a market is kept by: a folder may have another student by now, so its weights, too."""
    return {**asdict(job), "files": digests(_entry(job.model))}


def _entry(model: str | None) -> dict[str, Any]:
    weights = {"temperament": "profit"} if model is None else {"path": model}
    return {"name": MINE, "engine": "embedded", **weights}


def _market(job: Job) -> _Market:
    models = [_entry(job.model)]
    config = _strange_config if job.strange else economy_config
    gains = _Gains()
    # Clearing a round again for each action takes longer than the market, so only some markets are judged.
    judging = [Advantages(JUDGED, frozenset({MINE}))] if job.judged else []
    play(config(job.scenario, job.minds, job.seed, models), gains, *judging)
    market = _Market(gains.efficiency, gains.a_turn(True), gains.a_turn(False))
    if not judging:
        return market
    judged = judging[0].corpus()
    beyond = np.where(lawful(judged), judged.gains, np.iinfo(np.int32).min)[:, 1:].max(1)
    shares = [float(np.mean(mask)) for mask in (judged.chosen == 0, beyond < 0, beyond <= 0)]
    return replace(market, passes=[round(share, 4) for share in shares])


def _strange_config(scenario: str, minds: Population, seed: int, models: Sequence[Mapping[str, Any]]) -> RunConfig:
    """Returns a market that no training has drawn the like of: more traders, worse shocks, longer periods."""
    config = economy_config(scenario, minds, seed, models).model_dump(mode="json", exclude_unset=True)
    config["population"] = 48
    # Shocks of training come to at most 0.7 and six rounds; auctions have at most four units and ten rounds a period.
    if scenario == "wood":
        config["scenario"]["shocks"] = [
            {"kind": "venture", "round": 5, "rounds": 8, "good": "honey", "size_permille": 900},
            {"kind": "blight", "round": 15, "rounds": 8, "good": "berries", "size_permille": 900},
            {"kind": "run", "round": 25, "rounds": 8, "good": "firewood", "size_permille": 900},
        ]
    else:
        config["scenario"] |= {"rounds_per_period": 12, "units": 5}
    return resolve(config)


def _paired(name: str, these: Sequence[float], those: Sequence[float], unit: str, aim: float | None) -> Result:
    # Paired by seed: the same worths and shocks, so that luck in them cancels out.
    differences = [a - b for a, b in zip(these, those, strict=True)]
    middle = round(float(np.mean(differences)), 4)
    own, other = (figure(float(np.mean(part)), 4) for part in (these, those))
    note = f"{own} beside {other}; {len(differences)} seeds: {paired(differences, unit)}"
    return Result(name, middle, unit, "higher", aim, tuple(round(d, 4) for d in differences), note=note)
