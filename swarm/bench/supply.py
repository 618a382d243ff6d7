"""Measures supply chains: the theory's figures, plans beside a proven bound, and what reading news is worth.

Plans are played without a market, minds in runs of 500 nodes; both meet the same customers, so that differences are
paired by seed. Costs are in units of 100 cents a round. What a scripted reader does says that the news can be read, and
nothing of language models.
"""

from collections.abc import Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from statistics import mean
from time import process_time
from typing import Any

import numpy as np

from swarm.bench.form import Result, paired
from swarm.bench.supply_reading import reading
from swarm.config_file import resolve
from swarm.experiments.statistics import interval
from swarm.preflight import Narrator
from swarm.runtime.play import play
from swarm.scenarios.supply_chain import series, shapes
from swarm.scenarios.supply_chain.bound import Normal, Optimum, serial_optimum, tree_bound
from swarm.scenarios.supply_chain.demand import Demand, Shift
from swarm.scenarios.supply_chain.network import Network
from swarm.scenarios.supply_chain.planning import PlanConfig
from swarm.scenarios.supply_chain.simulate import Played, simulate, whip
from swarm.scenarios.supply_chain.table import read_table
from swarm.simulation.loop import RoundOutcome
from swarm.training.wordings import EXAMINED

CENTS = 100
SEEDS = 10
ROUNDS, WARM_UP = 400, 100
SHIFT_ROUND, AFTER = 21, 40
REGIONS = ("coast", "hills", "plains")
SHIFTED: tuple[dict[str, Any], ...] = ({"region": "coast", "permille": 1_600}, {"region": "hills", "permille": 600})
STATIONARY = {
    "searched_levels": PlanConfig(rule="levels", levels=(15, 83, 410)),
    "base_stock": PlanConfig(rule="base_stock"),
    "smoothing": PlanConfig(rule="smoothing"),
    "moving_average": PlanConfig(rule="moving_average"),
    "sterman": PlanConfig(rule="sterman"),
}
AFTER_SHIFT = {
    "stale_plan": PlanConfig(rule="central"),
    "remade_plan_10": PlanConfig(rule="central", remake_rounds=10),
    "remade_plan_20": PlanConfig(rule="central", remake_rounds=20),
    "smoothing": PlanConfig(rule="smoothing"),
    "told_on_the_day": PlanConfig(rule="told"),
    "told_8_before": PlanConfig(rule="told", told_rounds=-8),
    "told_10_after": PlanConfig(rule="told", told_rounds=10),
}
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


class Costs:
    """A watcher that keeps, from a round on, what a run cost and what its nodes ordered."""

    def __init__(self, after: int) -> None:
        self._after = after
        self._before: dict[str, int] = {}
        self._now: dict[str, int] = {}
        self.orders: list[Any] = []
        self.demand: list[Any] = []
        self.bullwhip: tuple[float, ...] = ()
        self.rounds = 0
        self.cpu_s = 0.0

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


def measure(narrator: Narrator, seeds: int, minds_from: Path | None, workers: int | None = None) -> list[Result]:
    """Returns all figures; models of the config `minds_from` are asked whether they read."""
    # Runs know nothing of each other, so that as many go side by side as there are workers.
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        return _measured(narrator, seeds, minds_from, pool)


def _measured(narrator: Narrator, seeds: int, minds_from: Path | None, pool: Executor) -> list[Result]:
    network = read_table(shapes.tree(20, 80, 400, REGIONS), ROUNDS)
    bound = tree_bound(network)
    if bound is None:
        raise ValueError("the tree of 500 nodes has a bound")
    results = [*_theory(bound), *reading(minds_from, narrator)]
    results += _stationary(network, bound, seeds, narrator, pool)
    results += _after_shift(network, seeds, narrator, pool)
    results += _agents(bound, seeds, narrator, pool)
    return [*results, *_bullwhip_of_agents(network, narrator, pool)]


def _theory(bound: Optimum) -> list[Result]:
    """Returns the optimum of a published line, the bound of the tree, and the beer game by its best board."""
    # Example 6.1 of Snyder and Shen 2019, whose optimum stockpyl 1.0.2 gives to these digits.
    line = serial_optimum((3, 2, 2), (1, 1, 2), 37.12, Normal(5, 1))
    board = read_table(shapes.beer_game(), 36)
    plan = PlanConfig(rule="levels", levels=(32, 32, 32, 24))
    beer = simulate(board, plan, Demand(board, 1, (), series.classic(board)), 36)
    levels = ", ".join(f"{level:.3f}" for level in line.levels)
    return [
        Result("supply_serial_optimum", round(line.cost, 4), "a round", "lower", 47.6654, bound=f"levels {levels}"),
        Result("supply_bound_500", round(bound.cost / CENTS, 2), "a round", "lower", bound="no policy costs less"),
        Result("supply_beer_game", beer.total * 36 / CENTS, "$", "lower", 180, bound="targets 28, 28, 28, 20"),
    ]


