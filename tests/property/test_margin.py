"""Margin accounts against a model in plain integers, and in the whole exchange: what is lent never goes missing."""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from swarm.config_file import resolve
from swarm.market.commands import CloseRound, SubmitOrders, Transfer
from swarm.market.config import MarketConfig
from swarm.market.events import OrdersTaken, Rejection, RoundCleared
from swarm.market.exchange import Exchange
from swarm.market.ledger import ISSUE, Ledger
from swarm.market.margin import ACCOUNTS, BANK, DEFAULTS, LENDER, MarginConfig, MarginDesk
from swarm.market.orders import BUY, SELL, Orders
from swarm.runtime.play import play
from swarm.simulation.market import Market

TRADERS, GOODS, TICK = 4, 2, 100
ASSETS = GOODS + 1


@dataclass
class Model:
    """The same rules, one trader and one unit at a time."""

    config: MarginConfig
    own: list[list[int]] = field(default_factory=lambda: [[0] * ASSETS for _ in range(TRADERS)])
    owe: list[list[int]] = field(default_factory=lambda: [[0] * ASSETS for _ in range(TRADERS)])
    pool: list[int] = field(default_factory=lambda: [5_000, 6, 6])
    taken: list[int] = field(default_factory=lambda: [0] * ASSETS)
    """What the lenders got beyond what they lent: goods to the bank, cash to the lender of goods."""
    lost: list[int] = field(default_factory=lambda: [0] * ASSETS)
    called: list[int] = field(default_factory=lambda: [0] * TRADERS)
    liquidating: list[bool] = field(default_factory=lambda: [False] * TRADERS)

    def standing(self, t: int, marks: list[int]) -> tuple[int, int]:
        owed = sum(x * m for x, m in zip(self.owe[t], marks, strict=True))
        return sum(x * m for x, m in zip(self.own[t], marks, strict=True)) - owed, owed

    def borrow(self, t: int, asset: int, amount: int, marks: list[int]) -> None:
        missing = amount - self.own[t][asset]
        equity, owed = self.standing(t, marks)
        enough = equity * 1_000 >= self.config.initial_permille * (owed + missing * marks[asset])
        if missing > 0 and enough and not self.called[t] and missing <= self.pool[asset]:
            self.own[t][asset] += missing
            self.owe[t][asset] += missing
            self.pool[asset] -= missing

    def end_round(self, round_: int, marks: list[int]) -> None:
        for t in range(TRADERS):
            for a in range(ASSETS):
                paid = min(self.own[t][a], self.owe[t][a])
                self.own[t][a] -= paid
                self.owe[t][a] -= paid
                self.pool[a] += paid
            self.owe[t][0] += self.standing(t, marks)[1] * self.config.interest_ppm // 1_000_000
            equity, owed = self.standing(t, marks)
            if owed > 0 and equity * 1_000 < self.config.maintenance_permille * owed:
                self.called[t] = self.called[t] or round_
                self.liquidating[t] = round_ - self.called[t] >= self.config.grace_rounds
            else:
                self.called[t], self.liquidating[t] = 0, False
            late = round_ - self.called[t] >= self.config.grace_rounds + self.config.liquidation_rounds
            if self.liquidating[t] and (late or not any(self.own[t])):
                self.settle(t, marks)

    def settle(self, t: int, marks: list[int]) -> None:
        for a in range(1, ASSETS):
            while self.own[t][a] and self.owe[t][0]:
                self.own[t][a] -= 1
                self.taken[a] += 1
                self.owe[t][0] -= min(marks[a], self.owe[t][0])
        for a in range(1, ASSETS):
            while self.owe[t][a] and self.own[t][0] >= marks[a]:
                self.own[t][0] -= marks[a]
                self.taken[0] += marks[a]
                self.owe[t][a] -= 1
        for a in range(ASSETS):
            self.lost[a] += self.owe[t][a]
            self.owe[t][a] = 0
        self.called[t], self.liquidating[t] = 0, False


