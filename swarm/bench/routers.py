"""Routers to compare a strategy auction with: what the literature routes by, over one family of tasks.

Each is fitted on training tasks and judged on the others. A choice is a tier per task; its cost is that of the chosen
tier, and of everything else that was asked on the way there.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from swarm.bench.bundles import Family
from swarm.coordination.strategy_auction import after_refining, fit_min_max, scaled, scores, winners

Int64 = npt.NDArray[np.int64]
Float64 = npt.NDArray[np.float64]

NEIGHBOURS, FOLDS = 25, 5
LAMBDAS = np.concatenate([[0], np.geomspace(0.02, 4, 60)])
"""What a dollar per million tokens may weigh against a chance of success."""

FITTED_TASKS = 60
"""Tasks that the min-max weights are fitted on: each adds a row of whole numbers to the programme."""

REFINING = 1 / 9
"""A bid that is made again takes one draft of nine."""


@dataclass(frozen=True, slots=True)
class Routed:
    """The outcome of a router on the judged tasks: share passed, dollars per million tokens, share of the dearest."""

    passed: float
    usd: float
    dearest: float


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """A family with which of its tasks train and which judge; `random` draws for those routers that do."""

    family: Family
    price: Float64
    train: Int64
    judge: Int64
    random: np.random.Generator

    def outcome(self, choice: Int64, extra: float = 0.0, cost: Float64 | None = None) -> Routed:
        """Returns what a choice over the judged tasks comes to; `extra` is paid on every task."""
        rows = np.arange(len(self.judge))
        # Only the chosen tier is paid, unless a router asked others on the way.
        usd = self.price[choice] if cost is None else cost
        right = self.family.right[self.judge][rows, choice]
        return Routed(float(right.mean()), float(usd.mean()) + extra, float((choice == len(self.price) - 1).mean()))

    @property
    def overhead(self) -> float:
        """What all bids cost together."""
        return self.family.overhead * float(self.price.sum())


Router = Callable[[Split], Routed]


def always(tier: int) -> Router:
    """Returns the router that asks one tier for everything."""
    return lambda split: split.outcome(np.full(len(split.judge), tier))


def at_random(split: Split) -> Routed:
    """Asks any tier, all alike."""
    return split.outcome(split.random.integers(0, len(split.price), len(split.judge)))


def by_price_at_random(split: Split) -> Routed:
    """Asks any tier, the cheaper the more often."""
    weight = 1 / split.price
    return split.outcome(split.random.choice(len(split.price), len(split.judge), p=weight / weight.sum()))


def oracle(split: Split) -> Routed:
    """Asks the cheapest tier that passes, and the cheapest of all where none does."""
    right = split.family.right[split.judge]
    return split.outcome(np.where(right.any(axis=1), right.argmax(axis=1), 0))


def nearest(split: Split) -> Routed:
    """Asks by how the nearest training tasks went (kNN on what is known of a task, arXiv 2505.12601)."""
    known = _standard(split)
    return _by_chance(split, _out_of_fold(split, lambda _: known, _neighbours))


def logistic(split: Split) -> Routed:
    """Asks by a logistic regression per tier on what is known of a task (CARROT-like, arXiv 2502.03261)."""
    known = _standard(split)
    return _by_chance(split, _out_of_fold(split, lambda _: known, _regression))


def frugal(split: Split) -> Routed:
    """Asks tiers in the order of price until one's answer looks good enough (FrugalGPT, arXiv 2305.05176)."""
    known = _standard(split)
    chance = _out_of_fold(split, lambda tier: np.c_[known, 50 * np.nan_to_num(split.family.bid[:, tier])], _regression)
    dearest = len(split.price) - 1
    # A cascade pays for every tier up to the one that it stops at.
    cumulated = np.cumsum(split.price)

    def stops(rows: Int64, threshold: float) -> Int64:
        # The first tier that looks good enough, or the dearest.
        good = chance[rows] > threshold
        return np.where(good.any(axis=1), good.argmax(axis=1), dearest)

    def value(threshold: float) -> tuple[bool, float]:
        tiers = stops(split.train, threshold)
        return _as_good(split, tiers, float(cumulated[tiers].mean()))

    best = min(np.linspace(0.02, 0.98, 49).tolist(), key=value)
    tiers = stops(split.judge, best)
    return split.outcome(tiers, cost=cumulated[tiers])


