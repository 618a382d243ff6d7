"""The exchange against a model of it in plain dicts: random commands, nonsense among them, compared after every one."""

import random
from collections import Counter, defaultdict
from dataclasses import dataclass, fields, replace
from typing import Any

import msgpack
import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from swarm.market.commands import CloseRound, Command, MoveReference, SubmitOrders, Transfer, from_record, to_record
from swarm.market.config import MarketConfig
from swarm.market.events import (
    AssetsMoved,
    CommandIgnored,
    Event,
    OrdersTaken,
    ReferenceMoved,
    Rejection,
    RoundCleared,
)
from swarm.market.exchange import Exchange
from swarm.market.ledger import ISSUE
from swarm.market.orders import BUY, SELL, Orders

TRADERS = 4
GOODS = 2
NAMED = (ISSUE, "sink")
ISSUE_ACCOUNT, SINK = TRADERS, TRADERS + 1
EXTREME = (-(2**63), -1, 0, 2**31, 2**63 - 1)


@dataclass(frozen=True)
class Wish:
    """One order as the model sees it."""

    trader: int
    sequence: int
    good: int
    side: int
    limit_ticks: int
    quantity_lots: int
    priority: int


class Model:
    """What an exchange should do, written for reading: dicts, loops, and a price found by trying every tick."""

    def __init__(self, config: MarketConfig, reference: list[int]) -> None:
        self.config = config
        self.reference = reference
        self.balances: defaultdict[tuple[int, int], int] = defaultdict(int)
        self.held: defaultdict[tuple[int, int], int] = defaultdict(int)
        self.submitted: defaultdict[int, int] = defaultdict(int)
        self.closed = 0
        self.book: list[Wish] = []

    def move(self, source: int, target: int, asset: int, amount: int) -> None:
        self.balances[source, asset] -= amount
        self.balances[target, asset] += amount

    def need(self, order: Wish) -> tuple[int, int, int]:
        if order.side == BUY:
            return order.trader, 0, order.limit_ticks * self.config.tick_cents * order.quantity_lots
        return order.trader, order.good + 1, order.quantity_lots

    def available(self, account: int, asset: int) -> int:
        return self.balances[account, asset] - self.held[account, asset]

    def submit(self, round_: int, wishes: list[Wish]) -> list[tuple[int, int, Rejection]]:
        rejected, nth = [], Counter[int]()
        ordered = sorted(wishes, key=lambda w: (w.trader, w.sequence))
        earlier = dict(self.submitted)
        for index, wish in enumerate(ordered):
            doubled = index > 0 and (ordered[index - 1].trader, ordered[index - 1].sequence) == (
                wish.trader,
                wish.sequence,
            )
            reason = self.refusal(wish, round_, doubled or earlier.get(wish.trader, 0) >= round_, nth[wish.trader])
            nth[wish.trader] += 1
            if 0 <= wish.trader < TRADERS and round_ > self.closed:
                self.submitted[wish.trader] = max(self.submitted[wish.trader], round_)
            if reason:
                rejected.append((wish.trader, wish.sequence, reason))
            else:
                account, asset, amount = self.need(wish)
                self.held[account, asset] += amount
                self.book.append(wish)
        return rejected

    def refusal(self, wish: Wish, round_: int, duplicate: bool, nth: int) -> Rejection | None:
        if not 0 <= wish.trader < TRADERS:
            return Rejection.UNKNOWN_TRADER
        if round_ <= self.closed:
            return Rejection.STALE_ROUND
        if duplicate:
            return Rejection.DUPLICATE
        if not 0 <= wish.good < GOODS:
            return Rejection.UNKNOWN_GOOD
        if wish.side not in (BUY, SELL):
            return Rejection.BAD_SIDE
        if not 1 <= wish.limit_ticks <= self.config.max_price_ticks:
            return Rejection.BAD_PRICE
        if not 1 <= wish.quantity_lots <= self.config.max_quantity_lots:
            return Rejection.BAD_QUANTITY
        if nth >= self.config.max_orders_per_round:
            return Rejection.TOO_MANY_ORDERS
        account, asset, amount = self.need(wish)
        if amount > self.available(account, asset):
            return Rejection.INSUFFICIENT_CASH if wish.side == BUY else Rejection.INSUFFICIENT_GOODS
        return None

    def close(self, round_: int) -> list[dict[str, Any]]:
        """What happened to each good."""
        self.closed = max(self.closed, round_)
        # Priority decides at the margin, then the trader's number, then the order's.
        book, self.book = sorted(self.book, key=lambda w: (w.priority, w.trader, w.sequence)), []
        self.held.clear()
        return [self.clear(good, [w for w in book if w.good == good]) for good in range(GOODS)]

    def clear(self, good: int, book: list[Wish]) -> dict[str, Any]:
        def lots(side: int, price: int) -> int:
            return sum(w.quantity_lots for w in book if w.side == side and (w.limit_ticks - price) * side >= 0)

        def merit(price: int) -> tuple[int, int, int, int]:
            bid, asked = lots(BUY, price), lots(SELL, price)
            return min(bid, asked), -abs(bid - asked), -abs(price - self.reference[good]), -price

        price = max(range(1, self.config.max_price_ticks + 1), key=merit)
        volume = min(lots(BUY, price), lots(SELL, price))
        fills: Counter[tuple[int, int]] = Counter()
        left: dict[int, list[tuple[Wish, int]]] = {}
        for side in (BUY, SELL):
            given = self.ration([w for w in book if w.side == side], volume)
            left[side] = [(w, w.quantity_lots - got) for w, got in given if got < w.quantity_lots]
            for wish, got in given:
                fills[wish.trader, side] += got
                self.move(ISSUE_ACCOUNT, wish.trader, good + 1, side * got)
                self.move(wish.trader, ISSUE_ACCOUNT, 0, side * got * price * self.config.tick_cents)
        unmet = {side: sum(lots for _, lots in rows) for side, rows in left.items()}
        start = price if volume else self.reference[good]
        self.reference[good] = self.drifted(start, volume, unmet, left)
        return {"price": price if volume else 0, "volume": volume, "unmet": unmet, "fills": +fills}

    def ration(self, wishes: list[Wish], volume: int) -> list[tuple[Wish, int]]:
        """Give out `volume` lots, best price first, at one price by priority or in proportion."""
        given: list[tuple[Wish, int]] = []
        for limit in sorted({w.limit_ticks * -w.side for w in wishes}):
            level = [w for w in wishes if w.limit_ticks * -w.side == limit]
            offered = sum(w.quantity_lots for w in level)
            here = min(volume, offered)
            volume -= here
            if self.config.rationing == "priority":
                for wish in level:
                    got = min(wish.quantity_lots, here)
                    here -= got
                    given.append((wish, got))
                continue
            shares = [w.quantity_lots * here // offered for w in level]
            remainders = [w.quantity_lots * here % offered for w in level]
            for i in sorted(range(len(level)), key=lambda i: -remainders[i])[: here - sum(shares)]:
                shares[i] += 1
            given += zip(level, shares, strict=True)
        return given

    def drifted(self, start: int, volume: int, unmet: dict[int, int], left: dict[int, list[tuple[Wish, int]]]) -> int:
        """Towards the side with more lots left over, but not past the best limit that was left over there."""
        excess = unmet[BUY] - unmet[SELL]
        offered = 1_000 * max(2 * volume + unmet[BUY] + unmet[SELL], 1)
        step = -(-start * self.config.drift_permille * abs(excess) // offered)
        if excess > 0:
            return max(start, min(start + step, max(w.limit_ticks for w, _ in left[BUY])))
        if excess < 0:
            return min(start, max(start - step, min(w.limit_ticks for w, _ in left[SELL])))
        return start


class Pair:
    """An exchange, a twin that gets every command from its journal form, and the model beside them."""

    def __init__(self, config: MarketConfig, reference: list[int]) -> None:
        self.exchange, self.twin = (Exchange(config, TRADERS, np.array(reference), NAMED) for _ in range(2))
        self.model = Model(config, list(reference))
        self.sent: list[Command] = []

    def next_number(self) -> int:
        return self.exchange.last_number + 1

    def send(self, command: Command) -> Event:
        self.sent.append(command)
        self.twin.handle(from_record(msgpack.unpackb(msgpack.packb(to_record(command)))))
        return self.exchange.handle(command)

    def transfer(self, rows: list[tuple[int, int, int, int]], number: int) -> None:
        """Post (source, target, asset, amount), each amount cut to what the source can give."""
        postings = []
        for source, target, asset, wanted in rows:
            amount = wanted if source == ISSUE_ACCOUNT else min(wanted, self.model.available(source, asset))
            self.model.move(source, target, asset, amount)
            postings.append((source, target, asset, amount))
        columns = np.array(postings, dtype=np.int64).reshape(len(postings), 4).T.copy()
        event = self.send(Transfer(number, "some cause", *columns))
        assert event == AssetsMoved("some cause", len(rows))

    def submit(self, round_: int, wishes: list[Wish], number: int) -> None:
        rejected = self.model.submit(round_, wishes)
        columns = [np.array([getattr(w, f.name) for w in wishes], dtype=np.int64) for f in fields(Wish)]
        event = self.send(SubmitOrders(number, round_, Orders(*columns)))
        assert isinstance(event, OrdersTaken)
        named = zip(
            event.rejected_trader.tolist(), event.rejected_sequence.tolist(), event.rejected_reason, strict=True
        )
        assert list(named) == rejected
        assert (event.round, event.accepted) == (round_, len(wishes) - len(rejected))

    def close(self, round_: int, number: int) -> None:
        goods = self.model.close(round_)
        event = self.send(CloseRound(number, round_))
        assert isinstance(event, RoundCleared)
        assert event.round == round_
        assert event.clearing_ticks.tolist() == [g["price"] for g in goods]
        assert event.volume_lots.tolist() == [g["volume"] for g in goods]
        assert event.unfilled_buy_lots.tolist() == [g["unmet"][BUY] for g in goods]
        assert event.unfilled_sell_lots.tolist() == [g["unmet"][SELL] for g in goods]
        assert event.reference_ticks.tolist() == self.model.reference
        trades = event.trades
        for good, expected in enumerate(goods):
            fills: Counter[tuple[int, int]] = Counter()
            for row in np.flatnonzero(trades.good == good):
                lots = int(trades.quantity_lots[row])
                assert lots > 0
                assert trades.price_ticks[row] == expected["price"]
                fills[int(trades.buyer[row]), BUY] += lots
                fills[int(trades.seller[row]), SELL] += lots
            assert fills == expected["fills"]
        assert not self.exchange.ledger.held.any()
        assert trades.good.tolist() == sorted(trades.good.tolist())

    def move_reference(self, good: int, permille: int, number: int) -> None:
        moved = min(max(self.model.reference[good] * permille // 1_000, 1), self.model.config.max_price_ticks)
        self.model.reference[good] = moved
        event = self.send(MoveReference(number, "some cause", good, permille))
        assert event == ReferenceMoved("some cause", good, moved)

    def resend(self, index: int) -> None:
        command = self.sent[index % len(self.sent)]
        before = self.exchange.state_hash()
        assert self.exchange.handle(command) == CommandIgnored(command.number)
        assert self.exchange.state_hash() == before

    def check(self) -> None:
        ledger, model = self.exchange.ledger, self.model
        accounts = range(TRADERS + len(NAMED))
        assert ledger.balances.tolist() == [[model.balances[a, s] for s in range(GOODS + 1)] for a in accounts]
        assert ledger.held.tolist() == [[model.held[a, s] for s in range(GOODS + 1)] for a in accounts]
        assert not ledger.balances.sum(axis=0).any()
        everybody_else = np.delete(ledger.balances, ISSUE_ACCOUNT, axis=0)
        assert (everybody_else >= 0).all()
        assert (ledger.held >= 0).all()
        assert (np.delete(ledger.held, ISSUE_ACCOUNT, axis=0) <= everybody_else).all()
        assert self.exchange.reference_ticks.tolist() == model.reference
        assert self.twin.state_hash() == self.exchange.state_hash()


accounts = st.integers(0, TRADERS + len(NAMED) - 1)
good_wishes = st.builds(
    Wish,
    trader=st.integers(0, TRADERS - 1),
    sequence=st.integers(0, 2),
    good=st.integers(0, GOODS - 1),
    side=st.sampled_from([BUY, SELL]),
    limit_ticks=st.integers(1, 10),
    quantity_lots=st.integers(1, 5),
    priority=st.integers(0, 2),
)
any_number = st.integers(-2, 12) | st.sampled_from(EXTREME)
nonsense = st.builds(
    lambda wish, field, number: replace(wish, **{field: number}),
    good_wishes,
    st.sampled_from(["trader", "sequence", "good", "side", "limit_ticks", "quantity_lots"]),
    any_number,
)
configs = st.builds(
    MarketConfig,
    tick_cents=st.sampled_from([1, 7]),
    max_price_ticks=st.just(10),
    max_quantity_lots=st.sampled_from([4, 5]),
    max_orders_per_round=st.sampled_from([1, 2, 3]),
    rationing=st.sampled_from(["priority", "pro_rata"]),
    drift_permille=st.sampled_from([0, 80, 500]),
)


class ExchangeMachine(RuleBasedStateMachine):
    """Commands in any order; a number may be skipped, a round may be submitted to or closed late or early."""

    @initialize(config=configs, reference=st.lists(st.integers(1, 10), min_size=GOODS, max_size=GOODS))
    def start(self, config: MarketConfig, reference: list[int]) -> None:
        self.pair = Pair(config, reference)
        endowment = [(ISSUE_ACCOUNT, t, s, 40) for t in range(TRADERS) for s in range(GOODS + 1)]
        self.pair.transfer(endowment, 1)

    @rule(
        rows=st.lists(st.tuples(accounts, accounts, st.integers(0, GOODS), st.integers(0, 60)), max_size=4),
        skip=st.integers(0, 2),
    )
    def transfer(self, rows: list[tuple[int, int, int, int]], skip: int) -> None:
        self.pair.transfer(rows, self.pair.next_number() + skip)

    @rule(wishes=st.lists(good_wishes, max_size=10, unique_by=lambda w: (w.trader, w.sequence)))
    def submit(self, wishes: list[Wish]) -> None:
        self.pair.submit(self.pair.model.closed + 1, wishes, self.pair.next_number())

    @rule(wishes=st.lists(good_wishes | nonsense, max_size=6), late=st.integers(-2, 2))
    def submit_nonsense(self, wishes: list[Wish], late: int) -> None:
        # The opening is round 0; what is journalled has no round before it.
        self.pair.submit(max(self.pair.model.closed + 1 + late, 0), wishes, self.pair.next_number())

    @rule(
        wishes=st.lists(good_wishes, min_size=4, max_size=12, unique_by=lambda w: (w.trader, w.sequence)),
        odd_ones_first=st.sampled_from([True, False, None]),
    )
    def trade(self, wishes: list[Wish], odd_ones_first: bool | None) -> None:
        """A whole round, whose orders come in one batch or in two."""
        round_ = self.pair.model.closed + 1
        batches = [wishes]
        if odd_ones_first is not None:
            batches = [[w for w in wishes if w.trader % 2 == odd] for odd in (odd_ones_first, not odd_ones_first)]
        for batch in batches:
            self.pair.submit(round_, batch, self.pair.next_number())
        self.pair.close(round_, self.pair.next_number())

    @rule(late=st.sampled_from([0, 0, 0, 0, -1, -3, 2]))
    def close(self, late: int) -> None:
        self.pair.close(max(self.pair.model.closed + 1 + late, 0), self.pair.next_number())

    @rule(good=st.integers(0, GOODS - 1), permille=st.integers(0, 3_000))
    def move_reference(self, good: int, permille: int) -> None:
        self.pair.move_reference(good, permille, self.pair.next_number())

    @rule(index=st.integers(0, 1_000))
    def resend(self, index: int) -> None:
        self.pair.resend(index)

    @invariant()
    def agrees(self) -> None:
        if hasattr(self, "pair"):
            self.pair.check()


TestExchange = ExchangeMachine.TestCase
TestExchange.settings = settings(stateful_step_count=30)


@pytest.mark.parametrize("seed", range(4))
def test_thousands_of_random_commands_agree_with_the_model(seed: int) -> None:
    compare_random_commands(seed, 3_000)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", range(10, 20))
def test_a_million_random_commands_agree_with_the_model(seed: int) -> None:
    compare_random_commands(seed, 100_000)


def test_who_is_served_first_does_not_depend_on_which_batch_came_first() -> None:
    sell, *buys = Wish(0, 0, 0, SELL, 5, 1, 0), Wish(1, 0, 0, BUY, 5, 1, 0), Wish(2, 0, 0, BUY, 5, 1, 0)
    outcomes = set()
    for batches in ([[sell, *buys]], [[sell], buys], [[buys[1]], [buys[0]], [sell]]):
        pair = Pair(MarketConfig(max_price_ticks=10), [5] * GOODS)
        pair.transfer([(ISSUE_ACCOUNT, t, s, 10_000) for t in range(TRADERS) for s in range(GOODS + 1)], 1)
        for batch in batches:
            pair.submit(1, batch, pair.next_number())
        pair.close(1, 9)
        outcomes.add(pair.exchange.state_hash())
    assert len(outcomes) == 1


EDGES = {
    "trader": (-1, 0, TRADERS - 1, TRADERS),
    "sequence": (-1, 0, 99),
    "good": (-1, 0, GOODS - 1, GOODS),
    "side": (-2, SELL, 0, BUY, 2),
    "limit_ticks": (0, 1, 10, 11),
    "quantity_lots": (0, 1, 5, 6),
    "priority": (-1, 0, 2**63 - 1),
}


@pytest.mark.parametrize("column", EDGES)
def test_each_bound_is_just_where_the_model_has_it(column: str) -> None:
    pair = Pair(MarketConfig(max_price_ticks=10, max_quantity_lots=5, tick_cents=1), [5] * GOODS)
    pair.transfer([(ISSUE_ACCOUNT, t, s, 10_000) for t in range(TRADERS) for s in range(GOODS + 1)], 1)
    for round_, value in enumerate(EDGES[column], start=1):
        pair.submit(round_, [replace(Wish(1, 0, 0, BUY, 5, 1, 0), **{column: value})], pair.next_number())
        pair.check()
        pair.close(round_, pair.next_number())
        pair.check()


def test_closing_an_old_round_again_opens_none() -> None:
    pair = Pair(MarketConfig(max_price_ticks=10), [5] * GOODS)
    pair.close(5, 1)
    pair.close(2, 2)
    pair.submit(4, [Wish(0, 0, 0, BUY, 5, 1, 0)], 3)
    pair.check()


def test_extreme_numbers_are_rejected_and_no_arithmetic_overflows() -> None:
    pair = Pair(MarketConfig(max_price_ticks=10), [5] * GOODS)
    columns = ("trader", "good", "side", "limit_ticks", "quantity_lots", "priority")
    for round_, extreme in enumerate(EXTREME, start=1):
        wishes = [Wish(0, i, 0, BUY, 5, 1, 0) for i in range(len(columns))]
        pair.submit(
            round_, [replace(w, **{c: extreme}) for w, c in zip(wishes, columns, strict=True)], pair.next_number()
        )
        pair.close(round_, pair.next_number())
        pair.check()


def test_the_reference_drifts_by_the_right_step_where_the_lots_left_over_are_very_many() -> None:
    config = MarketConfig(
        max_price_ticks=100_000, max_quantity_lots=1_000_000, max_orders_per_round=8, tick_cents=1, drift_permille=100
    )
    traders = 200_000
    exchange = Exchange(config, traders, np.array([60_000]), NAMED)
    everyone, none = np.arange(traders), np.zeros(traders, dtype=np.int64)
    exchange.handle(Transfer(1, "endowment", none + traders, everyone, none, none + 10**8))
    shape = np.zeros(8 * traders, dtype=np.int64)
    # One trader bids high, so that the price may rise; all the others bid low, for as much as they may.
    high = np.arange(len(shape)) == 0
    bids = Orders(
        trader=np.repeat(everyone, 8),
        sequence=np.tile(np.arange(8), traders),
        good=shape,
        side=shape + BUY,
        limit_ticks=np.where(high, 100_000, 2),
        quantity_lots=np.where(high, 1, 1_000_000),
        priority=shape,
    )
    taken = exchange.handle(SubmitOrders(2, 1, bids))
    assert isinstance(taken, OrdersTaken)
    assert taken.accepted == len(bids)
    exchange.handle(CloseRound(3, 1))
    assert exchange.reference_ticks.tolist() == [66_000]


def compare_random_commands(seed: int, commands: int) -> None:
    dice = random.Random(seed)
    config = MarketConfig(
        tick_cents=dice.choice([1, 7]),
        max_price_ticks=10,
        max_quantity_lots=5,
        rationing="pro_rata" if seed % 2 else "priority",
        drift_permille=dice.choice([0, 80, 500]),
    )
    pair = Pair(config, [dice.randint(1, 10) for _ in range(GOODS)])

    def wish() -> Wish:
        columns = [(0, TRADERS - 1), (0, 2), (0, GOODS - 1), (0, 1), (1, 10), (1, 5), (0, 2)]
        values = [dice.randint(low, high) for low, high in columns]
        values[3] = (SELL, BUY)[values[3]]
        if dice.random() < 0.05:
            values[dice.randrange(6)] = dice.choice(EXTREME)
        return Wish(*values)

    for _ in range(commands):
        number, round_ = pair.next_number() + (dice.random() < 0.01), pair.model.closed + 1
        match dice.choices(["submit", "late", "close", "transfer", "move", "resend"], [40, 2, 30, 20, 5, 3])[0]:
            case "submit":
                pair.submit(round_, [wish() for _ in range(dice.randint(0, 10))], number)
            case "late":
                pair.submit(round_ + dice.randint(-2, 1), [wish() for _ in range(2)], number)
            case "close":
                pair.close(round_, number)
            case "transfer":
                ends = [dice.choice([ISSUE_ACCOUNT, *range(TRADERS), *range(TRADERS)]) for _ in range(2)]
                pair.transfer([(ends[0], ends[1], dice.randint(0, GOODS), dice.randint(0, 60))], number)
            case "move":
                pair.move_reference(dice.randrange(GOODS), dice.randint(0, 3_000), number)
            case _ if pair.sent:
                pair.resend(dice.randrange(len(pair.sent)))
        pair.check()
