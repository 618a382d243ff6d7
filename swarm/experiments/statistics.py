"""Student's t, its intervals and Holm's correction; it knows nothing of runs.

Degrees of freedom are whole numbers, for which the distribution is a finite sum, so nothing needs scipy.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from math import atan, cos, inf, pi, sin, sqrt, tan

import numpy as np
import numpy.typing as npt

CONFIDENCE = 0.95

Numbers = Sequence[float] | npt.NDArray[np.float64]


def within(t: float, degrees: int) -> float:
    """Returns the probability that Student's t with these degrees of freedom lies between -t and t.

    Abramowitz and Stegun, Handbook of Mathematical Functions, 26.7.3 and 26.7.4.
    """
    return _within_angle(atan(abs(t) / sqrt(degrees)), degrees)


def _within_angle(angle: float, degrees: int) -> float:
    cosine, odd = cos(angle), degrees % 2
    # Each term is the one before it times cos^2 and a ratio of neighbouring numbers.
    term, total = (cosine if odd else 1.0), 0.0
    for number in range(2 + odd, degrees + 1, 2):
        total += term
        term *= cosine * cosine * (number - 1) / number
    total *= sin(angle)
    return 2 / pi * (angle + total) if odd else total


def p_value(t: float, degrees: int) -> float:
    """Returns the probability of a t at least as far from zero, on either side; below 1e-15 it is 0."""
    return 0.0 if t in (inf, -inf) else max(1 - within(t, degrees), 0.0)


@cache
def quantile(confidence: float, degrees: int) -> float:
    """Returns the t between whose two signs the distribution has this share; 2.0930 for 0.95 and 19."""
    # By angle, t being sqrt(degrees) tan(angle): its range is bounded, so halving it comes to the last digit.
    low, high = 0.0, pi / 2
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if _within_angle(middle, degrees) < confidence else (low, middle)
    return sqrt(degrees) * tan(low)


def interval(values: Numbers, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Returns the mean and half the width of its interval by Student's t; infinite for a single value."""
    found = np.asarray(values, dtype=np.float64)
    mean, n = float(found.mean()), len(found)
    if n < 2:
        return mean, inf
    return mean, quantile(confidence, n - 1) * float(found.std(ddof=1)) / sqrt(n)


def p_of_mean(values: Numbers) -> float:
    """Returns the p-value of a mean of zero by Student's t; 1 where a single value tells nothing."""
    found = np.asarray(values, dtype=np.float64)
    if len(found) < 2:
        return 1.0
    # What is the same in every pair has no spread: it is no difference at all, or a sure one.
    spread = float(found.std(ddof=1)) / sqrt(len(found))
    if spread == 0:
        return 0.0 if found.any() else 1.0
    return p_value(float(found.mean()) / spread, len(found) - 1)


@dataclass(frozen=True, slots=True)
class Corrected:
    """A p-value by Holm's correction, and the confidence of the interval that excludes zero where it is below 5%."""

    p: float
    confidence: float


def holm(p_values: Sequence[float], confidence: float = CONFIDENCE) -> list[Corrected]:
    """Returns each of several p-values corrected for there being several.

    Holm 1979, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6(2).
    """
    alpha, several = 1 - confidence, len(p_values)
    corrected: dict[int, Corrected] = {}
    largest, rejecting, level = 0.0, True, alpha
    # Smallest first: the first is one of all, the next one of those that are left.
    for rank, index in enumerate(sorted(range(several), key=lambda i: p_values[i])):
        left = several - rank
        largest = min(1.0, max(largest, left * p_values[index]))
        # Behind the first that is not rejected none is, so none of their intervals may exclude zero.
        if rejecting:
            level = alpha / left
            rejecting = p_values[index] <= level
        corrected[index] = Corrected(largest, 1 - level)
    return [corrected[index] for index in range(several)]
