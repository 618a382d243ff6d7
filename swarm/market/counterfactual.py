"""Tells what a round would have come to, had somebody ordered otherwise. Exact, since the exchange is pure.

It works on a copy of an exchange as it stood before the round's orders. Nothing that is asked here changes the market.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from swarm.market.commands import CloseRound, SubmitOrders
from swarm.market.events import RoundCleared
from swarm.market.exchange import Exchange
from swarm.market.orders import Int64, Orders


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """The outcome of a round: its clearing, and [traders, assets] the balances after settlement, cash first."""

    cleared: RoundCleared
    balances: Int64


class Counterfactual:
    """A round that can be cleared again and again, each time with other orders of one trader."""

    def __init__(self, before: Exchange, round_: int, orders: Orders) -> None:
        """Copies `before`; `orders` are those of all traders, with their priorities."""
        self._exchange = Exchange(
            before.config,
            before.ledger.traders,
            before.reference_ticks,
            tuple(before.ledger.names),
            before.mechanisms,
        )
        self._past: dict[str, Any] = before.snapshot()
        self._round = round_
        self._orders = orders

    def had(self, trader: int, orders: Orders) -> Outcome:
        """Returns what the round had come to, had `trader` put in these orders in place of its own.

        They get the priority that was drawn for its own; where it had none, they keep theirs.
        """
        own = self._orders.trader == trader
        if own.any() and len(orders):
            drawn = np.full(len(orders), self._orders.priority[own].max())
            orders = replace(orders, priority=drawn)
        return self._clear(Orders.concatenate([self._orders.take(~own), orders]))

    def _clear(self, orders: Orders) -> Outcome:
        exchange = self._exchange
        exchange.restore(self._past)
        number = exchange.last_number
        exchange.handle(SubmitOrders(number + 1, self._round, orders))
        cleared = exchange.handle(CloseRound(number + 2, self._round))
        if not isinstance(cleared, RoundCleared):
            raise TypeError(f"a round's end was answered by {type(cleared).__name__}")
        return Outcome(cleared, exchange.ledger.balances[: exchange.ledger.traders].copy())