class MarginAccounts(RuleBasedStateMachine):
    """Traders borrow, gain and lose, prices move, rounds end."""

    @initialize(
        initial=st.integers(1, 1_500),
        maintenance=st.integers(0, 1_000),
        interest=st.integers(0, 200_000),
        grace=st.integers(0, 2),
        patience=st.integers(1, 3),
    )
    def begin(self, initial: int, maintenance: int, interest: int, grace: int, patience: int) -> None:
        config = MarginConfig(
            initial_permille=initial,
            maintenance_permille=maintenance,
            interest_ppm=interest,
            grace_rounds=grace,
            liquidation_rounds=patience,
        )
        self.ledger = Ledger(TRADERS, 2 * ASSETS, (ISSUE, *ACCOUNTS))
        self.desk = MarginDesk(config, self.ledger, GOODS, TICK)
        self.model = Model(config)
        self.reference = np.array([3, 5])
        self.round = 0
        self.move(ISSUE, BANK, 0, 5_000)
        for asset in range(1, ASSETS):
            self.move(ISSUE, LENDER, asset, 6)

    def move(self, source: str | int, target: str | int, asset: int, amount: int) -> None:
        numbers = [np.array([self.ledger.account(x) if isinstance(x, str) else x]) for x in (source, target)]
        self.ledger.post(numbers[0], numbers[1], np.array([asset]), np.array([amount]))

    @property
    def marks(self) -> list[int]:
        return [1, *(self.reference * TICK).tolist()]

    @rule(trader=st.integers(0, TRADERS - 1), asset=st.integers(0, GOODS), amount=st.integers(1, 1_500))
    def earn(self, trader: int, asset: int, amount: int) -> None:
        amount = amount if asset == 0 else 1 + amount % 5
        self.move(ISSUE, trader, asset, amount)
        self.model.own[trader][asset] += amount

    @rule(trader=st.integers(0, TRADERS - 1), asset=st.integers(0, GOODS), share=st.integers(0, 4))
    def spend(self, trader: int, asset: int, share: int) -> None:
        amount = self.model.own[trader][asset] * share // 4
        self.move(trader, ISSUE, asset, amount)
        self.model.own[trader][asset] -= amount

    @rule(
        trader=st.integers(0, TRADERS - 1),
        asset=st.integers(0, GOODS),
        amount=st.integers(1, 3_000),
    )
    def borrow(self, trader: int, asset: int, amount: int) -> None:
        amount = amount if asset == 0 else 1 + amount % 8
        self.desk.lend_for(np.array([trader]), np.array([asset]), np.array([amount]), self.reference)
        self.model.borrow(trader, asset, amount, self.marks)

    @rule(prices=st.tuples(st.integers(1, 12), st.integers(1, 12)))
    def move_prices(self, prices: tuple[int, int]) -> None:
        self.reference = np.array(prices)

    @rule()
    def end_round(self) -> None:
        self.round += 1
        before = self.wealth()
        self.desk.end_round(self.round, self.reference)
        self.model.end_round(self.round, self.marks)
        assert self.wealth() == before

    def wealth(self) -> list[int]:
        """Cash and goods of all but ISSUE, which the desk may only move about."""
        rows = [row for row in range(len(self.ledger.balances)) if row != self.ledger.account(ISSUE)]
        total: list[int] = self.ledger.balances[rows, :ASSETS].sum(axis=0).tolist()
        return total

    @invariant()
    def agrees(self) -> None:
        if not hasattr(self, "desk"):
            return
        self.ledger.check("a step")
        assert self.desk.owned.tolist() == self.model.own
        assert self.desk.owed.tolist() == self.model.owe
        assert self.desk.called_round.tolist() == self.model.called
        assert (self.desk.liquidating > 0).tolist() == self.model.liquidating
        balances = self.ledger.balances
        assert balances[self.ledger.account(DEFAULTS), ASSETS:].tolist() == self.model.lost
        bank, lender = balances[self.ledger.account(BANK)], balances[self.ledger.account(LENDER)]
        assert int(bank[0]) == self.model.pool[0]
        assert lender[1:ASSETS].tolist() == self.model.pool[1:]
        assert [int(lender[0]), *bank[1:ASSETS].tolist()] == self.model.taken


