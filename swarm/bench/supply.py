"""Measures supply chains: the theory's figures, plans beside a proven bound, and what reading news is worth.

Plans are played without a market, minds in runs of 500 nodes; both meet the same customers, so that differences are
paired by seed. Costs are in units of 100 cents a round. What a scripted reader does says that the news can be read, and
nothing of language models.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from statistics import mean

from swarm.bench.form import Result
from swarm.bench.kept import Kept
from swarm.bench.supply_minds import agents, bullwhip_of_agents, filled, summed, whipped
from swarm.bench.supply_reading import reading
from swarm.bench.supply_roads import roads
from swarm.bench.supply_runs import AFTER, SHIFT_ROUND, SHIFTED
from swarm.bench.supply_theory import theory
from swarm.preflight import Narrator
from swarm.scenarios.supply_chain import shapes
from swarm.scenarios.supply_chain.bound import Optimum, tree_bound
from swarm.scenarios.supply_chain.chain import CENTS
from swarm.scenarios.supply_chain.demand import Demand, Shift
from swarm.scenarios.supply_chain.network import Network
from swarm.scenarios.supply_chain.planning import PlanConfig
from swarm.scenarios.supply_chain.simulate import Played, simulate
from swarm.scenarios.supply_chain.table import read_table

SEEDS = 10
ROUNDS, WARM_UP = 400, 100
REGIONS = ("coast", "hills", "plains")
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
PARTS = ("theory", "reading", "plans", "minds", "bullwhip", "road")


def measure(
    narrator: Narrator,
    seeds: int,
    minds_from: Path | None,
    workers: int | None = None,
    keep: Path | None = None,
    parts: Sequence[str] = PARTS,
) -> list[Result]:
    """Returns the figures of these parts; models of the config `minds_from` are asked whether they read.

    What is finished is kept in the file `keep`, and taken from there the next time.
    """
    # Runs know nothing of each other, so that as many go side by side as there are workers.
    network = read_table(shapes.tree(20, 80, 400, REGIONS), ROUNDS)
    bound, kept = tree_bound(network), Kept(keep)
    if bound is None:
        raise ValueError("the tree of 500 nodes has a bound")
    results: list[Result] = []
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        made: dict[str, tuple[str, Callable[[], list[Result]]]] = {
            "theory": ("computing bounds", lambda: theory(bound)),
            "reading": ("asking minds what they read", lambda: reading(minds_from, narrator, kept)),
            "plans": ("playing plans", lambda: _plans(network, bound, seeds, pool)),
            "minds": ("running minds over a shift, a lie and nothing", lambda: agents(bound, seeds, pool, kept)),
            "bullwhip": ("running minds 20 times on one demand", lambda: bullwhip_of_agents(network, pool, kept)),
            "road": ("hurrying at auction", lambda: roads(seeds, pool)),
        }
        for part in PARTS:
            if part in parts:
                narrator.phase(made[part][0])
                results += made[part][1]()
    return results


def _plans(network: Network, bound: Optimum, seeds: int, pool: Executor) -> list[Result]:
    return [*_stationary(network, bound, seeds, pool), *_after_shift(network, seeds, pool)]


def _stationary(network: Network, bound: Optimum, seeds: int, pool: Executor) -> list[Result]:
    """Returns what plans cost where demand does not change; the aim of the searched levels is the published figure."""
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
    told = (
        f"holding {mean(run.holding for run in runs) / CENTS:,.0f}, under way "
        f"{mean(run.transit for run in runs) / CENTS:,.0f}, backlog {mean(run.backlog for run in runs) / CENTS:,.0f}"
    )
    return [
        summed(name, totals, told, None if least is None else least / CENTS, aim),
        filled(name, [run.fill for run in runs]),
        *whipped(name, [run.bullwhip for run in runs]),
    ]


def _shifts(network: Network) -> tuple[Shift, ...]:
    return tuple(
        Shift(network.regions.index(str(one["region"])), SHIFT_ROUND, 1 << 31, int(one["permille"])) for one in SHIFTED
    )


def _after_shift(network: Network, seeds: int, pool: Executor) -> list[Result]:
    """Returns what plans cost in the 40 rounds after a third of customers want 1.6 times as much, a third 0.6."""
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
