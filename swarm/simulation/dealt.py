"""The records of dealings that are open: loans and their pledges, shorts, bribes and alliances, each by its number."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Lent:
    """A loan that is not paid back in full: who owes how much of it, after which round it is due, and its pledge."""

    number: int
    market: int
    seat: int
    left_cents: int
    due_round: int
    good: int = 0
    lots: int = 0


@dataclass(frozen=True, slots=True)
class Pledged:
    """A pledge for a loan that is not made yet: the money follows in the round after."""

    number: int
    market: int
    seat: int
    lent_cents: int
    owed_cents: int
    due_round: int
    good: int
    lots: int


@dataclass(frozen=True, slots=True)
class Shorted:
    """Lots that were sold at `ticks` and have to be bought back; `margin_cents` lie in ESCROW for it."""

    number: int
    market: int
    good: int
    lots: int
    ticks: int
    due_round: int
    first_cents: int
    margin_cents: int


@dataclass(frozen=True, slots=True)
class Bribed:
    """A promise of cents, which lie in ESCROW, to who bids for, or offers, so many lots in a round."""

    number: int
    market: int
    seat: int
    side: int
    lots: int
    good: int
    round: int
    cents: int


@dataclass(frozen=True, slots=True)
class Allied:
    """Who hears all tips and has a share of gains, for a time."""

    number: int
    market: int
    seat: int
    share_permille: int
    due_round: int
