"""Surveillance: for each kind of abuse one statistic on typed evidence, and who stands out by it. Pure.

The statistics follow the signs of Regulation (EU) 2016/522, Annex II. A score says how much somebody's traces look
like an abuse, and nothing of intent; what is unusual, honest runs say (`calibrated`). It knows no text, mind or label.
"""

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from swarm.market.evidence import Float64, Traces
from swarm.market.orders import Int64

Abuse = Literal["layering", "marking", "wash", "corner", "pump", "insider", "floor", "sybil"]
ABUSES: tuple[Abuse, ...] = get_args(Abuse)

SIGNS: dict[Abuse, str] = {
    "layering": "orders that trade with nobody, and what they push the price, beside trades on the other side",
    "marking": "price moved by own orders in nearly every closing round, and more than in others",
    "wash": "lots bought and sold alike, so that little changes hands in the end",
    "corner": "share of all lots of a good that was gathered",
    "pump": "lots bought before telling others that a good will rise, and sold right after",
    "insider": "position taken on the right side before news, beyond what is usual for this trader and good",
    "floor": "share of all lots bid for that stood at one unchanged limit, over many rounds",
    "sybil": "rounds in which another trader put in the very same orders",
}

WINDOWS = (5, 25, 60)
"""Rounds that a statistic looks back on; each is taken in all three, and judged by itself."""

LOOKED_AT_EVERY = 5
"""Rounds between two looks at everybody."""

LEAST: dict[Abuse, float] = {
    "layering": 0.2,
    "marking": 25.0,
    "wash": 0.04,
    "corner": 0.1,
    "pump": 0.04,
    "insider": 3.0,
    "floor": 0.12,
    "sybil": 0.4,
}
"""Scores below which nobody is accused, however rare they are among the honest."""

TAIL_SCORES = 32
"""How many of the highest honest scores tell how their tail falls."""

KEPT_SCORES = 64
"""How many of the highest honest scores a calibration keeps, for each abuse and window."""

BEFORE_ROUNDS, AFTER_ROUNDS = 10, 5
"""Rounds before a tip in which a position is built, and after it in which it is sold; news has half of the first."""


LEAST_CLOSINGS = 4
"""Closing rounds that must have been seen before anybody is said to mark them."""

FLOOR_ROUNDS = 3
"""Rounds for which a bid must stand at one limit to hold a price up."""


class Surveillance:
    """The traces of the last rounds, and every trader's largest score so far in each window."""

    def __init__(self, closing_rounds: int = 5, windows: Sequence[int] = WINDOWS) -> None:
        """Each round whose number divides by `closing_rounds` is a closing one, whose price others go by."""
        self.closing_rounds, self.windows = closing_rounds, tuple(windows)
        self._past: deque[Traces] = deque(maxlen=max(windows))
        self._highest: dict[Abuse, Float64] = {}
        self._now: dict[Abuse, Float64] = {}

    def see(self, traces: Traces) -> None:
        """Takes over a round's traces, and scores everybody anew where it is time to."""
        self._past.append(traces)
        if traces.round % LOOKED_AT_EVERY:
            return
        past = list(self._past)
        for abuse, statistic in _STATISTICS.items():
            scores = np.stack([statistic(past[-window:], self.closing_rounds) for window in self.windows])
            self._now[abuse] = scores
            self._highest[abuse] = np.maximum(self._highest.get(abuse, np.zeros_like(scores)), scores)

    def now(self, abuse: Abuse) -> Float64:
        """Returns every trader's score at the last look, [windows, traders]."""
        return self._now.get(abuse, self.scores(abuse))

    def scores(self, abuse: Abuse) -> Float64:
        """Returns every trader's largest score so far, [windows, traders]."""
        nobody = np.zeros((len(self.windows), len(self._past[-1].have) if self._past else 0))
        return self._highest.get(abuse, nobody)


def _sum(past: Sequence[Traces], name: str) -> npt.NDArray[np.float64]:
    total: Float64 = np.sum([getattr(traces, name) for traces in past], axis=0, dtype=np.float64)
    return total


def _volume(past: Sequence[Traces]) -> Float64:
    return np.maximum(_sum(past, "volume_lots"), 1.0)[None, :]


def layering(past: Sequence[Traces], closing_rounds: int) -> Float64:
    """Returns how much of a side was idle orders of one who dealt on the other, and what they pushed in 1/100, a round.

    Who bids idly gains by having sold, and the other way round.
    """
    bought, sold = _sum(past, "bought"), _sum(past, "sold")
    dealt = np.maximum(bought + sold, 1.0)
    found = np.zeros(dealt.shape)
    for side, other in ((1.0, sold), (-1.0, bought)):
        idle = np.sum([np.maximum(side * t.idle, 0.0) for t in past], axis=0)
        pushed = np.sum([np.where(side * t.idle > 0.0, np.maximum(side * t.pushed, 0.0), 0.0) for t in past], axis=0)
        found = np.maximum(found, (idle + pushed / 10.0) * other / dealt)
    worst: Float64 = found.max(axis=1)
    return worst / _length(past)


