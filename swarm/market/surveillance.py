"""Surveillance: for each kind of abuse one statistic on typed evidence, and who stands out by it. Pure.

The statistics follow the signs of Regulation (EU) 2016/522, Annex II. A score says how much somebody's traces look
like an abuse, and nothing of intent; what is unusual, honest runs say (`calibration`). It knows no text, mind or label.
"""

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

from swarm.market.evidence import Float64, Traces
from swarm.market.orders import Int64

Abuse = Literal["layering", "marking", "wash", "corner", "pump", "insider", "floor", "sybil", "turned", "collusion"]
ABUSES: tuple[Abuse, ...] = get_args(Abuse)

SIGNS: dict[Abuse, str] = {
    "layering": "orders that trade with nobody, and what they push the price, beside trades on the other side",
    "marking": "price moved by own orders in nearly every closing round, and more than in others",
    "wash": "lots bought and sold alike, so that little changes hands in the end",
    "corner": "share of all lots that was held and bought, by bids far beyond the price, with hardly any sold",
    "pump": "lots sold right after telling others that a good will rise, and none before",
    "insider": "position taken on the right side before news and let go after it, beyond what is usual for this trader",
    "floor": "share of all lots bid for that stood at one unchanged limit, round after round",
    "sybil": "rounds in which another trader put in the very same orders",
    "turned": "limits that give away more than this trader ever did before",
    "collusion": "prices above competition in nearly every round, below which both sellers would have earned more",
}

WINDOWS = (5, 25, 60)
"""Rounds that a statistic looks back on; each is taken in all three, and judged by itself."""

LOOKED_AT_EVERY = 5
"""Rounds between two looks at everybody."""

LEAST: dict[Abuse, float] = {
    "layering": 0.2,
    "marking": 75.0,
    "wash": 0.04,
    "corner": 0.15,
    "pump": 0.25,
    "insider": 0.6,
    "floor": 0.35,
    "sybil": 0.4,
    "turned": 300.0,
    "collusion": 300.0,
}
"""Scores below which nobody is accused, however rare they are among the honest."""

AROUND_ROUNDS = 5
"""Rounds before a tip or news, and after it, in which lots change hands for its sake."""

LEAST_POSTED = 20
"""Rounds of posted prices that must have been seen before anybody is said to collude."""

LEAST_CLOSINGS = 4
"""Closing rounds that must have been seen before anybody is said to mark them."""

USUAL = 0.9
"""Of a trader's other rounds, the share that moved the price by less than closing rounds are held against."""

FLOOR_ROUNDS, FLOOR_BIDS, FLOOR_SHARE = 10, 3, 0.1
"""To hold a price up is to bid at one limit over so many rounds, in so many of them at least; a bid for a smaller share
of all lots holds nothing up."""


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
        self._now = self._of(list(self._past))
        for abuse, scores in self._now.items():
            self._highest[abuse] = np.maximum(self._highest.get(abuse, np.zeros_like(scores)), scores)

    def now(self, abuse: Abuse) -> Float64:
        """Returns every trader's score at the last look, [windows, traders]."""
        return self._now.get(abuse, self.scores(abuse))

    def since(self, round_: int) -> dict[Abuse, Float64]:
        """Returns every trader's score by the rounds after this one alone, [windows, traders] for each abuse."""
        after = [traces for traces in self._past if traces.round > round_]
        return self._of(after) if after else {abuse: np.zeros_like(self.now(abuse)) for abuse in ABUSES}

    def _of(self, past: Sequence[Traces]) -> dict[Abuse, Float64]:
        return {
            abuse: np.stack([statistic(past[-window:], self.closing_rounds) for window in self.windows])
            for abuse, statistic in _STATISTICS.items()
        }

    def scores(self, abuse: Abuse) -> Float64:
        """Returns every trader's largest score so far, [windows, traders]."""
        nobody = np.zeros((len(self.windows), len(self._past[-1].have) if self._past else 0))
        return self._highest.get(abuse, nobody)


def _sum(past: Sequence[Traces], name: str) -> npt.NDArray[np.float64]:
    total: Float64 = np.sum([getattr(traces, name) for traces in past], axis=0, dtype=np.float64)
    return total