def calibrated_bids(split: Split) -> Routed:
    """Asks by the chance that a tier's own bid foretells, less its price; all bids are paid."""
    known = _standard(split)
    chance = _out_of_fold(split, lambda tier: np.c_[known, 50 * np.nan_to_num(split.family.bid[:, tier])], _regression)
    return _by_chance(split, chance, split.overhead)


def auction(split: Split, *, without: frozenset[str] = frozenset()) -> Routed:
    """Returns what the strategy auction comes to with min-max weights; a part that is named in `without` is left out.

    Parts are price, bids (what they claim), entropy, jury and memory; a family may not have all of them.
    """
    parts = _parts(split, without)
    fitted = split.random.permutation(split.train)[:FITTED_TASKS]
    # What is absent counts for nothing in the fit; in a score its weight goes to the other values.
    weights = fit_min_max(np.nan_to_num(parts[fitted]))
    first = scores(parts[split.judge], weights)
    choice = winners(first)
    family = split.family
    if family.refined is None or family.refined_right is None or "memory" in without:
        return split.outcome(choice, split.overhead)
    # Tiers that are cheaper than the winner bid again; what the bid claims is all that is known of it.
    again = np.full_like(parts, np.nan)
    again[:, :, 0] = np.where(np.isnan(family.refined), np.nan, parts[:, :, 0])
    if family.claimed and "bids" not in without:
        low, spread = _span(family.bid[split.train])
        again[:, :, 1] = np.clip((family.refined - low) / spread, 0, 1)
    may = split.price[None, :] < split.price[choice][:, None]
    second = np.where(may, scores(again[split.judge], weights), np.nan)
    winner, beaten = after_refining(first, second)
    rows = np.arange(len(split.judge))
    right = np.where(beaten, family.refined_right[split.judge][rows, winner], family.right[split.judge][rows, winner])
    usd = split.price[winner] + split.overhead + REFINING * (may * split.price).sum(axis=1)
    return Routed(float(right.mean()), float(usd.mean()), float((winner == len(split.price) - 1).mean()))


def auction_by_outcome(split: Split) -> Routed:
    """Holds the auction with the weight that passed most training tasks, which needs their outcomes."""
    cost = np.broadcast_to(split.price / split.price.max(), split.family.bid.shape)
    parts = np.stack([np.where(np.isnan(split.family.bid), np.nan, cost), split.family.bid], axis=2)
    parts = scaled(parts, parts[split.train])

    def passed(weight: float) -> tuple[float, float]:
        tiers = winners(scores(parts[split.train], np.array([weight, 1 - weight])))
        return float(split.family.right[split.train, tiers].mean()), weight

    best = max(np.linspace(0, 1, 101).tolist(), key=passed)
    return split.outcome(winners(scores(parts[split.judge], np.array([best, 1 - best]))), split.overhead)


def _parts(split: Split, without: frozenset[str] = frozenset()) -> Float64:
    """[tasks, tiers, parts]: cost first, then claim, entropy and votes as far as there are any, scaled in training."""
    family = split.family
    price = np.zeros_like(split.price) if "price" in without else split.price / split.price.max()
    columns = [np.broadcast_to(price, family.bid.shape)]
    if family.claimed:
        columns.append(np.zeros_like(family.bid) if "bids" in without else family.bid)
    if family.entropy is not None and "entropy" not in without:
        columns.append(family.entropy)
    if family.jury is not None and "jury" not in without:
        columns += [family.jury[:, :, judge] for judge in range(family.jury.shape[2])]
    # What a tier did not bid has no cost, and cannot win.
    parts = np.stack(columns, axis=2)
    parts[:, :, 0] = np.where(np.isnan(family.bid), np.nan, parts[:, :, 0])
    return scaled(parts, parts[split.train])