TestMarginAccounts = MarginAccounts.TestCase
TestMarginAccounts.settings = settings(stateful_step_count=40)


def market(**margin: Any) -> Exchange:
    config = MarketConfig(margin=MarginConfig(**margin), drift_permille=0)
    exchange = Exchange(config, 3, np.array([10]), (ISSUE, *ACCOUNTS))
    ledger = exchange.ledger
    everybody = np.array([ledger.account(ISSUE)] * 4)
    target = np.array([0, 1, ledger.account(BANK), ledger.account(LENDER)])
    amounts = np.array([10_000, 50, 1_000_000, 100])
    exchange.handle(Transfer(1, "start", everybody, target, np.array([0, 1, 0, 1]), amounts))
    return exchange


def orders(*rows: tuple[int, int, int, int]) -> Orders:
    """Orders of (trader, side, limit, lots) for the only good."""
    trader, side, limit, lots = (np.array(column, dtype=np.int64) for column in zip(*rows, strict=True))
    zeros = np.zeros(len(rows), dtype=np.int64)
    return Orders(trader, zeros, zeros, side, limit, lots, zeros)


def one_round(exchange: Exchange, round_: int, *rows: tuple[int, int, int, int]) -> tuple[OrdersTaken, RoundCleared]:
    number = exchange.last_number
    batch = orders(*rows) if rows else Orders.empty()
    taken = exchange.handle(SubmitOrders(number + 1, round_, batch))
    cleared = exchange.handle(CloseRound(number + 2, round_))
    assert isinstance(taken, OrdersTaken)
    assert isinstance(cleared, RoundCleared)
    return taken, cleared


def test_a_purchase_on_margin_a_crash_and_a_liquidation_through_the_market() -> None:
    exchange = market(initial_permille=500, maintenance_permille=250, interest_ppm=0, grace_rounds=1)
    desk = exchange.margin
    assert desk is not None
    # Equity of 10,000 allows 20,000 of debt: 30 lots at 10 pebbles for 10 pebbles of own cash in each.
    taken, _ = one_round(exchange, 1, (0, BUY, 10, 30), (1, SELL, 10, 30))
    assert taken.accepted == 2
    assert desk.owned[0].tolist() == [0, 30]
    assert desk.owed[0].tolist() == [20_000, 0]
    # The price falls to 7: 21,000 of goods for 20,000 of debt is less than the 25% that must be kept.
    exchange.reference_ticks = np.array([7])
    _, cleared = one_round(exchange, 2)
    assert cleared.margin is not None
    assert cleared.margin.called.tolist() == [0]
    # Who is called cannot borrow; a round later the desk sells what there is to whoever bids.
    _, cleared = one_round(exchange, 3)
    assert cleared.margin is not None
    assert cleared.margin.liquidating.tolist() == [0]
    taken, cleared = one_round(exchange, 4, (0, SELL, 20, 1), (1, BUY, 6, 50))
    assert taken.rejected_reason == (Rejection.LIQUIDATED,)
    assert cleared.trades.quantity_lots.sum() == 30
    assert cleared.margin is not None
    # 30 lots at 6 pebbles bring 18,000 of the 20,000; what is left is written off.
    assert cleared.margin.written_off.tolist() == [[2_000, 0]]
    assert desk.owed.tolist() == [[0, 0]] * 3
    assert desk.owned[0].tolist() == [0, 0]
    ledger = exchange.ledger
    assert int(ledger.balances[ledger.account(BANK), 0]) == 1_000_000 - 2_000
    assert int(ledger.balances[ledger.account(DEFAULTS), 2]) == 2_000


