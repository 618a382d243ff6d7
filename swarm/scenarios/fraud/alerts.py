"""The alerts of a run as columns: what was looked at, for whom, and what it turned out to be.

An alert's natural key is (payment, kind): one that comes again is counted and not filed.
"""

from dataclasses import dataclass, fields
from typing import Self

import numpy as np

from swarm.scenarios.fraud.payments import Int64

OPEN, FRAUD, FALSE, UNLABELLED = 0, 1, 2, 3
VERDICTS = ("open", "fraud", "false", "no label")


@dataclass(frozen=True, slots=True, eq=False)
class Alerts:
    """[alerts] columns in the order of filing: `row` is the payment's, `rarity_milli` 1/1000 of how rare it was found.

    `agreed` others found it rare, too. `ticks` was bid and `price_ticks` paid; in round `due` the analyst knows.
    """

    row: Int64
    kind: Int64
    round: Int64
    watcher: Int64
    ticks: Int64
    price_ticks: Int64
    good: Int64
    case: Int64
    rarity_milli: Int64
    agreed: Int64
    due: Int64
    verdict: Int64
    earned_cents: Int64

    @classmethod
    def none(cls) -> Self:
        """Returns no alerts."""
        return cls(*(np.empty(0, dtype=np.int64) for _ in fields(cls)))

    def __len__(self) -> int:
        return len(self.row)

    def columns(self) -> dict[str, Int64]:
        """Returns the columns by name."""
        return {f.name: getattr(self, f.name) for f in fields(self)}

    def take(self, rows: np.ndarray) -> Self:
        """Returns the alerts at these rows."""
        return type(self)(**{name: column[rows] for name, column in self.columns().items()})

    def filed(self, more: "Alerts") -> "tuple[Alerts, int]":
        """Returns the alerts with more behind them, each key once, and how many of them came again."""
        # (row, kind) of all that is filed, and of what is filed here meanwhile.
        known = set(zip(self.row.tolist(), self.kind.tolist(), strict=True))
        fresh = np.zeros(len(more), dtype=np.bool_)
        for i, key in enumerate(zip(more.row.tolist(), more.kind.tolist(), strict=True)):
            fresh[i] = key not in known
            known.add(key)
        new = more.take(fresh)
        return self.joined(new), int((~fresh).sum())

    def joined(self, more: "Alerts") -> "Alerts":
        """Returns these alerts with others behind them."""
        other = more.columns()
        return Alerts(**{name: np.concatenate([column, other[name]]) for name, column in self.columns().items()})

    def decided(self, at: Int64, verdict: Int64, earned_cents: Int64) -> "Alerts":
        """Returns the alerts with these verdicts and earnings at the rows `at`."""
        columns = self.columns()
        for name, values in (("verdict", verdict), ("earned_cents", earned_cents)):
            columns[name] = columns[name].copy()
            columns[name][at] = values
        return Alerts(**columns)
