"""Figures of each payment, from the past alone: how much, how often, to whom, and what came in before.

Payments stream through in the order of their time. What is kept of an account is bounded, and what is older than any
window is dropped, so that memory does not grow with the length of a run. A payment's figures are those of its payer,
which follow from what the payer paid and got, those of its payee, and whether it closes a ring. So accounts may be
spread over shards: each has the figures of its own accounts, and all of them the few transfers that rings are made of.
"""

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from swarm.scenarios.fraud.payments import CARD, CASH, DAY, TRANSFER, Int64, Payments
from swarm.scenarios.spreading import Take

Float64 = npt.NDArray[np.float64]

NAMES = (
    "log_cents",
    "hour",
    "channel",
    "unlike_sender",
    "new_payee",
    "new_payees_24h",
    "sent_1h",
    "sent_24h",
    "log_sent_24h",
    "sender_idle_days",
    "receiver_idle_days",
    "payers_48h",
    "log_received_48h",
    "passed_on",
    "near_limit",
    "near_limit_4d",
    "tiny_1h",
    "closes_ring",
    "bill_twin",
    "sender_age_days",
    "receiver_is_new",
    "times_usual",
    "leaves_bank",
)
"""The figures by name, in the order of their columns."""

COLUMN = {name: number for number, name in enumerate(NAMES)}

OF_PAYEE = ("receiver_idle_days", "payers_48h", "log_received_48h", "near_limit_4d", "receiver_is_new")
OF_PAYER = tuple(name for name in NAMES if name not in OF_PAYEE)
"""The figures that follow from the payee's past, and those from the payer's and from the payment itself."""

_PAYEE, _PAYER = ([COLUMN[name] for name in names] for names in (OF_PAYEE, OF_PAYER))

HOUR, FOUR_DAYS, LONGEST_IDLE = 60, 4 * DAY, 60 * DAY
LIMIT_CENTS, BAND_CENTS = 1_000_000, 120_000
"""From this amount on cash is reported, and how far below it counts as near."""

MOST_TIMES = 20.0
"""From so many times the usual amount on, more says no more."""

TINY_CENTS, BILL_CENTS, RING_CENTS = 300, 150_000, 20_000
MOST_KEPT, MOST_PAYEES, MOST_BILLS, RING_MEMBERS = 64, 256, 24, 5
"""Payments, payees and bills that are kept of an account, and the longest ring that is looked for."""


class Account:
    """What is kept of one account."""

    __slots__ = ("bills", "came", "count", "first", "last", "mean", "payees", "sent", "square")

    def __init__(self, minute: int) -> None:
        self.first = self.last = minute
        self.count, self.mean, self.square = 0, 0.0, 0.0
        # (minute, cents, new payee, tiny card payment) and (minute, sender, cents, near the limit), earliest first.
        self.sent: deque[tuple[int, int, bool, bool]] = deque(maxlen=MOST_KEPT)
        self.came: deque[tuple[int, int, int, bool]] = deque(maxlen=MOST_KEPT)
        self.payees: dict[int, None] = {}
        # Payees of large bills: the last amount and how often.
        self.bills: dict[int, tuple[int, int]] = {}


@dataclass(frozen=True, slots=True, eq=False)
class Movements:
    """What figures are made of: [payments] columns, earliest first, and [accounts] which are the bank's own."""

    minute: Int64
    sender: Int64
    receiver: Int64
    cents: Int64
    channel: Int64
    own: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, payments: Payments) -> "Movements":
        """Returns the movements of payments."""
        p = payments
        return cls(p.minute, p.sender, p.receiver, p.cents, p.channel, p.own)


@dataclass(frozen=True, slots=True, eq=False)
class Halves:
    """The figures of one shard's accounts: [payments] numbers from the first that was asked for, and their figures."""

    paid: Int64
    of_payer: Float64
    got: Int64
    of_payee: Float64


def joined_halves(payments: int, parts: Sequence[Halves]) -> Float64:
    """Returns [payments, figures] of all shards' halves; each payment has one of either kind."""
    found = np.empty((payments, len(NAMES)))
    for part in parts:
        found[part.paid[:, None], _PAYER] = part.of_payer
        found[part.got[:, None], _PAYEE] = part.of_payee
    return found


