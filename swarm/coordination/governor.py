"""Decides how many of those who want to think are let, so that a run stays within what it may spend.

It forecasts from what was spent, degrades level by level as the forecast passes a limit, and recovers a level at a time
with a margin, so that it does not swing. It is pure: what time a round took is told to it, and what it chooses is kept
in the journal by whoever asks it. It knows neither models nor prompts.
"""

from dataclasses import dataclass
from enum import IntEnum
from math import exp, inf

import numpy as np
import numpy.typing as npt

Float64 = npt.NDArray[np.float64]


PAR, MOST_SHADOW = 1_000, 1_000_000
"""A dollar's shadow price where money is not short, and the most that it comes to, in 1/1000 of a dollar."""

PACING = 0.5
"""How fast the shadow price follows what was spent beyond, or short of, a round's share of what is left."""


class Level(IntEnum):
    """Levels of thrift, in the order in which they are resorted to; each includes those before it."""

    ALL = 0
    """Everybody who has something to decide is asked."""
    FEWER = 1
    """Some of them are, those first who need or have waited most; between equals the seed draws."""
    SHORTER = 2
    """They hear less, and a desk can look back on fewer rounds."""
    CHEAPER = 3
    """They are asked at the cheapest model of their form."""
    STANDING_ONLY = 4
    """Nobody is asked; orders stand as long as they stand."""


FLOORS = (1.0, 0.5, 0.25, 0.1, 0.0)
"""The least share of those who are due that each level asks; where less can be paid for, the next level holds."""

MARGIN = 1.15
"""A lower level is gone back to when more than this times its floor can be paid for."""

DWELL_ROUNDS = 5
"""For how many rounds a level holds at least before a lower one does."""

MEMORY = 0.3
"""What the last round weighs in the forecast of those to come."""

SPARE_TIME, HASTE, GROWTH = 0.8, 0.9, 1.25
"""A round that took longer than its limit is followed by one with fewer traders, in proportion and HASTE of that; one
that took less than SPARE_TIME of it by one with GROWTH as many."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of a run: what it may spend in all, and how long a round's decisions may take; inf is none."""

    tokens: float = inf
    usd: float = inf
    seconds_per_round: float = inf


@dataclass(frozen=True, slots=True, eq=False)
class Costs:
    """The cost of each trader's turn, expected and at worst, both [2, traders]: tokens and dollars.

    Traders stand in the order in which they would be asked.
    """

    expected: Float64
    worst: Float64


@dataclass(frozen=True, slots=True)
class Pace:
    """The pace of a round: its level, how many of those who are due are asked, and the shadow price of a dollar.

    That price, in 1/1000 of a dollar, tells a mind that may ask a dearer model how much the money is needed elsewhere.
    """

    level: Level
    count: int
    shadow_permille: int = PAR


