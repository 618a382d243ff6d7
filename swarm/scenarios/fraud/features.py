"""Figures of each payment, from the past alone: how much, how often, to whom, and what came in before.

Payments stream through in the order of their time. What is kept of an account is bounded, and what is older than any
window is dropped, so that memory does not grow with the length of a run.
"""

import math
from collections import deque

import numpy as np
import numpy.typing as npt

from swarm.scenarios.fraud.payments import CARD, CASH, DAY, TRANSFER, Payments

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

HOUR, FOUR_DAYS, LONGEST_IDLE = 60, 4 * DAY, 60 * DAY
LIMIT_CENTS, BAND_CENTS = 1_000_000, 120_000
"""From this amount on cash is reported, and how far below it counts as near."""

TINY_CENTS, BILL_CENTS, RING_CENTS = 300, 150_000, 20_000
MOST_KEPT, MOST_PAYEES, MOST_BILLS, RING_MEMBERS = 64, 256, 24, 5
"""Payments, payees and bills that are kept of an account, and the longest ring that is looked for."""


class Account:
    """What is kept of one account."""

    __slots__ = ("bills", "came", "count", "edges", "first", "last", "mean", "payees", "sent", "square")

    def __init__(self, minute: int) -> None:
        self.first = self.last = minute
        self.count, self.mean, self.square = 0, 0.0, 0.0
        # (minute, cents, new payee, tiny card payment) and (minute, sender, cents, near the limit), earliest first.
        self.sent: deque[tuple[int, int, bool, bool]] = deque(maxlen=MOST_KEPT)
        self.came: deque[tuple[int, int, int, bool]] = deque(maxlen=MOST_KEPT)
        # Transfers between customers that came in: (minute, sender, cents).
        self.edges: deque[tuple[int, int, int]] = deque(maxlen=MOST_KEPT)
        self.payees: dict[int, None] = {}
        # Payees of large bills: the last amount and how often.
        self.bills: dict[int, tuple[int, int]] = {}


class Stream:
    """Takes payments in the order of their time and returns their figures."""

    def __init__(self, payments: Payments) -> None:
        self._payments = payments
        self._accounts: dict[int, Account] = {}
        self.taken = 0

    def take(self, last: int) -> Float64:
        """Returns [payments, figures] of those up to, and without, row `last` that were not taken yet."""
        p, rows = self._payments, slice(self.taken, last)
        columns = zip(
            p.minute[rows].tolist(),
            p.sender[rows].tolist(),
            p.receiver[rows].tolist(),
            p.cents[rows].tolist(),
            p.channel[rows].tolist(),
            p.own[p.sender[rows]].tolist(),
            p.own[p.receiver[rows]].tolist(),
            strict=True,
        )
        # A list of rows is made into an array once, since writing rows into one costs more.
        found = [self._one(*row) for row in columns]
        self.taken = max(last, self.taken)
        return np.array(found, dtype=np.float64).reshape(len(found), len(NAMES))

    def _account(self, number: int, minute: int) -> Account:
        account = self._accounts.get(number)
        if account is None:
            account = self._accounts[number] = Account(minute)
        return account

    def _one(
        self, minute: int, sender: int, receiver: int, cents: int, channel: int, own: bool, own_target: bool
    ) -> tuple[float, ...]:
        """Returns the figures of one payment, and takes it in."""
        # Before this payment is taken in, so that it is not its own past.
        new_receiver = own_target and receiver not in self._accounts
        payer, payee = self._account(sender, minute), self._account(receiver, minute)
        log_cents = math.log(cents)
        near = channel == CASH and not own and LIMIT_CENTS - BAND_CENTS <= cents < LIMIT_CENTS
        tiny = channel == CARD and cents < TINY_CENTS
        new = own and receiver not in payer.payees
        unlike, times = payer_figures(payer, log_cents, cents) if own else (0.0, 0.0)
        sent_1h, sent_24h, total, new_24h, tiny_1h = sent_figures(payer, minute, cents, new) if own else (0, 0, 0, 0, 0)
        # Cards pay shops, whose customers say nothing of anybody.
        gathers = own_target and channel != CARD
        payers, received, nears = received_figures(payee, minute, sender, cents, near) if gathers else (0, 0, 0)
        passed = passed_on(payer, minute, total) if own else 0.0
        ring = (
            channel == TRANSFER
            and own
            and own_target
            and cents > RING_CENTS
            and self._closes(minute, sender, receiver, cents)
        )
        twin = bill_twin(payer, receiver, cents) if new and cents > BILL_CENTS else 0.0
        found = (
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
            min(minute - payee.last, LONGEST_IDLE) / DAY if own_target else 0.0,
            float(payers),
            math.log1p(received),
            passed,
            float(near),
            float(nears),
            float(tiny_1h),
            float(ring),
            twin,
            min(minute - payer.first, LONGEST_IDLE) / DAY,
            float(new_receiver),
            times,
            float(not own_target),
        )
        self._keep(payer, payee, minute, sender, receiver, cents, log_cents, channel, own, own_target, new, tiny, near)
        return found

    def _keep(
        self,
        payer: Account,
        payee: Account,
        minute: int,
        sender: int,
        receiver: int,
        cents: int,
        log_cents: float,
        channel: int,
        own: bool,
        own_target: bool,
        new: bool,
        tiny: bool,
        near: bool,
    ) -> None:
        """Takes a payment in."""
        payer.last = payee.last = minute
        if own:
            # Welford's running mean and sum of squares of the logarithm.
            payer.count += 1
            step = log_cents - payer.mean
            payer.mean += step / payer.count
            payer.square += step * (log_cents - payer.mean)
            payer.sent.append((minute, cents, new, tiny))
            if new:
                payer.payees[receiver] = None
                if len(payer.payees) > MOST_PAYEES:
                    del payer.payees[next(iter(payer.payees))]
            if channel == TRANSFER and cents > BILL_CENTS:
                payer.bills[receiver] = (cents, payer.bills.pop(receiver, (0, 0))[1] + 1)
                if len(payer.bills) > MOST_BILLS:
                    del payer.bills[next(iter(payer.bills))]
        if own_target and channel != CARD:
            payee.came.append((minute, sender, cents, near))
            if own and channel == TRANSFER and cents > RING_CENTS:
                payee.edges.append((minute, sender, cents))

    def _closes(self, minute: int, sender: int, receiver: int, cents: int) -> bool:
        """Tells whether a chain of slightly larger amounts led from the receiver to the sender within days."""
        # From the sender back along what it received; each link at most two days before the next.
        stack = [(sender, cents, minute, RING_MEMBERS)]
        while stack:
            at, amount, until, left = stack.pop()
            account = self._accounts.get(at)
            if account is None:
                continue
            for when, source, came in account.edges:
                if when < until and until - when <= 2 * DAY and amount <= came * 1.005 and amount > came * 0.93:
                    if source == receiver:
                        return True
                    if left > 1:
                        stack.append((source, came, when, left - 1))
        return False


def payer_figures(payer: Account, log_cents: float, cents: int) -> tuple[float, float]:
    """Returns by how many deviations an amount is unlike the payer's, and how many times its usual one it is."""
    if not payer.count:
        return 0.0, 1.0
    # A short past says little of how amounts vary.
    spread = math.sqrt(max(payer.square / payer.count, 0.04)) if payer.count > 2 else 1.0
    return (log_cents - payer.mean) / spread, cents / max(math.exp(payer.mean), 1.0)


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
