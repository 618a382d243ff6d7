"""Measures supply chains: the theory's figures, plans beside a proven bound, and what reading news is worth.

Plans are played without a market, minds in runs of 500 nodes; both meet the same customers, so that differences are
paired by seed. Costs are in units of 100 cents a round. What a scripted reader does says that the news can be read, and
nothing of language models.
"""

from collections.abc import Sequence
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
from swarm.scenarios.supply_chain.simulate import Played, simulate
from swarm.scenarios.supply_chain.table import read_table
from swarm.simulation.loop import RoundOutcome

CENTS = 100
SEEDS = 10
ROUNDS, WARM_UP = 700, 200
SHIFT_ROUND, AFTER = 41, 40
REGIONS = ("coast", "hills", "plains")
SHIFTED = ({"region": "coast", "permille": 1_600}, {"region": "hills", "permille": 600})
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
MINDS = {
    "reader": ("value", "a rule in code that knows the wordings by heart, no language model"),
    "deaf": ("maker", "a rule in code that always follows its plan"),
    "alarmed": ("panic", "a rule in code that stocks up at any news"),
}


class Costs:
    """A watcher that keeps, from a round on, what a run cost and what its nodes ordered."""

    def __init__(self, after: int) -> None:
        self._after = after
        self._before: dict[str, Any] = {}
        self.orders: list[Any] = []
        self.rounds = 0

    def started(self, *_: object) -> None:
        """Begins with nothing."""

    def round_done(self, outcome: RoundOutcome) -> None:
        """Keeps the sums so far."""
        sums = {name: int(column.sum()) for name, column in outcome.trader_columns.items()}
        if outcome.round == self._after:
            self._before = sums
        elif outcome.round > self._after:
            scenario: Any = outcome.plan.scenario
            self.orders.append(scenario.last.flow.ordered)
            self.rounds, self._now = self.rounds + 1, sums

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


def measure(narrator: Narrator, seeds: int, minds_from: Path | None) -> list[Result]:
    """Returns all figures; models of the config `minds_from` are asked whether they read."""
    network = read_table(shapes.tree(20, 80, 400, REGIONS), ROUNDS)
    bound = tree_bound(network)
    if bound is None:
        raise ValueError("the tree of 500 nodes has a bound")
    results = [*_theory(bound), *reading(minds_from, narrator)]
    results += _stationary(network, bound, seeds, narrator)
    results += _after_shift(network, seeds, narrator)
    results += _agents(network, bound, seeds, narrator)
    return [*results, *_bullwhip_of_agents(network, narrator)]


def _theory(bound: Optimum) -> list[Result]:
    """Returns the optimum of a published line, the bound of the tree, and the beer game by its best board."""
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


def _stationary(network: Network, bound: Optimum, seeds: int, narrator: Narrator) -> list[Result]:
    """Returns what plans cost where demand does not change; the aim of the searched levels is the published figure."""
    results = []
    for name, plan in STATIONARY.items():
        narrator.phase(f"playing {name}")
        runs = [simulate(network, plan, Demand(network, seed), ROUNDS, WARM_UP) for seed in range(seeds)]
        aim = 26_167 * 1.005 if name == "searched_levels" else None
        results += _played(f"supply_stationary_{name}", runs, bound.cost, aim)
    return results


def _played(name: str, runs: Sequence[Played], least: float | None, aim: float | None) -> list[Result]:
    """Returns a plan's total with its parts, since holding alone says nothing."""
    totals = [run.total / CENTS for run in runs]
    whip = np.mean([run.bullwhip for run in runs], axis=0)
    told = (
        f"holding {mean(run.holding for run in runs) / CENTS:,.0f}, under way "
        f"{mean(run.transit for run in runs) / CENTS:,.0f}, backlog {mean(run.backlog for run in runs) / CENTS:,.0f}, "
        f"fill {mean(run.fill for run in runs):.3f}, bullwhip {' '.join(f'{w:.1f}' for w in whip)}"
    )
    return [_result(name, totals, told, None if least is None else least / CENTS, aim)]


def _result(name: str, totals: Sequence[float], told: str, least: float | None, aim: float | None) -> Result:
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


def _after_shift(network: Network, seeds: int, narrator: Narrator) -> list[Result]:
    """Returns what plans cost in the 40 rounds after a third of customers want 1.6 times as much, a third 0.6."""
    results, last = [], SHIFT_ROUND - 1 + AFTER
    for name, plan in AFTER_SHIFT.items():
        narrator.phase(f"playing {name} over a shift")
        runs = [
            simulate(network, plan, Demand(network, seed, _shifts(network)), last, SHIFT_ROUND - 1)
            for seed in range(seeds)
        ]
        results += _played(f"supply_shift_{name}", runs, None, None)
    return results


