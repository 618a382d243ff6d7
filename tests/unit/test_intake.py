"""The intake: what is answered is durable, what comes meanwhile shares a sync, and nothing depends on the grouping."""

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from swarm.market.commands import CloseRound, SubmitOrders, Transfer, from_record
from swarm.market.config import MarketConfig
from swarm.market.events import OrdersTaken, Rejection
from swarm.market.ledger import CASH, ISSUE
from swarm.market.orders import BUY, SELL, Orders
from swarm.simulation.intake import Intake
from swarm.simulation.journal import JournalReader
from swarm.simulation.market import Market, MarketPlan

TRADERS = 40


def market(journal: Path | None) -> Market:
    made = Market(MarketPlan(MarketConfig(), TRADERS, (50,), (ISSUE,)), journal)
    everyone, ones = np.arange(TRADERS), np.ones(TRADERS, dtype=np.int64)
    made.execute(
        [
            Transfer(1, "endowment", ones * TRADERS, everyone, ones * CASH, ones * 10**6),
            Transfer(2, "endowment", ones * TRADERS, everyone, ones, ones * 100),
        ]
    )
    return made


def batch(first: int, traders: int, lots: int = 5) -> Orders:
    trader = np.arange(first, first + traders)
    return Orders(
        trader=trader,
        sequence=0 * trader,
        good=0 * trader,
        side=np.where(trader % 2 == 0, BUY, SELL),
        limit_ticks=40 + trader * 7 % 20,
        quantity_lots=0 * trader + lots,
        priority=trader * 31 % 11,
    )


def send(made: Market, batches: list[tuple[int, Orders]]) -> list[OrdersTaken]:
    async def all_at_once() -> list[OrdersTaken]:
        intake = Intake(made)
        return await asyncio.gather(*(intake.submit(round_, orders) for round_, orders in batches))

    return asyncio.run(all_at_once())


def test_batches_share_a_sync_and_all_are_in_the_journal(tmp_path: Path) -> None:
    path = tmp_path / "journal.swarm"
    made = market(path)
    answers = send(made, [(1, batch(i, 10)) for i in range(0, TRADERS, 10)])
    assert [a.accepted for a in answers] == [10] * 4
    assert made.journal.stats.syncs == 1
    kept = [from_record(r) for r in JournalReader(path) if r[0] == "SubmitOrders"]
    traders = [t for command in kept if isinstance(command, SubmitOrders) for t in command.orders.trader.tolist()]
    assert sorted(traders) == list(range(TRADERS))
    made.close()


def test_grouping_changes_nothing_in_the_round() -> None:
    one, other = market(None), market(None)
    send(one, [(1, batch(i, 10)) for i in range(0, TRADERS, 10)])
    for i in range(0, TRADERS, 10):
        send(other, [(1, batch(30 - i, 10))])
    for made in (one, other):
        made.execute([CloseRound(made.exchange.last_number + 1, 1)])
    assert (one.exchange.ledger.balances == other.exchange.ledger.balances).all()


def test_each_submitter_is_told_of_its_own_orders() -> None:
    made = market(None)
    good, poor = send(made, [(1, batch(0, 10)), (1, batch(10, 10, lots=1_000))])
    assert (good.accepted, poor.accepted) == (10, 0)
    assert good.rejected_reason == ()
    assert poor.rejected_trader.tolist() == list(range(10, 20))
    assert set(poor.rejected_reason) == {Rejection.BAD_QUANTITY}
    (again,) = send(made, [(1, batch(0, 10))])
    assert set(again.rejected_reason) == {Rejection.DUPLICATE}
    assert again.accepted == 0


def test_rounds_are_taken_in_order() -> None:
    made = market(None)
    answers = send(made, [(2, batch(0, 10)), (1, batch(10, 10))])
    assert [(a.round, a.accepted) for a in answers] == [(2, 10), (1, 10)]


def test_nobody_is_answered_and_nothing_more_is_taken_when_a_sync_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    made = market(None)

    def fail() -> None:
        raise OSError(5, "the disk is gone")

    monkeypatch.setattr(made.journal, "sync", fail)

    async def twice() -> list[Any]:
        intake = Intake(made)
        first = await asyncio.gather(
            intake.submit(1, batch(0, 5)), intake.submit(2, batch(5, 5)), return_exceptions=True
        )
        return [*first, *await asyncio.gather(intake.submit(1, batch(10, 5)), return_exceptions=True)]

    assert [type(answer) for answer in asyncio.run(twice())] == [OSError] * 3
