"""Strategy auctions: candidates bid a plan for a long-lived piece of work; the best trade of value and cost gets it.

After SALE (Alazraki et al., arXiv 2602.02751), with one change that its quoted programme needs. Every part of a score
is scaled to [0, 1] on the training tasks, and weights are not negative and sum to one, since a score that may be
multiplied freely has no optimum. It is pure: who bids, judges and is paid is the caller's affair.

A score is weight x cost less the sum of weight x value; the lowest wins. `parts` is [tasks, candidates, parts], cost
first, and what is absent has NaN: a late bid, a judge that did not answer.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Int64 = npt.NDArray[np.int64]
Float64 = npt.NDArray[np.float64]

COST = 0
"""The part that is paid; all other parts are values."""

TIME_LIMIT_S = 60.0
"""Most seconds that fitting may take; what is best by then is used."""

GATE_GAP = 0.08
"""Least share by which an oracle beats the dearest candidate where an auction can pay at all."""

GATE_AUC = 0.75
"""Least power of a bid to tell success from failure among tasks of one difficulty."""


def scaled(parts: Float64, training: Float64) -> Float64:
    """Returns `parts` with each part mapped to [0, 1] over the training tasks; what lies outside them is cut off."""
    low, high = np.nanmin(training, axis=(0, 1), initial=np.inf), np.nanmax(training, axis=(0, 1), initial=-np.inf)
    # A part that no training task has says nothing of its scale, and is taken as it is.
    unknown = np.isinf(low)
    low, spread = np.where(unknown, 0, low), np.where(unknown, 1, high - low)
    within: Float64 = np.clip((parts - low) / np.where(spread > 0, spread, 1), 0, 1)
    return within


def scores(parts: Float64, weights: Float64) -> Float64:
    """Returns [tasks, candidates] weighted cost less weighted values; infinite where a candidate's cost is absent.

    A value that is absent is left out, and the others of its candidate count for more in its place.
    """
    # [parts]: a cost makes a score worse, all else makes it better.
    sign = np.where(np.arange(parts.shape[2]) == COST, 1.0, -1.0)
    values = weights.copy()
    values[COST] = 0
    present = ~np.isnan(parts)
    reached = (present * values).sum(axis=2)
    again = np.where(reached > 0, values.sum() / np.where(reached > 0, reached, 1), 0)
    weighed = np.where(present, parts, 0) * sign * weights
    total: Float64 = weighed[:, :, COST] + again * (weighed.sum(axis=2) - weighed[:, :, COST])
    return np.where(present[:, :, COST], total, np.inf)


def winners(total: Float64) -> Int64:
    """Returns the candidate with the lowest score of each task; among equal ones the first, which is the cheapest."""
    best: Int64 = total.argmin(axis=1)
    return best


def refining(price: Float64, winner: Int64) -> npt.NDArray[np.bool_]:
    """Returns [tasks, candidates] who may bid again from memory: those that are cheaper than the winner."""
    cheaper: npt.NDArray[np.bool_] = price[None, :] < price[winner][:, None]
    return cheaper


def after_refining(first: Float64, refined: Float64) -> tuple[Int64, npt.NDArray[np.bool_]]:
    """Returns who wins once bids were refined, and whether by the refined one; NaN in `refined` is no second bid."""
    winner = winners(first)
    again = np.where(np.isnan(refined), np.inf, refined)
    best = again.argmin(axis=1)
    rows = np.arange(len(first))
    beaten = again[rows, best] < first[rows, winner]
    return np.where(beaten, best, winner), beaten


def fit_min_max(parts: Float64) -> Float64:
    """Returns the weights under which the worst task's best score is lowest, by a mixed-integer programme.

    It minimises Q over weights w >= 0 that sum to 1 and one chosen candidate per task, so that Q is at least the score
    of each task's chosen candidate. `parts` are scaled; a task in which something is absent is left out.
    """
    from scipy.optimize import Bounds, LinearConstraint, milp

    parts = parts[~np.isnan(parts).any(axis=(1, 2))]
    tasks, candidates, width = parts.shape
    if not tasks:
        return np.full(width, 1 / width)
    signed = parts * np.where(np.arange(width) == COST, 1.0, -1.0)
    # One row for each task and candidate: its score is at most Q, unless another one was chosen.
    # Columns: weights, Q, and x[task, candidate]. Scores lie in [-1, 1], so 2 frees a row that is not chosen.
    columns = width + 1 + tasks * candidates
    chosen = np.zeros((tasks * candidates, columns))
    chosen[:, :width] = signed.reshape(-1, width)
    chosen[:, width] = -1
    chosen[np.arange(tasks * candidates), width + 1 + np.arange(tasks * candidates)] = 2
    one_each = np.zeros((tasks, columns))
    for task in range(tasks):
        one_each[task, width + 1 + task * candidates : width + 1 + (task + 1) * candidates] = 1
    summed = np.zeros((1, columns))
    summed[0, :width] = 1
    goal = np.zeros(columns)
    goal[width] = 1
    whole_numbers = np.zeros(columns)
    whole_numbers[width + 1 :] = 1
    found = milp(
        goal,
        constraints=[
            LinearConstraint(chosen, -np.inf, 2),
            LinearConstraint(one_each, 1, 1),
            LinearConstraint(summed, 1, 1),
        ],
        integrality=whole_numbers,
        bounds=Bounds(np.where(np.arange(columns) == width, -1, 0), 1),
        options={"time_limit": TIME_LIMIT_S},
    )
    if found.x is None:
        return np.full(width, 1 / width)
    weights = np.maximum(found.x[:width], 0)
    fitted: Float64 = weights / weights.sum()
    return fitted


@dataclass(frozen=True, slots=True)
class Gates:
    """The two gates of an auction that can pay: the oracle's gap to the dearest candidate, and what a bid tells."""

    gap: float
    auc: float

    @property
    def open(self) -> bool:
        """Tells whether both gates are passed."""
        return self.gap >= GATE_GAP and self.auc >= GATE_AUC

    @property
    def sentence(self) -> str:
        """Says which gate is shut, if one is."""
        if self.open:
            return (
                f"An auction can pay here: the oracle is {100 * self.gap:.1f} points above the dearest candidate, "
                f"and a bid tells success from failure with an AUC of {self.auc:.2f}."
            )
        shut = []
        if self.gap < GATE_GAP:
            shut.append(
                f"the oracle is only {100 * self.gap:.1f} points above the dearest candidate "
                f"(needed: {100 * GATE_GAP:.0f})"
            )
        if not self.auc >= GATE_AUC:
            shut.append(f"a bid tells success from failure with an AUC of only {self.auc:.2f} (needed: {GATE_AUC})")
        return f"No auction can pay here: {' and '.join(shut)}."