def marking(past: Sequence[Traces], closing_rounds: int) -> Float64:
    """Returns how much more own orders moved the price in three of four closing rounds than in others, in 1/1000.

    Anybody moves a price by much now and then, so that a mean says little; to do it nearly every time is the sign.
    """
    closing = [_effect(t) for t in past if t.round % closing_rounds == 0]
    others = [_effect(t) for t in past if t.round % closing_rounds]
    # Of few closing rounds nobody can tell a habit.
    if len(closing) < LEAST_CLOSINGS or not others:
        return np.zeros(len(past[0].have))
    # Of one direction, since who moves prices both ways does not hold them up for anything.
    up, down = (np.quantile(side * np.array(closing), 0.25, axis=0, method="lower") for side in (1.0, -1.0))
    difference = np.maximum(up, down) - np.abs(others).mean(axis=0)
    worst: Float64 = difference.max(axis=1)
    return worst


def _effect(traces: Traces) -> Float64:
    """Returns what own orders did to the price that a round ends with, or to the one that the next begins with."""
    found: Float64 = np.where(np.abs(traces.pushed) > np.abs(traces.moved), traces.pushed, traces.moved)
    return found


def wash(past: Sequence[Traces], closing_rounds: int) -> Float64:
    """Returns the share of the volume that a trader both bought and sold, net change being a fifth of it at most."""
    bought, sold = _sum(past, "bought"), _sum(past, "sold")
    alike = 5.0 * np.abs(bought - sold) <= bought + sold
    found: Float64 = np.where(alike, np.minimum(bought, sold) / _volume(past), 0.0).max(axis=1)
    return found * _full(past)


def corner(past: Sequence[Traces], closing_rounds: int) -> Float64:
    """Returns the share of all lots of a good that a trader has, as far as it bought them in the window."""
    # What was made or given does not count, nor what was bought and eaten.
    have, first = past[-1].have, past[0].have
    gathered = np.minimum(have - first, _sum(past, "bought") - _sum(past, "sold"))
    share: Float64 = (np.maximum(gathered, 0.0) / np.maximum(have.sum(axis=0), 1.0)[None, :]).max(axis=1)
    return share


def pump(past: Sequence[Traces], closing_rounds: int) -> Float64:
    """Returns lots bought before own tips and sold right after them, over the volume of both stretches."""
    found = np.zeros(past[0].have.shape)
    for at, traces in enumerate(past):
        if not (traces.tipped > 0).any():
            continue
        built, left = past[max(at - BEFORE_ROUNDS, 0) : at], past[at : at + AFTER_ROUNDS]
        if built:
            turned = np.minimum(_sum(built, "bought"), _sum(left, "sold")) / _volume([*built, *left])
            found = np.maximum(found, np.where(traces.tipped > 0, turned, 0.0))
    highest: Float64 = found.max(axis=1)
    return highest


def insider(past: Sequence[Traces], closing_rounds: int) -> Float64:
    """Returns how far positions taken before news lie on its side, in standard deviations of the trader's own."""
    net = np.stack([t.bought - t.sold for t in past]).astype(np.float64)  # [rounds, traders, goods]
    before = BEFORE_ROUNDS // 2
    taken = np.zeros(past[0].have.shape[0])
    events = 0
    for at, traces in enumerate(past):
        for good, direction in traces.news.tolist():
            # What is usual is told by the rounds before the stretch, and a few of these must be known.
            if at < 2 * before:
                continue
            own = net[:, :, good]
            usual = own[: at - before]
            spread = usual.std(axis=0) * np.sqrt(before) + 1.0
            taken += direction * (own[at - before : at].sum(axis=0) - before * usual.mean(axis=0)) / spread
            events += 1
    deviations: Float64 = np.maximum(taken, 0.0) / np.sqrt(max(events, 1))
    return deviations


def floor(past: Sequence[Traces], closing_rounds: int) -> Float64:
    """Returns the share of all lots bid for that a trader bid for at one limit, a round, over three rounds or more."""
    limits = np.stack([t.bid_ticks for t in past])  # [rounds, traders, goods]
    shares = np.stack([t.bid_share for t in past])
    found = np.zeros(limits.shape[1:])
    # Few different limits are bid, so they are counted one by one.
    for ticks in np.unique(limits[limits > 0]).tolist():
        at = limits == ticks
        held = at.sum(axis=0) >= FLOOR_ROUNDS
        found = np.maximum(found, np.where(held, np.where(at, shares, 0.0).sum(axis=0), 0.0))
    share: Float64 = found.max(axis=1) / _length(past) * _full(past)
    return share


