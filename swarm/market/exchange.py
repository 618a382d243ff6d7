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

from swarm.errors import LedgerError
from swarm.market import mechanism
from swarm.market import resting as resting_orders
from swarm.market.admission import REASONS, Admission, code, not_resting, rank_within_trader
from swarm.market.commands import CloseRound, Command, MoveReference, Restrict, SubmitOrders, Transfer
from swarm.market.config import MarketConfig, Mechanism
from swarm.market.drift import drifted
from swarm.market.events import (
    AssetsMoved,
    CommandIgnored,
    Event,
    OrdersTaken,
    ReferenceMoved,
    Rejection,
    RoundCleared,
    TradersRestricted,
    Trades,
)
from swarm.market.ledger import CASH, Ledger
from swarm.market.margin import MarginDesk
from swarm.market.orders import BUY, SELL, Int64, Orders
from swarm.market.resting import RestingOrders, RestingReport
from swarm.market.restrictions import Restrictions, add_bids
from swarm.market.totals import Totals


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
        self.restrictions = Restrictions(traders)
        self._book = Orders.empty()
        self._resting = RestingOrders()
        self._submitted_round = np.zeros(traders, dtype=np.int64)
        self._halted_through_round = np.zeros(self.goods, dtype=np.int64)

    def handle(self, command: Command) -> Event:
        """Applies one command and returns its event; LedgerError if an invariant breaks.

        A number that was handled before is ignored: commands may arrive twice over Ray.
        """
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
            case Restrict():
                return self._restrict(command)

    def state_hash(self) -> str:
        """Returns a SHA-256 over everything that later commands depend on."""
        digest = hashlib.sha256()
        ledger = self.ledger
        kept = [self.reference_ticks, self._submitted_round, self._halted_through_round]
        if self.margin:
            kept += [self.margin.called_round, self.margin.liquidating]
        # A market in which nobody was ever restricted hashes as one that knows no restrictions.
        if self.restrictions.any:
            kept.append(self.restrictions.stacked())
        kept += [orders.stacked() for orders in (self._book, self._resting.orders) if len(orders)]
        # Little-endian everywhere, so that the hash is the same on every machine.
        for column in (ledger.balances, ledger.held, *kept):
            digest.update(np.ascontiguousarray(column, dtype="<i8").tobytes())
        digest.update(f"{self.last_number}/{self.last_closed_round}/{len(self._book)}".encode())
        # A market whose books are empty hashes as one that lets no order rest.
        if len(self._resting) or self._resting.uncovered:
            digest.update(f"/{len(self._resting)}/{self._resting.uncovered}".encode())
        return digest.hexdigest()

    def snapshot(self) -> dict[str, Any]:
        """Returns a copy of everything that later commands depend on: columns of int64 and plain integers."""
        return {
            "balances": self.ledger.balances.copy(),
            "held": self.ledger.held.copy(),
            "reference_ticks": self.reference_ticks.copy(),
            "submitted_round": self._submitted_round.copy(),
            "halted_through_round": self._halted_through_round.copy(),
            "called_round": self.margin.called_round.copy() if self.margin else np.zeros_like(self._submitted_round),
            "liquidating": self.margin.liquidating.copy() if self.margin else np.zeros_like(self._submitted_round),
            "restrictions": self.restrictions.stacked(),
            "book": self._book.stacked(),
            "resting": self._resting.orders.stacked(),
            "uncovered": self._resting.uncovered,
            "last_number": self.last_number,
            "last_closed_round": self.last_closed_round,
        }

    def restore(self, snapshot: Mapping[str, Any]) -> None:
        """Goes on from a snapshot of an exchange with the same accounts; its config may have been another."""
        self.ledger.balances[:] = snapshot["balances"]
        self.ledger.held[:] = snapshot["held"]
        if self.margin:
            self.margin.called_round[:] = snapshot["called_round"]
            self.margin.liquidating[:] = snapshot["liquidating"]
        # A fork may allow lower prices than the run that it goes on from.
        self.reference_ticks = np.clip(snapshot["reference_ticks"], 1, self.config.max_price_ticks)
        self._submitted_round[:] = snapshot["submitted_round"]
        self._halted_through_round[:] = snapshot["halted_through_round"]
        # A snapshot of an older version has none.
        if "restrictions" in snapshot:
            self.restrictions.restore(snapshot["restrictions"])
        self._book = Orders(*snapshot["book"])
        self._resting.orders = Orders(*snapshot["resting"])
        self._resting.uncovered = int(snapshot["uncovered"])
        self.last_number = int(snapshot["last_number"])
        self.last_closed_round = int(snapshot["last_closed_round"])
        self.ledger.check("a snapshot")

    @property
    def resting(self) -> Orders:
        """The orders that rest in continuous books, which whoever looks on must not change."""
        return self._resting.orders

    def _submit(self, command: SubmitOrders) -> OrdersTaken:
        admission = self._admission(command.round)
        orders = not_resting(command.orders.in_canonical_order(), command.round)
        orders = admission.with_worst_price(orders)
        reason = admission.refusals(orders, command.round)
        taken = np.zeros(len(orders), dtype=np.bool_)
        # Holds of one trader's orders add up, so each is checked only when all the earlier ones are held: one pass for
        # everybody's first order, one for their second, and so on.
        nth = rank_within_trader(orders.trader)
        reason[(reason == 0) & (nth >= self.config.max_orders_per_round)] = code(Rejection.TOO_MANY_ORDERS)
        # Only caps ask for what is bid for already, and nearly no market has any.
        bidding = self._bidding() if self.restrictions.capped else None
        for n in range(min(self.config.max_orders_per_round, int(nth.max(initial=-1)) + 1)):
            rows = np.flatnonzero((reason == 0) & (nth == n))
            if bidding is not None:
                over = self.restrictions.over_cap(orders.take(rows), self._owned_lots(), bidding)
                reason[rows[over]] = code(Rejection.OVER_CAP)
                rows = rows[~over]
            account, asset, amount = self._needs(orders, None if len(rows) == len(orders) else rows)
            if self.margin:
                self.margin.lend_for(account, asset, amount, self.reference_ticks, orders.priority[rows])
            affordable = amount <= self.ledger.available(account, asset)
            self.ledger.hold(account[affordable], asset[affordable], amount[affordable])
            taken[rows[affordable]] = True
            if bidding is not None:
                add_bids(bidding, orders.take(rows[affordable]))
            short_of_cash = asset[~affordable] == CASH
            reason[rows[~affordable]] = np.where(
                short_of_cash, code(Rejection.INSUFFICIENT_CASH), code(Rejection.INSUFFICIENT_GOODS)
            )
        # Also who was refused has had its batch of the round; a batch for a round that is over counts for nothing.
        if command.round > self.last_closed_round:
            known = orders.trader[(orders.trader >= 0) & (orders.trader < self.ledger.traders)]
            self._submitted_round[known] = np.maximum(self._submitted_round[known], command.round)
        self._book = Orders.concatenate([self._book, orders.take(taken)])
        refused = np.flatnonzero(reason)
        return OrdersTaken(
            round=command.round,
            accepted=int(taken.sum()),
            rejected_trader=orders.trader[refused],
            rejected_sequence=orders.sequence[refused],
            rejected_reason=tuple(REASONS[number - 1] for number in reason[refused].tolist()),
        )

    def _admission(self, round_: int) -> Admission:
        lowest, highest = self._band()
        return Admission(
            config=self.config,
            lowest_ticks=lowest,
            highest_ticks=highest,
            halted_through_round=self._halted_through_round,
            submitted_round=self._submitted_round,
            liquidated=self._liquidated(),
            frozen=self.restrictions.frozen(round_),
            last_closed_round=self.last_closed_round,
        )

    def _owned_lots(self) -> Int64:
        return self.ledger.balances[: self.ledger.traders, 1 : self.goods + 1]

    def _bidding(self) -> Int64:
        """Returns the lots that orders in the books bid for, [traders, goods]."""
        bidding = np.zeros((self.ledger.traders, self.goods), dtype=np.int64)
        for orders in (self._book, self._resting.orders):
            add_bids(bidding, orders)
        return bidding

    def _restrict(self, command: Restrict) -> TradersRestricted:
        wrong = command.trader[(command.trader < 0) | (command.trader >= self.ledger.traders)]
        if len(wrong):
            raise LedgerError(f"command {command.number} (Restrict): there is no trader {int(wrong[0])}")
        self.restrictions.change(command.trader, command.frozen_through_round, command.cap_lots)
        return TradersRestricted(command.cause, len(command.trader))

    def _liquidated(self) -> npt.NDArray[np.bool_]:
        """Returns, by trader, whether the desk of margin accounts decides on its orders."""
        if self.margin is None:
            return np.zeros(self.ledger.traders, dtype=np.bool_)
        return self.margin.liquidating > 0

    def _forced_orders(self, round_: int) -> Orders:
        """Returns what the margin desk sells and buys for those it liquidates, with holds as for all orders."""
        if self.margin is None:
            return Orders.empty()
        config = self.config
        orders = self.margin.forced_orders(self.reference_ticks, config.max_price_ticks, config.max_quantity_lots)
        # A halted good is traded by nobody, not by force either; the order comes again in the next round.
        orders = orders.take(self._halted_through_round[orders.good] < round_)
        orders = replace(orders, good_through=np.full(len(orders), round_, dtype=np.int64))
        self._hold(orders)
        return orders

    def _band(self) -> tuple[Int64, Int64]:
        """Returns the lowest and the highest limit that is allowed for each good."""
        config = self.config
        return mechanism.allowed_ticks(self.reference_ticks, config.band_permille, config.max_price_ticks)

    def _needs(self, orders: Orders, rows: Int64 | None = None) -> tuple[Int64, Int64, Int64]:
        """Returns what the orders at `rows`, or all, must reserve: account, asset and amount."""
        # A bid reserves its limit, whatever it will pay; what it saves is free again when the round is settled.
        columns = (orders.trader, orders.good, orders.side, orders.limit_ticks, orders.quantity_lots)
        trader, good, side, limit, quantity = columns if rows is None else (column[rows] for column in columns)
        buys = side == BUY
        cost_cents = limit * self.config.tick_cents * quantity
        return trader, np.where(buys, CASH, good + 1), np.where(buys, cost_cents, quantity)

    def _close(self, command: CloseRound) -> RoundCleared:
        round_ = command.round
        taken_off = self._take_off(round_)
        # Ties of priority go by trader and sequence, and not by the batch that came first.
        forced = self._forced_orders(round_)
        book, self._book = Orders.concatenate([self._book, forced]).in_canonical_order(), Orders.empty()
        self.last_closed_round = max(self.last_closed_round, round_)
        # Holds end before fills are posted; what goes on resting is held anew below.
        self._release(book)
        self._release(self._resting.orders)
        totals = Totals(self.goods, self.config.max_price_ticks)
        staying: list[Orders] = []
        for good in range(self.goods):
            orders, resting = book.take(book.good == good), self._resting.of(good)
            halted = len(resting) > 0 and self._halted_through_round[good] >= round_
            if halted:
                matched = mechanism.take_back(orders, resting)
            else:
                reference = int(self.reference_ticks[good])
                matched = mechanism.match(orders, self.mechanisms[good], reference, self.config, resting)
                totals.add(good, matched)
            if halted or (self.config.rest_rounds and self.mechanisms[good] == "continuous"):
                # Nothing new comes to rest in a book that is halted.
                longest = 0 if halted else self.config.rest_rounds
                staying.append(resting_orders.staying(matched, round_, longest))
            taken_off["expired"] += resting_orders.expiring(matched, round_)
        self._halted_through_round[totals.halted] = round_ + self.config.halt_rounds
        # Fills are posted for all goods at once, and then the reference prices drift.
        settled = totals.joined_trades()
        self._settle(settled)
        self._resting.orders = Orders.concatenate(staying)
        self._hold(self._resting.orders)
        self.reference_ticks = drifted(
            totals, self.reference_ticks, self.config.drift_permille, self.config.max_price_ticks
        )
        return RoundCleared(
            round=round_,
            clearing_ticks=totals.clearing_ticks,
            volume_lots=totals.volume_lots,
            unfilled_buy_lots=totals.unfilled_lots[BUY],
            unfilled_sell_lots=totals.unfilled_lots[SELL],
            reference_ticks=self.reference_ticks.copy(),
            trades=settled,
            halted=tuple(totals.halted),
            margin=self.margin.end_round(round_, self.reference_ticks) if self.margin else None,
            resting=self._resting_report(taken_off),
        )

    def _resting_report(self, taken_off: Counter[str]) -> RestingReport | None:
        if not (self.config.rest_rounds or taken_off or len(self._resting)):
            return None
        return RestingReport(len(self._resting), **taken_off)

    def _take_off(self, round_: int) -> Counter[str]:
        """Takes orders that rest off the books before a round is matched, and counts them by reason."""
        # Those that a transfer has uncovered since the last round are off already, and counted here.
        counts = Counter(uncovered=self._resting.uncovered) if self._resting.uncovered else Counter[str]()
        self._resting.uncovered = 0
        if not len(self._resting):
            return counts
        # An order is counted once, by the first of these reasons that holds.
        continuous = np.array([mechanism == "continuous" for mechanism in self.mechanisms])
        for reason in ("expired", "outside_band", "liquidated", "frozen"):
            orders = self._resting.orders
            lowest, highest = self._band()
            leaving = {
                "expired": (orders.good_through < round_) | ~continuous[orders.good],
                "outside_band": (orders.limit_ticks < lowest[orders.good])
                | (orders.limit_ticks > highest[orders.good]),
                "liquidated": self._liquidated()[orders.trader],
                "frozen": self.restrictions.frozen(round_)[orders.trader],
            }[reason]
            taken = self._resting.take_off(leaving)
            self._release(taken)
            counts[reason] += len(taken)
        return +counts

    def _take_off_uncovered(self, accounts: Int64) -> None:
        """Takes off, the newest first, orders that rest and whose owners lack what they offer."""
        ledger = self.ledger
        for account in np.unique(accounts[accounts < ledger.traders]).tolist():
            # What the account still covers stays; nobody else's order is touched.
            for asset in np.flatnonzero(ledger.held[account] > ledger.balances[account]).tolist():
                leaving = np.zeros(len(self._resting), dtype=np.bool_)
                for row in self._resting.uncovered_rows(account, asset == CASH, asset - 1):
                    if ledger.held[account, asset] > ledger.balances[account, asset]:
                        self._release(self._resting.orders.take(np.array([row])))
                        leaving[row] = True
                self._resting.uncovered += len(self._resting.take_off(leaving))

    def _hold(self, orders: Orders) -> None:
        if len(orders):
            self.ledger.hold(*self._needs(orders))

    def _release(self, orders: Orders) -> None:
        if len(orders):
            self.ledger.release(*self._needs(orders))

    def _settle(self, trades: Trades) -> None:
        # Two postings a trade: cash to the seller, lots to the buyer.
        cash = np.full(len(trades.good), CASH, dtype=np.int64)
        cents = trades.price_ticks * self.config.tick_cents * trades.quantity_lots
        self.ledger.post(trades.buyer, trades.seller, cash, cents)
        self.ledger.post(trades.seller, trades.buyer, trades.good + 1, trades.quantity_lots)

    def _transfer(self, command: Transfer) -> AssetsMoved:
        self.ledger.post(command.source, command.target, command.asset, command.amount)
        if len(self._resting):
            self._take_off_uncovered(command.source)
        return AssetsMoved(command.cause, len(command.amount))

    def _move_reference(self, command: MoveReference) -> ReferenceMoved:
        moved = int(self.reference_ticks[command.good]) * command.permille // 1_000
        self.reference_ticks[command.good] = min(max(moved, 1), self.config.max_price_ticks)
        return ReferenceMoved(command.cause, command.good, int(self.reference_ticks[command.good]))