def test_a_short_sale_is_bought_back_by_the_seller_or_by_the_desk() -> None:
    exchange = market(initial_permille=500, maintenance_permille=400, interest_ppm=0, grace_rounds=0)
    desk = exchange.margin
    assert desk is not None
    exchange.handle(
        Transfer(
            2, "cash", np.array([exchange.ledger.account(ISSUE)]), np.array([2]), np.array([0]), np.array([90_000])
        )
    )
    one_round(exchange, 1, (0, SELL, 10, 20), (2, BUY, 10, 20))
    assert desk.owned[0].tolist() == [30_000, 0]
    assert desk.owed[0].tolist() == [0, 20]
    # Bought back by itself: half of them.
    one_round(exchange, 2, (0, BUY, 11, 10), (1, SELL, 11, 10))
    assert desk.owed[0].tolist() == [0, 10]
    # The price doubles, the desk buys the rest back.
    exchange.reference_ticks = np.array([15])
    _, cleared = one_round(exchange, 3)
    assert cleared.margin is not None
    assert cleared.margin.liquidating.tolist() == [0]
    one_round(exchange, 4, (1, SELL, 15, 10))
    # It could be sure to pay for six at up to twice the price; with four left to buy, the margin is restored.
    assert desk.owed[0].tolist() == [0, 4]
    assert desk.owned[0].tolist() == [10_000, 0]
    assert desk.called_round.tolist() == [0, 0, 0]


def test_where_the_bank_is_short_the_lowest_priority_is_lent_to_first_whatever_its_number() -> None:
    for first in (0, 1, 2):
        exchange = Exchange(
            MarketConfig(margin=MarginConfig(initial_permille=1), drift_permille=0),
            4,
            np.array([10]),
            (ISSUE, *ACCOUNTS),
        )
        ledger = exchange.ledger
        issue, everybody = np.full(5, ledger.account(ISSUE)), np.array([0, 1, 2, 3, ledger.account(BANK)])
        amounts = np.array([1_000, 1_000, 1_000, 90, 9_000])
        exchange.handle(Transfer(1, "start", issue, everybody, np.array([0, 0, 0, 1, 0]), amounts))
        batch = orders((0, BUY, 10, 10), (1, BUY, 10, 10), (2, BUY, 10, 10))
        priority = np.array([5, 5, 5])
        priority[first] = 1
        taken = exchange.handle(SubmitOrders(2, 1, replace(batch, priority=priority)))
        assert isinstance(taken, OrdersTaken)
        # The bank has what one of the three lacks.
        assert taken.accepted == 1
        assert sorted({0, 1, 2} - set(taken.rejected_trader.tolist())) == [first]


def test_without_margin_such_orders_are_refused() -> None:
    exchange = Exchange(MarketConfig(), 2, np.array([10]), (ISSUE,))
    taken, cleared = one_round(exchange, 1, (0, BUY, 10, 1), (1, SELL, 10, 1))
    assert taken.rejected_reason == (Rejection.INSUFFICIENT_CASH, Rejection.INSUFFICIENT_GOODS)
    assert cleared.margin is None


@pytest.mark.parametrize("mechanism", ["call", "continuous"])
def test_a_wood_with_margin_accounts_conserves_everything(mechanism: str) -> None:
    shocks = [{"kind": "mania", "round": 2, "rounds": 4, "good": "acorns", "size_permille": 900}]
    config = {
        "seed": 3,
        "rounds": 25,
        "population": 20,
        "traders": {"minds": {"zip": 1, "zi_c": 1}},
        "scenario": {"name": "wood", "start_pebbles": 30, "shocks": shocks},
        "market": {"mechanism": mechanism, "margin": {"interest_ppm": 20_000}},
    }
    played = play(resolve(config))
    summary, [market] = played.summary, played.markets
    assert isinstance(market, Market)
    assert not any(flow["unexplained"] for flow in summary["conservation"].values())
    assert market.exchange.margin is not None
