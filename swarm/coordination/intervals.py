"""Intervals of means whose items come in clusters: those of a round go together, so rounds are drawn and not items."""

import numpy as np
import numpy.typing as npt

Int64 = npt.NDArray[np.int64]
Float64 = npt.NDArray[np.float64]

RESAMPLES = 1_000
Z95 = 1.959964

MANY = 5_000
"""Above so many clusters the interval is the normal one: the bootstrap's is the same there, and takes n times 1,000."""


def paired_over(rounds: Int64, difference: Float64) -> list[float | None]:
    """Returns the mean difference of an item with its 95% interval, by a bootstrap over rounds.

    Of more than MANY rounds it is the ratio estimator's by linearisation (Cochran 1977, equation 2.45).
    """
    _, cluster = np.unique(rounds, return_inverse=True)
    sums, items = np.bincount(cluster, weights=difference), np.bincount(cluster)
    if len(items) > MANY:
        mean = float(difference.mean())
        half = Z95 * float(np.sqrt(((sums - mean * items) ** 2).sum())) / len(difference)
        return [rounded(mean), rounded(mean - half), rounded(mean + half)]
    # Whole rounds are drawn, since the turns of one round share its prices.
    drawn = np.random.default_rng(0).integers(0, len(items), (RESAMPLES, len(items)))
    means = sums[drawn].sum(axis=1) / items[drawn].sum(axis=1)
    low, high = (float(v) for v in np.quantile(means, [0.025, 0.975]))
    return [rounded(float(difference.mean())), rounded(low), rounded(high)]


def wilson(found: int, of: int) -> tuple[float, float]:
    """Returns Wilson's 95% interval of a share; all of it where nothing was tried."""
    if not of:
        return 0.0, 1.0
    z, share = Z95, found / of
    middle = (share + z * z / (2 * of)) / (1 + z * z / of)
    half = z / (1 + z * z / of) * float(np.sqrt(share * (1 - share) / of + z * z / (4 * of * of)))
    return max(middle - half, 0.0), min(middle + half, 1.0)


def rounded(value: float) -> float | None:
    """Returns a value as a summary has it; None for what is no number."""
    return None if np.isnan(value) else round(value, 4)
