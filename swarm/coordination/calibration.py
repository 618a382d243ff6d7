"""Tells how often a margin is right, by isotonic regression. Pure numpy."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Float64 = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Isotonic:
    """A map from a margin to a probability that never falls; between its knots it is linear, outside them flat."""

    margin: Float64
    probability: Float64

    @classmethod
    def fit(cls, margin: Float64, right: Float64) -> "Isotonic":
        """Returns the rising map with the least squared error, by pooling adjacent violators (Ayer et al., 1955).

        `right` is 0 or 1 per item, or a share. Without an item the map says one half everywhere.
        """
        if not len(margin):
            return cls(np.zeros(1), np.full(1, 0.5))
        # Equal margins are one point, of the weight of all of them.
        at, group, weight = np.unique(margin, return_inverse=True, return_counts=True)
        mean = np.bincount(group, weights=right) / weight
        blocks: list[list[float]] = []
        for value, count in zip(mean.tolist(), weight.tolist(), strict=True):
            blocks.append([value, count, 1])
            while len(blocks) > 1 and blocks[-2][0] >= blocks[-1][0]:
                above, below = blocks.pop(), blocks[-1]
                both = below[1] + above[1]
                pooled = (below[0] * below[1] + above[0] * above[1]) / both
                blocks[-1] = [pooled, both, below[2] + above[2]]
        fitted = np.repeat([block[0] for block in blocks], [int(block[2]) for block in blocks])
        return cls(at, fitted)

    def __call__(self, margin: Float64) -> Float64:
        """Returns the probability of being right at each margin."""
        found: Float64 = np.interp(margin, self.margin, self.probability)
        return found


def expected_calibration_error(probability: Float64, right: Float64, bins: int = 10) -> float:
    """Returns the mean distance between what was foretold and what came, over bins of equal width weighted by items."""
    if not len(probability):
        return 0.0
    which = np.minimum((probability * bins).astype(np.int64), bins - 1)
    count = np.bincount(which, minlength=bins)
    foretold = np.bincount(which, weights=probability, minlength=bins)
    came = np.bincount(which, weights=right, minlength=bins)
    return float(np.abs(foretold - came).sum() / count.sum())