def _stationary(network: Network, bound: Optimum, seeds: int, narrator: Narrator, pool: Executor) -> list[Result]:
    """Returns what plans cost where demand does not change; the aim of the searched levels is the published figure."""
    narrator.phase("playing plans on demand that does not change")
    jobs = {
        name: [pool.submit(simulate, network, plan, Demand(network, seed), ROUNDS, WARM_UP) for seed in range(seeds)]
        for name, plan in STATIONARY.items()
    }
    results = []
    for name, waiting in jobs.items():
        aim = 26_167 * 1.005 if name == "searched_levels" else None
        runs = [job.result() for job in waiting]
        results += _played(f"supply_stationary_{name}", runs, bound.cost, aim)
    return results


def _played(name: str, runs: Sequence[Played], least: float | None, aim: float | None) -> list[Result]:
    """Returns a plan's total with its parts, since holding alone says nothing."""
    # Total, parts and fill stand together: each alone can be had at the cost of the others.
    totals = [run.total / CENTS for run in runs]
    whip = np.mean([run.bullwhip for run in runs], axis=0)
    told = (
        f"holding {mean(run.holding for run in runs) / CENTS:,.0f}, under way "
        f"{mean(run.transit for run in runs) / CENTS:,.0f}, backlog {mean(run.backlog for run in runs) / CENTS:,.0f}, "
        f"fill {mean(run.fill for run in runs):.3f}, bullwhip {' '.join(f'{w:.1f}' for w in whip)}"
    )
    return [_result(name, totals, told, None if least is None else least / CENTS, aim)]


def _result(name: str, totals: Sequence[float], told: str, least: float | None, aim: float | None) -> Result:
    # The mean of the seeds with its 95% interval.
    middle, half = interval(list(totals))
    over = "" if least is None else f", {middle / least:.3f} of the bound"
    return Result(
        name,
        round(middle, 1),
        "a round",
        "lower",
        None if aim is None else round(aim, 1),
        tuple(round(total, 1) for total in totals),
        f"+-{half:,.0f}{over}; {told}",
        None if least is None else round(least / middle, 4),
    )


def _shifts(network: Network) -> tuple[Shift, ...]:
    return tuple(
        Shift(network.regions.index(str(one["region"])), SHIFT_ROUND, 1 << 31, int(one["permille"])) for one in SHIFTED
    )


def _after_shift(network: Network, seeds: int, narrator: Narrator, pool: Executor) -> list[Result]:
    """Returns what plans cost in the 40 rounds after a third of customers want 1.6 times as much, a third 0.6."""
    narrator.phase("playing plans over a shift")
    last, shifts = SHIFT_ROUND - 1 + AFTER, _shifts(network)
    jobs = {
        name: [
            pool.submit(simulate, network, plan, Demand(network, seed, shifts), last, SHIFT_ROUND - 1)
            for seed in range(seeds)
        ]
        for name, plan in AFTER_SHIFT.items()
    }
    results = []
    for name, waiting in jobs.items():
        results += _played(f"supply_shift_{name}", [job.result() for job in waiting], None, None)
    return results


def run(
    seed: int, mind: str, rule: str, scenario: dict[str, Any], rounds: int, customers_seed: int | None = None
) -> "Costs":
    """Returns what a run of 500 nodes cost from the shift's round on, all of whose nodes have one of MINDS."""
    # All seats have one mind, asked in the first round and when news concerns it.
    began = process_time()
    setting = {"name": "supply_chain", "plan": {"rule": rule}, "customers_seed": customers_seed, **scenario}
    config = resolve(
        {
            "name": "supply",
            "seed": seed,
            "rounds": rounds,
            "population": 500,
            "scenario": setting,
            "models": [{"name": "mind", **MINDS[mind][0]}],
            "traders": {"minds": {"mind": 1}, "standing": {"max_rounds": 1_000}},
        }
    )
    costs = Costs(SHIFT_ROUND - 1)
    play(config, costs)
    costs.bullwhip = whip(costs.network, np.array(costs.demand), np.array(costs.orders))
    costs.cpu_s = process_time() - began
    return costs


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


