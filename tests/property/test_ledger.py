"""The ledger conserves every asset under any postings, and stops the run when an invariant is broken."""

from collections.abc import Callable
from time import process_time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarm.errors import LedgerError
from swarm.market.commands import SubmitOrders, Transfer
from swarm.market.config import MarketConfig
from swarm.market.exchange import Exchange
from swarm.market.ledger import CASH, ISSUE, Ledger, add_at
from swarm.market.orders import BUY, Orders

TRADERS, ASSETS = 3, 2
NAMED = (ISSUE, "sink")
ISSUE_ACCOUNT = TRADERS

accounts = st.integers(0, TRADERS + len(NAMED) - 1)
postings = st.lists(st.tuples(accounts, accounts, st.integers(0, ASSETS - 1), st.integers(0, 10**9)), max_size=20)


def endowed() -> Ledger:
    """Everybody has 100 of everything."""
    ledger = Ledger(TRADERS, ASSETS, NAMED)
    for asset in range(ASSETS):
        post(ledger, *[(ISSUE_ACCOUNT, trader, asset, 100) for trader in range(TRADERS)])
    return ledger


def post(ledger: Ledger, *rows: tuple[int, int, int, int]) -> None:
    ledger.post(*columns(rows))


def columns(rows: tuple[tuple[int, int, int, int], ...]) -> list[np.ndarray]:
    return list(np.array(rows, dtype=np.int64).reshape(len(rows), 4).T.copy())


def one(number: int) -> np.ndarray:
    return np.array([number])


@given(postings)
def test_the_sum_of_each_asset_is_zero_after_any_postings(rows: list[tuple[int, int, int, int]]) -> None:
    ledger = endowed()
    post(ledger, *rows)
    assert ledger.balances.sum(axis=0).tolist() == [0] * ASSETS
    expected = np.zeros((TRADERS + len(NAMED), ASSETS), dtype=np.int64)
    expected[:TRADERS] = 100
    expected[ISSUE_ACCOUNT] = -100 * TRADERS
    for source, target, asset, amount in rows:
        expected[source, asset] -= amount
        expected[target, asset] += amount
    assert ledger.balances.tolist() == expected.tolist()


@given(postings)
def test_the_check_passes_just_if_nobody_but_the_issue_is_below_zero(rows: list[tuple[int, int, int, int]]) -> None:
    ledger = endowed()
    post(ledger, *rows)
    if (np.delete(ledger.balances, ISSUE_ACCOUNT, axis=0) < 0).any():
        with pytest.raises(LedgerError, match="is below zero"):
            ledger.check("these postings")
    else:
        ledger.check("these postings")


def test_a_released_hold_is_available_again() -> None:
    ledger = endowed()
    ledger.hold(one(1), one(CASH), one(70))
    assert ledger.available(np.arange(TRADERS), CASH).tolist() == [100, 30, 100]
    ledger.hold(np.array([1, 1]), np.array([CASH, 1]), np.array([30, 5]))
    ledger.check("two holds")
    assert ledger.available(one(1), CASH).tolist() == [0]
    ledger.release(np.array([1, 1]), np.array([CASH, CASH]), np.array([70, 30]))
    assert ledger.available(one(1), CASH).tolist() == [100]
    assert ledger.held[1].tolist() == [0, 5]


def hold_and_spend(ledger: Ledger) -> None:
    ledger.hold(one(2), one(1), one(60))
    post(ledger, (2, 0, 1, 60))


BREAKS: dict[str, tuple[Callable[[Ledger], object], str]] = {
    "a trader spends more than it has": (lambda ledger: post(ledger, (0, 1, CASH, 101)), "account 0 is below zero"),
    "a sink pays out": (lambda ledger: post(ledger, (TRADERS + 1, 1, CASH, 1)), "account 4 is below zero"),
    "a balance grows behind its back": (
        lambda ledger: ledger.balances.__setitem__((1, 1), 101),
        r"the sum over all accounts is \[0, 1\], not zero",
    ),
    "a balance shrinks behind its back": (
        lambda ledger: ledger.balances.__setitem__((1, 0), 99),
        r"the sum over all accounts is \[-1, 0\], not zero",
    ),
    "money is made of goods": (
        lambda ledger: ledger.balances.__setitem__(1, [99, 101]),
        r"the sum over all accounts is \[-1, 1\], not zero",
    ),
    "a hold is larger than its balance": (lambda ledger: ledger.hold(one(2), one(1), one(101)), "a hold is negative"),
    "what is held is spent": (hold_and_spend, "a hold is negative or larger"),
    "a hold is released twice": (lambda ledger: ledger.release(one(2), one(1), one(1)), "a hold is negative"),
    "the issue is held": (lambda ledger: ledger.hold(one(ISSUE_ACCOUNT), one(0), one(1)), "a hold is negative or"),
}


