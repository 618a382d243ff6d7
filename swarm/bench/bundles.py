"""A family of tasks with a known optimum, for measuring strategy auctions: choose a bundle of goods under two limits.

A bundle is to be worth as much as cash and storage allow. Tiers are bounded solvers, local searches with more or
fewer steps; they are no language models. A tier's bid is a draft at a tenth of its work, with the value that it claims,
and the claim is checked against the bound of the linear relaxation. The winner goes on with its own draft.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from swarm.market.compiled import kernel

Int64 = npt.NDArray[np.int64]
Float64 = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

GOODS = (5, 8, 14, 24, 40)
"""How many goods there are to choose from, by difficulty."""

STEPS = (20, 80, 320, 1_280)
"""Steps of each tier's search."""

PRICES = np.array([0.05, 0.09, 0.16, 0.36])
"""Dollars per million tokens of each tier, as in SALE."""

OVERHEAD = 0.1
"""A bid takes a tenth of the work, and all bids are paid."""

TOLERANCE = 0.005
"""A bundle within this share of the optimum passes."""

LEANING = ((2.0, 0.5), (0.5, 2.0), (1.0, 1.0), (1.0, 1.0))
"""How much each tier's first guess minds cash, and storage."""


@dataclass(frozen=True, slots=True, eq=False)
class Family:
    """A family of tasks as columns: their difficulty, what is known beforehand, and who passes with which bid.

    `known` is [tasks, features]; `right` and `bid` are [tasks, tiers], a bid being what tells of success before the
    work: the claim over the bound or, without `claimed`, what judges and drafts say. `entropy` is [tasks, tiers],
    `jury` [tasks, tiers, judges], and `refined` and `refined_right` are of bids that were made again from memory; None
    is what a family has not. `overhead` is the share of the work that all bids and votes take.
    """

    difficulty: Int64
    known: Float64
    right: Mask
    bid: Float64
    entropy: Float64 | None = None
    jury: Float64 | None = None
    refined: Float64 | None = None
    refined_right: Mask | None = None
    claimed: bool = True
    overhead: float = OVERHEAD


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """A task: values by good, [2, goods] what each takes of cash and storage, and both limits, [2]."""

    value: Int64
    weight: Int64
    limit: Int64


def task(random: np.random.Generator, goods: int) -> Task:
    """Returns a task with values that are near the sum of weights, so that no good is an easy choice."""
    weight = random.integers(5, 60, (2, goods))
    value = weight.sum(axis=0) // 2 + random.integers(0, 16, goods)
    # [2]: each limit leaves room for a third to two thirds of all goods.
    limit = (weight.sum(axis=1) * random.uniform(0.3, 0.6, 2)).astype(np.int64)
    return Task(value, weight, limit)


def optimum(one: Task) -> int:
    """Returns the largest value of a bundle that fits, by HiGHS."""
    from scipy.optimize import Bounds, LinearConstraint, milp

    goods = len(one.value)
    within = LinearConstraint(one.weight, -np.inf, one.limit)
    found = milp(-one.value.astype(np.float64), constraints=within, integrality=np.ones(goods), bounds=Bounds(0, 1))
    best: int = round(-found.fun)
    return best


def bound(one: Task) -> float:
    """Returns the value of the linear relaxation, which no bundle passes."""
    from scipy.optimize import linprog

    found = linprog(-one.value.astype(np.float64), A_ub=one.weight, b_ub=one.limit, bounds=(0, 1), method="highs")
    return float(-found.fun)


def solve(one: Task, tier: int, steps: int, random: np.random.Generator, draft: Mask | None = None) -> tuple[int, Mask]:
    """Returns the value and the bundle that a tier finds in so many steps, from its draft or from a guess."""
    goods = len(one.value)
    chosen = np.zeros(goods, dtype=np.int64) if draft is None else draft.astype(np.int64)
    # Goods are tried by value for what they take, which each tier leans on in its own way.
    taken = np.array(LEANING[tier]) @ (one.weight / one.limit[:, None])
    guess = np.argsort(-one.value / taken * np.exp(random.normal(0, 0.08, goods)), kind="stable")
    if draft is not None:
        guess = guess[:0]
    tried = random.integers(0, goods, steps)
    dropped = random.integers(0, goods + 1, steps)
    search = kernel(_search) or _search
    best = search(one.value, one.weight[0], one.weight[1], one.limit, chosen, guess, tried, dropped)
    return int(one.value @ best), best.astype(np.bool_)


