"""Tells what a round would have come to, had somebody ordered otherwise. Exact, since the exchange is pure.

It works on a copy of an exchange as it stood before the round's orders. Nothing that is asked here changes the market.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from swarm.market import mechanism
from swarm.market.commands import CloseRound, SubmitOrders
from swarm.market.events import RoundCleared, Trades
from swarm.market.exchange import Exchange
from swarm.market.orders import Int64, Orders
from swarm.market.totals import Totals


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
        others = self._orders.take(self._orders.trader != trader)
        return self._clear(Orders.concatenate([others, self._with_own_priority(trader, orders)]))

    def trades_had(self, trader: int, orders: Orders) -> Trades:
        """Returns the trades in the goods of `orders`, had `trader` put in these orders in place of its own.

        They are those of `had`, for less work: only these goods are matched again, against what is accepted of all
        others. Where margin is lent, one's orders may decide what is lent to another, and where orders rest, the book
        counts: there the round is cleared whole.
        """
        goods = np.unique(orders.good).tolist()
        exchange = self._exchange
        if exchange.config.margin is not None or exchange.config.rest_rounds:
            trades = self.had(trader, orders).cleared.trades
            return trades.take(np.isin(trades.good, goods))
        accepted = self._accepted(self._with_own_priority(trader, orders))
        others = self._everybody.take(self._everybody.trader != trader)
        book = Orders.concatenate([others, accepted]).in_canonical_order()
        totals = Totals(exchange.goods, exchange.config.max_price_ticks)
        for good in goods:
            reference = int(self._past["reference_ticks"][good])
            of_good = book.take(book.good == good)
            totals.add(good, mechanism.match(of_good, exchange.mechanisms[good], reference, exchange.config))
        return totals.joined_trades()

    def _with_own_priority(self, trader: int, orders: Orders) -> Orders:
        own = self._orders.trader == trader
        if own.any() and len(orders):
            orders = replace(orders, priority=np.full(len(orders), self._orders.priority[own].max()))
        return orders

    @cached_property
    def _everybody(self) -> Orders:
        """All orders of the round that are accepted, as they were put in."""
        return self._accepted(self._orders)

    def _accepted(self, orders: Orders) -> Orders:
        """Returns those of `orders` that the exchange takes, had there been no others."""
        exchange = self._exchange
        exchange.restore(self._past)
        exchange.handle(SubmitOrders(exchange.last_number + 1, self._round, orders))
        return Orders(*exchange.snapshot()["book"])

    def _clear(self, orders: Orders) -> Outcome:
        exchange = self._exchange
        exchange.restore(self._past)
        number = exchange.last_number
        exchange.handle(SubmitOrders(number + 1, self._round, orders))
        cleared = exchange.handle(CloseRound(number + 2, self._round))
        if not isinstance(cleared, RoundCleared):
            raise TypeError(f"a round's end was answered by {type(cleared).__name__}")
        return Outcome(cleared, exchange.ledger.balances[: exchange.ledger.traders].copy())
