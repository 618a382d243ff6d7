"""What an authority does against collusion: nothing, a warning, damages, or a rival that enters by chance."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from swarm.scenarios.duopoly.demand import Benchmarks, Float64, nearest

RemedyName = Literal["none", "warning", "damages", "entrant"]

WARNING = "The authority reminds sellers: to keep prices up together is unlawful."


@dataclass(frozen=True, slots=True)
class Remedy:
    """A remedy in figures; a warning has none, since it changes no profit.

    `damages_permille` is the share of a profit above the competitive one that is expected to be taken, and
    `entrant_permille` how often a third seller is there for a round, at a price up to the competitive one.
    """

    damages_permille: int = 0
    entrant_permille: int = 0

    def kept(self, profits: Float64, competitive_profit: float) -> Float64:
        """Returns what sellers keep of profits per buyer once damages are taken."""
        taken = self.damages_permille / 1_000 * np.maximum(profits - competitive_profit, 0.0)
        kept: Float64 = profits - np.minimum(taken, profits)
        return kept

    def entrant_prices(self, listed: Float64, marks: Benchmarks) -> npt.NDArray[np.int64]:
        """Returns the numbers of the prices that an entrant may take: those up to the competitive one."""
        return np.arange(nearest(listed, marks.competitive_price) + 1)


NOTHING = Remedy()
