"""Keeps prices and volumes of every good in every round, in ticks and lots."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from swarm.market.orders import Int64
from swarm.scenarios.protocol import MarketState
from swarm.simulation.facets.protocol import Columns, Kept, Tables
from swarm.simulation.loop import RoundOutcome
from swarm.simulation.plan import RunPlan


class Prices:
    """The table `prices`, a row for each good and round."""

    name = "prices"

    def __init__(self) -> None:
        self._columns = Columns()

    def started(self, plan: RunPlan, opening: MarketState, named: Int64) -> None:
        """Takes note of the goods."""
        self._goods = np.array(plan.scenario.goods)

    def round_done(self, outcome: RoundOutcome) -> None:
        """Keeps a row for each good."""
        # A clearing price of 0 says that the good was not traded.
        cleared = outcome.cleared
        self._columns.add(
            {
                "round": np.full(len(self._goods), outcome.round),
                "good": self._goods,
                "reference_before_ticks": outcome.reference_before_ticks,
                "clearing_ticks": cleared.clearing_ticks,
                "reference_ticks": outcome.state.reference_ticks,
                "volume_lots": cleared.volume_lots,
                "unfilled_buy_lots": cleared.unfilled_buy_lots,
                "unfilled_sell_lots": cleared.unfilled_sell_lots,
            }
        )

    def tables(self) -> Kept:
        """Returns the prices."""
        return {"prices": self._columns.table()}

    def summary(self, tables: Tables) -> Mapping[str, Any]:
        """Returns nothing: what prices come to is the facet `quality`'s."""
        return {}


FACET = Prices
