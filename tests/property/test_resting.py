"""Orders that stay in the book, against a model in plain loops: who trades, who leaves and why, and what is on hold."""

from collections import Counter
from dataclasses import dataclass, replace

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from swarm.market.commands import CloseRound, Command, SubmitOrders, Transfer, from_record, to_record
from swarm.market.config import MarketConfig, Mechanism
from swarm.market.events import Event, OrdersTaken, Rejection, RoundCleared
from swarm.market.exchange import Exchange
from swarm.market.ledger import CASH, ISSUE
from swarm.market.margin import ACCOUNTS, BANK, LENDER, MarginConfig
from swarm.market.orders import BUY, CANCEL, IMMEDIATE_OR_CANCEL, LIMIT, REPLACE, SELL, Orders
from swarm.market.resting import RestingReport

TRADERS, GOODS, MAX_PRICE = 3, 2, 12
MECHANISMS: tuple[Mechanism, ...] = ("continuous", "call")
"""The second good is there to show that nothing of it stays."""


@dataclass
class Order:
    """One order as the model keeps it; `round` is the one in which it came."""

    trader: int
    sequence: int
    good: int
    side: int
    limit: int
    lots: int
    priority: int
    kind: int = LIMIT
    target: int = 0
    good_through: int = 0
    target_round: int = 0
    round: int = 0
    dead: bool = False