def _search(
    value: Int64, cash: Int64, room: Int64, limit: Int64, chosen: Int64, guess: Int64, tried: Int64, dropped: Int64
) -> Int64:
    """Swaps one good for another while that gains, and refills; it may use nothing but numbers, loops and arrays."""
    goods = len(value)
    # First the guess, good by good while both limits hold, then random swaps.
    spent, filled, worth = (chosen * cash).sum(), (chosen * room).sum(), (chosen * value).sum()
    for good in guess:
        if not chosen[good] and spent + cash[good] <= limit[0] and filled + room[good] <= limit[1]:
            chosen[good] = 1
            spent, filled, worth = spent + cash[good], filled + room[good], worth + value[good]
    best, most = chosen.copy(), worth
    for step in range(len(tried)):
        good, out = tried[step], dropped[step]
        if chosen[good] or (out < goods and not chosen[out]):
            continue
        more_cash, more_room, more = cash[good], room[good], value[good]
        if out < goods:
            more_cash, more_room, more = more_cash - cash[out], more_room - room[out], more - value[out]
        if more <= 0 or spent + more_cash > limit[0] or filled + more_room > limit[1]:
            continue
        chosen[good] = 1
        if out < goods:
            chosen[out] = 0
        spent, filled, worth = spent + more_cash, filled + more_room, worth + more
        # What a swap has made room for is taken at once.
        for other in range(goods):
            if not chosen[other] and spent + cash[other] <= limit[0] and filled + room[other] <= limit[1]:
                chosen[other] = 1
                spent, filled, worth = spent + cash[other], filled + room[other], worth + value[other]
        if worth > most:
            most = worth
            best = chosen.copy()
    return best


def family(
    seed: int,
    tasks_each: int,
    goods: tuple[int, ...] = GOODS,
    tolerance: float = TOLERANCE,
    nested: bool = False,
) -> Family:
    """Returns `tasks_each` tasks of each difficulty, with every tier's bid and whether it passes with it.

    Where tiers are `nested`, each also has what all cheaper ones found. Errors then lie inside one another: where any
    tier passes the dearest does, so there is no success that a router could add.
    """
    random = np.random.default_rng(seed)
    difficulty, known, right, bids = [], [], [], []
    # [tasks] and [tasks, tiers], task by task, since each needs its own optimum and bound.
    for number, size in enumerate(goods):
        for _ in range(tasks_each):
            one = task(random, size)
            best, most = optimum(one), bound(one)
            passed: list[bool] = []
            claimed: list[float] = []
            for tier, most_steps in enumerate(STEPS):
                claim, draft = solve(one, tier, most_steps // 10, random)
                reached, _ = solve(one, tier, most_steps, random, draft)
                passed.append(max(claim, reached) >= best * (1 - tolerance) or (nested and any(passed)))
                claimed.append(claim / most)
            difficulty.append(number)
            known.append(_known(one))
            right.append(passed)
            bids.append(claimed)
    return Family(np.array(difficulty), np.array(known), np.array(right), np.array(bids))


def _known(one: Task) -> list[float]:
    """Returns what is seen of a task beforehand: its size, how tight both limits are, and how values follow weights."""
    total = one.weight.sum(axis=0)
    # Near 1 every good is worth what it takes, which makes a task hard.
    alike = np.corrcoef(one.value, total)[0, 1]
    return [
        float(len(one.value)),
        *(one.limit / one.weight.sum(axis=1)).tolist(),
        float(np.nan_to_num(alike)),
        float(np.std(one.value / total)),
    ]
