"""What the desk's engine computes each day: figures, each watcher's rarity and probability, cases and candidates.

Nothing of it depends on who bids or what is sold, but for the odds, which learn from what the analyst has confirmed.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from swarm.errors import ConfigError
from swarm.scenarios.fraud import described, learned
from swarm.scenarios.fraud.calibration import (
    AGREES,
    LEARNED_WEIGHT,
    LEAST_RARITY,
    PAST_WEIGHT,
    Odds,
    Tail,
    Times,
    agreeing,
    multiplied,
    silence,
)
from swarm.scenarios.fraud.cases import Cases
from swarm.scenarios.fraud.config import FraudConfig, WatcherConfig
from swarm.scenarios.fraud.features import Stream
from swarm.scenarios.fraud.generate import made
from swarm.scenarios.fraud.joined import joined
from swarm.scenarios.fraud.payments import KINDS, UNKNOWN, Int64, Payments
from swarm.scenarios.fraud.specialists import SPECIALISTS, Figures
from swarm.scenarios.fraud.table import KEY, PaymentsError, read_payments

Float64 = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

SUSPICIOUS = 2.5
"""The rarity from which on a payment is joined to a case and counts as suspicious."""

LEAST_LABELS = 5
"""Of how many labelled payments boosting has learned a kind."""

READER = "reader"
UNUSUAL = -1
"""The kind of an alert whose watcher names none."""

MOST_BIDS = 12
"""The most payments that a watcher names in a round, as a market takes at most so many orders of a trader."""


class Scores(Protocol):
    """Anything that scores payments by their figures."""

    def scores(self, figures: Float64) -> Float64:
        """Returns [payments] scores, 0 where it sees nothing."""
        ...


class Specialist:
    """One of the eight rules."""

    def __init__(self, kind: str) -> None:
        self._rule = SPECIALISTS[kind]

    def scores(self, figures: Float64) -> Float64:
        """Returns [payments] scores."""
        return self._rule(Figures(figures))


@dataclass
class Watcher:
    """One watcher: what it is called, what scores for it, and what is known of its scores."""

    title: str
    watch: str
    kind: int
    model: Scores | None
    tail: Tail
    odds: Odds


@dataclass(frozen=True, slots=True, eq=False)
class Day:
    """A day's payments: `rows` of all, [watchers, payments] rarities and probabilities, and which were suspicious.

    `agreed` has how many other watchers find each rare, `case_of` the case of each suspicious row, and `kind`
    [payments] what the specialists take each for.
    """

    round: int
    rows: slice
    rarity: Float64
    agreed: Int64
    probability: Float64
    suspicious: Int64
    case_of: dict[int, int]
    kind: Int64


def payments_of(config: FraudConfig, seed: int, rounds: int) -> Payments:
    """Returns a run's payments; ConfigError where a file cannot be read as such."""
    if not config.payments_file:
        first: dict[str, int] = dict.fromkeys(config.new_kinds, config.days_before)
        return made(seed, config.days_before + rounds, config.payments_a_day, config.prevalence_ppm, first)
    try:
        payments = read_payments(Path(config.payments_file), config.utc)
    except PaymentsError as error:
        raise ConfigError(KEY, str(error)) from None
    if config.payments_sha256 not in ("", payments.digest):
        raise ConfigError("scenario.payments_sha256", f"the payments' digest is {payments.digest}", "these are others")
    days = int(payments.minute[-1]) // 1_440 + 1
    if days <= config.days_before:
        raise ConfigError(
            "scenario.days_before", f"the payments are of {days} days, so none are left to watch", "give fewer days"
        )
    return payments


def check_watchers(watchers: Sequence[WatcherConfig]) -> None:
    """Raises ConfigError where a watcher cannot be made."""
    # Names tell watchers apart in reports and in the odds of a fork.
    titles = [one.title for one in watchers]
    for index, one in enumerate(watchers):
        if titles.index(one.title) < index:
            raise ConfigError(f"scenario.watchers.{index}.name", f"two watchers are called {one.title!r}", "name one")
        if one.watch in (learned.FOREST, learned.BOOSTING):
            learned.check(index, one.watch)
        if one.describe:
            try:
                described.read(one.describe)
            except described.NotUnderstood as error:
                raise ConfigError(f"scenario.watchers.{index}.describe", str(error)) from None


class Feed(Protocol):
    """Where the figures of payments come from."""

    def take(self, last: int) -> Float64:
        """Returns [payments, figures] of those before row `last` that were not taken yet."""
        ...


Fit = Callable[[str, Float64, Mask, Mask], Scores | None]
"""Fits a watcher that learns, as `learned.fit` does."""