class Model:
    """The book of the continuous good: a list, oldest first, which every newcomer is held against."""

    def __init__(self, config: MarketConfig) -> None:
        self.config = config
        self.own = Counter[tuple[int, int]]()
        self.book: list[Order] = []
        self.new: list[Order] = []
        self.reference = [6] * GOODS
        self.halted_through = [0] * GOODS
        self.taken_off = Counter[str]()

    def need(self, order: Order) -> tuple[tuple[int, int], int]:
        if order.side == BUY:
            return (order.trader, CASH), order.limit * self.config.tick_cents * order.lots
        return (order.trader, order.good + 1), order.lots

    def held(self) -> Counter[tuple[int, int]]:
        held = Counter[tuple[int, int]]()
        for order in (*self.book, *self.new):
            if order.kind != CANCEL:
                account, amount = self.need(order)
                held[account] += amount
        return +held

    def within(self, order: Order) -> bool:
        band, reference = self.config.band_permille, self.reference[order.good]
        return band is None or abs(order.limit - reference) * 1_000 <= band * reference

    def submit(self, round_: int, orders: list[Order]) -> list[Rejection]:
        refused = []
        for order in sorted(orders, key=lambda o: (o.trader, o.sequence)):
            takes_back = order.kind == CANCEL and order.target_round > 0
            account, amount = self.need(order)
            if order.kind != CANCEL and not self.within(order):
                refused.append(Rejection.OUTSIDE_BAND)
            elif 0 < order.good_through < round_:
                refused.append(Rejection.EXPIRED)
            elif self.halted_through[order.good] >= round_ and not takes_back:
                refused.append(Rejection.HALTED)
            elif order.kind != CANCEL and amount > self.own[account] - self.held()[account]:
                refused.append(Rejection.INSUFFICIENT_CASH if order.side == BUY else Rejection.INSUFFICIENT_GOODS)
            else:
                self.new.append(order)
        return refused

    def transfer(self, trader: int, asset: int, amount: int) -> None:
        """Take or give; what then cannot be covered leaves the book, the newest order first."""
        self.own[trader, asset] += amount
        while self.held()[trader, asset] > self.own[trader, asset]:
            mine = [i for i, o in enumerate(self.book) if self.need(o)[0] == (trader, asset)]
            del self.book[max(mine, key=lambda i: (self.book[i].round, i))]
            self.taken_off["uncovered"] += 1

    def close(self, round_: int) -> tuple[list[tuple[int, int, int, int]], RestingReport]:
        """The trades as (price, lots, buyer, seller), and what became of the book."""
        gone, self.taken_off = self.taken_off, Counter()
        for reason, stays in (
            ("expired", lambda o: o.good_through >= round_),
            ("outside_band", self.within),
        ):
            gone[reason] += sum(not stays(order) for order in self.book)
            self.book = [order for order in self.book if stays(order)]
        arriving = sorted((o for o in self.new if o.good == 0), key=lambda o: (o.priority, o.trader, o.sequence))
        self.new = []
        rows = [*self.book, *arriving]
        halted = self.halted_through[0] >= round_
        trades: list[tuple[int, int, int, int]] = []
        tripped = False
        for index, order in enumerate(rows):
            if tripped:
                continue
            if order.kind in (CANCEL, REPLACE):
                old = self.named(rows[:index], order)
                if old is None:
                    order.dead = True
                    continue
                old.dead = True
            if order.kind == CANCEL:
                order.dead = True
            elif not halted:
                tripped = self.meet(order, [o for o in rows[:index] if not o.dead], trades)
            if order.kind == IMMEDIATE_OR_CANCEL:
                order.dead = True
        if tripped:
            self.halted_through[0] = round_ + self.config.halt_rounds
        self.book = []
        for order in rows:
            if order.dead or not order.lots or order.kind in (CANCEL, IMMEDIATE_OR_CANCEL):
                continue
            if not order.round:
                longest = round_ + self.config.rest_rounds
                order.good_through = min(order.good_through or longest, longest)
            elif order.good_through <= round_:
                gone["expired"] += 1
            if order.good_through > round_:
                self.book.append(replace(order, round=order.round or round_, kind=LIMIT, target=0, target_round=0))
        return trades, RestingReport(len(self.book), **+gone)

    def named(self, before: list[Order], naming: Order) -> Order | None:
        for old in before:
            same = (old.trader, old.sequence, old.round) == (naming.trader, naming.target, naming.target_round)
            if same and not old.dead and old.lots and old.kind != IMMEDIATE_OR_CANCEL:
                return old
        return None

    def meet(self, order: Order, others: list[Order], trades: list[tuple[int, int, int, int]]) -> bool:
        """Trade with the best of the other side while there is any; whether the circuit breaker trips."""
        while order.lots:
            crossing = [o for o in others if o.side != order.side and o.lots and not o.dead]
            crossing = [o for o in crossing if (order.limit - o.limit) * order.side >= 0]
            if not crossing:
                return False
            best = min(crossing, key=lambda o: o.limit * order.side)
            if best.trader == order.trader and self.config.self_trade != "none":
                (order if self.config.self_trade == "cancel_newest" else best).dead = True
                if order.dead:
                    return False
                continue
            lots = min(order.lots, best.lots)
            buyer, seller = (order, best) if order.side == BUY else (best, order)
            trades.append((best.limit, lots, buyer.trader, seller.trader))
            cents = best.limit * self.config.tick_cents * lots
            for trader, asset, amount in (
                (buyer.trader, 1, lots),
                (seller.trader, 1, -lots),
                (buyer.trader, CASH, -cents),
                (seller.trader, CASH, cents),
            ):
                self.own[trader, asset] += amount
            order.lots -= lots
            best.lots -= lots
            halt = self.config.halt_permille
            if halt is not None and abs(best.limit - self.reference[0]) * 1_000 > halt * self.reference[0]:
                return True
        return False


configs = st.builds(
    MarketConfig,
    tick_cents=st.just(1),
    max_price_ticks=st.just(MAX_PRICE),
    max_orders_per_round=st.just(8),
    self_trade=st.sampled_from(["none", "cancel_newest", "cancel_oldest"]),
    band_permille=st.sampled_from([None, None, 500]),
    halt_permille=st.sampled_from([None, None, 300]),
    halt_rounds=st.integers(1, 2),
    rest_rounds=st.integers(1, 4),
)
orders = st.builds(
    Order,
    trader=st.integers(0, TRADERS - 1),
    sequence=st.integers(0, 3),
    good=st.sampled_from([0, 0, 0, 1]),
    side=st.sampled_from([BUY, SELL]),
    limit=st.integers(3, 9),
    lots=st.integers(1, 5),
    priority=st.integers(0, 2),
    kind=st.sampled_from([LIMIT, LIMIT, LIMIT, LIMIT, IMMEDIATE_OR_CANCEL]),
)
lives = st.sampled_from([None, None, -1, 0, 1, 2, 9])