class AccountShard:
    """Takes payments in the order of time and returns the figures of every `shards`-th account from `shard` on."""

    def __init__(self, movements: Movements, shard: int = 0, shards: int = 1) -> None:
        self._movements, self._shard, self._shards = movements, shard, shards
        self._begin()

    def _begin(self) -> None:
        self._accounts: dict[int, Account] = {}
        # Of all accounts, whoever's they are: the transfers between customers that came in, (minute, sender, cents).
        self._edges: dict[int, deque[tuple[int, int, int]]] = {}
        self.taken = 0

    def take(self, first: int, last: int) -> Halves:
        """Returns the halves of the payments from row `first` to before `last`, whatever was asked for before."""
        # A shard that was started again has what came before still to take in.
        if first < self.taken:
            self._begin()
        if first > self.taken:
            self._take(self.taken, first)
        return self._take(first, last)

    def _take(self, first: int, last: int) -> Halves:
        p, rows = self._movements, slice(first, last)
        sender, receiver = p.sender[rows], p.receiver[rows]
        pays, gets = (side % self._shards == self._shard for side in (sender, receiver))
        own, own_target, channels = p.own[sender], p.own[receiver], p.channel[rows]
        rings = (channels == TRANSFER) & own & own_target & (p.cents[rows] > RING_CENTS)
        # Those that concern none of its accounts are not looked at.
        at = np.flatnonzero(pays | gets | rings)
        columns = (p.minute[rows], sender, receiver, p.cents[rows], channels, own, own_target, rings, pays, gets)
        # Lists of rows are made into arrays once, since writing rows into one costs more.
        of_payer: list[tuple[float, ...]] = []
        of_payee: list[tuple[float, ...]] = []
        for minute, payer, payee, cents, channel, own_payer, own_payee, ring, does, has in zip(
            *(column[at].tolist() for column in columns), strict=True
        ):
            near = channel == CASH and not own_payer and LIMIT_CENTS - BAND_CENTS <= cents < LIMIT_CENTS
            # Before this payment is taken in, so that it is not its own past.
            fresh = has and payee not in self._accounts
            one = self._account(payer, minute) if does else None
            other = self._account(payee, minute) if has else None
            if one is not None:
                closes = ring and self._closes(minute, payer, payee, cents)
                of_payer.append(_paid(one, minute, payee, cents, channel, own_payer, own_payee, near, closes))
            if other is not None:
                of_payee.append(_got(other, minute, payer, cents, channel, own_payee, near, fresh))
            if one is not None:
                _keep_paid(one, minute, payee, cents, channel, own_payer)
            if other is not None:
                _keep_got(other, minute, payer, cents, channel, own_payee, near)
            if ring:
                self._edges.setdefault(payee, deque(maxlen=MOST_KEPT)).append((minute, payer, cents))
        self.taken = last
        paid, got = np.flatnonzero(pays), np.flatnonzero(gets)
        return Halves(
            paid,
            np.array(of_payer, dtype=np.float64).reshape(len(paid), len(OF_PAYER)),
            got,
            np.array(of_payee, dtype=np.float64).reshape(len(got), len(OF_PAYEE)),
        )

    def _account(self, number: int, minute: int) -> Account:
        account = self._accounts.get(number)
        if account is None:
            account = self._accounts[number] = Account(minute)
        return account

    def _closes(self, minute: int, sender: int, receiver: int, cents: int) -> bool:
        """Tells whether a chain of slightly larger amounts led from the receiver to the sender within days."""
        # From the sender back along what it received; each link at most two days before the next.
        stack = [(sender, cents, minute, RING_MEMBERS)]
        while stack:
            at, amount, until, left = stack.pop()
            for when, source, came in self._edges.get(at, ()):
                if when < until and until - when <= 2 * DAY and amount <= came * 1.005 and amount > came * 0.93:
                    if source == receiver:
                        return True
                    if left > 1:
                        stack.append((source, came, when, left - 1))
        return False


class Stream:
    """Takes payments in the order of their time and returns their figures, those of all accounts in this process."""

    def __init__(self, payments: Payments) -> None:
        self._shard = AccountShard(Movements.of(payments))

    def take(self, last: int) -> Float64:
        """Returns [payments, figures] of those up to, and without, row `last` that were not taken yet."""
        first = self._shard.taken
        return joined_halves(max(last - first, 0), [self._shard.take(first, max(first, last))])


class SpreadStream:
    """Figures as shards of accounts have them, wherever these are; `take` asks all of them."""

    def __init__(self, take: Take) -> None:
        self._take, self._taken = take, 0

    def take(self, last: int) -> Float64:
        """Returns [payments, figures] of those up to, and without, row `last` that were not taken yet."""
        first, self._taken = self._taken, max(last, self._taken)
        return joined_halves(self._taken - first, self._take(first, self._taken))


def _paid(
    payer: Account,
    minute: int,
    payee: int,
    cents: int,
    channel: int,
    own: bool,
    own_target: bool,
    near: bool,
    ring: bool,
) -> tuple[float, ...]:
    """Returns the figures of a payment that its payer's past gives, in the order of OF_PAYER."""
    # Of the counter and the world outside there is no past.
    log_cents = math.log(cents)
    new = own and payee not in payer.payees
    unlike, times = payer_figures(payer, log_cents, cents) if own else (0.0, 0.0)
    sent_1h, sent_24h, total, new_24h, tiny_1h = sent_figures(payer, minute, cents, new) if own else (0, 0, 0, 0, 0)
    return (
        log_cents,
        minute % DAY / HOUR,
        float(channel),
        unlike,
        float(new),
        float(new_24h),
        float(sent_1h),
        float(sent_24h),
        math.log1p(total),
        min(minute - payer.last, LONGEST_IDLE) / DAY if own else 0.0,
        passed_on(payer, minute, total) if own else 0.0,
        float(near),
        float(tiny_1h),
        float(ring),
        bill_twin(payer, payee, cents) if new and cents > BILL_CENTS else 0.0,
        min(minute - payer.first, LONGEST_IDLE) / DAY,
        times,
        float(not own_target),
    )


