"""The double-entry ledger: whole amounts of cash and goods by account, and the holds that live orders have on them.

Accounts 0..traders-1 belong to traders; named accounts follow. Every posting takes from one account what it gives to
another, so the sum of each asset over all accounts is always zero: what the world holds is what `ISSUE` owes.
"""

import numpy as np

from swarm.errors import LedgerError
from swarm.market.orders import Int64

CASH = 0
"""The asset number of cash, in cents; good `g` is asset `g + 1`, in lots."""

ISSUE = "issue"
"""The account that endowments and harvests come from; it may be negative."""

ROAD = "road"
"""The account through which goods and cash come from other markets and leave for them; it may be negative, too."""


def add_at(cells: Int64, row: Int64, column: Int64 | int, amount: Int64) -> None:
    """Adds each amount at its row and column, which may come several times; `cells` must be contiguous."""
    if not cells.flags.c_contiguous:
        raise ValueError("amounts can only be added in a contiguous array")
    # Along one axis numpy adds five times as fast as at pairs of indices, and twenty times as fast where the type is
    # its own int64 and not the equal one that comes with an array in a message.
    flat, index, added = (
        np.asarray(values, dtype=np.int64) for values in (cells.reshape(-1), row * cells.shape[1] + column, amount)
    )
    np.add.at(flat, index, added)


class Ledger:
    """Balances and holds, both `int64[accounts, assets]`."""

    def __init__(self, traders: int, assets: int, named_accounts: tuple[str, ...]) -> None:
        if ISSUE not in named_accounts:
            raise ValueError(f"a ledger needs the account {ISSUE!r}")
        self.traders = traders
        self.names = {name: traders + i for i, name in enumerate(named_accounts)}
        self.balances = np.zeros((traders + len(named_accounts), assets), dtype=np.int64)
        self.held = np.zeros_like(self.balances)

    def account(self, name: str) -> int:
        """Returns the number of a named account."""
        return self.names[name]

    def available(self, account: Int64, asset: Int64 | int) -> Int64:
        """Returns what the accounts have of `asset` and no hold reserves."""
        available: Int64 = self.balances[account, asset] - self.held[account, asset]
        return available

    def hold(self, account: Int64, asset: Int64, amount: Int64) -> None:
        """Reserves `amount`s for live orders."""
        # Not `held[...] += amount`, which would count a repeated pair of account and asset only once.
        add_at(self.held, account, asset, amount)

    def release(self, account: Int64, asset: Int64, amount: Int64) -> None:
        """Frees what `hold` reserved."""
        add_at(self.held, account, asset, -amount)

    def post(self, source: Int64, target: Int64, asset: Int64, amount: Int64) -> None:
        """Moves `amount`s of `asset` from the accounts `source` to the accounts `target`, row by row."""
        if len(amount) and int(amount.min()) < 0:
            raise LedgerError("ledger: a posting has a negative amount")
        # A negative index would silently mean an account or asset at the end.
        bounds = ((source, len(self.balances)), (target, len(self.balances)), (asset, self.balances.shape[1]))
        if any(len(column) and not 0 <= column.min() <= column.max() < bound for column, bound in bounds):
            raise LedgerError("ledger: a posting names an account or an asset that does not exist")
        add_at(self.balances, source, asset, -amount)
        add_at(self.balances, target, asset, amount)

    def check(self, after: str) -> None:
        """Raises LedgerError unless sums are zero, only ISSUE and ROAD are negative and holds lie within balances."""
        # Written so that no reduction runs along the few assets, which would take several times as long.
        sums = np.einsum("ij->j", self.balances)
        if sums.any():
            raise LedgerError(f"ledger: after {after} the sum over all accounts is {sums.tolist()}, not zero")
        negative = self.balances < 0
        for name in (ISSUE, ROAD):
            negative[self.names.get(name, self.names[ISSUE])] = False
        if negative.any():
            account = int(np.flatnonzero(negative.any(axis=1))[0])
            raise LedgerError(
                f"ledger: after {after} account {account} is below zero: {self.balances[account].tolist()}"
            )
        # An account that may be negative has nothing to hold.
        if (self.held < 0).any() or (self.held > np.maximum(self.balances, 0)).any():
            raise LedgerError(f"ledger: after {after} a hold is negative or larger than its balance")