def run(seed: int, temperament: str, rule: str, shifts: Sequence[dict[str, Any]], rounds: int, **more: Any) -> Costs:
    """Returns what a run of 500 nodes cost from the shift's round on, whose nodes all have this scripted mind."""
    config = resolve(
        {
            "name": "supply",
            "seed": seed,
            "rounds": rounds,
            "population": 500,
            "scenario": {"name": "supply_chain", "plan": {"rule": rule}, "shifts": list(shifts), **more},
            "models": [{"name": "mind", "engine": "scripted", "temperament": temperament}],
            "traders": {"minds": {"mind": 1}, "standing": {"max_rounds": 1_000}},
        }
    )
    costs = Costs(SHIFT_ROUND - 1)
    play(config, costs)
    return costs


def _agents(network: Network, bound: Optimum, seeds: int, narrator: Narrator) -> list[Result]:
    """Returns what runs of minds cost: without news, over an announced shift, and over a lie."""
    last = SHIFT_ROUND - 1 + AFTER
    true = [{**one, "first_round": SHIFT_ROUND} for one in SHIFTED]
    lie = [{"region": "coast", "permille": 1_600, "first_round": SHIFT_ROUND, "happens": False}]
    results: list[Result] = []
    cpu: list[float] = []
    for rule in ("base_stock", "smoothing"):
        found: dict[str, list[Costs]] = {}
        for name, (temperament, _) in MINDS.items():
            for case, shifts in (("stationary", []), ("shift", true), ("lie", lie)):
                # A deaf mind meets a lie as it meets no news at all, and an alarmed one is asked about lies alone.
                if (name, case) in (("deaf", "lie"), ("alarmed", "stationary"), ("alarmed", "shift")):
                    continue
                narrator.phase(f"running {name} on {rule}, {case}")
                began = process_time()
                found[f"{case}_{name}"] = [run(seed, temperament, rule, shifts, last) for seed in range(seeds)]
                cpu.append((process_time() - began) / seeds)
        for case, runs in found.items():
            least = bound.cost / CENTS if case.startswith("stationary") else None
            aim = {"shift_reader": 29_500.0, "stationary_reader": 1.1 * bound.cost / CENTS}.get(case)
            told = f"fill {mean(one.fill for one in runs):.3f}; {MINDS[case.split('_')[1]][1]}"
            results.append(_result(f"supply_{rule}_{case}", [one.total for one in runs], told, least, aim))
        quiet = found["stationary_deaf"]
        for name in ("reader", "alarmed"):
            lost = [a.total - b.total for a, b in zip(found[f"lie_{name}"], quiet, strict=True)]
            told = f"against one who does not listen: {paired(lost, 'a round')}"
            results.append(
                Result(f"supply_{rule}_lie_costs_{name}", round(mean(lost), 1), "a round", "lower", bound=told)
            )
    each = mean(cpu) * 200 / last
    told = "CPU of one process, scripted minds; run alone, a run takes no longer"
    return [*results, Result("supply_cpu_s_500_nodes_200_rounds", round(each, 2), "s", "lower", 60, bound=told)]


def _bullwhip_of_agents(network: Network, narrator: Narrator, runs: int = 20) -> list[Result]:
    """Returns by tier the variance of orders between runs that meet the same customers, over that of demand."""
    narrator.phase("running letters by lot, 20 times on one demand")
    shifts = [{**one, "first_round": SHIFT_ROUND} for one in SHIFTED]
    last = SHIFT_ROUND - 1 + AFTER
    results = []
    for name, temperament in (("reader", "value"), ("by_lot", "momentum")):
        orders = np.array(
            [run(s, temperament, "smoothing", shifts, last, customers_seed=1).orders for s in range(runs)]
        )
        # [nodes] variance between runs, over the mean demand that the node sees, as Poisson's own variance is.
        between = orders.var(axis=0, ddof=1).mean(axis=0) / network.mean
        for tier, title in enumerate(network.tiers):
            value = round(float(between[network.tier == tier].mean()), 3)
            told = "variance between 20 runs over mean demand; 1 is as much as customers' own chance"
            results.append(Result(f"supply_agent_bullwhip_{name}_{title}", value, "", "lower", bound=told))
    return results
