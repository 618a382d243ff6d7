"""Plants fraud among lawful payments: eight kinds, each a function that makes the payments of one case."""

from collections.abc import Callable, Iterator

import numpy as np

from swarm.scenarios.fraud import memos
from swarm.scenarios.fraud.payments import CARD, CASH, DAY, KINDS, TRANSFER
from swarm.scenarios.fraud.town import COUNTER, WORLD, Rows, Town

Payment = tuple[float, int, int, float, int, int]
"""Minute, sender, receiver, cents, channel and memo."""


def _takeover(rng: np.random.Generator, town: Town, day: int) -> Iterator[Payment]:
    # At night somebody empties an account to payees that it never had, part by part.
    victim, minute = int(rng.choice(town.awake)), day * DAY + int(rng.integers(0, 300))
    for part in rng.dirichlet(np.full(int(rng.integers(3, 7)), 3.0)) * np.exp(rng.normal(12.5, 0.5)):
        yield minute, victim, _other(rng, town, victim), part, TRANSFER, memos.TAKEOVER
        minute += int(rng.integers(3, 45))


def _structuring(rng: np.random.Generator, town: Town, day: int) -> Iterator[Payment]:
    # Cash just below what is reported, over a few days.
    mule = int(rng.choice(town.awake))
    for _ in range(int(rng.integers(4, 8))):
        minute = (day + int(rng.integers(0, 4))) * DAY + int(rng.integers(540, 1_080))
        yield minute, COUNTER, mule, round(rng.uniform(880, 999)) * 1_000, CASH, memos.DEPOSIT


def _fan_in(rng: np.random.Generator, town: Town, day: int) -> Iterator[Payment]:
    # Many pay one within a day, and nearly all of it leaves at once.
    mule, start, total = int(rng.choice(town.awake)), day * DAY, 0.0
    for sender in rng.choice(town.awake, int(rng.integers(5, 9)), replace=False).tolist():
        cents = np.exp(rng.normal(10.5, 0.35))
        total += cents
        if sender != mule:
            yield start + int(rng.integers(0, 1_700)), sender, mule, cents, TRANSFER, memos.FORWARD
    target, channel = (COUNTER, CASH) if rng.random() < 0.4 else (WORLD, TRANSFER)
    yield (
        start + 1_700 + int(rng.integers(5, 300)),
        mule,
        target,
        total * rng.uniform(0.9, 0.98),
        channel,
        memos.THROUGH,
    )


def _fan_out(rng: np.random.Generator, town: Town, day: int) -> Iterator[Payment]:
    # A sum comes from outside and is spread over many within hours.
    mule, minute = int(rng.choice(town.awake)), day * DAY + int(rng.integers(300, 1_300))
    total = np.exp(rng.normal(12.9, 0.3))
    yield minute, WORLD, mule, total, TRANSFER, memos.FORWARD
    for part in rng.dirichlet(np.full(int(rng.integers(4, 8)), 8.0)) * total * 0.97:
        minute += int(rng.integers(3, 60))
        yield minute, mule, _other(rng, town, mule), part, TRANSFER, memos.SPLIT


def _cycle(rng: np.random.Generator, town: Town, day: int) -> Iterator[Payment]:
    # Money goes round within days and comes back a little smaller.
    ring = rng.choice(town.awake, int(rng.integers(3, 6)), replace=False).tolist()
    cents, minute = np.exp(rng.normal(11.4, 0.5)), day * DAY + int(rng.integers(540, 900))
    for sender, receiver in zip(ring, [*ring[1:], ring[0]], strict=True):
        yield minute, sender, receiver, cents, TRANSFER, memos.ROUND
        cents *= rng.uniform(0.95, 0.995)
        minute += int(rng.integers(60, 1_500))


def _card_testing(rng: np.random.Generator, town: Town, day: int) -> Iterator[Payment]:
    # A stolen card is tried with next to nothing, and then used.
    victim, minute = int(rng.choice(town.awake)), day * DAY + int(rng.integers(0, 1_300))
    for shop in rng.choice(town.shops, int(rng.integers(4, 8)), replace=False).tolist():
        yield minute, victim, shop, int(rng.integers(60, 260)), CARD, memos.TINY
        minute += int(rng.integers(1, 7))
    yield minute + 20, victim, int(rng.choice(town.shops)), np.exp(rng.normal(11.1, 0.35)), CARD, memos.TINY


def _invoice(rng: np.random.Generator, town: Town, day: int) -> Iterator[Payment]:
    # A known bill is paid to somebody else's account.
    payer, _, cents, _ = (
        int(column[rng.integers(len(column))]) if i != 2 else 0 for i, column in enumerate(town.contracts)
    )
    own = np.flatnonzero(town.contracts[0] == payer)
    cents = int(town.contracts[2][rng.choice(own)])
    target = int(rng.choice(town.awake))
    yield (
        day * DAY + int(rng.integers(540, 1_020)),
        payer,
        target,
        cents * np.exp(rng.normal(0, 0.07)),
        TRANSFER,
        memos.BILL,
    )


def _pass_through(rng: np.random.Generator, town: Town, day: int) -> Iterator[Payment]:
    # An idle account wakes, gets a sum and passes nearly all of it on within hours.
    mule, minute, cents = (
        int(rng.choice(town.asleep)),
        day * DAY + int(rng.integers(480, 1_000)),
        np.exp(rng.normal(12.2, 0.5)),
    )
    source = WORLD if rng.random() < 0.5 else int(rng.choice(town.awake))
    yield minute, source, mule, cents, TRANSFER, memos.THROUGH
    target, channel = (WORLD, TRANSFER) if rng.random() < 0.6 else (COUNTER, CASH)
    yield minute + int(rng.integers(10, 420)), mule, target, cents * rng.uniform(0.92, 0.99), channel, memos.THROUGH


def _other(rng: np.random.Generator, town: Town, than: int) -> int:
    """Returns somebody else."""
    found = int(rng.choice(town.awake))
    return found if found != than else int(town.awake[0] if than != town.awake[0] else town.awake[1])


SHARE_PAYMENTS = 4.0
"""About how many payments a case has: over so many payments' share of the days its beginning is drawn."""

CASES: dict[str, Callable[[np.random.Generator, Town, int], Iterator[Payment]]] = {
    "takeover": _takeover,
    "structuring": _structuring,
    "fan_in": _fan_in,
    "fan_out": _fan_out,
    "cycle": _cycle,
    "card_testing": _card_testing,
    "invoice": _invoice,
    "pass_through": _pass_through,
}


def plant(
    rng: np.random.Generator, town: Town, days: int, payments: int, kinds_from: dict[str, int], rows: Rows
) -> None:
    """Adds cases of all kinds, about as many payments of each kind over its days, as frequent at all times.

    What of a case lies behind the last day is cut off with all else.
    """
    case, each = 0, payments / len(KINDS)
    for number, kind in enumerate(KINDS):
        first = min(kinds_from.get(kind, 0), days - 1)
        # A kind that begins later is as frequent from then on as it would have been.
        wanted, done = each * (days - first) / days, 0
        while done < wanted:
            # The next case begins within the share of days that its payments have, so that no week goes without.
            day = first + int((days - first) * min(done + rng.random() * SHARE_PAYMENTS, wanted - 1e-9) / wanted)
            found = list(CASES[kind](rng, town, day))
            if done + len(found) / 2 > wanted:
                break
            for minute, sender, receiver, cents, channel, memo in found:
                rows.add(int(minute), sender, receiver, float(cents), channel, memo, number, case)
            done, case = done + len(found), case + 1
