"""An exchange that is restored from a snapshot does as the one it was taken of, whatever comes, down to each event."""

from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from swarm.errors import LedgerError
from swarm.market.commands import CloseRound, Command, MoveReference, SubmitOrders, Transfer
from swarm.market.config import MarketConfig
from swarm.market.exchange import Exchange
from swarm.market.ledger import ISSUE
from swarm.market.margin import ACCOUNTS, BANK, LENDER, MarginConfig
from swarm.market.orders import BUY, CANCEL, IMMEDIATE_OR_CANCEL, LIMIT, MARKET, REPLACE, SELL, Orders
from swarm.simulation.journal_disk import Committed
from swarm.simulation.snapshot import Snapshot

TRADERS, GOODS = 4, 2

configs = st.builds(
    MarketConfig,
    mechanism=st.sampled_from(["call", "continuous"]),
    max_price_ticks=st.just(12),
    max_quantity_lots=st.just(6),
    self_trade=st.sampled_from(["none", "cancel_newest", "cancel_oldest"]),
    band_permille=st.sampled_from([None, 300]),
    halt_permille=st.sampled_from([None, 150]),
    halt_rounds=st.integers(1, 3),
    rest_rounds=st.sampled_from([0, 1, 3]),
    margin=st.none()
    | st.builds(
        MarginConfig,
        initial_permille=st.sampled_from([100, 500]),
        maintenance_permille=st.sampled_from([100, 700]),
        interest_ppm=st.sampled_from([0, 50_000]),
        grace_rounds=st.integers(0, 2),
        liquidation_rounds=st.integers(1, 2),
        bank_pebbles=st.just(100),
        lender_lots=st.just(10),
    ),
)
wishes = st.tuples(
    st.integers(0, TRADERS - 1),
    st.integers(0, 2),
    st.integers(0, GOODS - 1),
    st.sampled_from([BUY, SELL]),
    st.integers(1, 12),
    st.integers(1, 6),
    st.integers(0, 3),
    st.sampled_from([LIMIT, LIMIT, LIMIT, MARKET, IMMEDIATE_OR_CANCEL, CANCEL, REPLACE]),
    st.integers(0, 2),
)
steps = st.lists(
    st.tuples(st.just("submit"), st.lists(wishes, max_size=8))
    | st.tuples(st.just("close"), st.integers(0, 1))
    | st.tuples(st.just("move"), st.tuples(st.integers(0, GOODS - 1), st.integers(300, 2_000)))
    | st.tuples(st.just("give"), st.tuples(st.integers(0, TRADERS - 1), st.integers(0, GOODS))),
    min_size=2,
    max_size=25,
)


def new(config: MarketConfig) -> Exchange:
    return Exchange(config, TRADERS, np.array([6, 9]), (ISSUE, *(ACCOUNTS if config.margin else ())))


def opening(exchange: Exchange) -> list[Command]:
    ledger = exchange.ledger
    rows = [(trader, asset, 3_000 if asset == 0 else 5) for trader in range(TRADERS) for asset in range(GOODS + 1)]
    if exchange.margin:
        rows += [(ledger.account(BANK), 0, 10_000), *((ledger.account(LENDER), good + 1, 10) for good in range(GOODS))]
    target, asset, amount = (np.array(column) for column in zip(*rows, strict=True))
    return [Transfer(1, "endowment", np.full(len(rows), ledger.account(ISSUE)), target, asset, amount)]


def commands(exchange: Exchange, plan: list[tuple[str, Any]]) -> list[Command]:
    made, round_ = opening(exchange), 1
    for number, (kind, body) in enumerate(plan, start=2):
        match kind:
            case "submit":
                columns = [np.array(column, dtype=np.int64) for column in zip(*body, strict=True)]
                made.append(SubmitOrders(number, round_, Orders(*columns) if body else Orders.empty()))
            case "close":
                made.append(CloseRound(number, round_))
                round_ += 1 + body
            case "move":
                made.append(MoveReference(number, "shock", *body))
            case _:
                trader, asset = body
                source = np.array([exchange.ledger.account(ISSUE)])
                made.append(Transfer(number, "gift", source, np.array([trader]), np.array([asset]), np.array([3])))
    return made


