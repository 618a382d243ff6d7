"""What a slot is worth to each watcher, which bids compete for which slots, and what was bought, as arrays."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from swarm.scenarios.fraud.config import FraudConfig
from swarm.scenarios.fraud.engine import Day
from swarm.scenarios.fraud.payments import Int64, Payments

Float64 = npt.NDArray[np.float64]

OPEN, KEPT = 0, 1
"""The goods: a slot, and one that is kept for payments which the strongest watcher does not name."""


def value_cents(config: FraudConfig, payments: Payments, rows: Int64) -> Int64:
    """Returns [rows] the value that a confirmed alert on each saves."""
    saved: Int64 = np.clip(payments.cents[rows], config.least_value_cents, config.most_value_cents)
    return saved


def reward_cents(config: FraudConfig, payments: Payments, rows: Int64) -> Int64:
    """Returns [rows] the cents that a confirmed alert pays."""
    reward: Int64 = value_cents(config, payments, rows) * config.share_permille // 1_000
    return reward


def worth_ticks(config: FraudConfig, payments: Payments, rows: Int64, probability: Float64, tick_cents: int) -> Int64:
    """Returns [rows] what a slot for each payment is worth: its reward if it is fraud, less the cost if it is not."""
    # Rounded down, so that no bid is above what it is worth.
    cents = probability * reward_cents(config, payments, rows) - (1.0 - probability) * config.false_cents
    worth: Int64 = np.floor(cents / tick_cents).astype(np.int64)
    return worth


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """What each watcher would have looked at, the best first: [watchers, most] rows and worths.

    A row of -1 and a worth of 0 are none.
    """

    row: Int64
    worth: Int64

    @classmethod
    def of(
        cls, config: FraudConfig, payments: Payments, day: Day, tick_cents: int, most: int, least_ticks: int
    ) -> "Candidates":
        """Returns the candidates of a day that are worth at least `least_ticks`, at most so many of each watcher."""
        watchers = len(day.rarity)
        row = np.full((watchers, most), -1, dtype=np.int64)
        worth = np.zeros((watchers, most), dtype=np.int64)
        for number in range(watchers):
            at = np.flatnonzero(day.probability[number] > 0)
            rows = day.rows.start + at
            value = worth_ticks(config, payments, rows, day.probability[number][at], tick_cents)
            fit = value >= least_ticks
            # By worth, then by how rare it is, then by time.
            order = np.lexsort((rows[fit], -day.rarity[number][at[fit]], -value[fit]))
            best = order[:most]
            row[number, : len(best)], worth[number, : len(best)] = rows[fit][best], value[fit][best]
        return cls(row, worth)

    def read_by(self, readers: Sequence[int], wide: "Candidates", slots: int, reserve_ticks: int) -> "Candidates":
        """Returns the same with one case for each reader, of the `wide` candidates: the first that nobody else buys.

        What is likelier is bought by who found it, whatever a reader says. On a day with fewer these are the last ones.
        """
        row, worth = self.row.copy(), self.worth.copy()
        for place, number in enumerate(readers):
            found = int((wide.row[number] >= 0).sum())
            bought = min(slots, int((wide.worth[number, :found] >= reserve_ticks).sum()))
            at = min(bought + place, found - len(readers) + place)
            row[number], worth[number] = -1, 0
            if at >= 0:
                row[number, 0], worth[number, 0] = wide.row[number, at], max(int(wide.worth[number, at]), 0)
        return Candidates(row, worth)


@dataclass(frozen=True, slots=True, eq=False)
class Bids:
    """The bids of a round, one for each payment, highest first: the best bidder of each speaks for it.

    `others` are the watchers that bid less for the same payment, `good` which slots it competes for.
    """

    watcher: Int64
    row: Int64
    ticks: Int64
    good: Int64
    others: tuple[tuple[int, ...], ...]

    def __len__(self) -> int:
        return len(self.watcher)


def bids_of(config: FraudConfig, watcher: Int64, row: Int64, ticks: Int64, rarity: Float64, strongest: int) -> Bids:
    """Returns the bids that go to market, of [wishes] watchers, rows and ticks; a payment is bid for once."""
    order = np.lexsort((watcher, row, -rarity, -ticks))
    # By row: the wish that goes to market, and the watchers behind it.
    first: dict[int, int] = {}
    others: dict[int, list[int]] = {}
    for i in order.tolist():
        if int(row[i]) in first:
            others[int(row[i])].append(int(watcher[i]))
        else:
            first[int(row[i])], others[int(row[i])] = i, []
    picked = np.array(list(first.values()), dtype=np.int64)
    # What the strongest does not name counts for more in its way to a kept slot, which is how the new is found; where
    # the strongest is surer by more than that, the slot is open to all.
    named = np.isin(row[picked], row[watcher == strongest])
    rank = np.lexsort((np.arange(len(picked)), -ticks[picked] * np.where(named, 1, config.kept_weight)))
    kept = rank[: config.slots][~named[rank[: config.slots]]][: config.kept_slots]
    good = np.full(len(picked), OPEN)
    good[kept] = KEPT
    return Bids(
        watcher[picked], row[picked], ticks[picked], good, tuple(tuple(others[int(row[i])]) for i in picked.tolist())
    )


def offered(config: FraudConfig, bids: Bids) -> tuple[int, int]:
    """Returns how many open and kept slots are on sale: kept ones that nobody wants are open."""
    kept = int((bids.good == KEPT).sum())
    return config.slots - kept, kept