def _got(
    payee: Account, minute: int, payer: int, cents: int, channel: int, own_target: bool, near: bool, fresh: bool
) -> tuple[float, ...]:
    """Returns the figures of a payment that its payee's past gives, in the order of OF_PAYEE."""
    # Cards pay shops, whose customers say nothing of anybody.
    gathers = own_target and channel != CARD
    payers, received, nears = received_figures(payee, minute, payer, cents, near) if gathers else (0, 0, 0)
    return (
        min(minute - payee.last, LONGEST_IDLE) / DAY if own_target else 0.0,
        float(payers),
        math.log1p(received),
        float(nears),
        float(own_target and fresh),
    )


def _keep_paid(payer: Account, minute: int, payee: int, cents: int, channel: int, own: bool) -> None:
    """Takes a payment into its payer's past."""
    payer.last = minute
    if not own:
        return
    # Welford's running mean and sum of squares of the logarithm.
    log_cents = math.log(cents)
    payer.count += 1
    step = log_cents - payer.mean
    payer.mean += step / payer.count
    payer.square += step * (log_cents - payer.mean)
    new = payee not in payer.payees
    payer.sent.append((minute, cents, new, channel == CARD and cents < TINY_CENTS))
    if new:
        payer.payees[payee] = None
        if len(payer.payees) > MOST_PAYEES:
            del payer.payees[next(iter(payer.payees))]
    if channel == TRANSFER and cents > BILL_CENTS:
        payer.bills[payee] = (cents, payer.bills.pop(payee, (0, 0))[1] + 1)
        if len(payer.bills) > MOST_BILLS:
            del payer.bills[next(iter(payer.bills))]


def _keep_got(payee: Account, minute: int, payer: int, cents: int, channel: int, own_target: bool, near: bool) -> None:
    """Takes a payment into its payee's past."""
    payee.last = minute
    if own_target and channel != CARD:
        payee.came.append((minute, payer, cents, near))


def payer_figures(payer: Account, log_cents: float, cents: int) -> tuple[float, float]:
    """Returns by how many deviations an amount is unlike the payer's, and how many times its usual one it is."""
    if not payer.count:
        return 0.0, 1.0
    # A short past says little of how amounts vary.
    spread = math.sqrt(max(payer.square / payer.count, 0.04)) if payer.count > 2 else 1.0
    # Beyond a score it is rent or a car as often as fraud.
    return (log_cents - payer.mean) / spread, min(cents / max(math.exp(payer.mean), 1.0), MOST_TIMES)


def sent_figures(payer: Account, minute: int, cents: int, new: bool) -> tuple[int, int, int, int, int]:
    """Returns payments sent in an hour and a day, the day's sum, its new payees, and tiny payments of the hour."""
    day = [one for one in payer.sent if minute - one[0] <= DAY]
    hour = [one for one in day if minute - one[0] <= HOUR]
    return (
        len(hour),
        len(day),
        sum(one[1] for one in day) + cents,
        sum(one[2] for one in day) + new,
        sum(one[3] for one in hour),
    )


def received_figures(payee: Account, minute: int, sender: int, cents: int, near: bool) -> tuple[int, int, int]:
    """Returns payers and the sum of two days, and cash near the limit of four, this payment included."""
    lately = [one for one in payee.came if minute - one[0] <= FOUR_DAYS]
    recent = [one for one in lately if minute - one[0] <= 2 * DAY]
    return (
        len({one[1] for one in recent} | {sender}),
        sum(one[2] for one in recent) + cents,
        sum(one[3] for one in lately) + near,
    )


def passed_on(payer: Account, minute: int, sent: int) -> float:
    """Returns what went out in a day over what came in within two, at most 3; 0 where nothing came."""
    # The last payments in alone: an account with more of them a day is no mule.
    came = sum(one[2] for one in payer.came if minute - one[0] <= 2 * DAY)
    return min(sent / came, 3.0) if came else 0.0


def bill_twin(payer: Account, receiver: int, cents: int) -> float:
    """Returns how like this amount to a new payee is to a bill of another one, from 0 to 1."""
    # Nearest by the ratio of amounts.
    best = 0.0
    for target, (amount, _) in payer.bills.items():
        if target != receiver and 0.75 < cents / amount < 1.33:
            best = max(best, 1.0 - abs(math.log(cents / amount)))
    return best
