"""Tells what a round would have come to, had somebody ordered otherwise. Exact, since the exchange is pure.

It works on a copy of an exchange as it stood before the round's orders. Nothing that is asked here changes the market.
"""

from collections.abc import Sequence
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

    def as_it_was(self) -> Outcome:
        """Returns what the round came to."""
        return self._clear(self._orders)

    def had(self, trader: int, orders: Orders) -> Outcome:
        """Returns what the round had come to, had `trader` put in these orders in place of its own.

        They get the priority that was drawn for its own; where it had none, they keep theirs.
        """
        own = self._orders.trader == trader
        if own.any() and len(orders):
            drawn = np.full(len(orders), self._orders.priority[own].max())
            orders = replace(orders, priority=drawn)
        return self._clear(Orders.concatenate([self._orders.take(~own), orders]))

    def advantages(self, trader: int, alternatives: Sequence[Orders], worth_cents: Int64) -> Int64:
        """Returns [alternatives] cents by which each would have left the trader better off than passing.

        `worth_cents` is [goods] what a lot is worth to the trader; debts count as they stand in the balances of assets
        that are owed.
        """
        passing = self._wealth(self.had(trader, Orders.empty()), trader, worth_cents)
        return np.array(
            [self._wealth(self.had(trader, orders), trader, worth_cents) - passing for orders in alternatives],
            dtype=np.int64,
        )

    def _wealth(self, outcome: Outcome, trader: int, worth_cents: Int64) -> int:
        own = outcome.balances[trader]
        goods = len(worth_cents)
        # Behind what is owned stands, with margin accounts, what is owed.
        owned, owed = own[: goods + 1], own[goods + 1 :]
        worth = np.concatenate([[1], worth_cents])
        return int(owned @ worth) - (int(owed @ worth) if len(owed) else 0)

    def _clear(self, orders: Orders) -> Outcome:
        exchange = self._exchange
        exchange.restore(self._past)
        number = exchange.last_number
        exchange.handle(SubmitOrders(number + 1, self._round, orders))
        cleared = exchange.handle(CloseRound(number + 2, self._round))
        if not isinstance(cleared, RoundCleared):
            raise TypeError(f"a round's end was answered by {type(cleared).__name__}")
        return Outcome(cleared, exchange.ledger.balances[: exchange.ledger.traders].copy())
