"""Tells whether minds fail alike: correlation of errors, effective votes, and joint failures beside chance.

`right` is [items, members], True where a member's answer was right; items of one round stand together in `rounds`.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Int64 = npt.NDArray[np.int64]
Float64 = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Alike:
    """The figures of how alike members fail; NaN where there is too little to tell.

    `ratio` is `all_wrong` over `independent`, the product of the members' error rates, with its 95% interval; chance of
    `same_wrong` is 1 / (options - 1).
    """

    correlation: float
    n_eff: float
    all_wrong: float
    independent: float
    ratio: float
    ratio_low: float
    ratio_high: float
    same_wrong: float
    same_wrong_by_chance: float

    @property
    def sentence(self) -> str:
        """Says in words whether these minds failed alike."""
        if np.isnan(self.ratio_low):
            return "Too few of their errors were seen to say whether these minds fail alike."
        if self.ratio_low > 1:
            return (
                f"These minds failed alike: all were wrong at once {self.ratio:.1f} times as often as independent ones "
                f"would be, and count as {self.n_eff:.1f} independent votes."
            )
        if self.ratio_high < 1:
            return (
                "These minds covered for each other: all were wrong at once less often than independent ones would be."
            )
        return "These minds did not fail more alike than independent ones, as far as these rounds can tell."


def error_correlation(right: Mask) -> float:
    """Returns the mean correlation of errors over pairs of members that erred sometimes and not always."""
    # A member that is always right, or never, has no variance to correlate.
    varied = right[:, right.any(axis=0) & ~right.all(axis=0)]
    if varied.shape[1] < 2:
        return float("nan")
    matrix = np.atleast_2d(np.corrcoef(varied.T))
    return float(matrix[np.triu_indices(varied.shape[1], 1)].mean())


def effective_votes(members: int, correlation: float) -> float:
    """Returns n / (1 + (n - 1) rho), the independent votes that correlated ones are worth (Kish's design effect).

    NaN where errors are as opposite as can be, so that votes are worth more than any number of independent ones.
    """
    effect = 1 + (members - 1) * correlation
    return members / effect if effect > 1e-9 else float("nan")


def same_wrong(answers: Int64, right: Mask) -> float:
    """Returns how often two members that are both wrong are so in the same way, as a mean over pairs."""
    shares = []
    for one in range(answers.shape[1]):
        for other in range(one):
            both = ~right[:, one] & ~right[:, other]
            if both.any():
                shares.append(float((answers[both, one] == answers[both, other]).mean()))
    return float(np.mean(shares)) if shares else float("nan")


def failing_alike(
    answers: Int64, right: Mask, options: int, rounds: Int64, seed: int = 0, resamples: int = 1_000
) -> Alike:
    """Returns how alike members fail; the interval is a bootstrap over rounds, since a round's items go together."""
    correlation = error_correlation(right)
    wrong = ~right
    independent = float(np.prod(wrong.mean(axis=0)))
    all_wrong = float(wrong.all(axis=1).mean())
    ratio = all_wrong / independent if independent else float("nan")
    low = high = float("nan")
    _, cluster = np.unique(rounds, return_inverse=True)
    clusters = int(cluster.max(initial=-1)) + 1
    if independent and clusters > 1:
        # [clusters]: how many items, how many that all got wrong; [clusters, members]: how many each got wrong.
        items = np.bincount(cluster)
        jointly = np.bincount(cluster, weights=wrong.all(axis=1))
        each = np.stack([np.bincount(cluster, weights=column) for column in wrong.T], axis=1)
        # Whole rounds are drawn with replacement, since the errors of one round are not independent.
        drawn = np.random.default_rng(seed).integers(0, clusters, (resamples, clusters))
        total = items[drawn].sum(axis=1)
        product = np.prod(each[drawn].sum(axis=1) / total[:, None], axis=1)
        # A draw in which some member never errs has no product to divide by.
        seen = product > 0
        if seen.any():
            ratios = (jointly[drawn].sum(axis=1) / total)[seen] / product[seen]
            low, high = (float(value) for value in np.quantile(ratios, [0.025, 0.975]))
    n_eff = effective_votes(right.shape[1], correlation)
    chance = 1 / (options - 1) if options > 1 else float("nan")
    return Alike(correlation, n_eff, all_wrong, independent, ratio, low, high, same_wrong(answers, right), chance)
