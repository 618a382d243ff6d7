"""Loans and short sales: what traders owe, what they must own for it, and what happens when they do not.

A debt is an asset of the ledger like any other: who owes holds it, and ISSUE has issued it, so that every loan,
interest and write-off is a posting and the sum of each debt over all accounts is zero. Asset `a` is owed as asset `a` +
number of assets. BANK lends cash and LENDER goods out of what they have; what is never paid back ends with DEFAULTS.

A margin account is net: an order that an account cannot cover borrows what is missing, and once a round is settled
whatever came in repays first. Equity is cash and goods at reference prices less what is owed at them; the margin is
equity over what is owed. It must be `initial_permille` to borrow. Below `maintenance_permille` an account is called,
and one that stays below is liquidated: its orders are refused, and the desk sells its goods and buys back what it owes,
through the market. What cannot be paid after that is written off.
"""

from dataclasses import dataclass

import numpy as np
from pydantic import Field

from swarm.market.ledger import CASH, ISSUE, Ledger
from swarm.market.orders import BUY, SELL, Int64, Orders
from swarm.schema import StrictModel

BANK, LENDER, DEFAULTS = "bank", "lender", "defaults"
ACCOUNTS = (BANK, LENDER, DEFAULTS)
"""The named accounts that a market with margin accounts needs."""

FORCED_SEQUENCE = 1_000
"""The first sequence number of forced orders, above those of any trader's own."""

_MILLION = 1_000_000


class MarginConfig(StrictModel):
    """The terms of margin: who may borrow how much, at what price, and how long one who cannot pay is waited for."""

    initial_permille: int = Field(default=500, ge=1, le=100_000)
    """Equity that an account must have after it borrowed, in 1/1000 of what it owes."""

    maintenance_permille: int = Field(default=250, ge=0, le=100_000)
    """Equity below which an account is called, in 1/1000 of what it owes."""

    interest_ppm: int = Field(default=2_000, ge=0, le=1_000_000)
    """Interest on borrowed cash, and fee on the value of borrowed goods, per round in 1/1,000,000, rounded down."""

    grace_rounds: int = Field(default=1, ge=0, le=100)
    """How many rounds after its call an account may restore its margin before it is liquidated."""

    liquidation_rounds: int = Field(default=5, ge=1, le=1_000)
    """How many rounds a liquidation may take before what is still owed is settled at reference prices."""

    bank_pebbles: int = Field(default=1_000_000, ge=0, le=1_000_000_000)
    """What the bank can lend at the start, in pebbles of 100 cents."""

    lender_lots: int = Field(default=1_000, ge=0, le=1_000_000_000)
    """How much of each good can be borrowed at the start, in lots."""


@dataclass(frozen=True, slots=True, eq=False)
class MarginReport:
    """The state of margin accounts at the end of a round; `written_off` is [defaulted traders, assets]."""

    interest_cents: int
    called: Int64
    liquidating: Int64
    defaulted: Int64
    written_off: Int64