def _by_round(past: Sequence[Traces], name: str) -> Float64:
    """Returns one of the traces' columns as [rounds, ...]."""
    return np.stack([getattr(traces, name) for traces in past]).astype(np.float64)


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
    """Returns how much more own orders moved the price in three of four closing rounds than ever in others, in 1/1000.

    Anybody moves a price by much now and then, so that a mean says little; to do it nearly every time is the sign.
    """
    closing = [_effect(t) for t in past if t.round % closing_rounds == 0]
    others = [_effect(t) for t in past if t.round % closing_rounds]
    # Of few closing rounds nobody can tell a habit.
    if len(closing) < LEAST_CLOSINGS or not others:
        return np.zeros(len(past[0].have))
    found = np.zeros(closing[0].shape)
    # Of one direction, since who moves prices both ways does not hold them up for anything.
    for side in (1.0, -1.0):
        often = np.quantile(side * np.array(closing), 0.25, axis=0, method="lower")
        usual = np.quantile(np.maximum(side * np.array(others), 0.0), USUAL, axis=0)
        found = np.maximum(found, often - usual)
    worst: Float64 = found.max(axis=1)
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
    """Returns how far a trader gathered a good: the share of all lots that it held at most, what it bought of them, and
    how eagerly it bid.

    It is their geometric mean, of lots bought in a mean round and of the most eager bid; nothing for who sold a fifth
    of what it bought.
    """
    bought, sold, have, share, beyond = (
        _by_round(past, name) for name in ("bought", "sold", "have", "bid_share", "beyond")
    )
    there = np.maximum(have.sum(axis=1), 1.0)[:, None, :]  # [rounds, 1, goods]
    # What was made or given does not count. It is the most that was ever held, since what is cornered may be eaten.
    gathered = np.minimum(have[1:] - have[0], np.cumsum(bought - sold, axis=0)[:-1])
    held = (gathered / there[1:]).max(axis=0, initial=0.0)
    taken = (bought / there).sum(axis=0) / _length(past)
    # Much of what is bid for, far beyond the price: an honest hoarder does the one or the other.
    eager = np.sqrt(share * np.maximum(beyond, 0.0)[:, :, None] / 1_000.0).max(axis=0)
    kept = 5.0 * sold.sum(axis=0) <= bought.sum(axis=0)
    found: Float64 = np.where(kept, np.cbrt(held * taken * eager), 0.0).max(axis=1)
    return found


def pump(past: Sequence[Traces], closing_rounds: int) -> Float64:
    """Returns lots sold right after own tips that a good will rise, beyond those sold before, over the volume after.

    Tips that it will fall count as much, with lots bought. Of tips in a row the first counts; a mean of two at least.
    """
    said = np.stack([t.tipped for t in past])  # [rounds, traders, goods], as are the next two
    dealt = {1: np.stack([t.sold for t in past]), -1: np.stack([t.bought for t in past])}
    volume = np.stack([t.volume_lots for t in past])
    found, times = (np.zeros(past[0].have.shape) for _ in range(2))
    for at in range(AROUND_ROUNDS, len(past)):
        before, after = slice(at - AROUND_ROUNDS, at), slice(at, at + AROUND_ROUNDS)
        for side, lots in dealt.items():
            first = (said[at] == side) & ~(said[before] == side).any(axis=0)
            turned = lots[after].sum(axis=0) - lots[before].sum(axis=0)
            found += np.where(first, turned / np.maximum(volume[after].sum(axis=0), 1.0), 0.0)
            times += first
    share: Float64 = np.maximum(found / np.maximum(times, 2.0), 0.0).max(axis=1)
    return share