TRUE = {"shifts": [{**one, "first_round": SHIFT_ROUND} for one in SHIFTED]}
LIE = {"shifts": [{"region": "coast", "permille": 1_600, "first_round": SHIFT_ROUND, "happens": False}]}
CASES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("stationary", ("reader", "tiny", "deaf")),
    ("shift", ("reader", "tiny", "deaf")),
    ("reworded", ("reader", "tiny")),
    ("lie", ("reader", "tiny", "alarmed")),
)
"""What minds meet, and who does: a deaf one meets a lie as no news at all, and news in other words as any."""


def _setting(case: str, seed: int) -> dict[str, Any]:
    return {"stationary": {}, "shift": TRUE, "lie": LIE}[case] if case != "reworded" else reworded(seed)


def _agents(bound: Optimum, seeds: int, narrator: Narrator, pool: Executor) -> list[Result]:
    """Returns what runs of minds cost: without news, over an announced shift in two wordings, and over a lie."""
    narrator.phase("running minds without news, over a shift and over a lie")
    last = SHIFT_ROUND - 1 + AFTER
    jobs = {
        (rule, case, name): [pool.submit(run, seed, name, rule, _setting(case, seed), last) for seed in range(seeds)]
        for rule in ("base_stock", "smoothing")
        for case, names in CASES
        for name in names
    }
    found = {key: [job.result() for job in waiting] for key, waiting in jobs.items()}
    results: list[Result] = []
    for (rule, case, name), runs in found.items():
        least = bound.cost / CENTS if case == "stationary" else None
        aim = {"shift": 29_500.0, "stationary": 1.1 * bound.cost / CENTS}.get(case) if name in READERS else None
        whip = np.mean([one.bullwhip for one in runs], axis=0)
        told = f"fill {mean(one.fill for one in runs):.3f}, bullwhip {' '.join(f'{w:.1f}' for w in whip)}; "
        totals = [one.total for one in runs]
        results.append(_result(f"supply_{rule}_{case}_{name}", totals, told + MINDS[name][1], least, aim))
    results += _beside_the_deaf(found)
    return [*results, *_cpu(pool)]


READERS = ("reader", "tiny")


def _beside_the_deaf(found: dict[tuple[str, str, str], list["Costs"]]) -> list[Result]:
    """Returns what reading was worth, or a lie has cost, seed by seed against one who follows its plan."""
    results = []
    for (rule, case, name), runs in found.items():
        if case == "stationary" or name == "deaf":
            continue
        # Customers of a lie are those of no news.
        deaf = found[rule, "stationary" if case == "lie" else "shift", "deaf"]
        saved = [other.total - one.total for one, other in zip(runs, deaf, strict=True)]
        told = f"against one who does not listen, on the same plan: {paired(saved, 'a round')}"
        called = f"supply_{rule}_{case}_worth_{name}"
        results.append(Result(called, round(mean(saved), 1), "a round", "higher", bound=told))
    return results


def _cpu(pool: Executor) -> list[Result]:
    """Returns the CPU time of 200 rounds over a shift, of a rule and of the tiny model in every seat."""
    results = []
    for name in READERS:
        spent = pool.submit(run, 1, name, "smoothing", TRUE, 200).result().cpu_s
        told = f"CPU of one process; without tables and journal; {MINDS[name][1]}"
        called = f"supply_cpu_s_500_nodes_200_rounds_{name}"
        results.append(Result(called, round(spent, 2), "s", "lower", 60, bound=told))
    return results


def _bullwhip_of_agents(network: Network, narrator: Narrator, pool: Executor, runs: int = 20) -> list[Result]:
    """Returns by tier the variance of orders between runs that meet the same customers, over that of demand."""
    narrator.phase("running minds 20 times on one demand")
    last = SHIFT_ROUND - 1 + AFTER
    jobs = {
        name: [pool.submit(run, seed, name, "smoothing", TRUE, last, 1) for seed in range(runs)]
        for name in ("reader", "tiny", "hot", "by_lot")
    }
    results = []
    for name, waiting in jobs.items():
        # [runs, rounds, nodes] units; between runs, over the mean demand of a node, as Poisson's own variance is.
        orders = np.array([job.result().orders for job in waiting])
        between = orders.var(axis=0, ddof=1).mean(axis=0) / network.mean
        for tier, title in enumerate(network.tiers):
            value = round(float(between[network.tier == tier].mean()), 3)
            told = "variance between 20 runs over mean demand; 1 is as much as customers' own chance"
            called = f"supply_agent_bullwhip_{name}_{title}"
            results.append(Result(called, value, "", "lower", bound=f"{told}; {MINDS[name][1]}"))
    return results
