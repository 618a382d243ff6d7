"""Columns in messages between processes: as narrow as their numbers, and the same on arrival."""

import pickle
from dataclasses import fields

import numpy as np
import pytest

from swarm.agents.observation import Barter, PrivateViews
from swarm.market import wire
from swarm.market.commands import Transfer, to_record
from swarm.market.events import OrdersTaken, Rejection, Trades
from swarm.market.orders import Int64
from swarm.scenarios.protocol import MarketState
from swarm.simulation.market import MarketAnswer

LOWEST, HIGHEST = np.iinfo(np.int64).min, np.iinfo(np.int64).max


def there_and_back(columns: list[Int64]) -> list[Int64]:
    return wire.unpacked(wire.packed(columns))


@pytest.mark.parametrize("rows", [0, 1, 2, 7, 9, 70_000])
def test_columns_come_as_they_went_whatever_their_width_and_number(rows: int) -> None:
    bounds = [(0, 1), (-128, 128), (-129, 128), (0, 1 << 15), (-(1 << 15), 0), (0, 1 << 31), (LOWEST, HIGHEST), (9, 10)]
    rng = np.random.default_rng(rows)
    sent = [rng.integers(low, high, rows) for low, high in bounds]
    came = there_and_back(sent)
    assert [column.tolist() for column in came] == [column.tolist() for column in sent]
    for column in came:
        # Numpy's own type, by which its fast loops know it, and nobody else's memory.
        assert column.dtype is np.dtype(np.int64)
        assert column.flags.writeable


@pytest.mark.parametrize("number", [0, 127, 128, -128, -129, 1 << 31, -(1 << 31), LOWEST, HIGHEST])
def test_the_ends_of_each_width_are_held(number: int) -> None:
    one = np.array([0, number])
    assert there_and_back([one, np.full(2, number)])[0].tolist() == one.tolist()
    assert there_and_back([one, np.full(2, number)])[1].tolist() == [number, number]


def test_a_column_of_one_number_takes_the_room_of_one() -> None:
    _, widths, block = wire.packed([np.full(50_000, 1 << 40), np.zeros(50_000, dtype=np.int64)])
    assert (widths, len(block)) == (b"\x00\x00", 16)


def answer(balances: Int64, **more: Int64) -> MarketAnswer:
    return MarketAnswer((), MarketState(balances, np.array([3, 4]), **more), balances[:1] - 5)


def test_what_traders_own_comes_as_it_went() -> None:
    balances = np.stack([np.arange(300) * 10**9, np.arange(300) % 5, np.full(300, 7)], axis=1)
    frozen = np.arange(300)
    came: MarketAnswer = pickle.loads(pickle.dumps(answer(balances, held=balances // 2, frozen_through_round=frozen)))
    state = came.state
    assert state.held is not None
    assert state.frozen_through_round is not None
    assert (state.balances.tolist(), state.held.tolist()) == (balances.tolist(), (balances // 2).tolist())
    assert (state.owed, state.previous_ticks, came.resting) == (None, None, None)
    assert (state.reference_ticks.tolist(), state.frozen_through_round.tolist()) == ([3, 4], frozen.tolist())
    assert came.named.tolist() == [[-5, -5, 2]]
    assert state.balances.flags.c_contiguous


def test_a_market_of_nobody_answers_too() -> None:
    came: MarketAnswer = pickle.loads(pickle.dumps(answer(np.zeros((0, 3), dtype=np.int64))))
    assert came.state.balances.shape == (0, 3)


def test_trades_and_refusals_come_as_they_went() -> None:
    trades = Trades(*(np.arange(5) * 10**k for k in range(5)))
    came: Trades = pickle.loads(pickle.dumps(trades))
    assert (came.good.tolist(), came.seller.tolist()) == ([0, 1, 2, 3, 4], [0, 10_000, 20_000, 30_000, 40_000])
    reasons = (Rejection.OVER_CAP, Rejection.UNKNOWN_TRADER)
    taken = OrdersTaken(7, 3, np.array([4, 9]), np.array([0, 1]), reasons)
    told: OrdersTaken = pickle.loads(pickle.dumps(taken))
    assert (told.round, told.accepted, told.rejected_reason) == (7, 3, reasons)
    assert told.reasons == taken.reasons


def test_what_a_trader_sees_comes_as_it_went() -> None:
    table = np.arange(1_500).reshape(300, 5) % 7
    barter = Barter(np.full(300, -1), table, table[::-1], table * 100, np.arange(300) % 101)
    # A shard gets a slice of everybody's rows.
    seen = PrivateViews(
        trader=np.arange(300),
        cash_cents=np.arange(300) * 10**9,
        have=table,
        bought_lots=table,
        sold_lots=table,
        facts=("cold",) * 300,
        heard=(("corn is dear",),) * 300,
        barter=barter,
        columns={"cost": table},
        called=np.arange(300) % 2 == 0,
    ).take(slice(100, 200))
    came: PrivateViews = pickle.loads(pickle.dumps(seen))
    for one, other in ((seen, came), (seen.bartering, came.bartering)):
        for field in fields(one):
            value, arrived = getattr(one, field.name), getattr(other, field.name)
            if isinstance(value, np.ndarray):
                assert (arrived.tolist(), arrived.dtype) == (value.tolist(), value.dtype), field.name
    assert came.columns["cost"].tolist() == table[100:200].tolist()
    assert (came.facts, came.heard, came.assigned) == (seen.facts, seen.heard, None)
    assert len(pickle.dumps(seen)) < seen.have.nbytes * 2


def test_postings_come_as_they_went() -> None:
    posted = Transfer(5, "meal", np.arange(9), np.full(9, 12), np.ones(9, dtype=np.int64), np.arange(9) * 10**10)
    came: Transfer = pickle.loads(pickle.dumps(posted))
    assert to_record(came) == to_record(posted)


def test_a_message_of_small_numbers_is_a_fraction_of_its_columns() -> None:
    balances = np.stack([np.arange(10_000) * 100, *(np.arange(10_000) % 9 for _ in range(5))], axis=1)
    assert len(pickle.dumps(answer(balances))) < balances.nbytes / 5
