"""Owns the events by which an exchange says what happened, in the past tense; columns are int64 arrays.

It knows no account and no book: an event is all that the world outside a market learns of it.
"""

from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any

import numpy.typing as npt

from swarm.market import wire
from swarm.market.margin import MarginReport
from swarm.market.orders import Int64
from swarm.market.resting import RestingReport


class Rejection(StrEnum):
    """The reasons for which an order is not taken."""

    UNKNOWN_TRADER = "unknown_trader"
    UNKNOWN_GOOD = "unknown_good"
    BAD_SIDE = "bad_side"
    BAD_PRICE = "bad_price"
    BAD_QUANTITY = "bad_quantity"
    TOO_MANY_ORDERS = "too_many_orders"
    DUPLICATE = "duplicate"
    STALE_ROUND = "stale_round"
    INSUFFICIENT_CASH = "insufficient_cash"
    INSUFFICIENT_GOODS = "insufficient_goods"
    BAD_KIND = "bad_kind"
    OUTSIDE_BAND = "outside_band"
    HALTED = "halted"
    LIQUIDATED = "liquidated"
    EXPIRED = "expired"
    FROZEN = "frozen"
    OVER_CAP = "over_cap"


@dataclass(frozen=True, slots=True, eq=False)
class OrdersTaken:
    """A batch was checked; the columns `rejected_*` have one entry per order that was not taken."""

    round: int
    accepted: int
    rejected_trader: Int64
    rejected_sequence: Int64
    rejected_reason: tuple[Rejection, ...]

    @property
    def reasons(self) -> dict[tuple[int, int], str]:
        """Why orders were not taken, by trader and sequence."""
        keys = zip(self.rejected_trader.tolist(), self.rejected_sequence.tolist(), strict=True)
        return dict(zip(keys, map(str, self.rejected_reason), strict=True))

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickles the columns as one narrow block, and each reason as a byte."""
        columns = wire.packed([self.rejected_trader, self.rejected_sequence])
        reasons = bytes(map(_NUMBER_OF_REASON.__getitem__, self.rejected_reason))
        return _taken_from_message, (self.round, self.accepted, columns, reasons)


_REASONS = tuple(Rejection)
_NUMBER_OF_REASON = {reason: number for number, reason in enumerate(_REASONS)}


def _taken_from_message(round_: int, accepted: int, columns: wire.Packed, reasons: bytes) -> OrdersTaken:
    trader, sequence = wire.unpacked(columns)
    return OrdersTaken(round_, accepted, trader, sequence, tuple(map(_REASONS.__getitem__, reasons)))


@dataclass(frozen=True, slots=True, eq=False)
class Trades:
    """The round's trades, ordered by good and then by time: who bought what from whom, and at which price."""

    good: Int64
    price_ticks: Int64
    quantity_lots: Int64
    buyer: Int64
    seller: Int64

    def take(self, rows: npt.NDArray[Any]) -> "Trades":
        """Returns some of the trades, by number or by mask."""
        return Trades(*(getattr(self, f.name)[rows] for f in fields(self)))

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickles the trades as one block of narrow columns, a sixth of their bytes."""
        return _trades_from_message, (wire.packed([getattr(self, f.name) for f in fields(self)]),)


def _trades_from_message(message: wire.Packed) -> Trades:
    return Trades(*wire.unpacked(message))


@dataclass(frozen=True, slots=True, eq=False)
class RoundCleared:
    """A round was cleared and settled; every array has one entry per good.

    `clearing_ticks` is the one price of a call auction and the last price of a continuous one, 0 where nothing traded;
    `unfilled_*` are lots left over; `reference_ticks` is after the drift. `halted` are the goods whose circuit breaker
    tripped in this round. `resting` is there where orders stay in the book.
    """

    round: int
    clearing_ticks: Int64
    volume_lots: Int64
    unfilled_buy_lots: Int64
    unfilled_sell_lots: Int64
    reference_ticks: Int64
    trades: Trades
    halted: tuple[int, ...] = ()
    margin: MarginReport | None = None
    resting: RestingReport | None = None


@dataclass(frozen=True, slots=True)
class AssetsMoved:
    """A transfer was posted."""

    cause: str
    postings: int


@dataclass(frozen=True, slots=True)
class ReferenceMoved:
    """A reference price was moved from outside."""

    cause: str
    good: int
    reference_ticks: int


@dataclass(frozen=True, slots=True)
class TradersRestricted:
    """Traders were restricted, or set free."""

    cause: str
    traders: int


@dataclass(frozen=True, slots=True)
class CommandIgnored:
    """A command with this number has been handled before."""

    number: int


Event = OrdersTaken | RoundCleared | AssetsMoved | ReferenceMoved | TradersRestricted | CommandIgnored
