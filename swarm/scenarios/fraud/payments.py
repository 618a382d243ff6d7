"""Payments as columns, in the order of their time, and what is known of which of them was fraud."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from hashlib import sha256
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
import polars as pl

Int64 = npt.NDArray[np.int64]

DAY = 1_440
"""Minutes of a day, which is a round."""

CARD, TRANSFER, CASH = 0, 1, 2
CHANNELS = ("card", "transfer", "cash")

Kind = Literal["takeover", "structuring", "fan_in", "fan_out", "cycle", "card_testing", "invoice", "pass_through"]
KINDS: tuple[str, ...] = get_args(Kind)
"""The kinds of fraud that the specialists know."""

LAWFUL, UNKNOWN = -1, -2
"""What stands in place of a kind's number where there is no fraud, and where nobody says whether there is."""

NO_CASE = -1

CASH_DESK, OUTSIDE = "cash", "outside"
"""Accounts beyond the bank: its counter, and everybody at another bank."""


@dataclass(frozen=True, eq=False)
class Payments:
    """[payments] columns, earliest first; accounts are numbers into `accounts`, kinds into `kinds`, cases from 0 on.

    `own` tells [accounts] which are the bank's own customers: all but the counter and the world outside.
    """

    minute: Int64
    sender: Int64
    receiver: Int64
    cents: Int64
    channel: Int64
    kind: Int64
    case: Int64
    ids: pl.Series
    memos: pl.Series
    accounts: tuple[str, ...]
    own: npt.NDArray[np.bool_]
    kinds: tuple[str, ...] = KINDS
    notices: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.minute)

    @property
    def day(self) -> Int64:
        """[payments] days from 0 on."""
        days: Int64 = self.minute // DAY
        return days

    @property
    def fraud(self) -> npt.NDArray[np.bool_]:
        """Which payments are known to be fraud."""
        fraud: npt.NDArray[np.bool_] = self.kind >= 0
        return fraud

    @cached_property
    def digest(self) -> str:
        """The sha256 of all columns, so that a replay on other payments is told from one on these."""
        found = sha256()
        for name in ("minute", "sender", "receiver", "cents", "channel", "kind"):
            found.update(np.ascontiguousarray(getattr(self, name)).tobytes())
        for texts in (self.ids, self.memos):
            found.update("\0".join(texts.to_list()).encode())
        found.update("\0".join(self.accounts).encode())
        return found.hexdigest()

    def rows_of(self, first_day: int, last_day: int) -> slice:
        """Returns the rows of the days from `first_day` to before `last_day`."""
        low, high = np.searchsorted(self.minute, [first_day * DAY, last_day * DAY])
        return slice(int(low), int(high))

    def without(self, rows: npt.NDArray[np.bool_]) -> "Payments":
        """Returns the payments but those at `rows`."""
        kept = ~rows
        columns: dict[str, Any] = {f.name: getattr(self, f.name) for f in fields(self)}
        for name in ("minute", "sender", "receiver", "cents", "channel", "kind", "case"):
            columns[name] = columns[name][kept]
        mask = pl.Series(kept)
        return Payments(**columns | {"ids": self.ids.filter(mask), "memos": self.memos.filter(mask)})


def own_accounts(accounts: Sequence[str]) -> npt.NDArray[np.bool_]:
    """Returns [accounts] which are the bank's own: all but those that are called `cash` and `outside`."""
    return np.array([name not in (CASH_DESK, OUTSIDE) for name in accounts], dtype=np.bool_)