def sybil(past: Sequence[Traces], closing_rounds: int) -> Float64:
    """Returns the share of a trader's rounds with orders in which one other put in the very same ones."""
    signed = np.stack([t.signature for t in past])  # [rounds, traders]
    active = np.maximum((signed != 0).sum(axis=0), 1)
    alike = np.zeros((signed.shape[1], signed.shape[1]))
    for row in signed:
        # Only few share a signature, so pairs are made of these alone.
        for number in _repeated(row):
            same = np.flatnonzero(row == number)
            alike[np.ix_(same, same)] += 1.0
    np.fill_diagonal(alike, 0.0)
    found: Float64 = alike.max(axis=1) / active * _full(past)
    return found


def _repeated(row: Int64) -> Iterable[int]:
    numbers, counts = np.unique(row[row != 0], return_counts=True)
    return [int(number) for number in numbers[counts > 1]]


def _length(past: Sequence[Traces]) -> float:
    """Returns over how many rounds a sum is spread, at least five, so that a single round weighs little."""
    return float(max(len(past), WINDOWS[0]))


def _full(past: Sequence[Traces]) -> float:
    """Returns how far a window has filled, of the shortest one: a share of few rounds says little."""
    return min(len(past) / WINDOWS[0], 1.0)


_STATISTICS: Mapping[Abuse, Callable[[Sequence[Traces], int], Float64]] = {
    "layering": layering,
    "marking": marking,
    "wash": wash,
    "corner": corner,
    "pump": pump,
    "insider": insider,
    "floor": floor,
    "sybil": sybil,
}


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """What `traders` honest ones come to: by abuse the largest scores of a run, [windows, kept], ascending.

    Of all of them only the highest are kept, since nobody is accused who scores lower.
    """

    honest: Mapping[Abuse, Float64]
    traders: int

    def p_values(self, abuse: Abuse, scores: Float64) -> Float64:
        """Returns how likely an honest trader scores as high in any window, [traders], for scores [windows, traders].

        The least of the windows' shares times their number, which errs on the side of the honest; 1 where a score is
        below what anybody could be accused of.
        """
        windows = zip(self.honest[abuse], scores, strict=True)
        least = np.min([self._share(known, own, LEAST[abuse]) for known, own in windows], axis=0)
        values: Float64 = np.where(scores.max(axis=0) < LEAST[abuse], 1.0, np.minimum(least * len(scores), 1.0))
        return values

    def _share(self, known: Float64, scores: Float64, least: float) -> Float64:
        """Returns the share of honest traders who reach each score in one window."""
        above = (len(known) - np.searchsorted(known, scores, side="left")).astype(np.float64)
        # Who scores below all that are kept is as any honest trader; oneself is counted among them.
        above[(above == len(known)) & (len(known) < self.traders)] = self.traders
        share = (above + 1.0) / (self.traders + 1.0)
        # Beyond all honest ones the tail goes on as it fell among the highest: exponentially, by their mean excess.
        start = known[-min(TAIL_SCORES, len(known))]
        fall = max(float((known[known >= start] - start).mean()), least / 4.0)
        beyond = np.minimum(share, np.exp(-np.maximum(scores - known[-1], 0.0) / fall) / (self.traders + 1.0))
        found: Float64 = np.where(scores > known[-1], beyond, share)
        return found


def calibrated(runs: Iterable[Surveillance]) -> Calibration:
    """Returns the calibration by honest runs that are over."""
    scores: dict[Abuse, list[Float64]] = {abuse: [] for abuse in ABUSES}
    for run in runs:
        for abuse, found in scores.items():
            found.append(run.scores(abuse))
    joined = {abuse: np.sort(np.concatenate(found, axis=1), axis=1) for abuse, found in scores.items()}
    traders = next(iter(joined.values())).shape[1]
    return Calibration({abuse: found[:, -KEPT_SCORES:] for abuse, found in joined.items()}, traders)


def accused(p_values: Float64, rate: float) -> npt.NDArray[np.bool_]:
    """Returns who is accused where a share `rate` of accusations may be false (Benjamini and Hochberg 1995)."""
    order = np.argsort(p_values, kind="stable")
    below = np.flatnonzero(p_values[order] <= rate * np.arange(1, len(order) + 1) / len(order))
    found = np.zeros(len(p_values), dtype=np.bool_)
    # All up to the last one below its bound, whatever lies between.
    found[order[: below[-1] + 1 if len(below) else 0]] = True
    return found
