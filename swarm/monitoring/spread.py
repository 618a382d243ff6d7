"""Tells how values spread over groups of traders: sizes, means and quantiles of all groups at once."""

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from swarm.market.orders import Int64


def spread(values: npt.NDArray[Any], group: Int64, groups: int) -> tuple[Int64, npt.NDArray[np.float64]]:
    """Returns each group's size, and its mean, p10, p50 and p90 as `np.quantile` has them; NaN for an empty one."""
    sizes = counts(group, groups)
    # [groups]; an empty group is divided by 1 and set to NaN at the end.
    filled = np.maximum(sizes, 1)
    # Sorted by group, then by value: each group is one stretch that begins at `start`.
    ordered = values[np.lexsort((values, group))].astype(np.float64)
    # [3 quantiles, groups]: where each quantile lies in its group's stretch, between two values.
    rank = np.array([[0.1], [0.5], [0.9]]) * (filled - 1)
    below = np.floor(rank).astype(np.int64)
    start = np.minimum(np.cumsum(sizes) - sizes, max(len(ordered) - 1, 0))
    low, high = ordered[start + below], ordered[start + np.minimum(below + 1, filled - 1)]
    mean = np.bincount(group, weights=values, minlength=groups) / filled
    stats = np.vstack([mean, low + (high - low) * (rank - below)]).T
    stats[sizes == 0] = math.nan
    return sizes, stats


def counts(numbers: Int64 | Iterable[int], size: int) -> Int64:
    """Returns how often each of 0 .. size-1 occurs."""
    counted: Int64 = np.bincount(np.asarray(numbers, dtype=np.int64), minlength=size)
    return counted
