"""Runs of 500 nodes over a shift, a lie or nothing, whose seats all have one mind; finished ones can be kept.

Such a file is read before anything is played, so that a measurement may be made in pieces.
"""

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Executor, as_completed
from dataclasses import asdict, dataclass
from time import process_time
from typing import Any

import numpy as np

from swarm.bench.kept import Kept
from swarm.config_file import resolve
from swarm.runtime.play import play
from swarm.scenarios.supply_chain.chain import CENTS
from swarm.scenarios.supply_chain.simulate import whip
from swarm.simulation.loop import RoundOutcome
from swarm.training.wordings import EXAMINED

SHIFT_ROUND, AFTER = 21, 40
SHIFTED: tuple[dict[str, Any], ...] = ({"region": "coast", "permille": 1_600}, {"region": "hills", "permille": 600})
MINDS: dict[str, tuple[dict[str, Any], str]] = {
    "reader": (
        {"engine": "scripted", "temperament": "value"},
        "a rule in code that knows the wordings of runs by heart, no language model",
    ),
    "tiny": (
        {"engine": "embedded", "temperament": "reader"},
        "a tiny language model of 0.37 M parameters, schooled on other wordings than these",
    ),
    "hot": (
        {"engine": "embedded", "temperament": "reader", "temperature": 1.0},
        "the tiny language model, its letters drawn by their likelihoods",
    ),
    "by_lot": ({"engine": "scripted", "temperament": "momentum"}, "a rule in code that draws its letters by lot"),
    "deaf": ({"engine": "scripted", "temperament": "maker"}, "a rule in code that always follows its plan"),
    "alarmed": ({"engine": "scripted", "temperament": "panic"}, "a rule in code that stocks up at any news"),
}


PLANS: dict[str, dict[str, Any]] = {
    "smoothing": {"rule": "smoothing"},
    # A thinner safety stock, chosen on seeds from 100 on, which no figure is made of.
    "lean": {"rule": "smoothing", "z_permille": [1_500]},
    "base_stock": {"rule": "base_stock"},
}
"""The plans that minds depart from, by name."""

TRUE: dict[str, Any] = {"shifts": [{**one, "first_round": SHIFT_ROUND} for one in SHIFTED]}
WHOLE: dict[str, Any] = {**TRUE, "concerned_permille": 1_000}
LIE: dict[str, Any] = {"shifts": [{"region": "coast", "permille": 1_600, "first_round": SHIFT_ROUND, "happens": False}]}


@dataclass(frozen=True, slots=True)
class Job:
    """A run to be done: whose mind, on which of the PLANS, in which case and with which seeds."""

    mind: str
    plan: str
    case: str
    seed: int
    rounds: int = SHIFT_ROUND - 1 + AFTER
    customers_seed: int | None = None


@dataclass(frozen=True, slots=True)
class Ran:
    """What a run came to from the shift's round on: pebbles a round, fill, bullwhip by tier, and its CPU seconds.

    `orders` is [rounds][nodes], and empty but where runs are compared round by round.
    """

    total: float
    fill: float
    bullwhip: tuple[float, ...]
    cpu_s: float
    orders: Sequence[Sequence[int]] = ()


class _Costs:
    """A watcher that keeps, from a round on, what a run cost and what its nodes ordered."""

    def __init__(self, after: int) -> None:
        self._after = after
        self._before: dict[str, int] = {}
        self._now: dict[str, int] = {}
        self.orders: list[Any] = []
        self.demand: list[Any] = []
        self.rounds = 0

    def started(self, *_: object) -> None:
        """Begins with nothing."""

    def round_done(self, outcome: RoundOutcome) -> None:
        """Keeps the sums so far."""
        # Columns are sums since the run began, so that the counted rounds are a difference.
        sums = {name: int(column.sum()) for name, column in outcome.trader_columns.items()}
        if outcome.round == self._after:
            self._before = sums
        elif outcome.round > self._after:
            scenario: Any = outcome.plan.scenario
            self.orders.append(scenario.last.flow.ordered)
            self.demand.append(scenario.last.flow.demand)
            self.rounds, self._now = self.rounds + 1, sums
            self.network = scenario.network

    def each_round(self, *names: str) -> float:
        """Returns the sum of these columns for a round, in their own units."""
        return sum(self._now[name] - self._before.get(name, 0) for name in names) / self.rounds

    @property
    def total(self) -> float:
        """All costs of a round."""
        parts = ("holding_cents", "transit_cents", "backlog_cents", "expedite_cents")
        return self.each_round(*parts) / CENTS

    @property
    def fill(self) -> float:
        """The share of demand that was served in the round of asking."""
        return self.each_round("served_at_once_units") / max(self.each_round("demand_units"), 1e-9)


def run(job: Job) -> Ran:
    """Returns what a run came to."""
    # All seats have one mind, asked in the first round and when news concerns it.
    began = process_time()
    setting = {"name": "supply_chain", "plan": PLANS[job.plan], "customers_seed": job.customers_seed}
    config = resolve(
        {
            "name": "supply",
            "seed": job.seed,
            "rounds": job.rounds,
            "population": 500,
            "scenario": setting | _setting(job.case, job.seed),
            "models": [{"name": "mind", **MINDS[job.mind][0]}],
            "traders": {"minds": {"mind": 1}, "standing": {"max_rounds": 1_000}},
        }
    )
    costs = _Costs(SHIFT_ROUND - 1)
    play(config, costs)
    orders = np.array(costs.orders)
    kept = orders.tolist() if job.customers_seed is not None else ()
    whips = whip(costs.network, np.array(costs.demand), orders)
    return Ran(costs.total, costs.fill, whips, process_time() - began, kept)


def reworded(seed: int) -> dict[str, Any]:
    """Returns the shifts with news in wordings that are kept for examinations."""
    # What is announced by the scenario itself has the wordings of runs.
    silent = [{**one, "first_round": SHIFT_ROUND, "announced": None} for one in SHIFTED]
    told = (EXAMINED.more[seed % len(EXAMINED.more)], EXAMINED.less[seed % len(EXAMINED.less)])
    sizes = ("60 percent", "two fifths") if seed % 2 else ("three fifths", "40 percent")
    news = [
        {
            "round": SHIFT_ROUND,
            "region": one["region"],
            "text": text.format(region=one["region"], size=size, round=SHIFT_ROUND),
        }
        for one, text, size in zip(SHIFTED, told, sizes, strict=True)
    ]
    return {"shifts": silent, "news": news}


def _setting(case: str, seed: int) -> dict[str, Any]:
    settings: dict[str, dict[str, Any]] = {"stationary": {}, "shift": TRUE, "whole": WHOLE, "lie": LIE}
    return reworded(seed) if case == "reworded" else settings[case]


def run_all(jobs: Iterable[Job], pool: Executor, kept: Kept) -> Mapping[Job, Ran]:
    """Returns what all of these came to, those that are kept without playing them."""
    wanted = list(jobs)
    waiting = {pool.submit(run, job): job for job in wanted if kept.get(asdict(job)) is None}
    # Each is kept as soon as it is done, whatever becomes of the others.
    for done in as_completed(waiting):
        kept.put(asdict(waiting[done]), asdict(done.result()))
    return {job: Ran(**kept.get(asdict(job))) for job in wanted}