@pytest.mark.parametrize("case", BREAKS)
def test_a_broken_invariant_is_an_error_that_says_after_what(case: str) -> None:
    deed, message = BREAKS[case]
    ledger = endowed()
    ledger.check("nothing")
    deed(ledger)
    with pytest.raises(LedgerError, match=message) as error:
        ledger.check("command 7")
    assert "after command 7" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_negative_amount_is_not_posted() -> None:
    ledger = endowed()
    before = ledger.balances.copy()
    with pytest.raises(LedgerError, match="negative"):
        post(ledger, (0, 1, CASH, 5), (1, 0, CASH, -1))
    assert ledger.balances.tolist() == before.tolist()


@pytest.mark.parametrize("row", [(-1, 0, 0, 1), (0, -1, 0, 1), (5, 0, 0, 1), (0, 5, 0, 1), (0, 1, -1, 1), (0, 1, 2, 1)])
def test_a_posting_to_no_account_or_of_no_asset_is_refused(row: tuple[int, int, int, int]) -> None:
    ledger = endowed()
    before = ledger.balances.copy()
    with pytest.raises(LedgerError, match=r"posting.*does not exist"):
        post(ledger, (0, 1, CASH, 5), row)
    assert ledger.balances.tolist() == before.tolist()


def test_a_ledger_has_an_issue() -> None:
    with pytest.raises(ValueError, match="needs the account 'issue'"):
        Ledger(2, 2, ("sink",))


def exchange() -> Exchange:
    market = Exchange(MarketConfig(tick_cents=1), TRADERS, np.array([5]), NAMED)
    rows = tuple((ISSUE_ACCOUNT, trader, asset, 100) for trader in range(TRADERS) for asset in range(ASSETS))
    market.handle(Transfer(1, "endowment", *columns(rows)))
    return market


def test_an_exchange_stops_at_a_transfer_that_its_source_cannot_give() -> None:
    with pytest.raises(LedgerError, match=r"command 2 .*account 0"):
        exchange().handle(Transfer(2, "theft", *columns(((0, 1, CASH, 101),))))


def test_an_exchange_stops_at_a_transfer_of_what_an_order_holds() -> None:
    market = exchange()
    market.handle(SubmitOrders(2, 1, Orders(one(0), one(0), one(0), one(BUY), one(10), one(10), one(0))))
    with pytest.raises(LedgerError, match=r"command 3 .*hold"):
        market.handle(Transfer(3, "theft", *columns(((0, 1, CASH, 1),))))


def test_an_exchange_stops_at_the_next_command_after_a_balance_was_changed_behind_its_back() -> None:
    market = exchange()
    market.ledger.balances[0, 1] += 1
    with pytest.raises(LedgerError, match="not zero"):
        market.handle(Transfer(2, "nothing", *columns(())))


def test_amounts_out_of_a_message_are_added_as_fast_as_any_others() -> None:
    # What comes with an array in a message is a type of its own that equals int64.
    foreign = np.dtype(np.int64, copy=True)
    assert foreign is not np.dtype(np.int64)
    amount, row = np.arange(50_000) % 7, np.arange(50_000) % 500

    def fastest_s(kind: np.dtype[np.int64]) -> float:
        cells = np.zeros((500, 2), dtype=kind)
        values, rows = np.frombuffer(amount.tobytes(), dtype=kind), np.frombuffer(row.tobytes(), dtype=kind)
        taken: list[float] = []
        for _ in range(5):
            began = process_time()
            add_at(cells, rows, 1, values)
            taken.append(process_time() - began)
        assert cells[:, 1].tolist() == (5 * np.bincount(row, amount, 500)).astype(int).tolist()
        return min(taken)

    # Without care it is twenty times as long.
    assert fastest_s(foreign) < 4 * fastest_s(np.dtype(np.int64)) + 0.001