class BookMachine(RuleBasedStateMachine):
    """Orders come with and without an expiry, rest, are taken back and replaced rounds later, or lose their cover."""

    @initialize(config=configs)
    def start(self, config: MarketConfig) -> None:
        self.exchange, self.twin = (Exchange(config, TRADERS, np.array([6, 6]), (ISSUE,), MECHANISMS) for _ in range(2))
        self.model = Model(config)
        self.round = 1
        for trader in range(TRADERS):
            self.give(trader, CASH, 300)
            self.give(trader, 1, 30)

    def send(self, command: Command) -> Event:
        self.twin.handle(from_record(to_record(command)))
        return self.exchange.handle(command)

    @property
    def number(self) -> int:
        return self.exchange.last_number + 1

    @rule(
        wishes=st.lists(st.tuples(orders, lives), max_size=8, unique_by=lambda w: (w[0].trader, w[0].sequence)),
        back=st.lists(st.tuples(st.integers(0, 20), st.sampled_from([CANCEL, REPLACE]), st.integers(3, 9)), max_size=2),
        rounds=st.sampled_from([1, 1, 1, 1, 2]),
    )
    def trade(self, wishes: list[tuple[Order, int | None]], back: list[tuple[int, int, int]], rounds: int) -> None:
        """A whole round; some of its orders take back or replace what has been in the book for a while."""
        batch = [replace(o, good_through=0 if life is None else self.round + life) for o, life in wishes]
        for nth, (which, kind, limit) in enumerate(back):
            if self.model.book:
                old = self.model.book[which % len(self.model.book)]
                batch.append(
                    replace(
                        old,
                        sequence=4 + nth,
                        limit=limit,
                        priority=0,
                        kind=kind,
                        target=old.sequence,
                        target_round=old.round,
                        good_through=0,
                        round=0,
                    )
                )
        self.submit(batch)
        self.close()
        self.round += rounds - 1

    def submit(self, batch: list[Order]) -> None:
        expected = self.model.submit(self.round, [replace(order) for order in batch])
        names = ("trader", "sequence", "good", "side", "limit", "lots", "priority", "kind", "target", "good_through")
        columns = [np.array([getattr(o, name) for o in batch], dtype=np.int64) for name in (*names, "target_round")]
        event = self.send(SubmitOrders(self.number, self.round, Orders(*columns)))
        assert isinstance(event, OrdersTaken)
        assert list(event.rejected_reason) == expected

    def close(self) -> None:
        trades, report = self.model.close(self.round)
        event = self.send(CloseRound(self.number, self.round))
        assert isinstance(event, RoundCleared)
        table = (event.trades.price_ticks, event.trades.quantity_lots, event.trades.buyer, event.trades.seller)
        rows = list(zip(event.trades.good.tolist(), *(column.tolist() for column in table), strict=True))
        assert [row[1:] for row in rows if row[0] == 0] == trades, (trades, rows)
        assert event.resting == report
        # How a reference price drifts, and what a call comes to, other tests say.
        self.model.reference = self.exchange.reference_ticks.tolist()
        if 1 in event.halted:
            self.model.halted_through[1] = self.round + self.exchange.config.halt_rounds
        for _, price, lots, buyer, seller in (row for row in rows if row[0] == 1):
            for trader, sign in ((buyer, 1), (seller, -1)):
                self.model.own[trader, 2] += sign * lots
                self.model.own[trader, CASH] -= sign * lots * price
        self.round += 1

    @rule(trader=st.integers(0, TRADERS - 1), asset=st.integers(0, GOODS), share=st.integers(0, 4))
    def lose(self, trader: int, asset: int, share: int) -> None:
        """What a scenario does between rounds: it takes, whatever is on hold."""
        self.give(trader, asset, -(self.model.own[trader, asset] * share // 4))

    @rule(trader=st.integers(0, TRADERS - 1), asset=st.integers(0, GOODS), amount=st.integers(0, 20))
    def give(self, trader: int, asset: int, amount: int) -> None:
        self.model.transfer(trader, asset, amount)
        issue = self.exchange.ledger.account(ISSUE)
        source, target = (issue, trader) if amount >= 0 else (trader, issue)
        columns = (np.array([value]) for value in (source, target, asset, abs(amount)))
        self.send(Transfer(self.number, "life", *columns))

    @rule()
    def restart(self) -> None:
        """The twin goes on from a snapshot."""
        config = self.exchange.config
        self.twin = Exchange(config, TRADERS, np.array([1, 1]), (ISSUE,), MECHANISMS)
        self.twin.restore(self.exchange.snapshot())

    @invariant()
    def agrees(self) -> None:
        if not hasattr(self, "round"):
            return
        ledger, model = self.exchange.ledger, self.model
        cells = [(trader, asset) for trader in range(TRADERS) for asset in range(GOODS + 1)]
        held = model.held()
        assert [int(ledger.balances[cell]) for cell in cells] == [model.own[cell] for cell in cells]
        assert [int(ledger.held[cell]) for cell in cells] == [held[cell] for cell in cells]
        assert self.twin.state_hash() == self.exchange.state_hash()


TestBook = BookMachine.TestCase
TestBook.settings = settings(stateful_step_count=20)


def market(traders: int = 3, **changes: object) -> Exchange:
    config = MarketConfig.model_validate({"mechanism": "continuous", "rest_rounds": 3, "drift_permille": 0} | changes)
    made = Exchange(config, traders, np.array([10]), (ISSUE, *ACCOUNTS))
    account = made.ledger.account
    rows = [(trader, CASH, 100_000) for trader in range(traders)] + [(trader, 1, 20) for trader in range(traders)]
    rows += [(account(BANK), CASH, 1_000_000), (account(LENDER), 1, 100)]
    target, asset, amount = (np.array(column) for column in zip(*rows, strict=True))
    made.handle(Transfer(1, "start", np.full(len(rows), account(ISSUE)), target, asset, amount))
    return made


def play(made: Exchange, round_: int, *rows: tuple[int, ...]) -> RoundCleared:
    """A round of orders of (trader, sequence, side, limit, lots, kind, target, good through, target round)."""
    full = [(t, s, 0, side, limit, lots, s, *rest, *[0] * (4 - len(rest))) for t, s, side, limit, lots, *rest in rows]
    columns = [np.array(column, dtype=np.int64) for column in zip(*full, strict=True)]
    taken = made.handle(SubmitOrders(made.last_number + 1, round_, Orders(*columns) if rows else Orders.empty()))
    assert isinstance(taken, OrdersTaken)
    assert taken.rejected_reason == ()
    cleared = made.handle(CloseRound(made.last_number + 1, round_))
    assert isinstance(cleared, RoundCleared)
    return cleared


def test_an_order_rests_trades_first_at_its_price_and_expires() -> None:
    made = market()
    first = play(made, 1, (0, 0, SELL, 12, 5))
    assert first.resting == RestingReport(resting=1)
    assert int(made.ledger.held[0, 1]) == 5
    # It is older than any order of the second round, and sets the price.
    second = play(made, 2, (1, 0, SELL, 12, 5), (2, 1, BUY, 15, 3))
    assert second.trades.seller.tolist() == [0]
    assert second.trades.price_ticks.tolist() == [12]
    assert int(made.ledger.held[0, 1]) == 2
    play(made, 3)
    assert play(made, 4).resting == RestingReport(resting=1, expired=1)
    assert not made.ledger.held[0].any()


def test_an_order_may_count_for_less_time_than_the_market_allows() -> None:
    made = market()
    cleared = play(made, 1, (0, 0, SELL, 12, 5, LIMIT, 0, 1), (0, 1, SELL, 13, 5, LIMIT, 0, 2), (1, 0, SELL, 12, 5))
    assert cleared.resting == RestingReport(resting=2)
    assert play(made, 2).resting == RestingReport(resting=1, expired=1)


def test_an_order_is_taken_back_and_replaced_in_a_later_round_by_its_owner_alone() -> None:
    made = market()
    play(made, 1, (0, 0, SELL, 12, 5), (1, 0, SELL, 13, 5))
    # Trader 2 has no such order; a CANCEL without the round means one of this round.
    cleared = play(made, 2, (2, 0, SELL, 0, 0, CANCEL, 0, 0, 1), (0, 1, SELL, 0, 0, CANCEL, 0))
    assert cleared.resting == RestingReport(resting=2)
    cleared = play(made, 3, (0, 0, SELL, 0, 0, CANCEL, 0, 0, 1), (1, 1, SELL, 11, 2, REPLACE, 0, 0, 1))
    assert cleared.resting == RestingReport(resting=1)
    assert made.ledger.held[:2, 1].tolist() == [0, 2]
    cleared = play(made, 4, (2, 0, BUY, 12, 1))
    assert cleared.trades.price_ticks.tolist() == [11]


def test_what_rests_can_be_taken_back_while_its_good_is_halted_and_trades_when_that_is_over() -> None:
    made = market(halt_permille=300, halt_rounds=2)
    cleared = play(made, 1, (0, 0, SELL, 15, 1), (1, 1, BUY, 15, 1), (0, 2, SELL, 15, 2), (1, 3, BUY, 15, 2))
    assert cleared.halted == (0,)
    assert cleared.resting == RestingReport(resting=2)
    assert len(play(made, 2).trades.good) == 0
    cleared = play(made, 3, (1, 0, SELL, 0, 0, CANCEL, 3, 0, 1))
    assert cleared.resting == RestingReport(resting=1)
    assert play(made, 4, (2, 0, BUY, 15, 9)).trades.quantity_lots.tolist() == [2]


def test_a_margin_account_repays_out_of_what_is_not_on_hold() -> None:
    made = market(margin=MarginConfig(interest_ppm=0))
    desk = made.margin
    assert desk is not None
    # 120,000 cents of goods on 100,000 of cash: 20,000 are lent, and 5,000 of what comes in then are on hold.
    play(made, 1, (1, 0, SELL, 60, 20), (0, 0, BUY, 60, 20))
    assert desk.owed[0].tolist() == [20_000, 0]
    play(made, 2, (2, 0, BUY, 60, 2), (0, 0, SELL, 60, 2), (0, 1, BUY, 10, 5))
    # The bid borrowed what it is held for, before anything came in.
    assert desk.owed[0].tolist() == [13_000, 0]
    assert int(made.ledger.held[0, CASH]) == 5_000
    assert desk.owned[0].tolist() == [5_000, 38]


def test_orders_of_a_margin_account_leave_the_book_when_it_is_liquidated() -> None:
    made = market(margin=MarginConfig(grace_rounds=0, interest_ppm=0, maintenance_permille=900))
    assert made.margin is not None
    play(made, 1, (1, 0, SELL, 60, 20), (0, 0, BUY, 60, 20), (0, 1, SELL, 90, 25))
    made.reference_ticks = np.array([8])
    # 32,000 of goods for 20,000 of debt are too little.
    cleared = play(made, 2)
    assert cleared.margin is not None
    assert cleared.margin.liquidating.tolist() == [0]
    assert cleared.resting == RestingReport(resting=1)
    cleared = play(made, 3, (2, 0, BUY, 8, 50))
    assert cleared.resting == RestingReport(resting=1, liquidated=1)
    # All that it has is sold, and its debt paid.
    assert cleared.trades.quantity_lots.tolist() == [40]
    assert made.margin.owed[0].tolist() == [0, 0]
    assert made.ledger.held[0].tolist() == [0, 0, 0, 0]