def insider(past: Sequence[Traces], closing_rounds: int) -> Float64:
    """Returns how far what was taken before news, and let go after it, is on its side, in the trader's own deviations.

    Half of each counts, since what was bought may be eaten and not sold; and as much of it as the trader's share of the
    volume before, since a few lots are many deviations for who hardly ever deals.
    """
    net = np.stack([t.bought - t.sold for t in past]).astype(np.float64)  # [rounds, traders, goods]
    volume = np.stack([t.volume_lots for t in past])
    taken = np.zeros(past[0].have.shape[0])
    events = 0
    for at, traces in enumerate(past):
        for good, direction in traces.news.tolist():
            # What is usual is told by the rounds before the stretch, and a few of these must be known.
            if at < 2 * AROUND_ROUNDS:
                continue
            own, stretch = direction * net[:, :, good], slice(at - AROUND_ROUNDS, at)
            # In the round of the news everybody knows of it, so who has waited for it lets go in this one already.
            usual, ahead, since = own[: at - AROUND_ROUNDS], own[stretch], own[at:][:AROUND_ROUNDS]
            mean, spread = usual.mean(axis=0), usual.std(axis=0) * np.sqrt(AROUND_ROUNDS) + 1.0
            built, left = (part.sum(axis=0) - len(part) * mean for part in (ahead, since))
            share = np.clip(ahead.sum(axis=0) / max(int(volume[stretch, good].sum()), 1), 0.0, 1.0)
            taken += np.maximum((built - left) / spread / 2.0, 0.0) * share
            events += 1
    deviations: Float64 = taken / np.sqrt(max(events, 1))
    return deviations


def floor(past: Sequence[Traces], closing_rounds: int) -> Float64:
    """Returns the share of all lots bid for that a trader bid for at one limit, and of rounds in which it was a tenth.

    It is their geometric mean over the ten rounds in a row in which it is highest.
    """
    limits, shares = (_by_round(past, name) for name in ("bid_ticks", "bid_share"))  # [rounds, traders, goods]
    found: Float64 = np.zeros(limits.shape[1:])
    # A few rounds at one limit are usual for who has not been served.
    if len(past) < FLOOR_ROUNDS:
        return np.zeros(len(found))
    # In order, a limit that somebody has bid often stands twice in a column, so many rows apart.
    ordered = np.sort(limits, axis=0)
    last, first = ordered[FLOOR_BIDS - 1 :], ordered[: 1 - FLOOR_BIDS]
    # Few limits are, so they are looked at one by one.
    for ticks in np.unique(last[(last == first) & (last > 0)]).tolist():
        at = limits == ticks
        often = at.sum(axis=0) >= FLOOR_BIDS
        held = np.where(at, shares, 0.0)[:, often]  # [rounds, often], then [stretches, often, rounds]
        stretches = sliding_window_view(held, FLOOR_ROUNDS, axis=0)
        wide = (stretches >= FLOOR_SHARE).mean(axis=-1)
        found[often] = np.maximum(found[often], np.sqrt(stretches.mean(axis=-1) * wide).max(axis=0))
    share: Float64 = found.max(axis=1)
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


def turned(past: Sequence[Traces], closing_rounds: int) -> Float64:
    """Returns how much more a trader's limits give away in the last rounds than in those before, in 1/1000 of prices.

    Two standard deviations of its own rounds are taken off, since some are fickle by nature. The rounds right before
    the last ones are also left out, where there are enough: who was turned between two looks has its first in there.
    """
    # Against its own past alone: what others do is no measure of a change.
    found = np.zeros(len(past[0].have))
    beyond = np.stack([traces.beyond for traces in past])
    now = beyond[-WINDOWS[0] :].mean(axis=0)
    for left_out in (0, WINDOWS[0]):
        before = beyond[: max(len(past) - WINDOWS[0] - left_out, 0)]
        if len(before) >= WINDOWS[0]:
            found = np.maximum(found, now - before.mean(axis=0) - 2.0 * before.std(axis=0))
    return found


def collusion(past: Sequence[Traces], closing_rounds: int) -> Float64:
    """Returns the index of collusion that a seller's market keeps in three of four rounds, in 1/1000."""
    if len(past) < LEAST_POSTED:
        return np.zeros(len(past[0].have))
    # [rounds, traders]; a low quantile, since competitors may meet high prices by chance, but not keep them.
    kept: Float64 = np.quantile(np.stack([t.concerted for t in past]), 0.25, axis=0, method="lower").astype(np.float64)
    return kept


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
    "turned": turned,
    "collusion": collusion,
}
