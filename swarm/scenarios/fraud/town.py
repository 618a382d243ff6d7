"""The lawful life of a small bank: people, shops, employers and firms, and what among it looks like fraud.

Every kind of fraud has lawful look-alikes, so that no single figure and no single rule tells it. All amounts are cents.
"""

from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from swarm.scenarios.fraud.payments import (
    CARD,
    CASH,
    CASH_DESK,
    DAY,
    LAWFUL,
    NO_CASE,
    OUTSIDE,
    TRANSFER,
    Int64,
)
from swarm.seeding import draw

COUNTER, WORLD = 0, 1
"""The numbers of the accounts beyond the bank."""


@dataclass
class Town:
    """Who lives there: [people] and [firms] columns, and the numbers of their accounts."""

    people: Int64
    shops: Int64
    employers: Int64
    firms: Int64
    awake: Int64
    asleep: Int64
    contracts: tuple[Int64, Int64, Int64, Int64]

    def name(self) -> tuple[str, ...]:
        """Returns the accounts by name, in the order of their numbers."""
        groups = (("p", self.people), ("shop", self.shops), ("emp", self.employers), ("firm", self.firms))
        return (CASH_DESK, OUTSIDE, *(f"{name}-{i:04d}" for name, group in groups for i in range(len(group))))


@dataclass
class Rows:
    """Payments as they are made, part by part."""

    parts: list[tuple[Int64, ...]] = field(default_factory=list)

    def add(
        self,
        minute: Int64 | int,
        sender: Int64 | int,
        receiver: Int64 | int,
        cents: "np.ndarray | float",
        channel: int,
        memo: int,
        kind: int = LAWFUL,
        case: int = NO_CASE,
    ) -> None:
        """Adds payments, one or many; what is no array holds for all of them."""
        columns = np.broadcast_arrays(
            np.asarray(minute, np.int64),
            np.asarray(sender, np.int64),
            np.asarray(receiver, np.int64),
            np.maximum(np.rint(cents), 1).astype(np.int64),
            channel,
            kind,
            case,
            memo,
        )
        self.parts.append(tuple(np.atleast_1d(column).astype(np.int64) for column in columns))


def generator(seed: int, stream: str) -> np.random.Generator:
    """Returns a generator that the seed and a name alone determine."""
    return np.random.Generator(np.random.PCG64(int(draw(seed, stream)[0])))


def at(
    rng: np.random.Generator, day: Int64 | int, first_hour: float, last_hour: float, size: int | None = None
) -> Int64:
    """Returns minutes within hours of days."""
    size = len(day) if isinstance(day, np.ndarray) else size
    minutes: Int64 = np.asarray(day) * DAY + rng.integers(int(first_hour * 60), int(last_hour * 60), size)
    return minutes