class Engine:
    """The watchers of a desk and what they know; it goes through the days in order, once."""

    def __init__(
        self, config: FraudConfig, payments: Payments, feed: Feed | None = None, fit: Fit = learned.fit
    ) -> None:
        self.config, self.payments = config, payments
        self.feed: Feed = feed or Stream(payments)
        self._fit = fit
        self.cases, self.times = Cases(), Times()
        # What boosting's silence multiplies the odds of others by, and the kinds that it has learned.
        self.silence, self.taught = 1.0, np.empty(0, dtype=np.int64)
        self.watchers = self._learn()

    def _learn(self) -> list[Watcher]:
        """Returns the watchers, calibrated on the days before the first round."""
        before, p = self.payments.rows_of(0, self.config.days_before), self.payments
        figures = joined(p, before, self.feed.take(before.stop))
        fraud, known = p.fraud[before], p.kind[before] != UNKNOWN
        # All are calibrated on the last third: in the first weeks every payee is new.
        third = p.rows_of(0, self.config.days_before * 2 // 3).stop
        known_late, fraud_late = known[third:], fraud[third:]
        made_: list[Watcher] = []
        # [watchers, payments] of the last third.
        rarity = np.zeros((len(self.config.watchers), len(known_late)))
        for one in self.config.watchers:
            learns = one.watch in (learned.FOREST, learned.BOOSTING)
            odds = Odds(LEARNED_WEIGHT if learns else PAST_WEIGHT)
            watcher = Watcher(one.title, one.watch or "described", UNUSUAL, None, Tail(), odds)
            made_.append(watcher)
            if one.watch == READER:
                continue
            number = len(made_) - 1
            past = self._model(one, figures[:third], fraud[:third], known[:third])
            # It learns once more from all days, and is taken to be as good as it was.
            watcher.model = self._model(one, figures, fraud, known) if learns else past
            watcher.kind = KINDS.index(one.watch) if one.watch in KINDS else UNUSUAL
            if past is not None and len(figures) > third:
                scores = past.scores(figures[third:])
                watcher.tail.add(scores)
                rarity[number] = watcher.tail.rarity(scores)
        agreed = agreeing(rarity)
        for number, watcher in enumerate(made_):
            watcher.odds.learn_past(rarity[number, known_late], agreed[number, known_late], fraud_late[known_late])
        # Boosting may call clear what others name; of the kinds that it has learned, that says something.
        labels = np.bincount(p.kind[before][fraud], minlength=len(KINDS))
        self.taught = np.flatnonzero(labels >= LEAST_LABELS)
        if (judge := _judge(made_)) is not None:
            named = np.delete(rarity, judge, axis=0).max(axis=0, initial=0.0) >= AGREES
            clear = rarity[judge] < LEAST_RARITY
            self.silence = silence(named[known_late], clear[known_late], fraud_late[known_late])
        return made_

    def day(self, round_: int) -> Day:
        """Returns the day of a round, whose payments are taken in."""
        day = self.config.days_before + round_ - 1
        rows = self.payments.rows_of(day, day + 1)
        figures = joined(self.payments, rows, self.feed.take(rows.stop))
        count = rows.stop - rows.start
        rarity = np.zeros((len(self.watchers), count))
        probability = np.zeros_like(rarity)
        for number, watcher in enumerate(self.watchers):
            if watcher.model is None or not count:
                continue
            scores = watcher.model.scores(figures)
            # By the past alone.
            rarity[number] = watcher.tail.rarity(scores)
            # Scores of today make tomorrow's rarity.
            watcher.tail.add(scores)
        # Only then by what was confirmed of what looked so, where as many agreed, and how much fraud there is of late.
        self.times.fade()
        agreed = agreeing(rarity)
        for number, watcher in enumerate(self.watchers):
            probability[number] = self.times.probability(watcher.odds.probability(rarity[number], agreed[number]))
        kind = self._kinds(rarity)
        if (judge := _judge(self.watchers)) is not None:
            clear = (rarity[judge] < LEAST_RARITY) & np.isin(kind, self.taught)
            probability[:, clear] = multiplied(probability[:, clear], self.silence)
        # Readers have what the best of the others thinks.
        for number, watcher in enumerate(self.watchers):
            if watcher.watch == READER:
                rarity[number], probability[number] = rarity.max(axis=0), probability.max(axis=0)
        suspicious = rows.start + np.flatnonzero(rarity.max(axis=0) >= SUSPICIOUS) if count else np.empty(0, np.int64)
        case_of = dict(zip(suspicious.tolist(), self.cases.join(self.payments, suspicious), strict=True))
        return Day(round_, rows, rarity, agreed, probability, suspicious, case_of, kind)

    def _kinds(self, rarity: Float64) -> Int64:
        """Returns [payments] the kind whose specialist finds each rarest; UNUSUAL where none does."""
        own = [number for number, watcher in enumerate(self.watchers) if watcher.kind >= 0]
        if not own:
            return np.full(rarity.shape[1], UNUSUAL)
        # [payments] the number of the specialist that finds each rarest.
        best = np.argmax(rarity[own], axis=0)
        kinds = np.array([self.watchers[number].kind for number in own])[best]
        found: Int64 = np.where(rarity[own].max(axis=0) >= LEAST_RARITY, kinds, UNUSUAL)
        return found

    def confirmed(self, watcher: int, rarity: float, agreed: int, fraud: bool) -> None:
        """Takes in what an alert of a watcher was, with which so many agreed."""
        odds, seen = self.watchers[watcher].odds, (np.array([rarity]), np.array([agreed]))
        # What was expected is told by what had been learned before.
        self.times.add(float(odds.probability(*seen)[0]), fraud)
        odds.add(*seen, np.array([fraud]))

    def _model(self, one: WatcherConfig, figures: Float64, fraud: Mask, known: Mask) -> Scores | None:
        if one.describe:
            return described.read(one.describe)
        if one.watch in (learned.FOREST, learned.BOOSTING):
            return self._fit(one.watch, figures, fraud, known)
        return Specialist(str(one.watch))


def _judge(watchers: Sequence[Watcher]) -> int | None:
    """Returns the number of the first watcher that has learned from labels; None where none has."""
    return next((i for i, one in enumerate(watchers) if one.watch == learned.BOOSTING and one.model), None)
