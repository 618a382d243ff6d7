"""Brings watchers to one scale: how rare a score is among past payments, and how likely such a one was fraud.

Both keep bounded memory. What is said of a payment never depends on later ones.
"""

import numpy as np
import numpy.typing as npt

from swarm.scenarios.fraud.payments import Int64

Float64 = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

MOST_SCORES = 20_000
"""The highest scores that are kept; what ranks below them is no candidate for anybody's attention."""

BINS, BINS_A_DECADE, LEAST_RARITY = 10, 2, 1.5
"""Half decades of rarity, from 10^-1.5 up; the last one has all that is rarer."""

AGREES, MOST_AGREEING = 2.0, 2
"""The rarity from which on another watcher agrees, and how many of them are told apart."""

PRIOR_WEIGHT = 4.0
"""How many looked-at payments the first belief is worth."""

PAST_WEIGHT, LEARNED_WEIGHT = 20.0, 40.0
"""How many payments a bin the days before count for, and where a watcher has learned from their labels."""

TIMES_WEIGHT, FADES = 5.0, 0.95
"""How many frauds the belief in usual times is worth, and what is left of a day's confirmations a day later."""

EXPECTED_SHARE = 1e-3
"""The share of fraud among payments that the first belief goes by."""


class Tail:
    """How rare a watcher's scores are: minus the decimal logarithm of the share of past payments that score as high."""

    def __init__(self) -> None:
        self.seen = 0
        self._highest: Float64 = np.empty(0)

    def rarity(self, scores: Float64) -> Float64:
        """Returns [payments] rarities; 0 where the score is none."""
        # [payments] how many past scores are as high or higher.
        above = len(self._highest) - np.searchsorted(self._highest, scores, side="left")
        rarity: Float64 = -np.log10((above + 1.0) / (self.seen + 1.0))
        return np.where(scores > 0, rarity, 0.0)

    def add(self, scores: Float64) -> None:
        """Takes in the scores of payments that are past."""
        self.seen += len(scores)
        # Sorted, lowest first; only the highest are kept.
        self._highest = np.sort(np.concatenate([self._highest, scores[scores > 0]]))[-MOST_SCORES:]


def bin_of(rarity: Float64) -> Int64:
    """Returns [payments] the number of each rarity's bin; -1 for what is not rare."""
    number = np.floor((rarity - LEAST_RARITY) * BINS_A_DECADE).astype(np.int64)
    return np.clip(number, -1, BINS - 1)


def agreeing(rarity: Float64) -> Int64:
    """Returns [watchers, payments] how many of the others find a payment rare, too; 2 stands for two and more."""
    finds = (rarity >= AGREES).astype(np.int64)
    others: Int64 = np.minimum(finds.sum(axis=0) - finds, MOST_AGREEING)
    return others


class Odds:
    """How often what a watcher found so rare was fraud: counts by how many agreed and by bin of rarity.

    A first belief stands behind them. The days before the first round count for at most `past_weight` payments a bin:
    what was never found there says little of a kind that had not begun.
    """

    def __init__(self, past_weight: float = PAST_WEIGHT) -> None:
        shape = (MOST_AGREEING + 1, BINS)
        self.fraud: Int64 = np.zeros(shape, dtype=np.int64)
        self.lawful: Int64 = np.zeros(shape, dtype=np.int64)
        self.past_fraud: Int64 = np.zeros(shape, dtype=np.int64)
        self.past_lawful: Int64 = np.zeros(shape, dtype=np.int64)
        self._past_weight = past_weight

    def learn_past(self, rarity: Float64, agreed: Int64, fraud: Mask) -> None:
        """Takes in payments of the days before the first round."""
        self.past_fraud, self.past_lawful = _counts(rarity, agreed, fraud)

    def add(self, rarity: Float64, agreed: Int64, fraud: Mask) -> None:
        """Takes in payments that were looked at."""
        more_fraud, more_lawful = _counts(rarity, agreed, fraud)
        self.fraud, self.lawful = self.fraud + more_fraud, self.lawful + more_lawful

    def probability(self, rarity: Float64, agreed: Int64) -> Float64:
        """Returns [payments] how likely each is fraud; 0 for what is not rare."""
        # The first belief: as much fraud among payments as expected, all of it found as rare as this.
        number, share = bin_of(rarity), 10.0**-rarity
        first = EXPECTED_SHARE / (EXPECTED_SHARE + share)
        weight = np.minimum(1.0, self._past_weight / np.maximum(self.past_fraud + self.past_lawful, 1))
        fraud = (self.fraud + weight * self.past_fraud)[agreed, number]
        lawful = (self.lawful + weight * self.past_lawful)[agreed, number]
        found: Float64 = (fraud + PRIOR_WEIGHT * first) / (fraud + lawful + PRIOR_WEIGHT)
        return np.where(number >= 0, found, 0.0)


class Times:
    """How much fraud there is beside what the odds lead one to expect, by all watchers' alerts together.

    The belief is a gamma distribution's mean: `TIMES_WEIGHT` frauds expected and as many found stand behind it. What
    lies back fades, so that after quiet weeks what is suspicious is looked at again.
    """

    def __init__(self) -> None:
        self.found, self.expected = 0.0, 0.0

    def fade(self) -> None:
        """Lets a day pass."""
        self.found, self.expected = FADES * self.found, FADES * self.expected

    def add(self, expected: float, fraud: bool) -> None:
        """Takes in an alert that was confirmed, with how likely its watcher's odds took it to be fraud."""
        self.found, self.expected = self.found + fraud, self.expected + expected

    def probability(self, probability: Float64) -> Float64:
        """Returns what is left of the odds' probabilities in times like these."""
        return multiplied(probability, (TIMES_WEIGHT + self.found) / (TIMES_WEIGHT + self.expected))


def multiplied(probability: Float64, factor: float) -> Float64:
    """Returns the probabilities whose odds are so many times as high."""
    found: Float64 = factor * probability / (1.0 + (factor - 1.0) * probability)
    return found


def silence(named: Mask, clear: Mask, fraud: Mask) -> float:
    """Returns what the odds of payments that others name are multiplied by where a watcher calls them clear, at most 1.

    The masks are [payments]. It is how much rarer the watcher calls clear what is fraud than what is lawful, with half
    a payment of each to begin with.
    """
    shares = [
        (np.count_nonzero(named & of & clear) + 0.5) / (np.count_nonzero(named & of) + 1.0) for of in (fraud, ~fraud)
    ]
    return float(min(shares[0] / shares[1], 1.0))


def _counts(rarity: Float64, agreed: Int64, fraud: Mask) -> tuple[Int64, Int64]:
    """Returns [agreeing, bins] how many were fraud, and how many were not."""
    number = bin_of(rarity)
    found = []
    for mask in (fraud, ~fraud):
        at = (number >= 0) & mask
        counts = np.bincount(agreed[at] * BINS + number[at], minlength=(MOST_AGREEING + 1) * BINS)
        found.append(counts.reshape(MOST_AGREEING + 1, BINS).astype(np.int64))
    return found[0], found[1]
