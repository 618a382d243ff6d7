"""Tells which member of a council lies: whose votes bring less than lots drawn from the same menus would.

It goes by what actions would have brought once a round is cleared again, and by no word that a member said.
"""

import math

import numpy as np
import numpy.typing as npt

Float64 = npt.NDArray[np.float64]

ACCUSE_RATE = 0.001
"""Nobody is accused whose votes would be as poor so often as this, or more, if all members drew lots."""

LEAST_TURNS, LEAST_ACTED = 20, 0.25
"""Turns before anybody is named, since fewer say little, and the share of them in which a member must do something: who
only ever passes is of no use, and no liar."""


def liars(gain_ticks: npt.NDArray[np.int64], acted: npt.NDArray[np.bool_], by_lot: Float64) -> list[int]:
    """Returns the members whose votes brought less than lots would have, beyond chance.

    `gain_ticks` and `acted` are [turns, members], and `by_lot` is [turns, 2]: mean and variance of what the actions
    of the turn's menu would have brought. Whoever knows nothing is as good as a lot, and who is honest no worse.
    """
    turns, members = gain_ticks.shape
    spread = math.sqrt(float(by_lot[:, 1].sum()))
    behind = (by_lot[:, :1] - gain_ticks).sum(axis=0)
    # One-sided, and times the members, since any of them might have been the one (Bonferroni).
    return [
        m
        for m in range(members)
        if turns >= LEAST_TURNS
        and spread > 0.0
        and acted[:, m].mean() >= LEAST_ACTED
        and members * 0.5 * math.erfc(float(behind[m]) / spread / math.sqrt(2.0)) <= ACCUSE_RATE
    ]
