"""Who reads which rule set: families of reviewers bid, and the two best trades of cost and value get it.

It scores as strategy auctions do. A family's claim is what it says of itself until its record tells better:
how often its findings in that set have held so far.
"""

import numpy as np
import numpy.typing as npt

from swarm.coordination.strategy_auction import scaled, scores

Int64 = npt.NDArray[np.int64]
Float64 = npt.NDArray[np.float64]

WEIGHTS = np.array([0.25, 0.75])
"""What the cost of a bid counts, and its claim."""

CLAIMED = 10
"""So many findings does a claim count as, beside those of the record."""


def claims(claim_permille: Int64, right: Int64, settled: Int64) -> Float64:
    """Returns [families] the share of findings that will hold, by each one's claim and its record in a set."""
    claimed: Float64 = claim_permille / 1_000
    told: Float64 = (claimed * CLAIMED + right) / (CLAIMED + settled)
    return told


def ranked(cost: Float64, claim: Float64) -> list[int]:
    """Returns families, the best bid first; equal bids go by their order in the config."""
    parts = np.stack([cost, claim], axis=1)[None]
    # Costs are scaled by the dearest bid, claims are shares already.
    bounds = np.array([[[0.0, 0.0], [max(float(cost.max(initial=0.0)), 1e-9), 1.0]]])
    total = scores(scaled(parts, bounds), WEIGHTS)[0]
    return sorted(range(len(total)), key=lambda family: (total[family], family))
