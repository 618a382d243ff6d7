"""The exchange: the one door through which market state changes.

`Exchange.handle(command)` validates, clears and settles, and returns what happened as events. It knows no clock, no
chance, no scenario and no trader's mind. The ledger's invariants are checked after every command, in production too.
"""

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from swarm.market import mechanism
from swarm.market import resting as resting_orders
from swarm.market.commands import CloseRound, Command, MoveReference, SubmitOrders, Transfer
from swarm.market.config import MarketConfig, Mechanism
from swarm.market.events import (
    AssetsMoved,
    CommandIgnored,
    Event,
    OrdersTaken,
    ReferenceMoved,
    Rejection,
    RoundCleared,
    Trades,
)
from swarm.market.ledger import CASH, Ledger
from swarm.market.margin import MarginDesk
from swarm.market.orders import BUY, CANCEL, LIMIT, MARKET, REPLACE, SELL, Int64, Orders
from swarm.market.resting import RestingOrders, RestingReport

_REASONS = tuple(Rejection)


class Exchange:
    """One market of several goods, each matched once a round by its own mechanism."""

    def __init__(
        self,
        config: MarketConfig,
        traders: int,
        reference_ticks: Int64,
        named_accounts: tuple[str, ...],
        mechanisms: tuple[Mechanism, ...] = (),
    ) -> None:
        self.config = config
        self.goods = len(reference_ticks)
        self.mechanisms = mechanisms or (config.mechanism,) * self.goods
        # With margin accounts, what is owed of each asset is an asset, too.
        self.ledger = Ledger(traders, (self.goods + 1) * (2 if config.margin else 1), named_accounts)
        self.margin = MarginDesk(config.margin, self.ledger, self.goods, config.tick_cents) if config.margin else None
        self.reference_ticks = reference_ticks.astype(np.int64)
        self.last_number = 0
        self.last_closed_round = 0
        self._book = Orders.empty()
        self._resting = RestingOrders()
        self._submitted_round = np.zeros(traders, dtype=np.int64)
        self._halted_through_round = np.zeros(self.goods, dtype=np.int64)

    def handle(self, command: Command) -> Event:
        """Apply one command and return its event; LedgerError if an invariant breaks."""
        if command.number <= self.last_number:
            return CommandIgnored(command.number)
        event = self._apply(command)
        self.ledger.check(f"command {command.number} ({type(command).__name__})")
        self.last_number = command.number
        return event

    def _apply(self, command: Command) -> Event:
        match command:
            case SubmitOrders():
                return self._submit(command)
            case CloseRound():
                return self._close(command)
            case Transfer():
                return self._transfer(command)
            case MoveReference():
                return self._move_reference(command)

    def state_hash(self) -> str:
        """SHA-256 over everything that later commands depend on."""
        digest = hashlib.sha256()
        ledger = self.ledger
        kept = [self.reference_ticks, self._submitted_round, self._halted_through_round]
        if self.margin:
            kept += [self.margin.called_round, self.margin.liquidating]
        kept += [orders.stacked() for orders in (self._book, self._resting.orders) if len(orders)]
        for column in (ledger.balances, ledger.held, *kept):
            digest.update(np.ascontiguousarray(column, dtype="<i8").tobytes())
        digest.update(f"{self.last_number}/{self.last_closed_round}/{len(self._book)}".encode())
        if len(self._resting) or self._resting.uncovered:
            digest.update(f"/{len(self._resting)}/{self._resting.uncovered}".encode())
        return digest.hexdigest()

    def snapshot(self) -> dict[str, Any]:
        """A copy of everything that later commands depend on: columns of int64 and plain integers."""
        return {
            "balances": self.ledger.balances.copy(),
            "held": self.ledger.held.copy(),
            "reference_ticks": self.reference_ticks.copy(),
            "submitted_round": self._submitted_round.copy(),
            "halted_through_round": self._halted_through_round.copy(),
            "called_round": self.margin.called_round.copy() if self.margin else np.zeros_like(self._submitted_round),
            "liquidating": self.margin.liquidating.copy() if self.margin else np.zeros_like(self._submitted_round),
            "book": self._book.stacked(),
            "resting": self._resting.orders.stacked(),
            "uncovered": self._resting.uncovered,
            "last_number": self.last_number,
            "last_closed_round": self.last_closed_round,
        }

    def restore(self, snapshot: Mapping[str, Any]) -> None:
        """Go on from a snapshot of an exchange with the same accounts; its config may have been another."""
        self.ledger.balances[:] = snapshot["balances"]
        self.ledger.held[:] = snapshot["held"]
        if self.margin:
            self.margin.called_round[:] = snapshot["called_round"]
            self.margin.liquidating[:] = snapshot["liquidating"]
        self.reference_ticks = np.clip(snapshot["reference_ticks"], 1, self.config.max_price_ticks)
        self._submitted_round[:] = snapshot["submitted_round"]
        self._halted_through_round[:] = snapshot["halted_through_round"]
        self._book = Orders(*snapshot["book"])
        self._resting.orders = Orders(*snapshot["resting"])
        self._resting.uncovered = int(snapshot["uncovered"])
        self.last_number = int(snapshot["last_number"])
        self.last_closed_round = int(snapshot["last_closed_round"])
        self.ledger.check("a snapshot")

    def _submit(self, command: SubmitOrders) -> OrdersTaken:
        orders = self._with_worst_price(_not_resting(command.orders.in_canonical_order(), command.round))
        reason = self._refusals(orders, command.round)
        taken = np.zeros(len(orders), dtype=np.bool_)
        # Holds of one trader's orders add up, so each is checked only when all the earlier ones are held.
        nth = _rank_within_trader(orders.trader)
        reason[(reason == 0) & (nth >= self.config.max_orders_per_round)] = _code(Rejection.TOO_MANY_ORDERS)
        for n in range(self.config.max_orders_per_round):
            rows = np.flatnonzero((reason == 0) & (nth == n))
            account, asset, amount = self._needs(orders, rows)
            if self.margin:
                self.margin.lend_for(account, asset, amount, self.reference_ticks, orders.priority[rows])
            affordable = amount <= self.ledger.available(account, asset)
            self.ledger.hold(account[affordable], asset[affordable], amount[affordable])
            taken[rows[affordable]] = True
            short_of_cash = asset[~affordable] == CASH
            reason[rows[~affordable]] = np.where(
                short_of_cash, _code(Rejection.INSUFFICIENT_CASH), _code(Rejection.INSUFFICIENT_GOODS)
            )
        known = orders.trader[(orders.trader >= 0) & (orders.trader < self.ledger.traders)]
        if command.round > self.last_closed_round:
            self._submitted_round[known] = np.maximum(self._submitted_round[known], command.round)
        self._book = Orders.concatenate([self._book, orders.take(taken)])
        refused = np.flatnonzero(reason)
        return OrdersTaken(
            round=command.round,
            accepted=int(taken.sum()),
            rejected_trader=orders.trader[refused],
            rejected_sequence=orders.sequence[refused],
            rejected_reason=tuple(_REASONS[code - 1] for code in reason[refused].tolist()),
        )

    def _refusals(self, orders: Orders, round_: int) -> Int64:
        """A code per order, 0 where nothing is wrong that can be seen without looking at balances."""
        config = self.config
        reason = np.zeros(len(orders), dtype=np.int64)
        known = (orders.trader >= 0) & (orders.trader < self.ledger.traders)
        good = np.clip(orders.good, 0, self.goods - 1)
        lowest, highest = self._band()
        limited = (orders.kind != CANCEL) & (orders.kind != MARKET)
        sized = orders.kind != CANCEL
        limit, lots = orders.limit_ticks, orders.quantity_lots
        # What rests can be taken back also while nothing is traded.
        takes_back = (orders.kind == CANCEL) & (orders.target_round > 0)
        earlier = np.where(known, self._submitted_round[np.where(known, orders.trader, 0)], 0)
        doubled = np.zeros(len(orders), dtype=np.bool_)
        doubled[1:] = (np.diff(orders.trader) == 0) & (np.diff(orders.sequence) == 0)
        for wrong, rejection in (
            ((self._halted_through_round[good] >= round_) & ~takes_back, Rejection.HALTED),
            ((orders.good_through != 0) & (orders.good_through < round_), Rejection.EXPIRED),
            (limited & ((limit < lowest[good]) | (limit > highest[good])), Rejection.OUTSIDE_BAND),
            (sized & (lots % config.quantity_step_lots != 0), Rejection.BAD_QUANTITY),
            (sized & ((lots < 1) | (lots > config.max_quantity_lots)), Rejection.BAD_QUANTITY),
            (limited & (limit % config.price_step_ticks != 0), Rejection.BAD_PRICE),
            (limited & ((limit < 1) | (limit > config.max_price_ticks)), Rejection.BAD_PRICE),
            ((orders.kind < LIMIT) | (orders.kind > REPLACE), Rejection.BAD_KIND),
            ((orders.side != BUY) & (orders.side != SELL), Rejection.BAD_SIDE),
            ((orders.good < 0) | (orders.good >= self.goods), Rejection.UNKNOWN_GOOD),
            (doubled | (earlier >= round_), Rejection.DUPLICATE),
            (self._is_liquidated(orders.trader), Rejection.LIQUIDATED),
            (np.full(len(orders), round_ <= self.last_closed_round), Rejection.STALE_ROUND),
            (~known, Rejection.UNKNOWN_TRADER),
        ):
            reason[wrong] = _code(rejection)
        return reason

    def _is_liquidated(self, trader: Int64) -> npt.NDArray[np.bool_]:
        """Whose orders the desk of margin accounts decides on."""
        if self.margin is None:
            return np.zeros(len(trader), dtype=np.bool_)
        return self.margin.liquidating[np.clip(trader, 0, self.ledger.traders - 1)] > 0

    def _forced_orders(self, round_: int) -> Orders:
        """What the desk of margin accounts sells and buys for those it liquidates, with holds as for all orders."""
        if self.margin is None:
            return Orders.empty()
        config = self.config
        orders = self.margin.forced_orders(self.reference_ticks, config.max_price_ticks, config.max_quantity_lots)
        orders = orders.take(self._halted_through_round[orders.good] < round_)
        orders = replace(orders, good_through=np.full(len(orders), round_, dtype=np.int64))
        self.ledger.hold(*self._needs(orders, np.arange(len(orders))))
        return orders

    def _band(self) -> tuple[Int64, Int64]:
        """The lowest and the highest limit that is allowed for each good."""
        config = self.config
        return mechanism.allowed_ticks(self.reference_ticks, config.band_permille, config.max_price_ticks)

    def _with_worst_price(self, orders: Orders) -> Orders:
        """Market orders get the worst limit that the band allows, which is what they are held for."""
        if (orders.kind == LIMIT).all():
            return orders
        lowest, highest = self._band()
        step = self.config.price_step_ticks
        good = np.clip(orders.good, 0, self.goods - 1)
        worst = np.where(orders.side == BUY, highest[good] // step, -(-lowest[good] // step)) * step
        return replace(
            orders,
            limit_ticks=np.where(orders.kind == MARKET, np.maximum(worst, step), orders.limit_ticks),
            quantity_lots=np.where(orders.kind == CANCEL, 0, orders.quantity_lots),
        )

    def _needs(self, orders: Orders, rows: Int64) -> tuple[Int64, Int64, Int64]:
        """What the orders at `rows` must reserve: account, asset and amount."""
        buys = orders.side[rows] == BUY
        quantity = orders.quantity_lots[rows]
        cost_cents = orders.limit_ticks[rows] * self.config.tick_cents * quantity
        asset = np.where(buys, CASH, orders.good[rows] + 1)
        return orders.trader[rows], asset, np.where(buys, cost_cents, quantity)

    def _close(self, command: CloseRound) -> RoundCleared:
        taken_off = self._take_off(command.round)
        # Ties of priority go by trader and sequence, and not by the batch that came first.
        forced = self._forced_orders(command.round)
        book, self._book = Orders.concatenate([self._book, forced]).in_canonical_order(), Orders.empty()
        self.last_closed_round = max(self.last_closed_round, command.round)
        self._release(book)
        self._release(self._resting.orders)
        staying: list[Orders] = []
        clearing_ticks = np.zeros(self.goods, dtype=np.int64)
        best_bid = np.zeros(self.goods, dtype=np.int64)
        best_ask = np.full(self.goods, self.config.max_price_ticks, dtype=np.int64)
        volume_lots = np.zeros(self.goods, dtype=np.int64)
        unfilled = {BUY: np.zeros(self.goods, dtype=np.int64), SELL: np.zeros(self.goods, dtype=np.int64)}
        trades: list[Trades] = []
        halted: list[int] = []
        for good in range(self.goods):
            orders, resting = book.take(book.good == good), self._resting.of(good)
            if len(resting) and self._halted_through_round[good] >= command.round:
                matched = mechanism.take_back(orders, resting)
                staying.append(resting_orders.staying(matched, command.round, 0))
                taken_off["expired"] += resting_orders.expiring(matched, command.round)
                continue
            reference = int(self.reference_ticks[good])
            matched = mechanism.match(orders, self.mechanisms[good], reference, self.config, resting)
            if self.config.rest_rounds and self.mechanisms[good] == "continuous":
                staying.append(resting_orders.staying(matched, command.round, self.config.rest_rounds))
            taken_off["expired"] += resting_orders.expiring(matched, command.round)
            clearing_ticks[good] = matched.price_ticks
            volume_lots[good] = matched.trade_lots.sum()
            left = {side: matched.left_lots(side) for side in unfilled}
            for side, column in unfilled.items():
                column[good] = left[side].sum()
            best_bid[good] = matched.orders.limit_ticks[left[BUY] > 0].max(initial=1)
            best_ask[good] = matched.orders.limit_ticks[left[SELL] > 0].min(initial=self.config.max_price_ticks)
            if len(matched.trade_lots):
                trades.append(_trades(good, matched))
            if matched.halted:
                halted.append(good)
                self._halted_through_round[good] = command.round + self.config.halt_rounds
        settled = _join(trades)
        self._settle(settled)
        self._resting.orders = Orders.concatenate(staying)
        self.ledger.hold(*self._needs(self._resting.orders, np.arange(len(self._resting))))
        start = np.where(clearing_ticks > 0, clearing_ticks, self.reference_ticks)
        drifted = self._drifted(start, volume_lots, unfilled[BUY], unfilled[SELL])
        # A price rises only as far as somebody left over would pay, and falls only as far as one would sell: a price
        # that drifts to where nobody trades would end a market for good.
        highest = np.maximum(start, best_bid)
        lowest = np.minimum(start, best_ask)
        self.reference_ticks = np.clip(drifted, lowest, highest)
        return RoundCleared(
            round=command.round,
            clearing_ticks=clearing_ticks,
            volume_lots=volume_lots,
            unfilled_buy_lots=unfilled[BUY],
            unfilled_sell_lots=unfilled[SELL],
            reference_ticks=self.reference_ticks.copy(),
            trades=settled,
            halted=tuple(halted),
            margin=self.margin.end_round(command.round, self.reference_ticks) if self.margin else None,
            resting=self._resting_report(taken_off),
        )

    def _resting_report(self, taken_off: Counter[str]) -> RestingReport | None:
        if not (self.config.rest_rounds or taken_off or len(self._resting)):
            return None
        return RestingReport(len(self._resting), **taken_off)

    def _take_off(self, round_: int) -> Counter[str]:
        """Take orders that rest off the books before a round is matched, and count them by reason."""
        counts = Counter(uncovered=self._resting.uncovered) if self._resting.uncovered else Counter[str]()
        self._resting.uncovered = 0
        if not len(self._resting):
            return counts
        continuous = np.array([mechanism == "continuous" for mechanism in self.mechanisms])
        for reason in ("expired", "outside_band", "liquidated"):
            orders = self._resting.orders
            lowest, highest = self._band()
            leaving = {
                "expired": (orders.good_through < round_) | ~continuous[orders.good],
                "outside_band": (orders.limit_ticks < lowest[orders.good])
                | (orders.limit_ticks > highest[orders.good]),
                "liquidated": self._is_liquidated(orders.trader),
            }[reason]
            taken = self._resting.take_off(leaving)
            self._release(taken)
            counts[reason] += len(taken)
        return +counts

    def _take_off_uncovered(self, accounts: Int64) -> None:
        """Take off, the newest first, orders that rest and whose owners no longer have what they offer."""
        ledger = self.ledger
        for account in np.unique(accounts[accounts < ledger.traders]).tolist():
            for asset in np.flatnonzero(ledger.held[account] > ledger.balances[account]).tolist():
                leaving = np.zeros(len(self._resting), dtype=np.bool_)
                for row in self._resting.uncovered_rows(account, asset == CASH, asset - 1):
                    if ledger.held[account, asset] > ledger.balances[account, asset]:
                        self._release(self._resting.orders.take(np.array([row])))
                        leaving[row] = True
                self._resting.uncovered += len(self._resting.take_off(leaving))

    def _release(self, orders: Orders) -> None:
        self.ledger.release(*self._needs(orders, np.arange(len(orders))))

    def _settle(self, trades: Trades) -> None:
        cash = np.full(len(trades.good), CASH, dtype=np.int64)
        cents = trades.price_ticks * self.config.tick_cents * trades.quantity_lots
        self.ledger.post(trades.buyer, trades.seller, cash, cents)
        self.ledger.post(trades.seller, trades.buyer, trades.good + 1, trades.quantity_lots)

    def _drifted(self, start: Int64, volume: Int64, unmet_demand: Int64, unmet_supply: Int64) -> Int64:
        """`start` moved towards the side that was left with more unfilled lots, in proportion to its excess."""
        offered = 2 * volume + unmet_demand + unmet_supply
        excess = unmet_demand - unmet_supply
        # In Python's integers, since a price times all the lots left over may leave an int64.
        step = np.array(
            [
                -(-price * self.config.drift_permille * abs(lots) // (1_000 * max(of, 1)))
                for price, lots, of in zip(start.tolist(), excess.tolist(), offered.tolist(), strict=True)
            ]
        )
        drifted: Int64 = np.clip(start + np.sign(excess) * step, 1, self.config.max_price_ticks)
        return drifted

    def _transfer(self, command: Transfer) -> AssetsMoved:
        self.ledger.post(command.source, command.target, command.asset, command.amount)
        if len(self._resting):
            self._take_off_uncovered(command.source)
        return AssetsMoved(command.cause, len(command.amount))

    def _move_reference(self, command: MoveReference) -> ReferenceMoved:
        moved = int(self.reference_ticks[command.good]) * command.permille // 1_000
        self.reference_ticks[command.good] = min(max(moved, 1), self.config.max_price_ticks)
        return ReferenceMoved(command.cause, command.good, int(self.reference_ticks[command.good]))


def _code(rejection: Rejection) -> int:
    return _REASONS.index(rejection) + 1


def _not_resting(orders: Orders, round_: int) -> Orders:
    """Orders as they come in: none of them rests, and one of this very round is named without its round."""
    if not (orders.placed_round.any() or orders.target_round.any()):
        return orders
    of_now = orders.target_round == round_
    return replace(
        orders,
        placed_round=np.zeros(len(orders), dtype=np.int64),
        target_round=np.where(of_now, 0, orders.target_round),
    )


def _rank_within_trader(trader: Int64) -> Int64:
    """0, 1, 2, ... within each run of equal entries of a sorted column."""
    if not len(trader):
        return trader
    starts = np.flatnonzero(np.concatenate([[True], trader[1:] != trader[:-1]]))
    return np.arange(len(trader)) - np.repeat(starts, np.diff(starts, append=len(trader)))


def _trades(good: int, matched: mechanism.Matched) -> Trades:
    return Trades(
        good=np.full(len(matched.trade_lots), good, dtype=np.int64),
        price_ticks=matched.trade_ticks,
        quantity_lots=matched.trade_lots,
        buyer=matched.orders.trader[matched.buyer_row],
        seller=matched.orders.trader[matched.seller_row],
    )


def _join(trades: list[Trades]) -> Trades:
    columns = ("good", "price_ticks", "quantity_lots", "buyer", "seller")
    if not trades:
        return Trades(**{c: np.empty(0, dtype=np.int64) for c in columns})
    return Trades(**{c: np.concatenate([getattr(t, c) for t in trades]) for c in columns})
