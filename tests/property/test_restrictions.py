"""Restrictions: whatever is restricted in whatever order, cash and goods are conserved and the frozen never trade."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swarm.errors import LedgerError
from swarm.market.commands import CloseRound, Command, Restrict, SubmitOrders, Transfer, from_record, to_record
from swarm.market.config import MarketConfig
from swarm.market.events import OrdersTaken, Rejection, RoundCleared
from swarm.market.exchange import Exchange
from swarm.market.ledger import ISSUE
from swarm.market.orders import BUY, SELL, Orders
from swarm.market.restrictions import FOR_EVER

TRADERS, GOODS, LOTS, CENTS = 4, 2, 30, 100_000

sentences = st.tuples(
    st.lists(st.integers(0, TRADERS - 1), min_size=1, max_size=2, unique=True),
    st.sampled_from([-1, 0, 2, 4, FOR_EVER]),
    st.sampled_from([-1, 0, 1, 35]),
)
wishes = st.tuples(
    st.integers(0, TRADERS - 1),
    st.integers(0, GOODS - 1),
    st.sampled_from([BUY, SELL]),
    st.integers(1, 20),
    st.integers(1, 12),
)
rounds = st.lists(st.tuples(st.lists(sentences, max_size=2), st.lists(wishes, max_size=12)), min_size=1, max_size=6)


def opened(config: MarketConfig) -> Exchange:
    exchange = Exchange(config, TRADERS, np.array([10, 10]), (ISSUE, "treasury"))
    everyone, issue = np.arange(TRADERS), np.full(TRADERS, TRADERS)
    for number, (asset, amount) in enumerate([(0, CENTS), (1, LOTS), (2, LOTS)], 1):
        column = np.full(TRADERS, asset)
        exchange.handle(Transfer(number, "opening", issue, everyone, column, np.full(TRADERS, amount)))
    return exchange


@settings(max_examples=40, deadline=None)
@given(plan=rounds, continuous=st.booleans(), fine=st.integers(0, 500))
def test_the_frozen_never_trade_caps_hold_and_nothing_is_lost(
    plan: list[tuple[list[tuple[list[int], int, int]], list[tuple[int, int, int, int, int]]]],
    continuous: bool,
    fine: int,
) -> None:
    config = MarketConfig(mechanism="continuous" if continuous else "call", rest_rounds=2 if continuous else 0)
    exchange, number = opened(config), 10
    told: list[Command] = []

    def handle(command: Command) -> object:
        told.append(command)
        return exchange.handle(command)

    for round_, (sentenced, wanted) in enumerate(plan, 1):
        for traders, frozen, cap in sentenced:
            number += 1
            handle(Restrict(number, "case", np.array(traders), frozen, cap))
        number += 1
        handle(Transfer(number, "fine", np.array([0]), np.array([TRADERS + 1]), np.array([0]), np.array([fine])))
        frozen_now, cap_now = exchange.restrictions.frozen(round_), exchange.restrictions.cap_lots.copy()
        owned = exchange.ledger.balances[:TRADERS, 1:].copy()
        rows = [(t, i, g, s, limit, lots, i) for i, (t, g, s, limit, lots) in enumerate(wanted)]
        number += 2
        taken = handle(SubmitOrders(number - 1, round_, Orders.of_rows(rows)))
        cleared = handle(CloseRound(number, round_))
        assert isinstance(taken, OrdersTaken)
        assert isinstance(cleared, RoundCleared)
        # Who is frozen neither buys nor sells, and is told so by name.
        dealt = np.unique(np.concatenate([cleared.trades.buyer, cleared.trades.seller]))
        assert not frozen_now[dealt].any()
        refused = {key[0] for key, why in taken.reasons.items() if why == Rejection.FROZEN}
        assert refused == {t for t, *_ in wanted if frozen_now[t]}
        now = exchange.ledger.balances[:TRADERS, 1:]
        grown = (now > owned) & (cap_now > 0)[:, None]
        if not continuous:
            assert (now <= cap_now[:, None])[grown].all()
        assert not exchange.ledger.balances.sum(axis=0).any()
    # The same commands, written and read, come to the same state; so does a snapshot.
    again = opened(config)
    for command in told:
        again.handle(from_record(to_record(command)))
    assert again.state_hash() == exchange.state_hash()
    third = opened(config)
    third.restore(exchange.snapshot())
    assert third.state_hash() == exchange.state_hash()


def test_a_market_in_which_nobody_was_restricted_hashes_as_before() -> None:
    exchange = opened(MarketConfig())
    before = exchange.state_hash()
    exchange.handle(Restrict(20, "case", np.array([1]), 5, 3))
    assert exchange.state_hash() != before
    exchange.handle(Restrict(21, "pardon", np.array([1]), 0, 0))
    exchange.last_number = 3
    assert exchange.state_hash() == before


@pytest.mark.parametrize("trader", [-1, TRADERS, 2**40])
def test_nobody_who_is_not_there_is_restricted(trader: int) -> None:
    with pytest.raises(LedgerError, match="trader"):
        opened(MarketConfig()).handle(Restrict(20, "case", np.array([trader]), 5, 3))
