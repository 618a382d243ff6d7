"""The bank's own books: every customer's account, every payment, and holds on the payer's money, on the ledger.

A payment is released, held or seized, and is exactly one of these: a held one becomes one of the others once the
analyst knows. Each account begins with all that it will pay, so no hold starves another payment.
"""

import numpy as np

from swarm.errors import LedgerError
from swarm.market.ledger import CASH, ISSUE, Ledger
from swarm.scenarios.fraud.payments import Int64, Payments

RELEASED, HELD, SEIZED = 0, 1, 2
STATES = ("released", "held", "seized")
PROCEEDS = "proceeds"
"""The account that has what was seized."""


class Bank:
    """The accounts of a bank, and [3] how many payments are released, held and seized, and of how many cents."""

    def __init__(self, payments: Payments) -> None:
        self._payments = payments
        accounts = len(payments.accounts)
        self.ledger = Ledger(accounts, 1, (ISSUE, PROCEEDS))
        due = np.bincount(payments.sender, weights=payments.cents, minlength=accounts).astype(np.int64)
        self._post(np.full(accounts, self.ledger.account(ISSUE)), np.arange(accounts), due)
        self.counts: Int64 = np.zeros(len(STATES), dtype=np.int64)
        self.cents: Int64 = np.zeros(len(STATES), dtype=np.int64)
        self.paid = 0

    def pay(self, last: int, held: Int64) -> None:
        """Pays what came before row `last` and was not paid yet, but for the rows `held`, whose money is on hold."""
        p = self._payments
        rows = np.arange(self.paid, last)
        # Each payment of the day is either posted or on hold.
        free = rows[~np.isin(rows, held)]
        self._post(p.sender[free], p.receiver[free], p.cents[free])
        self.ledger.hold(p.sender[held], np.zeros_like(held), p.cents[held])
        self._count(RELEASED, free, 1)
        self._count(HELD, held, 1)
        self.paid = last
        self.check()

    def decide(self, rows: Int64, seized: np.ndarray) -> None:
        """Ends the holds of these rows: the money goes to the proceeds where it is seized, else to the payee."""
        p = self._payments
        self.ledger.release(p.sender[rows], np.zeros_like(rows), p.cents[rows])
        # The hold ends first, so that the money can leave.
        target = np.where(seized, self.ledger.account(PROCEEDS), p.receiver[rows])
        self._post(p.sender[rows], target, p.cents[rows])
        self._count(HELD, rows, -1)
        self._count(SEIZED, rows[seized], 1)
        self._count(RELEASED, rows[~seized], 1)
        self.check()

    def check(self) -> None:
        """Raises LedgerError unless the books add up and every payment is in one state."""
        self.ledger.check(f"{self.paid} payments")
        if int(self.counts.sum()) != self.paid or (self.counts < 0).any():
            told = ", ".join(f"{n} {state}" for n, state in zip(self.counts.tolist(), STATES, strict=True))
            raise LedgerError(f"bank: of {self.paid} payments there are {told}")
        if int(self.ledger.held.sum()) != int(self.cents[HELD]):
            raise LedgerError(f"bank: holds come to {int(self.ledger.held.sum())} cents, not {int(self.cents[HELD])}")

    def _count(self, state: int, rows: Int64, sign: int) -> None:
        self.counts[state] += sign * len(rows)
        self.cents[state] += sign * int(self._payments.cents[rows].sum())

    def _post(self, source: Int64, target: Int64, cents: Int64) -> None:
        self.ledger.post(source, target, np.full(len(cents), CASH), cents)
