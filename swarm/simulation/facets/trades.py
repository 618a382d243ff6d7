"""Keeps every trade, with who was on either side and what decided for them."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from swarm.market.orders import Int64
from swarm.scenarios.protocol import MarketState
from swarm.simulation.facets.protocol import Columns, Tables, markets
from swarm.simulation.loop import RoundOutcome
from swarm.simulation.plan import RunPlan


class Trades:
    """The table `trades`, a row for each trade; a trade is two fills."""

    name = "trades"

    def __init__(self) -> None:
        self._columns = Columns()
        self._volume_lots = 0

    def started(self, plan: RunPlan, opening: MarketState, named: Int64) -> None:
        """Takes note of the goods and kinds."""
        self._goods = np.array(plan.scenario.goods)
        self._kinds = np.array(plan.scenario.kinds)[plan.scenario.trader_kind]

    def round_done(self, outcome: RoundOutcome) -> None:
        """Keeps a row for each trade."""
        trades = outcome.cleared.trades
        # [trades] minds of either side, as they decide in the market of the trade.
        buyer_mind, seller_mind = (
            np.concatenate([np.array(own.plan.minds)[getattr(own.cleared.trades, side)] for own in markets(outcome)])
            for side in ("buyer", "seller")
        )
        self._volume_lots += int(outcome.cleared.volume_lots.sum())
        self._columns.add(
            {
                "round": np.full(len(trades.good), outcome.round),
                "good": self._goods[trades.good],
                "price_ticks": trades.price_ticks,
                "quantity_lots": trades.quantity_lots,
                "buyer": trades.buyer,
                "seller": trades.seller,
                "buyer_kind": self._kinds[trades.buyer],
                "seller_kind": self._kinds[trades.seller],
                "buyer_mind": buyer_mind,
                "seller_mind": seller_mind,
            }
        )

    def tables(self) -> Tables:
        """Returns the trades."""
        return {"trades": self._columns.table()}

    def summary(self, tables: Tables) -> Mapping[str, Any]:
        """Returns how much was traded."""
        trades = tables["trades"].height
        return {"fills": 2 * trades, "trades": trades, "volume_lots": self._volume_lots}


FACET = Trades
