"""What follows once slots are sold: which payments they were for, and what alerts turn out to be, some rounds later."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from swarm.scenarios.fraud.alerts import FALSE, FRAUD, OPEN, UNLABELLED, Alerts
from swarm.scenarios.fraud.config import FraudConfig
from swarm.scenarios.fraud.engine import UNUSUAL, Day, Engine
from swarm.scenarios.fraud.market import Bids, reward_cents
from swarm.scenarios.fraud.payments import UNKNOWN, Int64, Payments
from swarm.seeding import draw_between


@dataclass(frozen=True, slots=True, eq=False)
class Settled:
    """What the analyst knows in a round: `at` are rows of alerts, `row` their payments, then what watchers get."""

    at: Int64
    row: Int64
    watcher: Int64
    cents: Int64
    verdict: Int64
    earned_cents: Int64

    @property
    def seized(self) -> npt.NDArray[np.bool_]:
        """Which payments are seized."""
        seized: npt.NDArray[np.bool_] = self.verdict == FRAUD
        return seized


def bought(
    config: FraudConfig, seed: int, day: Day, bids: Bids, lots: Int64, prices: Int64, named: Mapping[int, int]
) -> Alerts:
    """Returns the alerts of a round: `lots` [watchers, goods] were bought, at `prices` by good.

    A watcher's slots are for its highest bids, as the auction fills these first. `named` has the kind that a reader
    takes its case for, which counts where no specialist knows one.
    """
    # [watchers, goods] slots that are not spoken for yet.
    left = lots.copy()
    taken = []
    for i, (watcher, good) in enumerate(zip(bids.watcher.tolist(), bids.good.tolist(), strict=True)):
        if left[watcher, good]:
            left[watcher, good] -= 1
            taken.append(i)
    at = np.array(taken, dtype=np.int64)
    row, watcher, good = bids.row[at], bids.watcher[at], bids.good[at]
    low, high = config.confirm_rounds
    kind, said = day.kind[row - day.rows.start], [named.get(one, UNUSUAL) for one in watcher.tolist()]
    return Alerts(
        row=row,
        kind=np.where(kind == UNUSUAL, np.array(said, dtype=np.int64), kind),
        round=np.full(len(at), day.round),
        watcher=watcher,
        ticks=bids.ticks[at],
        price_ticks=prices[good],
        good=good,
        case=np.array([day.case_of.get(one, -1) for one in row.tolist()], dtype=np.int64),
        rarity_milli=np.rint(1_000 * day.rarity[watcher, row - day.rows.start]).astype(np.int64),
        agreed=day.agreed[watcher, row - day.rows.start],
        # Drawn by the payment alone, so that who looked at it changes nothing.
        due=day.round + draw_between(seed, "fraud confirmed", low, high, row),
        verdict=np.full(len(at), OPEN),
        earned_cents=np.zeros(len(at), dtype=np.int64),
    )


def settle(config: FraudConfig, payments: Payments, alerts: Alerts, round_: int, purse: Int64) -> Settled:
    """Returns what the analyst knows by this round; `purse` [watchers] bounds what false alerts cost."""
    at = np.flatnonzero((alerts.due <= round_) & (alerts.verdict == OPEN))
    row, watcher = alerts.row[at], alerts.watcher[at]
    kind = payments.kind[row]
    verdict = np.where(kind >= 0, FRAUD, np.where(kind == UNKNOWN, UNLABELLED, FALSE))
    # Nobody pays more than its purse has, in the order of filing.
    earned, left = np.zeros(len(at), dtype=np.int64), purse.copy()
    reward = reward_cents(config, payments, row)
    for i, (who, what) in enumerate(zip(watcher.tolist(), verdict.tolist(), strict=True)):
        if what == FRAUD:
            earned[i] = reward[i]
        elif what == FALSE:
            earned[i] = -min(config.false_cents, int(left[who]))
            left[who] += earned[i]
    return Settled(at, row, watcher, payments.cents[row], verdict, earned)


def strongest(engine: Engine, alerts: Alerts, watchers: int) -> int:
    """Returns the watcher with most earned so far; before anything is, the one that found most in the days before."""
    earned = np.bincount(alerts.watcher, weights=alerts.earned_cents, minlength=watchers)
    found = np.array([int(one.odds.past_fraud.sum()) for one in engine.watchers])
    return int(np.lexsort((np.arange(watchers), -found, -earned))[0])
