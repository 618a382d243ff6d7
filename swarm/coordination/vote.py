"""Decides what several members' answers come to. Pure numpy; it knows neither models nor markets.

`answers` is [items, members] with the number of the option that a member chose, or MISSING where it was late, failed or
abstained. Scores are [items, options]; where options tie, `parting` decides,
which the caller draws from the seed.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Int64 = npt.NDArray[np.int64]
Float64 = npt.NDArray[np.float64]

MISSING = -1
"""A vote that was not cast."""

_LEAST, _MOST = 0.01, 0.99
"""Bounds of an estimated accuracy: a member that was never wrong may yet be."""


def scores(answers: Int64, weights: Float64, options: int) -> Float64:
    """Returns [items, options] the sum of the weights of the members that chose each option.

    `weights` is [members], or [items, members] where they differ from item to item.
    """
    items, members = answers.shape
    total, weight = np.zeros((items, options)), np.broadcast_to(weights, answers.shape)
    for member in range(members):
        cast = np.flatnonzero(answers[:, member] != MISSING)
        total[cast, answers[cast, member]] += weight[cast, member]
    return total


def ties(total: Float64) -> npt.NDArray[np.bool_]:
    """Returns [items, options] whether an option's score is the highest, within the rounding of a sum of weights."""
    level: npt.NDArray[np.bool_] = np.isclose(total, total.max(axis=1, keepdims=True), rtol=1e-12, atol=1e-12)
    return level


def winners(total: Float64, parting: Float64) -> Int64:
    """Returns the option with the highest score of each item; among equal ones that with the highest of `parting`."""
    drawn: Int64 = np.where(ties(total), parting, -np.inf).argmax(axis=1)
    return drawn


def log_odds(accuracy: Float64, options: int) -> Float64:
    """Returns the weights that are optimal for independent members whose wrong answers are spread evenly.

    log(p (K - 1) / (1 - p)) of a member with accuracy p among K options (Nitzan and Paroush, 1982; K options as in
    Li and Yu, 2014).
    """
    p = np.clip(accuracy, _LEAST, _MOST)
    weights: Float64 = np.log(p * (options - 1) / (1 - p))
    return weights


@dataclass(frozen=True, slots=True, eq=False)
class Estimate:
    """The estimates of Dawid and Skene's model from answers without labels: [items, options], and [members]."""

    posterior: Float64
    accuracy: Float64


def dawid_skene(answers: Int64, options: int, iterations: int = 30, start: float = 0.6) -> Estimate:
    """Estimates who is right how often, from agreement alone, by expectation maximisation.

    The one-coin form of Dawid and Skene (1979): a member is right with its own probability, and wrong
    in all ways alike.
    """
    items, members = answers.shape
    accuracy = np.full(members, start)
    posterior = np.full((items, options), 1 / options)
    voted = answers != MISSING
    rows = [np.flatnonzero(voted[:, member]) for member in range(members)]
    for _ in range(iterations):
        # Expectation: what each option's probability is, were these the accuracies.
        evidence = np.zeros((items, options))
        for member, cast in enumerate(rows):
            wrong = np.log((1 - accuracy[member]) / (options - 1))
            evidence[cast] += wrong
            evidence[cast, answers[cast, member]] += np.log(accuracy[member]) - wrong
        evidence -= evidence.max(axis=1, keepdims=True)
        posterior = np.exp(evidence)
        posterior /= posterior.sum(axis=1, keepdims=True)
        # Maximisation: how often each member agrees with that.
        agreed = [
            posterior[cast, answers[cast, member]].mean() if len(cast) else start for member, cast in enumerate(rows)
        ]
        accuracy = np.clip(np.array(agreed), _LEAST, _MOST)
    return Estimate(posterior, accuracy)


def confident(samples: Int64, options: int, skill: Float64) -> tuple[Int64, Int64]:
    """Returns the most self-consistent member's own majority answer, and which member that is.

    `samples` is [items, members, k]: each member answers k times. The one whose majority is largest wins, and among
    equal ones the one with the higher `skill`, [members] or [items, members] (SLM-MUX, arXiv 2510.05077). The member is
    MISSING where nobody voted.
    """
    items, members, _ = samples.shape
    counts = np.stack([scores(samples[:, m, :], np.ones(samples.shape[2]), options) for m in range(members)], axis=1)
    best = counts.max(axis=2)
    # Skill only parts equal counts, which are whole numbers.
    rank = np.argsort(np.argsort(skill, axis=-1, kind="stable"), axis=-1, kind="stable") / (members + 1)
    member = (best + rank).argmax(axis=1)
    answer = counts[np.arange(items), member].argmax(axis=1)
    nobody = best.max(axis=1) == 0
    return np.where(nobody, MISSING, answer), np.where(nobody, MISSING, member)
