"""The rule of watchers that no model decides for: it bids for each of its candidates what that is worth to it.

A rule's order says which candidate it means by its quantity, counted from 1; what goes to market the desk says.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from swarm.agents.observation import Observation
from swarm.agents.plan import OwnRule
from swarm.market.orders import BUY, Orders

WORTH = "worth in ticks"
"""The column that the rule looks at: [traders, candidates] what a slot for each is worth, 0 for none."""

WATCHER = "watcher"


@dataclass(frozen=True, slots=True)
class BidsWorth:
    """Bids what a slot is worth, neither more nor less, since it is settled by what comes out."""

    def __call__(self, seed: int, seen: Observation) -> Orders:
        """Returns an order for each candidate."""
        worth = seen.private.columns[WORTH]
        row, number = np.nonzero(worth > 0)
        trader, zeros = seen.private.trader[row], np.zeros(len(row), dtype=np.int64)
        return Orders(trader, number, zeros, zeros + BUY, worth[row, number], number + 1, zeros)


def all_rules() -> Mapping[str, OwnRule]:
    """Returns the rule by its name."""
    return {WATCHER: BidsWorth()}