def same(one: Any, other: Any) -> bool:
    """Whether two events say the same, column by column."""
    if isinstance(one, np.ndarray):
        return type(one) is type(other) and one.dtype == other.dtype and one.tolist() == other.tolist()
    if is_dataclass(one):
        return type(one) is type(other) and all(same(getattr(one, f.name), getattr(other, f.name)) for f in fields(one))
    return bool(one == other)


def through_the_disk(snapshot: dict[str, Any]) -> dict[str, Any]:
    whole = Snapshot.unpacked(Snapshot(1, Committed(1, 8, bytes(32)), {}, (), snapshot).packed())
    assert whole is not None
    return whole.exchange


@given(config=configs, plan=steps, data=st.data())
def test_a_restored_exchange_does_as_the_one_that_was_not(
    config: MarketConfig, plan: list[tuple[str, Any]], data: st.DataObject
) -> None:
    exchange, twin = new(config), new(config)
    sent = commands(exchange, plan)
    restarts = data.draw(st.sets(st.integers(0, len(sent) - 1), min_size=1, max_size=3))
    for index, command in enumerate(sent):
        if index in restarts:
            taken = exchange.snapshot()
            twin = new(config)
            twin.restore(through_the_disk(taken))
            assert twin.state_hash() == exchange.state_hash()
            assert same_snapshots(twin.snapshot(), taken)
        assert same(exchange.handle(command), twin.handle(command)), command
        assert twin.state_hash() == exchange.state_hash()


def same_snapshots(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return one.keys() == other.keys() and all(same(value, other[name]) for name, value in one.items())


def test_a_snapshot_is_a_copy() -> None:
    exchange = new(MarketConfig(margin=MarginConfig()))
    for command in opening(exchange):
        exchange.handle(command)
    taken = exchange.snapshot()
    before = through_the_disk(taken)
    sent = [(0, 0, 0, BUY, 100, 3, 0, LIMIT, 0), (1, 0, 0, SELL, 100, 3, 0, LIMIT, 0)]
    exchange.handle(SubmitOrders(2, 1, Orders(*(np.array(c, dtype=np.int64) for c in zip(*sent, strict=True)))))
    exchange.handle(CloseRound(3, 1))
    assert same_snapshots(taken, before)


def test_every_single_change_of_what_is_kept_changes_the_hash() -> None:
    exchange = new(MarketConfig(margin=MarginConfig(), mechanism="continuous", rest_rounds=2))
    sent = [(0, 0, 0, BUY, 6, 3, 0, LIMIT, 0), (1, 0, 1, SELL, 9, 2, 0, LIMIT, 0)]
    for command in opening(exchange):
        exchange.handle(command)
    batch = Orders(*(np.array(c, dtype=np.int64) for c in zip(*sent, strict=True)))
    exchange.handle(SubmitOrders(2, 1, batch))
    exchange.handle(CloseRound(3, 1))
    exchange.handle(SubmitOrders(4, 2, batch))
    assert len(exchange.snapshot()["book"].T) == len(exchange.snapshot()["resting"].T) == 2
    taken, hashes = exchange.snapshot(), {exchange.state_hash()}
    changes = 0
    for name, value in taken.items():
        indices = range(value.size) if isinstance(value, np.ndarray) else [0]
        for index in indices:
            changed = value.copy() if isinstance(value, np.ndarray) else value + 1
            if isinstance(value, np.ndarray):
                changed.flat[index] += 1
            other = new(exchange.config)
            try:
                other.restore({**taken, name: changed})
            except LedgerError:
                continue
            changes += 1
            hashes.add(other.state_hash())
    assert len(hashes) == changes + 1
    assert changes > 70
