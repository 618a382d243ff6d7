"""What a round comes to by good, gathered good by good as each is matched. It knows neither accounts nor holds."""

import numpy as np

from swarm.market import mechanism
from swarm.market.events import Trades
from swarm.market.orders import BUY, SELL


class Totals:
    """The outcome of a round by good; a good that was not matched keeps what stands here at first."""

    def __init__(self, goods: int, max_price_ticks: int) -> None:
        self.clearing_ticks = np.zeros(goods, dtype=np.int64)
        self.volume_lots = np.zeros(goods, dtype=np.int64)
        self.unfilled_lots = {side: np.zeros(goods, dtype=np.int64) for side in (BUY, SELL)}
        self.best_bid_ticks = np.zeros(goods, dtype=np.int64)
        self.best_ask_ticks = np.full(goods, max_price_ticks, dtype=np.int64)
        self.halted: list[int] = []
        self._max_price_ticks = max_price_ticks
        self._trades: list[Trades] = []

    def add(self, good: int, matched: mechanism.Matched) -> None:
        """Takes over what became of one good."""
        self.clearing_ticks[good] = matched.price_ticks
        self.volume_lots[good] = matched.trade_lots.sum()
        left = {side: matched.left_lots(side) for side in self.unfilled_lots}
        for side, column in self.unfilled_lots.items():
            column[good] = left[side].sum()
        limit = matched.orders.limit_ticks
        self.best_bid_ticks[good] = limit[left[BUY] > 0].max(initial=1)
        self.best_ask_ticks[good] = limit[left[SELL] > 0].min(initial=self._max_price_ticks)
        if len(matched.trade_lots):
            self._trades.append(_trades(good, matched))
        if matched.halted:
            self.halted.append(good)

    def joined_trades(self) -> Trades:
        """Returns all trades, by good and then by time."""
        columns = ("good", "price_ticks", "quantity_lots", "buyer", "seller")
        if not self._trades:
            return Trades(**{c: np.empty(0, dtype=np.int64) for c in columns})
        return Trades(**{c: np.concatenate([getattr(t, c) for t in self._trades]) for c in columns})


def _trades(good: int, matched: mechanism.Matched) -> Trades:
    return Trades(
        good=np.full(len(matched.trade_lots), good, dtype=np.int64),
        price_ticks=matched.trade_ticks,
        quantity_lots=matched.trade_lots,
        buyer=matched.orders.trader[matched.buyer_row],
        seller=matched.orders.trader[matched.seller_row],
    )
