"""What minds make of a supply chain's news: runs over a shift in two wordings, over a lie and over nothing."""

from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from statistics import mean
from typing import Literal

import numpy as np

from swarm.bench.form import Result, paired
from swarm.bench.kept import Kept
from swarm.bench.supply_runs import MINDS, Job, Ran, run_all
from swarm.experiments.statistics import interval
from swarm.scenarios.supply_chain.bound import Optimum
from swarm.scenarios.supply_chain.chain import CENTS
from swarm.scenarios.supply_chain.network import Network

READERS = ("reader", "tiny")
BEST_UNREAD = "smoothing"
"""The plan that does best over a shift when nobody reads."""

MOST_WHIP = {"retailer": 1.3, "warehouse": 1.8, "supplier": 2.6}
LEAST_FILL = 0.96
PAIRED_SEEDS = 20
"""Seeds of a shift at the least, over which minds on the plans of DEAF are compared in pairs."""

DEAF = ("smoothing", "base_stock")
CASES: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("smoothing", "shift", ("tiny", "reader", "by_lot", "deaf")),
    ("smoothing", "whole", ("tiny", "reader")),
    ("base_stock", "shift", ("tiny", "reader", "deaf")),
    ("lean", "shift", ("tiny", "reader")),
    ("lean", "stationary", ("tiny", "reader")),
    *((plan, "reworded", ("tiny", "reader")) for plan in DEAF),
    *((plan, "stationary", ("tiny", "reader", "deaf")) for plan in DEAF),
    *((plan, "lie", ("tiny", "reader", "alarmed")) for plan in DEAF),
)
"""On which plan minds meet what, and who does: a deaf one meets a lie as no news at all, and other words as any.

Of a `whole` shift those alone are told whose customers it all concerns.
"""


def agents(bound: Optimum, seeds: int, pool: Executor, kept: Kept) -> list[Result]:
    """Returns what runs of minds cost and what reading was worth, seed by seed."""
    jobs: dict[tuple[str, str, str], list[Job]] = {}
    for plan, case, names in CASES:
        most = max(seeds, PAIRED_SEEDS) if case in ("shift", "whole") and plan in DEAF else seeds
        jobs |= {(plan, case, name): [Job(name, plan, case, seed) for seed in range(most)] for name in names}
    # Seed by seed, so that what is kept of a measurement that was ended early is paired.
    ran = run_all(sorted((job for of in jobs.values() for job in of), key=lambda job: job.seed), pool, kept)
    found = {key: [ran[job] for job in of] for key, of in jobs.items()}
    results: list[Result] = []
    for (plan, case, name), runs in found.items():
        # The bound is of demand that does not change, and the aims are those of whoever reads.
        least = bound.cost / CENTS if case == "stationary" else None
        aim = (
            {"shift": 29_500.0, "whole": 29_500.0, "stationary": 1.1 * bound.cost / CENTS}.get(case)
            if name in READERS
            else None
        )
        called = f"supply_{plan}_{case}_{name}"
        results.append(summed(called, [one.total for one in runs], MINDS[name][1], least, aim))
        aimed = case == "stationary" and name in READERS
        results.append(filled(called, [one.fill for one in runs], aimed))
        results += whipped(called, [one.bullwhip for one in runs], aimed)
    return [*results, *_beside_the_deaf(found), *_cpu(pool, kept)]


def filled(name: str, fills: Sequence[float], aimed: bool = False) -> Result:
    """Returns the share of demand that was served at once, which stands beside a total."""
    aim, told = LEAST_FILL if aimed else None, "of demand, served in the round of asking"
    return Result(f"{name}_fill", round(mean(fills), 4), "share", "higher", aim, bound=told)


def whipped(name: str, whips: Sequence[Sequence[float]], aimed: bool = False) -> list[Result]:
    """Returns the bullwhip by tier, which stands beside a total."""
    told = "variance of orders over that of demand, each for a unit of mean demand"
    return [
        Result(f"{name}_bullwhip_{tier}", round(value, 2), "", "lower", most if aimed else None, bound=told)
        for (tier, most), value in zip(MOST_WHIP.items(), np.mean(whips, axis=0).tolist(), strict=True)
    ]


def summed(name: str, totals: list[float], told: str, least: float | None, aim: float | None) -> Result:
    """Returns the mean of the seeds with its 95% interval."""
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


def _beside_the_deaf(found: Mapping[tuple[str, str, str], list[Ran]]) -> list[Result]:
    """Returns what reading was worth, or a lie has cost, against one who follows its plan on the same customers."""
    results: list[Result] = []
    better: Literal["lower", "higher"]
    for (plan, case, name), runs in found.items():
        if case == "stationary" or name == "deaf":
            continue
        # Customers of a lie are those of no news; a lie is held against the same plan, the truth against the best one.
        lie = case == "lie"
        deaf = found[(plan, "stationary", "deaf") if lie else (BEST_UNREAD, "shift", "deaf")]
        sign, what, better = (1, "costs", "lower") if lie else (-1, "worth", "higher")
        # Seed by seed, as far as both have them.
        more = [sign * (one.total - other.total) for one, other in zip(runs, deaf, strict=False)]
        whose = "the same plan" if lie else "the best plan"
        told = f"against {whose} that nobody departs from: {paired(more, 'a round')}"
        called = f"supply_{plan}_{case}_{what}_{name}"
        results.append(Result(called, round(mean(more), 1), "a round", better, bound=told))
    return results


def _cpu(pool: Executor, kept: Kept) -> list[Result]:
    """Returns the CPU time of 200 rounds over a shift, of a rule and of the tiny model in every seat."""
    jobs = [Job(name, "smoothing", "shift", 1, 200) for name in READERS]
    ran = run_all(jobs, pool, kept)
    return [
        Result(
            f"supply_cpu_s_500_nodes_200_rounds{'' if job.mind == 'reader' else f'_{job.mind}'}",
            round(ran[job].cpu_s, 2),
            "s",
            "lower",
            60,
            bound=f"CPU of one process; without tables and journal; {MINDS[job.mind][1]}",
        )
        for job in jobs
    ]


def bullwhip_of_agents(network: Network, pool: Executor, kept: Kept, runs: int = 20) -> list[Result]:
    """Returns by tier the variance of orders between runs that meet the same customers, over that of demand."""
    names = ("reader", "tiny", "hot", "by_lot")
    jobs = {
        name: [Job(name, "smoothing", "shift", seed, customers_seed=1) for seed in range(1, runs + 1)] for name in names
    }
    found = run_all([job for of in jobs.values() for job in of], pool, kept)
    results = []
    for name, of in jobs.items():
        # [runs, rounds, nodes] units; between runs, over the mean demand of a node, as Poisson's own variance is.
        orders = np.array([found[job].orders for job in of])
        between = orders.var(axis=0, ddof=1).mean(axis=0) / network.mean
        for tier, title in enumerate(network.tiers):
            value = round(float(between[network.tier == tier].mean()), 3)
            told = f"variance between {runs} runs over mean demand; 1 is as much as customers' own chance"
            called = f"supply_agent_bullwhip_{name}_{title}"
            results.append(Result(called, value, "", "lower", bound=f"{told}; {MINDS[name][1]}"))
    return results
