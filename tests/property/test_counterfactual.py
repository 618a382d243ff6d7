"""Counterfactuals are what the exchange itself would have done, and asking them changes nothing."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from swarm.market.commands import CloseRound, SubmitOrders, Transfer
from swarm.market.config import MarketConfig
from swarm.market.counterfactual import Counterfactual
from swarm.market.exchange import Exchange
from swarm.market.ledger import CASH, ISSUE
from swarm.market.orders import BUY, SELL, Orders

TRADERS, GOODS = 5, 2
FIELDS = ("good", "price_ticks", "quantity_lots", "buyer", "seller")
ORDER = st.tuples(
    st.integers(0, TRADERS - 1), st.integers(0, GOODS - 1), st.sampled_from([BUY, SELL]), st.integers(60, 140),
    st.integers(1, 9),
)  # fmt: skip


def exchange() -> Exchange:
    found = Exchange(MarketConfig(), TRADERS, np.array([100, 100]), (ISSUE,))
    everybody = np.arange(TRADERS)
    for number, (asset, amount) in enumerate(((CASH, 500_000), (1, 20), (2, 20)), start=1):
        columns = np.full(TRADERS, TRADERS), everybody, np.full(TRADERS, asset), np.full(TRADERS, amount)
        found.handle(Transfer(number, "opening", *columns))
    return found


def columns(rows: list[tuple[int, int, int, int, int]], first: int = 0) -> Orders:
    """Orders of these traders, each with its trader's priority."""
    table = [
        (t, first + i, good, side, limit, lots, (t * 7919) % 31) for i, (t, good, side, limit, lots) in enumerate(rows)
    ]
    array = np.array(table, dtype=np.int64).reshape(len(table), 7)
    return Orders(*(array[:, c].copy() for c in range(7)))


@settings(max_examples=60, deadline=None)
@given(st.lists(ORDER, max_size=12), st.integers(0, TRADERS - 1), st.lists(ORDER, max_size=3))
def test_what_would_have_been_is_what_a_fresh_exchange_does(
    rows: list[tuple[int, int, int, int, int]], trader: int, others: list[tuple[int, int, int, int, int]]
) -> None:
    before = exchange()
    state = before.state_hash()
    orders, instead = columns(rows), columns([(trader, *row[1:]) for row in others])
    round_ = Counterfactual(before, 1, orders)
    had = round_.had(trader, instead)
    fresh = exchange()
    fresh.handle(SubmitOrders(4, 1, Orders.concatenate([orders.take(orders.trader != trader), instead])))
    fresh.handle(CloseRound(5, 1))
    assert (had.balances == fresh.ledger.balances[:TRADERS]).all()
    assert before.state_hash() == state
    # The same trades, for less work, in the goods that the orders are for.
    whole, alone = had.cleared.trades, round_.trades_had(trader, instead)
    mine = np.isin(whole.good, instead.good)
    assert [getattr(whole, f)[mine].tolist() for f in FIELDS] == [getattr(alone, f).tolist() for f in FIELDS]
    # Asked after that, a trader's own orders lead to what the round came to.
    own = orders.take(orders.trader == trader)
    as_it_was = exchange()
    as_it_was.handle(SubmitOrders(4, 1, Orders.concatenate([orders.take(orders.trader != trader), own])))
    as_it_was.handle(CloseRound(5, 1))
    assert (round_.had(trader, own).balances == as_it_was.ledger.balances[:TRADERS]).all()