def _span(training: Float64) -> tuple[float, float]:
    """The lowest value, and how far the highest is from it, or 1."""
    low, high = float(np.nanmin(training)), float(np.nanmax(training))
    return low, high - low or 1.0


def _standard(split: Split) -> Float64:
    """Returns what is known of each task, with mean zero and deviation one over the training tasks."""
    known = split.family.known
    mean, spread = known[split.train].mean(axis=0), known[split.train].std(axis=0) + 1e-9
    standard: Float64 = (known - mean) / spread
    return standard


Model = Callable[[Float64, Float64, Float64], Float64]
"""From training features and outcomes to the chances of other rows."""


def _out_of_fold(split: Split, features: Callable[[int], Float64], model: Model) -> Float64:
    """Returns [tasks, tiers] chances of passing; those of training tasks come from models that did not see them."""
    right = split.family.right.astype(np.float64)
    chance = np.zeros(right.shape)
    folds = np.array_split(split.random.permutation(split.train), FOLDS)
    for tier in range(right.shape[1]):
        known, passed = features(tier), right[:, tier]
        chance[split.judge, tier] = model(known[split.train], passed[split.train], known[split.judge])
        for fold in folds:
            # A task's own outcome must not be in the model that foretells it.
            rest = np.setdiff1d(split.train, fold)
            chance[fold, tier] = model(known[rest], passed[rest], known[fold])
    return chance


def _neighbours(known: Float64, passed: Float64, asked: Float64) -> Float64:
    distance = ((asked[:, None, :] - known[None, :, :]) ** 2).sum(axis=2)
    nearest_rows = np.argsort(distance, axis=1, kind="stable")[:, :NEIGHBOURS]
    chance: Float64 = passed[nearest_rows].mean(axis=1)
    return chance


def _regression(known: Float64, passed: Float64, asked: Float64) -> Float64:
    """Returns the weights of a logistic regression with a unit ridge, by Newton's method; the constant has none."""
    scale = known.std(axis=0) + 1e-9
    mean = known.mean(axis=0)
    # [tasks, 1 + features], the first column for the constant.
    x = np.c_[np.ones(len(known)), (known - mean) / scale]
    ridge = np.diag([1e-6, *np.ones(known.shape[1])])
    weights = np.zeros(x.shape[1])
    for _ in range(25):
        chance = 1 / (1 + np.exp(-np.clip(x @ weights, -30, 30)))
        slope = x.T @ (passed - chance) - ridge @ weights
        curve = (x * (chance * (1 - chance))[:, None]).T @ x + ridge
        weights = weights + np.linalg.solve(curve, slope)
    ahead = np.c_[np.ones(len(asked)), (asked - mean) / scale] @ weights
    found: Float64 = 1 / (1 + np.exp(-np.clip(ahead, -30, 30)))
    return found


def _by_chance(split: Split, chance: Float64, extra: float = 0.0) -> Routed:
    """Takes the best chance less lambda times price, with the lambda that is cheapest at no worse success."""

    def value(weight: float) -> tuple[bool, float]:
        tiers = np.argmax(chance[split.train] - weight * split.price, axis=1)
        return _as_good(split, tiers, float(split.price[tiers].mean()))

    best = min(LAMBDAS.tolist(), key=value)
    return split.outcome(np.argmax(chance[split.judge] - best * split.price, axis=1), extra)


def _as_good(split: Split, tiers: Int64, cost: float) -> tuple[bool, float]:
    """Orders what is as good as the dearest tier by cost, and puts what is not behind it, by success."""
    right = split.family.right[split.train]
    passed = float(right[np.arange(len(right)), tiers].mean())
    # A router may save money only where it passes as many tasks as the dearest tier alone.
    worse = passed < right[:, -1].mean()
    return worse, -passed if worse else cost
