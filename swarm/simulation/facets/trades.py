"""Keeps every trade, with who was on either side and what decided for them."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from swarm.market.orders import Int64
from swarm.scenarios.protocol import MarketState
from swarm.simulation.facets.protocol import Columns, Kept, MindNumbers, Tables, Words, markets
from swarm.simulation.loop import RoundOutcome
from swarm.simulation.plan import RunPlan


class Trades:
    """The table `trades`, a row for each trade; a trade is two fills."""

    name = "trades"

    def __init__(self) -> None:
        self._columns = Columns()
        self._minds = MindNumbers()
        self._trades = self._volume_lots = 0

    def started(self, plan: RunPlan, opening: MarketState, named: Int64) -> None:
        """Takes note of the goods and kinds."""
        self._goods = plan.scenario.goods
        self._kinds, self._kind = plan.scenario.kinds, plan.scenario.trader_kind

    def round_done(self, outcome: RoundOutcome) -> None:
        """Keeps a row for each trade."""
        trades = outcome.cleared.trades
        # [trades] minds of either side, as they decide in the market of the trade.
        buyer_mind, seller_mind = (
            np.concatenate([self._minds.of(own.plan)[getattr(own.cleared.trades, side)] for own in markets(outcome)])
            for side in ("buyer", "seller")
        )
        self._trades += len(trades.good)
        self._volume_lots += int(outcome.cleared.volume_lots.sum())
        self._columns.add(
            {
                "round": np.full(len(trades.good), outcome.round),
                "good": Words(self._goods, trades.good),
                "price_ticks": trades.price_ticks,
                "quantity_lots": trades.quantity_lots,
                "buyer": trades.buyer,
                "seller": trades.seller,
                "buyer_kind": Words(self._kinds, self._kind[trades.buyer]),
                "seller_kind": Words(self._kinds, self._kind[trades.seller]),
                "buyer_mind": Words(self._minds.names, buyer_mind),
                "seller_mind": Words(self._minds.names, seller_mind),
            }
        )

    def tables(self) -> Kept:
        """Returns the trades."""
        return {"trades": self._columns.table()}

    def summary(self, tables: Tables) -> Mapping[str, Any]:
        """Returns how much was traded."""
        return {"fills": 2 * self._trades, "trades": self._trades, "volume_lots": self._volume_lots}


FACET = Trades