def gates(right: npt.NDArray[np.bool_], bid: Float64, bins: Int64, price: Float64) -> Gates:
    """Returns both gates from [tasks, candidates] who would succeed, how each bid, and the tasks' difficulty."""
    dearest = right[:, int(price.argmax())].mean()
    # Within one difficulty, or a bid would get credit for telling easy tasks from hard ones.
    found = []
    for candidate in range(right.shape[1]):
        within = [
            auc(right[bins == b, candidate], bid[bins == b, candidate])
            for b in np.unique(bins)
            if 0 < right[bins == b, candidate].mean() < 1
        ]
        if within:
            found.append(float(np.mean(within)))
    return Gates(float(right.any(axis=1).mean() - dearest), float(np.mean(found)) if found else float("nan"))


def auc(right: npt.NDArray[np.bool_], score: Float64) -> float:
    """Returns how often a success has a higher score than a failure, ties by halves (Mann and Whitney)."""
    values, group, count = np.unique(score, return_inverse=True, return_counts=True)
    # Mean rank of each group of equal scores, from 1.
    rank = (np.cumsum(count) - (count - 1) / 2)[group]
    good, bad = int(right.sum()), int((~right).sum())
    if not good or not bad or not len(values):
        return float("nan")
    return float((rank[right].sum() - good * (good + 1) / 2) / (good * bad))