def settle(rng: np.random.Generator, people: int) -> Town:
    """Returns a town with so many people."""
    sizes = (people, max(people // 13, 12), max(people // 65, 3), max(people // 28, 6))
    # Numbers 0 and 1 are the counter and the world outside.
    starts = 2 + np.cumsum([0, *sizes])
    persons, shops, employers, firms = (np.arange(a, b) for a, b in pairwise(starts))
    # One account in 25 is hardly ever used.
    asleep = np.sort(rng.choice(persons, max(people // 25, 4), replace=False))
    awake = np.setdiff1d(persons, asleep)
    # Firms have standing contracts: who pays whom how much each month, and on which day.
    payee = np.repeat(firms, 4)
    payer = rng.choice(np.concatenate([employers, firms]), len(payee))
    payer = np.where(payer == payee, employers[0], payer)
    cents = np.exp(rng.normal(13.1, 0.9, len(payee))).astype(np.int64)
    contracts = (payer, payee, cents, rng.integers(0, 28, len(payee)))
    return Town(persons, shops, employers, firms, awake, asleep, contracts)


def everyday(rng: np.random.Generator, town: Town, days: int, rows: Rows) -> None:
    """Adds what people do day by day: cards, bills, wages, friends and cash."""
    n = len(town.awake)
    popular = rng.dirichlet(np.full(len(town.shops), 0.25))
    favourites = rng.choice(town.shops, (n, 10), p=popular)
    # [n] what a person's purchase usually is, and how many there are a day.
    size, rate = np.exp(rng.normal(7.8, 0.5, n)), rng.gamma(2.0, 0.38, n)
    # [n, days] purchases, one row each.
    bought = rng.poisson(rate[:, None], (n, days))
    who, day = np.nonzero(bought)
    times = bought[who, day]
    who, day = np.repeat(who, times), np.repeat(day, times)
    usual = rng.random(len(who)) < 0.84
    shop = np.where(usual, favourites[who, rng.integers(0, 10, len(who))], rng.choice(town.shops, len(who), p=popular))
    # Some buy at night, so that a late hour alone says little.
    late = rng.random(len(who)) < 0.04
    minute = np.where(late, at(rng, day, 0, 6.5), at(rng, day, 6.5, 23))
    rows.add(minute, town.awake[who], shop, size[who] * np.exp(rng.normal(0, 0.7, len(who))), CARD, 0)
    # Commuters pay for tickets and coffee: small amounts, several on one morning.
    commuters = rng.choice(town.awake, n // 30, replace=False)
    stalls = rng.choice(town.shops, 4)
    for _ in range(3):
        rides = rng.random((len(commuters), days)) < 0.22
        who, day = np.nonzero(rides)
        rows.add(
            at(rng, day, 7, 9.5), commuters[who], rng.choice(stalls, len(who)), rng.integers(90, 420, len(who)), CARD, 1
        )
    # Each month rent to a landlord and power to a firm; wages from an employer.
    landlord, power = rng.choice(town.awake[: n // 15], n), rng.choice(town.firms, n)
    boss, wage = rng.choice(town.employers, n), np.exp(rng.normal(12.3, 0.35, n))
    rent, bill = wage * rng.uniform(0.2, 0.35, n), np.exp(rng.normal(8.9, 0.3, n))
    due, payday = rng.integers(0, 5, n), rng.integers(0, 28, len(town.employers))
    offset = payday[boss - town.employers[0]]
    for month in range(0, days, 30):
        for day_of, source, target, cents, memo, hours in (
            (month + due, town.awake, landlord, rent, 2, (8, 12)),
            (month + due + 2, town.awake, power, bill * np.exp(rng.normal(0, 0.05, n)), 3, (8, 18)),
            (month + offset, boss, town.awake, wage * np.exp(rng.normal(0, 0.01, n)), 4, (5, 7)),
        ):
            kept = (day_of < days) & (source != target)
            rows.add(at(rng, day_of[kept], *hours), source[kept], target[kept], cents[kept], TRANSFER, memo)
    _now_and_then(rng, town, days, rows)


def _now_and_then(rng: np.random.Generator, town: Town, days: int, rows: Rows) -> None:
    """Adds what people give to friends, and what they draw and pay in at the counter."""
    n = len(town.awake)
    friends = rng.choice(town.awake, (n, 5))
    who, day = np.nonzero(rng.random((n, days)) < 0.02)
    source, target = town.awake[who], friends[who, rng.integers(0, 5, len(who))]
    kept = source != target
    cents = np.exp(rng.normal(8.3, 0.8, len(who)))
    rows.add(at(rng, day[kept], 7, 22), source[kept], target[kept], cents[kept], TRANSFER, 5)
    for chance, mean, spread, memo in ((0.012, 9.0, 0.6, 6), (0.004, 9.6, 0.8, 7)):
        who, day = np.nonzero(rng.random((n, days)) < chance)
        # Notes come in tens.
        cents = np.ceil(np.exp(rng.normal(mean, spread, len(who))) / 1_000) * 1_000
        minute, own = at(rng, day, 7, 22), town.awake[who]
        draws = memo == 6
        rows.add(minute, own if draws else COUNTER, COUNTER if draws else own, cents, CASH, memo)


def business(rng: np.random.Generator, town: Town, days: int, rows: Rows) -> None:
    """Adds what firms and shops do: contracts, takings in cash, new suppliers, hired hands."""
    payer, payee, cents, offset = town.contracts
    for month in range(0, days, 30):
        day = month + offset
        kept = day < days
        rows.add(
            at(rng, day[kept], 9, 17),
            payer[kept],
            payee[kept],
            cents[kept] * np.exp(rng.normal(0, 0.08, int(kept.sum()))),
            TRANSFER,
            8,
        )
    # Takings lie around the limit from which cash is reported, as honest ones do.
    banking = town.shops[: max(len(town.shops) // 6, 2)]
    who, day = np.nonzero(rng.random((len(banking), days)) < 0.3)
    takings = np.round(np.exp(rng.normal(13.3, 0.45, len(who))) / 1_000) * 1_000
    rows.add(at(rng, day, 16, 20), COUNTER, banking[who], takings, CASH, 9)
    # A firm takes another supplier at about the same price, now and then.
    for _ in range(max(days * len(town.firms) // 400, 1)):
        one = int(rng.integers(len(payer)))
        other = int(rng.choice(np.concatenate([town.firms, town.people[:200]])))
        if other != payer[one]:
            rows.add(
                at(rng, int(rng.integers(days)), 9, 17, 1),
                payer[one],
                other,
                cents[one] * rng.uniform(0.7, 1.3),
                TRANSFER,
                8,
            )
    # Hired hands are new payees, several on one day.
    for _ in range(max(days * len(town.employers) // 120, 1)):
        hands = rng.choice(town.awake, int(rng.integers(3, 8)), replace=False)
        day = np.full(len(hands), int(rng.integers(days)))
        rows.add(
            at(rng, day, 12, 18),
            rng.choice(town.employers),
            hands,
            np.exp(rng.normal(10.4, 0.3, len(hands))),
            TRANSFER,
            10,
        )


def look_alikes(rng: np.random.Generator, town: Town, days: int, rows: Rows) -> None:
    """Adds lawful events that look like fraud: collections, savings circles, loans, moves, purchases at night."""
    times = max(days * len(town.people) // 12_000, 1)
    for _ in range(times):
        # Many give to one for a present, who buys it some days later.
        day, givers = (
            int(rng.integers(max(days - 6, 1))),
            rng.choice(town.awake, int(rng.integers(5, 13)), replace=False),
        )
        one, gifts = int(rng.choice(town.awake)), np.exp(rng.normal(8.6, 0.6, len(givers)))
        others = givers != one
        rows.add(
            at(rng, day + rng.integers(0, 3, int(others.sum())), 8, 22),
            givers[others],
            one,
            gifts[others],
            TRANSFER,
            11,
        )
        rows.add(at(rng, day + 4, 10, 20, 1), one, rng.choice(town.shops), gifts.sum() * 0.94, CARD, 0)
    for _ in range(times):
        # Savings circles: money goes round, a member a week.
        ring = rng.choice(town.awake, 5, replace=False)
        cents, day = np.exp(rng.normal(9.6, 0.4)), int(rng.integers(days))
        when = day + 7 * np.arange(5)
        kept = when < days
        rows.add(at(rng, when[kept], 8, 21), ring[kept], np.roll(ring, -1)[kept], cents, TRANSFER, 12)
    for _ in range(2 * times):
        # A loan comes in and is spent within two days, also by those who had long been idle.
        one, cents = int(rng.choice(town.asleep if rng.random() < 0.15 else town.awake)), np.exp(rng.normal(12.6, 0.6))
        day = int(rng.integers(max(days - 3, 1)))
        rows.add(at(rng, day, 8, 18, 1), WORLD, one, cents, TRANSFER, 13)
        seller = int(rng.choice(town.firms))
        rows.add(
            at(rng, day + int(rng.integers(1, 3)), 9, 18, 1), one, seller, cents * rng.uniform(0.7, 1.0), TRANSFER, 14
        )
    for _ in range(3 * times):
        # Somebody books a journey at night: new payees, larger amounts than usual.
        one, day = int(rng.choice(town.awake)), int(rng.integers(days))
        payees = rng.choice(np.concatenate([town.firms, town.people[:300]]), int(rng.integers(1, 4)), replace=False)
        payees = payees[payees != one]
        rows.add(
            at(rng, np.full(len(payees), day), 0, 6),
            one,
            payees,
            np.exp(rng.normal(10.6, 0.7, len(payees))),
            TRANSFER,
            15,
        )
    _spending(rng, town, days, times, rows)


def _spending(rng: np.random.Generator, town: Town, days: int, times: int, rows: Rows) -> None:
    """Adds days out and large purchases, by which most figures of one payment are as high as those of fraud."""
    for _ in range(9 * times):
        # A day out: many shops that one never paid before, one after another.
        one, day = int(rng.choice(town.awake)), int(rng.integers(days))
        shops = rng.choice(town.shops, int(rng.integers(5, 11)), replace=False)
        rows.add(
            at(rng, np.full(len(shops), day), 9, 22), one, shops, np.exp(rng.normal(8.0, 0.8, len(shops))), CARD, 0
        )
    for _ in range(20 * times):
        # Large, once, to somebody new: a car or a builder, for each of them less than once in a year.
        one, seller = int(rng.choice(town.awake)), int(rng.choice(np.concatenate([town.firms, town.awake])))
        if one != seller:
            rows.add(
                at(rng, int(rng.integers(days)), 9, 18, 1), one, seller, np.exp(rng.normal(12.8, 0.7)), TRANSFER, 14
            )
