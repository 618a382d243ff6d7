"""Counts what became of orders that were not filled: refused by the market, or taken out of the book."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from swarm.market.orders import Int64
from swarm.scenarios.protocol import MarketState
from swarm.simulation.facets.protocol import Tables
from swarm.simulation.loop import RoundOutcome
from swarm.simulation.plan import RunPlan


class Orders:
    """The counts of rejections, and of what left the book, both by reason."""

    name = "orders"

    def __init__(self) -> None:
        self._rejections: Counter[str] = Counter()
        self._resting: Counter[str] = Counter()

    def started(self, plan: RunPlan, opening: MarketState, named: Int64) -> None:
        """Begins with nothing."""

    def round_done(self, outcome: RoundOutcome) -> None:
        """Counts a round."""
        self._rejections.update(str(reason) for reason in outcome.taken.rejected_reason)
        if outcome.cleared.resting:
            left_book = asdict(outcome.cleared.resting)
            # How many are in the book is no count of what happened: the last one stands for the run.
            self._resting["resting"] = left_book.pop("resting")
            self._resting.update(left_book)

    def tables(self) -> Tables:
        """Returns no table."""
        return {}

    def summary(self, tables: Tables) -> Mapping[str, Any]:
        """Returns both counts."""
        return {"order_rejections": dict(sorted(self._rejections.items())), "resting_orders": dict(self._resting)}


FACET = Orders
