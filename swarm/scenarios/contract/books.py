"""Stakes and fees as postings: what is staked lies with the account STAKES until a case is settled."""

from collections.abc import Sequence

import numpy as np

from swarm.market.ledger import CASH, ISSUE
from swarm.scenarios.protocol import Consequence, Movement

STAKES, CLIENT = "stakes", "client"
ACCOUNTS = (ISSUE, STAKES, CLIENT)
"""The world outside, stakes on findings that are open, and who ordered the review: fees not earned and stakes lost."""

GOODS = ("findings",)
PAPERS = frozenset(GOODS)
FINDINGS = 1
"""The asset: a paper for each finding that is open."""


class Postings:
    """A round's postings, gathered by cause: each is (cause, source, target, asset)."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str, str, str, int], list[tuple[int, int]]] = {}

    def pay(self, cause: str, account: str, seat: int, amount: int, asset: int = CASH) -> None:
        """Notes that an account gives to a seat."""
        self._note((cause, account, "", asset), seat, amount)

    def take(self, cause: str, seat: int, account: str, amount: int, asset: int = CASH) -> None:
        """Notes that a seat gives to an account."""
        self._note((cause, "", account, asset), seat, amount)

    def _note(self, key: tuple[str, str, str, int], seat: int, amount: int) -> None:
        if amount:
            self._rows.setdefault(key, []).append((seat, amount))

    def between(self, cause: str, source: str, target: str, amount: int) -> None:
        """Notes that an account gives to another."""
        if amount:
            self._rows.setdefault((cause, source, target, CASH), []).append((-1, amount))

    def movements(self) -> Sequence[Consequence]:
        """Returns the postings, one for each cause and pair of sides."""
        found: list[Consequence] = []
        for (cause, source, target, asset), rows in self._rows.items():
            seats = np.array([seat for seat, _ in rows], dtype=np.int64)
            amounts = np.array([amount for _, amount in rows], dtype=np.int64)
            found.append(Movement(cause, source or seats, target or seats, np.full(len(rows), asset), amounts))
        return found
