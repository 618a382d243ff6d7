"""The strategy auction's table on bounded solvers, from outcomes that are kept in bundles.csv.

The file has the tasks of `swarm bench strategy`, 160 of each difficulty and seed: which tiers pass, a bit each, and
their bids in 1/10,000. What routers come to is held against the figures that the auction was designed by.
"""

from dataclasses import replace
from pathlib import Path
from statistics import mean

import numpy as np
import pytest

from swarm.bench.bundles import GOODS, PRICES, Family, family
from swarm.bench.routers import Routed, Router, Split, always, auction, auction_by_outcome, oracle
from swarm.bench.strategy import SEEDS, quiet
from swarm.coordination.strategy_auction import Gates, gates

FILE = Path(__file__).parent / "bundles.csv"
NEAR = 0.03
ORDERS = 2
"""Fewer than the benchmark's, since what they differ by is far below NEAR."""


@pytest.fixture(scope="module")
def kept() -> list[Family]:
    """A family by seed."""
    rows = np.loadtxt(FILE, delimiter=",", skiprows=1, dtype=np.int64)
    passes, bid = (rows[:, 2:3] >> np.arange(len(PRICES))) % 2 == 1, rows[:, 3:] / 10_000
    of = [np.flatnonzero(rows[:, 0] == seed) for seed in SEEDS]
    return [Family(rows[own, 1], np.zeros((len(own), 1)), passes[own], bid[own]) for own in of]


def routed(families: list[Family], router: Router) -> Routed:
    """The mean over orders of the tasks of each seed; half of them train."""
    found = []
    for seed, tasks in enumerate(families):
        for order in range(ORDERS):
            random = np.random.default_rng([seed, order])
            shuffled = random.permutation(len(tasks.right))
            half = len(shuffled) // 2
            found.append(router(Split(tasks, PRICES, shuffled[:half], shuffled[half:], random)))
    return Routed(*(mean(getattr(one, part) for one in found) for part in ("passed", "usd", "dearest")))


def gates_of(families: list[Family]) -> Gates:
    right, bid, difficulty = (
        np.concatenate([getattr(one, part) for one in families]) for part in ("right", "bid", "difficulty")
    )
    return gates(right, bid, difficulty, PRICES)


def test_the_kept_outcomes_are_those_of_the_family(kept: list[Family], monkeypatch: pytest.MonkeyPatch) -> None:
    # The same loop in plain Python, which a few tasks are done with before it would be compiled.
    monkeypatch.setattr("swarm.bench.bundles.kernel", lambda function: None)
    with quiet():
        again = family(0, 2, goods=GOODS[:1])
    assert again.right.tolist() == kept[0].right[:2].tolist()
    assert again.bid.round(4).tolist() == kept[0].bid[:2].tolist()


def test_the_auction_passes_more_for_less_than_the_dearest_with_all_bids_paid(kept: list[Family]) -> None:
    dearest, found = routed(kept, always(len(PRICES) - 1)), routed(kept, auction)
    assert (dearest.passed, dearest.usd) == pytest.approx((0.394, 0.36), abs=NEAR)
    assert (found.passed, found.usd, found.dearest) == pytest.approx((0.49, 0.27, 0.37), abs=NEAR)
    best = routed(kept, oracle)
    assert (best.passed, best.usd) == pytest.approx((0.556, 0.096), abs=NEAR)
    assert gates_of(kept).open


def test_no_auction_pays_where_the_dearest_passes_whatever_any_other_does(kept: list[Family]) -> None:
    nested = [replace(one, right=np.logical_or.accumulate(one.right, axis=1)) for one in kept]
    shut = gates_of(nested)
    assert not shut.open and shut.gap == 0 and shut.sentence.startswith("No auction can pay here")
    dearest = routed(nested, always(len(PRICES) - 1))
    assert all(routed(nested, router).passed < dearest.passed for router in (auction, auction_by_outcome, always(2)))
