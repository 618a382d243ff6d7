"""The intake of a market: batches of orders from several submitters, written down and made durable in groups.

While one group is being synced the next one gathers, so that a sync, which takes as long as thousands of orders, is
shared by all that came meanwhile. A group is one command; which batches share one changes nothing in how the round is
matched, since priority never comes from arrival. A submitter is answered when its orders are on the disk, not before.
"""

import asyncio
from dataclasses import dataclass

import numpy as np

from swarm.errors import LedgerError
from swarm.market.commands import SubmitOrders
from swarm.market.events import OrdersTaken
from swarm.market.orders import Orders
from swarm.simulation.market import Market


@dataclass(frozen=True, slots=True, eq=False)
class _Batch:
    round: int
    orders: Orders
    answer: "asyncio.Future[OrdersTaken]"


class Intake:
    """Takes batches into one market, on one event loop.

    A batch holds all orders that its traders have in the round: an exchange takes a trader's orders of a round once,
    and so a batch that is sent again is rejected as a duplicate and changes nothing.
    """

    def __init__(self, market: Market) -> None:
        self.market = market
        self._waiting: list[_Batch] = []
        self._committer: asyncio.Task[None] | None = None
        self._failed: Exception | None = None

    async def submit(self, round_: int, orders: Orders) -> OrdersTaken:
        """What became of `orders`, once they are durable; after a failure nothing is taken any more."""
        if self._failed is not None:
            raise self._failed
        answer: asyncio.Future[OrdersTaken] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Batch(round_, orders, answer))
        if self._committer is None or self._committer.done():
            self._committer = asyncio.create_task(self._commit())
        return await answer

    async def _commit(self) -> None:
        while self._waiting:
            # All of one round, the earliest first; a batch that waits for another round goes with the next group.
            round_ = min(batch.round for batch in self._waiting)
            group = [batch for batch in self._waiting if batch.round == round_]
            self._waiting = [batch for batch in self._waiting if batch.round != round_]
            try:
                taken = self._take(round_, group)
                await asyncio.get_running_loop().run_in_executor(None, self.market.journal.sync)
            except Exception as error:
                self._failed = error
                for batch in (*group, *self._waiting):
                    batch.answer.set_exception(error)
                self._waiting = []
                return
            for batch in group:
                batch.answer.set_result(_share(taken, batch.orders))

    def _take(self, round_: int, group: list[_Batch]) -> OrdersTaken:
        orders = Orders.concatenate([batch.orders for batch in group])
        number = self.market.exchange.last_number + 1
        (taken,) = self.market.execute([SubmitOrders(number, round_, orders)]).events
        if not isinstance(taken, OrdersTaken):
            raise LedgerError(f"exchange: orders were answered by {type(taken).__name__}")
        return taken


def _share(taken: OrdersTaken, orders: Orders) -> OrdersTaken:
    """What a group's answer says of the traders of one batch."""
    rows = np.flatnonzero(np.isin(taken.rejected_trader, orders.trader))
    return OrdersTaken(
        round=taken.round,
        accepted=len(orders) - len(rows),
        rejected_trader=taken.rejected_trader[rows],
        rejected_sequence=taken.rejected_sequence[rows],
        rejected_reason=tuple(taken.rejected_reason[row] for row in rows.tolist()),
    )