class Governor:
    """Chooses the pace of each round. `spent` has tokens and dollars, and is never let past a limit knowingly."""

    def __init__(self, limits: Limits, spent: tuple[float, float] = (0.0, 0.0), calm: float = 1.0) -> None:
        """`calm` is the share of the first round's traders that is expected to be due in an ordinary round."""
        self.limits = limits
        self._calm = calm
        self._held = 0
        self.level = Level.ALL
        self.spent: Float64 = np.array(spent)
        self._total: Float64 = np.array([limits.tokens, limits.usd])
        self._forecast: Float64 | None = None
        self._most = inf
        self._shadow = PAR
        self._allowed: Float64 = np.full(2, inf)

    def choose(self, rounds_left: int, own: Costs, cheaper: Costs) -> Pace:
        """Returns the pace of a round with `rounds_left` rounds to go, it included.

        `own` is what the traders cost at their own models, `cheaper` at the cheaper ones; both are in order of asking.
        """
        due = own.expected.shape[1]
        self._allowed = np.maximum(self._total - self.spent, 0.0) / max(rounds_left, 1)
        if not due:
            return Pace(self.level, 0, self._shadow)
        # [2] tokens and dollars: what an ordinary round is going to cost, as a moving average of what is wanted.
        now = own.expected.sum(axis=1)
        self._forecast = self._calm * now if self._forecast is None else MEMORY * now + (1 - MEMORY) * self._forecast
        left = np.maximum(self._total - self.spent, 0.0)
        count, share = self._affordable(left, self._forecast * rounds_left, own)
        wanted = _level_of(min(share, count / due))
        if wanted < self.level:
            # Back by one level at most, and only after a while and with some margin.
            eased = max(_level_of(min(share / MARGIN, count / due)), Level(self.level - 1))
            wanted = min(self.level, eased) if self._held >= DWELL_ROUNDS else self.level
        # At the cheapest models the same money lasts longer; whether it does long enough is a question of its own.
        if wanted >= Level.CHEAPER:
            ratio = cheaper.expected.sum(axis=1) / np.maximum(now, 1e-12)
            count, share = self._affordable(left, self._forecast * ratio * rounds_left, cheaper)
            floor = FLOORS[Level.CHEAPER] * (MARGIN if self.level == Level.STANDING_ONLY else 1)
            wanted = Level.CHEAPER if count and min(share, count / due) >= floor else Level.STANDING_ONLY
        return Pace(wanted, 0 if wanted == Level.STANDING_ONLY else count, self._shadow)

    def keep(self, pace: Pace, tokens: float, usd: float, seconds: float, asked: int) -> None:
        """Takes over what a round came to: the pace that it was run at, what it spent, how long its decisions took."""
        self._held = self._held + 1 if pace.level == self.level else 1
        self.level = pace.level
        taken = np.array([tokens, usd])
        self.spent = self.spent + taken
        self._shadow = self._paced(taken)
        # Down at once and in proportion, up by a factor at a time: a limit is passed for one round at most.
        limit = self.limits.seconds_per_round
        if seconds > limit:
            self._most = asked * limit / seconds * HASTE
        elif seconds < SPARE_TIME * limit:
            self._most = self._most * GROWTH + 1

    def _paced(self, taken: Float64) -> int:
        """Returns the shadow price after a round: it rises where more than the round's share of a limit was taken.

        It is adaptive pacing (Balseiro and Gur, 2019): a multiplier that is moved by what was spent against what each
        round may spend, and never below par. It follows tokens and dollars alone, so a journal tells it again.
        """
        bounded = np.isfinite(self._allowed)
        if not bounded.any():
            return PAR
        share = float(np.max(taken[bounded] / np.maximum(self._allowed[bounded], 1e-12)))
        moved = self._shadow * exp(PACING * (min(share, 4.0) - 1.0))
        return round(min(max(moved, PAR), MOST_SHADOW))

    def _affordable(self, left: Float64, to_come: Float64, costs: Costs) -> tuple[int, float]:
        """Returns how many can be asked, and the share of what is to come that can be paid for; 1 or more is all of it.

        Nobody is asked for whom the worst case would pass a limit.
        """
        due = costs.expected.shape[1]
        # Of tokens and dollars, what runs out first decides.
        share = float(np.min(np.divide(left, to_come, out=np.full(2, inf), where=to_come > 0)))
        count = due
        if share < 1:
            allowed = share * costs.expected.sum(axis=1)
            # The odd part of a trader is rounded up, or a small population would never spend what it may.
            count = min(count, 1 + min(_within(costs.expected[i], allowed[i]) for i in range(2)))
        # What turns may cost at worst must fit now, whatever is expected.
        count = min(count, *(_within(costs.worst[i], left[i]) for i in range(2)))
        if self._most < count:
            count = int(self._most)
            share = min(share, self._most / due)
        return count, share


def _within(costs: Float64, most: float) -> int:
    """Returns how many of the first costs add up to no more than `most`."""
    # What is left over by rounding in a long sum is no reason to turn somebody away.
    return int(np.searchsorted(np.cumsum(costs), most * (1 + 1e-12), side="right"))


def _level_of(share: float) -> Level:
    return next(level for level in Level if share >= FLOORS[level])
