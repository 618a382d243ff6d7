"""Measures what a strategy auction is worth beside other routers, on a family of tasks with a known optimum.

The tiers are bounded solvers and no language models, so this shows the mechanism and says nothing about models. Two
gates are looked at first: where the oracle is hardly better than the dearest tier, or a bid tells nothing, no auction
can pay.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import mean

import numpy as np
import numpy.typing as npt

from swarm.bench import routers
from swarm.bench.bundles import PRICES, Family, family
from swarm.bench.form import Result, paired
from swarm.bench.routers import Routed, Router, Split
from swarm.coordination.strategy_auction import gates
from swarm.preflight import Narrator

Float64 = npt.NDArray[np.float64]

ORDERS, SEEDS, TASKS_EACH = 5, (0, 1, 2), 160

BETWEEN = ("second", "third", "fourth", "fifth", "sixth", "seventh")
"""What tiers are called between the cheapest and the dearest, from below."""

PARTS = ("price", "bids", "entropy", "jury", "memory")
"""What the auction is also held without, as far as a family has it."""


def routers_of(tasks: Family) -> dict[str, Router]:
    """Returns all routers by name, in the order of the table."""
    last = tasks.right.shape[1] - 1
    single = {"dearest": last, **{BETWEEN[t - 1]: t for t in range(last - 1, 0, -1)}, "cheapest": 0}
    missing = {
        *(() if tasks.claimed else ("bids",)),
        *(() if tasks.entropy is not None else ("entropy",)),
        *(() if tasks.jury is not None else ("jury",)),
        *(() if tasks.refined is not None else ("memory",)),
    }
    return {
        **{name: routers.always(tier) for name, tier in single.items()},
        "random": routers.at_random,
        "random_by_price": routers.by_price_at_random,
        "knn": routers.nearest,
        "carrot": routers.logistic,
        "frugal": routers.frugal,
        "calibrated_bids": routers.calibrated_bids,
        "auction": routers.auction,
        **{f"auction_no_{part}": _without(part) for part in PARTS if part not in missing},
        "auction_by_outcome": routers.auction_by_outcome,
        "oracle": routers.oracle,
    }


def _without(part: str) -> Router:
    return lambda split: routers.auction(split, without=frozenset({part}))


def measure(narrator: Narrator) -> list[Result]:
    """Returns each router's success, cost and use of the dearest tier, over 5 orders of 3 sets of tasks."""
    results: list[Result] = []
    # Nested tiers are the counter-example: there an auction cannot pay, and the gates must say so.
    for nested in (False, True):
        narrator.phase("solving tasks with nested tiers" if nested else "solving tasks")
        with quiet():
            families = [family(seed, TASKS_EACH, nested=nested) for seed in SEEDS]
        results += _gates(families, PRICES, "strategy", "_nested" if nested else "")
        if not nested:
            results += _table(families, PRICES, "strategy", narrator)
    return results


def family_table(families: list[Family], price: Float64, prefix: str, narrator: Narrator) -> list[Result]:
    """Returns the gates and the table of all routers on sets of tasks of one family, a set for each of SEEDS."""
    return _gates(families, price, prefix, "") + _table(families, price, prefix, narrator)


def _gates(families: list[Family], price: Float64, prefix: str, suffix: str) -> list[Result]:
    """Tells whether an auction can pay on all tasks together; the sentence is the bound that the table shows."""
    joined = gates(
        np.concatenate([f.right for f in families]),
        np.nan_to_num(np.concatenate([f.bid for f in families])),
        np.concatenate([f.difficulty for f in families]),
        price,
    )
    told = None if np.isnan(joined.auc) else round(joined.auc, 4)
    return [
        Result(f"{prefix}_oracle_gap{suffix}", round(joined.gap, 4), "share", "higher", bound=joined.sentence),
        Result(f"{prefix}_bid_auc{suffix}", told, "AUC", "higher", bound=joined.sentence),
    ]


def _table(families: list[Family], price: Float64, prefix: str, narrator: Narrator) -> list[Result]:
    found: dict[str, list[Routed]] = {name: [] for name in routers_of(families[0])}
    for seed, tasks in zip(SEEDS, families, strict=True):
        for order in range(ORDERS):
            narrator.phase(f"order {order + 1} of {ORDERS}, tasks {seed + 1} of {len(SEEDS)}")
            random = np.random.default_rng([seed, order])
            shuffled = random.permutation(len(tasks.right))
            # Half of the tasks train each router, the other half judges all.
            half = len(shuffled) // 2
            split = Split(tasks, price, shuffled[:half], shuffled[half:], random)
            for name, router in routers_of(tasks).items():
                found[name].append(router(split))
    dearest = found["dearest"]
    return [result for name, runs in found.items() for result in _rows(f"{prefix}_{name}", runs, dearest)]


def _rows(name: str, runs: list[Routed], dearest: list[Routed]) -> list[Result]:
    """Success, cost and share of one router; the bound says how it differs from the dearest tier, paired."""
    gained = paired([run.passed - other.passed for run, other in zip(runs, dearest, strict=True)], "share")
    saved = paired([run.usd - other.usd for run, other in zip(runs, dearest, strict=True)], "$/Mt")
    # What an auction is to reach, with all bids paid: no worse than the dearest, a quarter cheaper, half of its use.
    auction = name.endswith("_auction")
    dear_passed, dear_usd = (mean(getattr(run, part) for run in dearest) for part in ("passed", "usd"))
    aims = {"passed": round(dear_passed, 4), "usd": round(0.75 * dear_usd, 4), "dearest_share": 0.5} if auction else {}
    columns = (
        ("passed", "share", "higher", [run.passed for run in runs], f"against the dearest alone: {gained}"),
        ("usd", "$/Mt", "lower", [run.usd for run in runs], f"against the dearest alone: {saved}; all bids are paid"),
        ("dearest_share", "share", "lower", [run.dearest for run in runs], ""),
    )
    return [
        Result(
            f"{name}_{column}",
            round(mean(values), 4),
            unit,
            "higher" if better == "higher" else "lower",
            aims.get(column),
            runs=tuple(round(value, 4) for value in values),
            bound=bound,
        )
        for column, unit, better, values, bound in columns
    ]


@contextmanager
def quiet() -> Iterator[None]:
    """Keeps what the solver's native code prints of itself off the terminal."""
    # The solver writes to the descriptor itself, past Python's own stdout.
    kept = os.dup(1)
    with Path(os.devnull).open("wb") as nowhere:
        os.dup2(nowhere.fileno(), 1)
    try:
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)