class MarginDesk:
    """The desk that lends, collects, calls, liquidates and writes off for the traders of one ledger."""

    def __init__(self, config: MarginConfig, ledger: Ledger, goods: int, tick_cents: int) -> None:
        self.config = config
        self.ledger = ledger
        self.assets = goods + 1
        self.tick_cents = tick_cents
        self.called_round = np.zeros(ledger.traders, dtype=np.int64)
        self.liquidating = np.zeros(ledger.traders, dtype=np.int64)
        lenders = [ledger.account(LENDER)] * goods
        self._lender = np.array([ledger.account(BANK), *lenders])

    @property
    def owed(self) -> Int64:
        """Returns what each trader owes of each asset, as [traders, assets]."""
        return self.ledger.balances[: self.ledger.traders, self.assets :]

    @property
    def owned(self) -> Int64:
        """Returns what each trader has, with what it borrowed, as [traders, assets]."""
        return self.ledger.balances[: self.ledger.traders, : self.assets]

    def standing(self, reference_ticks: Int64) -> tuple[Int64, Int64]:
        """Returns equity, and the value of what is owed, by trader in cents."""
        marks = self._marks(reference_ticks)
        owed: Int64 = self.owed @ marks
        return self.owned @ marks - owed, owed

    def lend_for(
        self, account: Int64, asset: Int64, amount: Int64, reference_ticks: Int64, priority: Int64 | None = None
    ) -> None:
        """Lends to traders, each of whom occurs once, what they lack to hold `amount`, where their margin allows it.

        Where a lender is short, it serves those of the lowest `priority` first, as the auctions do.
        """
        # [rows] cents: borrowing adds the same to what is owned and owed, so only the debt of the margin moves.
        missing = amount - self.ledger.available(account, asset)
        marks = self._marks(reference_ticks)
        equity, owed = self.standing(reference_ticks)
        after = owed[account] + missing * marks[asset]
        may = (missing > 0) & (equity[account] * 1_000 >= self.config.initial_permille * after)
        may &= self.called_round[account] == 0
        for lent in range(self.assets):
            rows = np.flatnonzero(may & (asset == lent))
            if priority is not None:
                rows = rows[np.lexsort((account[rows], priority[rows]))]
            # One after another, while the lender has some left.
            fits = missing[rows].cumsum() <= self.ledger.available(self._lender[[lent]], lent)
            self._lend(account[rows[fits]], lent, missing[rows[fits]])

    def forced_orders(self, reference_ticks: Int64, max_price_ticks: int, max_quantity_lots: int) -> Orders:
        """Returns orders that sell what liquidated accounts have and buy back what they owe, as far as cash goes."""
        rows: list[tuple[int, int, int, int, int, int, int]] = []
        for trader in np.flatnonzero(self.liquidating).tolist():
            cash = int(self.owned[trader, CASH])
            for good, (have, owe) in enumerate(
                zip(self.owned[trader, 1:].tolist(), self.owed[trader, 1:].tolist(), strict=True)
            ):
                sequence = FORCED_SEQUENCE + good
                if have:
                    rows.append((trader, sequence, good, SELL, 1, min(have, max_quantity_lots), 0))
                elif owe:
                    # Twice the reference price gets the goods where anybody sells; the last cash bids for a single lot.
                    limit = min(2 * int(reference_ticks[good]), max_price_ticks, cash // self.tick_cents)
                    lots = min(owe, max_quantity_lots, cash // (limit * self.tick_cents)) if limit else 0
                    if lots:
                        rows.append((trader, sequence, good, BUY, limit, lots, 0))
                        cash -= lots * limit * self.tick_cents
        return Orders.of_rows(rows)

    def end_round(self, round_: int, reference_ticks: Int64) -> MarginReport:
        """Collects what no order that rests has on hold, charges, calls, and settles what is beyond hope."""
        # What came in repays first, so that interest and calls go by what is still owed.
        everyone = np.arange(self.ledger.traders)
        for asset in range(self.assets):
            self._repay(everyone, asset, np.minimum(self.ledger.available(everyone, asset), self.owed[:, asset]))
        interest = self._charge(reference_ticks)
        self._call(round_, reference_ticks)
        # Beyond hope is who had its time, and who has nothing left that could be sold.
        overdue = round_ - self.called_round >= self.config.grace_rounds + self.config.liquidation_rounds
        nothing_left = ~self.owned.any(axis=1)
        hopeless = np.flatnonzero((self.liquidating > 0) & (overdue | nothing_left))
        written_off = self._write_off(hopeless, reference_ticks)
        return MarginReport(
            interest_cents=interest,
            called=np.flatnonzero(self.called_round == round_),
            liquidating=np.flatnonzero(self.liquidating),
            defaulted=hopeless,
            written_off=written_off,
        )

    def _marks(self, reference_ticks: Int64) -> Int64:
        """Returns what a unit of each asset is worth, in cents."""
        return np.concatenate([np.ones(1, dtype=np.int64), reference_ticks * self.tick_cents])

    def _lend(self, account: Int64, asset: int, amount: Int64) -> None:
        self._post(self._lender[asset], account, asset, amount)
        self._post(self.ledger.account(ISSUE), account, asset + self.assets, amount)

    def _repay(self, account: Int64, asset: int, amount: Int64) -> None:
        self._post(account, self._lender[asset], asset, amount)
        self._post(account, self.ledger.account(ISSUE), asset + self.assets, amount)

    def _post(self, source: Int64 | int, target: Int64 | int, asset: int, amount: Int64) -> None:
        sources, targets = (
            np.broadcast_to(np.asarray(column, dtype=np.int64), amount.shape) for column in (source, target)
        )
        self.ledger.post(sources, targets, np.full_like(amount, asset), amount)

    def _charge(self, reference_ticks: Int64) -> int:
        """Adds interest to the cash that is owed, and returns the total in cents."""
        _, owed = self.standing(reference_ticks)
        # In two parts, since a debt times the rate may leave an int64.
        millions, rest = np.divmod(owed, _MILLION)
        interest = millions * self.config.interest_ppm + rest * self.config.interest_ppm // _MILLION
        everyone = np.arange(self.ledger.traders)
        self._post(self.ledger.account(ISSUE), everyone, CASH + self.assets, interest)
        return int(interest.sum())

    def _call(self, round_: int, reference_ticks: Int64) -> None:
        # In products, not quotients, so that no rounding decides who is called.
        equity, owed = self.standing(reference_ticks)
        below = (owed > 0) & (equity * 1_000 < self.config.maintenance_permille * owed)
        since = np.where(self.called_round > 0, self.called_round, round_)
        self.called_round = np.where(below, since, 0)
        self.liquidating = (below & (round_ - since >= self.config.grace_rounds)).astype(np.int64)

    def _write_off(self, traders: Int64, reference_ticks: Int64) -> Int64:
        """Settles at reference prices as far as it goes; returns what went to DEFAULTS, as [traders, assets]."""
        written_off = np.zeros((len(traders), self.assets), dtype=np.int64)
        marks = self._marks(reference_ticks)
        issue, defaults = self.ledger.account(ISSUE), self.ledger.account(DEFAULTS)
        for row, trader in enumerate(traders.tolist()):
            account = np.array([trader])
            # Goods are taken for the cash that is owed, no more lots of them than it takes.
            for asset in range(1, self.assets):
                lots = min(int(self.owned[trader, asset]), -(-int(self.owed[trader, CASH]) // int(marks[asset])))
                paid = min(lots * int(marks[asset]), int(self.owed[trader, CASH]))
                self._post(account, self._lender[CASH], asset, np.array([lots]))
                self._post(account, issue, CASH + self.assets, np.array([paid]))
            # Goods that are owed are paid for, lot by lot.
            for asset in range(1, self.assets):
                lots = min(int(self.owed[trader, asset]), int(self.owned[trader, CASH]) // int(marks[asset]))
                self._post(account, self._lender[asset], CASH, np.array([lots * int(marks[asset])]))
                self._post(account, issue, asset + self.assets, np.array([lots]))
            # The debt moves to DEFAULTS, so that the sum of each debt over all accounts stays zero.
            written_off[row] = self.owed[trader]
            for asset in range(self.assets):
                self._post(account, defaults, asset + self.assets, written_off[row, [asset]])
        self.called_round[traders] = 0
        self.liquidating[traders] = 0
        return written_off
