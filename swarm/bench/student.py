"""What a student is worth beside the population that it learned from, paired over seeds that no training has seen.

In markets of students alone: efficiency. In markets where students are half of the traders: what they and the others
gain a turn, and what the others gain where all are of the five.
"""

import multiprocessing
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from swarm.agents.observation import Int64, Observation
from swarm.bench.form import Result
from swarm.bench.runs import TEMPERAMENTS
from swarm.config import RunConfig
from swarm.config_file import resolve
from swarm.experiments.statistics import interval
from swarm.market.events import Trades
from swarm.preflight import Narrator
from swarm.runtime.play import play
from swarm.scenarios.double_auction import DoubleAuction
from swarm.scenarios.protocol import MarketState
from swarm.simulation.loop import RoundOutcome
from swarm.simulation.plan import RunPlan
from swarm.training.evaluate import economy_config, surplus

SEEDS = 20
SCENARIOS = ("wood", "double_auction")
MINE = "student"
FIVE = {f"tiny-{t}": 1 for t in TEMPERAMENTS}
EFFICIENCY_AIM = 0.03


@dataclass(frozen=True, slots=True)
class _Market:
    """What one market came to: its efficiency, and ticks a turn of students and of the others, 0 where none is."""

    efficiency: float
    student_ticks: float
    others_ticks: float


@dataclass(slots=True)
class _Kept:
    """Watches a market: its surplus, and the ticks and the turns of students and of all others."""

    realised: int = 0
    possible: int = 0
    gained: dict[bool, int] = field(default_factory=lambda: {True: 0, False: 0})
    turns: dict[bool, int] = field(default_factory=lambda: {True: 0, False: 0})
    plan: RunPlan | None = None

    def started(self, plan: RunPlan, opening: MarketState, named: Int64) -> None:
        """Remembers who there is."""
        self.plan = plan

    def round_done(self, outcome: RoundOutcome) -> None:
        """Adds up a round."""
        if outcome.basis is None:
            return
        realised, possible = surplus(outcome.basis.seen, outcome.cleared.trades)
        self.realised += realised
        self.possible += possible
        ticks = gained_ticks(outcome.basis.seen, outcome.cleared.trades)
        student = np.array([mind == MINE for mind in outcome.plan.shard.minds])
        for mine in (True, False):
            self.gained[mine] += int(ticks[student == mine].sum())
            self.turns[mine] += int((student == mine).sum())

    @property
    def efficiency(self) -> float:
        """The share of the possible surplus that was realised, as the scenario counts it."""
        if self.plan is not None and isinstance(self.plan.scenario, DoubleAuction):
            return self.plan.scenario.efficiency
        return self.realised / max(self.possible, 1)

    def a_turn(self, mine: bool) -> float:
        """Returns the ticks that a turn gained."""
        return self.gained[mine] / max(self.turns[mine], 1)


def gained_ticks(seen: Observation, trades: Trades) -> Int64:
    """Returns [traders] ticks gained in a round, at the worths shown; a lot bought beyond the need is worth nothing."""
    # [traders, goods] lots, and [traders] ticks of money that changed hands.
    barter = seen.private.bartering
    bought, sold = np.zeros_like(barter.need), np.zeros_like(barter.need)
    money = np.zeros(len(barter.need), dtype=np.int64)
    np.add.at(bought, (trades.buyer, trades.good), trades.quantity_lots)
    np.add.at(sold, (trades.seller, trades.good), trades.quantity_lots)
    np.add.at(money, trades.seller, trades.quantity_lots * trades.price_ticks)
    np.subtract.at(money, trades.buyer, trades.quantity_lots * trades.price_ticks)
    found: Int64 = ((np.minimum(bought, barter.need) - sold) * barter.worth_ticks).sum(1) + money
    return found


def measure(narrator: Narrator, model: Path | None = None, seeds: int = SEEDS) -> list[Result]:
    """Returns efficiencies and gains of the student at `model`, or of the one that travels with the code."""
    # One job is a market of one population and seed; all are independent, and none is timed.
    populations = ({MINE: 1}, FIVE, {**FIVE, MINE: len(FIVE)})
    jobs = [(s, minds, seed, model) for s in SCENARIOS for minds in populations for seed in range(seeds)]
    narrator.phase(f"{len(jobs)} markets of {seeds} seeds")
    with multiprocessing.get_context("spawn").Pool(os.cpu_count()) as pool:
        played = iter(pool.starmap(_market, jobs, chunksize=1))
    results: list[Result] = []
    for scenario in SCENARIOS:
        alone, five, mixed = ([next(played) for _ in range(seeds)] for _ in populations)
        own = np.array([m.efficiency for m in alone])
        results.append(_paired(f"efficiency_{scenario}_students_over_the_five", own, [m.efficiency for m in five],
                               "share of the possible surplus", EFFICIENCY_AIM))  # fmt: skip
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
    kept = _Kept()
    play(_config(scenario, minds, seed, model), kept)
    return _Market(kept.efficiency, kept.a_turn(True), kept.a_turn(False))


def _config(scenario: str, minds: dict[str, int], seed: int, model: Path | None) -> RunConfig:
    """Returns a market of forty traders of an examination, with the student among its models."""
    record = economy_config(scenario, FIVE, seed).model_dump(mode="json", exclude_unset=True)
    weights: dict[str, Any] = {"temperament": "profit"} if model is None else {"path": str(model)}
    record["models"] = [*record["models"], {"name": MINE, "engine": "embedded", **weights}]
    return resolve({**record, "traders": {"minds": minds}})


def _paired(name: str, these: np.ndarray, those: list[float], unit: str, aim: float | None) -> Result:
    differences = these - np.array(those)
    # Paired by seed: the same worths and shocks, so that luck in them cancels out.
    middle, half = interval(differences)
    words = "holds zero, so it is none" if abs(middle) <= half else "does not hold zero"
    note = (
        f"{these.mean():.4g} beside {np.mean(those):.4g}; {len(differences)} paired seeds, 95% interval "
        f"{middle - half:+.4g} to {middle + half:+.4g}, which {words}"
    )
    return Result(
        name, round(middle, 4), unit, "higher", aim, tuple(round(float(d), 4) for d in differences), note=note
    )
