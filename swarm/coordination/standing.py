"""Tells who has something to decide in a round, and what the others' standing orders do meanwhile.

A decision may stand for some rounds, with the conditions under which its trader wants to think again. All of it follows
from recorded decisions and cleared rounds, as columns over traders; there is no model here, no clock and no chance.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from enum import IntEnum
from typing import Self

import numpy as np
import numpy.typing as npt
from pydantic import Field

from swarm.market.orders import BUY, Orders
from swarm.schema import StrictModel

Int64 = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


class WakeConfig(StrictModel):
    """The signs that make a trader think again before its orders have stood out their time."""

    price_permille: int = Field(default=100, ge=0, le=10_000)
    """The reference price of a good that it has orders in (of any good, if it has none) has moved by this much since
    it decided, in 1/1000; 0: no price wakes it."""

    fill: bool = False
    """One of its orders was filled, in part or whole; where most traders trade in every round, that is always."""

    message: bool = False
    """Somebody's line reached it; where everybody gossips in every round, that is always."""

    need: bool = True
    """It has run out of a good that it needs, and had not when it decided."""


class StandingConfig(StrictModel):
    """The terms on which a decision may stand, as far as a model does not say them itself."""

    max_rounds: int = Field(default=0, ge=0, le=1_000)
    """Most rounds in which a decision's orders are put in again without asking its model; 0: every trader is asked in
    every round. A model with the form `orders` chooses up to this many; what answers with letters of a menu cannot
    say so, and its decisions stand for all of them."""

    wake: WakeConfig = WakeConfig()
    """What wakes a trader whose reply does not say it."""


class Reason(IntEnum):
    """The reasons for which a trader is to think in a round; the first that holds is counted."""

    ASLEEP = 0
    FIRST = 1
    """It has not decided yet."""
    UNDECIDED = 2
    """It was to think before, and there was no answer, none that could be read, or no budget for one."""
    OVER = 3
    """Its decision does not stand, or no longer."""
    FILL = 4
    NEED = 5
    PRICE = 6
    MESSAGE = 7
    CALLED = 8
    """Its scenario shows it something new that concerns it."""


REASONS = tuple(reason.name.lower() for reason in Reason if reason)


@dataclass(frozen=True, slots=True, eq=False)
class Stands:
    """The standing of some decisions, by row: for how many more rounds each stands, and what wakes its trader."""

    rounds: Int64
    price_permille: Int64
    fill: Int64
    message: Int64
    need: Int64

    def __len__(self) -> int:
        return len(self.rounds)

    def take(self, rows: Int64) -> Self:
        """Returns the rows at the indices `rows`."""
        return type(self)(*(getattr(self, f.name)[rows] for f in fields(self)))

    @classmethod
    def of(cls, rows: Sequence[tuple[int, int, int, int, int]]) -> Self:
        """Returns the columns of rows of plain numbers."""
        return cls(*np.array(rows, dtype=np.int64).reshape(len(rows), 5).T.copy())

    @classmethod
    def concatenate(cls, parts: Sequence[Self]) -> Self:
        """Returns all rows of `parts`, one after another."""
        nothing = np.empty(0, dtype=np.int64)
        return cls(*(np.concatenate([nothing, *(getattr(p, f.name) for p in parts)]) for f in fields(cls)))


NO_STAND = (0, 0, 0, 0, 0)


def default_stand(config: StandingConfig) -> tuple[int, int, int, int, int]:
    """Returns how a decision stands whose form cannot say it."""
    wake = config.wake
    return (config.max_rounds, wake.price_permille, wake.fill, wake.message, wake.need)


@dataclass(frozen=True, slots=True, eq=False)
class Signs:
    """The signs of a round that may wake traders.

    `reference_ticks` is by good, `have` and `need` are [traders, goods] in lots, `filled` and `heard` tell of the last
    round by trader. `called` marks those whom something new concerns; None: nobody.
    """

    reference_ticks: Int64
    have: Int64
    need: Int64
    filled: Mask
    heard: Mask
    called: Mask | None = None

    @property
    def out(self) -> Mask:
        """Returns what each trader needs and has none of, as [traders, goods]."""
        out: Mask = (self.need > 0) & (self.have <= 0)
        return out


class Standing:
    """The standing orders of `traders` traders, and when each of them is to think again."""

    def __init__(self, traders: int, goods: int) -> None:
        self._pending = np.zeros(traders, dtype=np.bool_)
        self._decided = np.zeros(traders, dtype=np.int64)
        self._until = np.zeros(traders, dtype=np.int64)
        self._stands = Stands(*np.zeros((5, traders), dtype=np.int64))
        self._reference = np.zeros((traders, goods), dtype=np.int64)
        self._watched = np.zeros((traders, goods), dtype=np.bool_)
        self._out = np.zeros((traders, goods), dtype=np.bool_)
        self._orders = Orders.empty()

    @property
    def last_decided(self) -> Int64:
        """Returns, by trader, the round of its last decision, or 0."""
        return self._decided

    def reasons(self, round_: int, signs: Signs) -> Int64:
        """Returns, by trader, the `Reason` to think in this round."""
        # [traders, goods]: where the price moved far enough since the trader decided; in products, without rounding.
        stands = self._stands
        called = np.zeros(len(self._decided), dtype=np.bool_) if signs.called is None else signs.called
        move = np.abs(signs.reference_ticks[None, :] - self._reference) * 1_000
        moved = (move >= stands.price_permille[:, None] * self._reference) & self._watched
        # The first that holds counts, in the order of `Reason`.
        reasons = np.select(
            [
                self._decided == 0,
                self._pending,
                self._until < round_,
                (stands.fill > 0) & signs.filled,
                (stands.need > 0) & (signs.out & ~self._out).any(axis=1),
                (stands.price_permille > 0) & moved.any(axis=1),
                (stands.message > 0) & signs.heard,
                called,
            ],
            [int(reason) for reason in Reason if reason],
            int(Reason.ASLEEP),
        )
        return reasons.astype(np.int64)

    def decide(self, round_: int, asked: Int64, traders: Int64, stands: Stands, orders: Orders, signs: Signs) -> None:
        """Takes the round's decisions over: row i of `stands` is that of `traders[i]`.

        Those of `asked` who are not among `traders` have still to think, and until then go by what they decided before.
        """
        # Whoever was asked is pending until an answer of its own is among the decisions.
        self._pending[asked] = True
        self._pending[traders] = False
        self._decided[traders] = round_
        self._until[traders] = round_ + stands.rounds
        for f in fields(Stands):
            getattr(self._stands, f.name)[traders] = getattr(stands, f.name)
        self._reference[traders] = signs.reference_ticks
        self._out[traders] = signs.out[traders]
        # A trader watches the goods that it has orders in; one without orders watches all.
        theirs = orders.take(np.isin(orders.trader, traders))
        self._watched[traders] = False
        self._watched[theirs.trader, theirs.good] = True
        silent = traders[~self._watched[traders].any(axis=1)]
        self._watched[silent] = True
        # New orders replace all that their trader had; what has stood out its time goes, too.
        kept = self._orders.take(
            (self._decided[self._orders.trader] < round_) & (self._until[self._orders.trader] > round_)
        )
        standing = theirs.take(self._until[theirs.trader] > round_)
        self._orders = Orders.concatenate([kept, standing]).in_canonical_order()

    def forget(self, traders: Int64) -> None:
        """Makes these traders as if they had never decided, with no orders that stand."""
        for column in (self._pending, self._decided, self._until, self._reference, self._watched, self._out):
            column[traders] = 0
        for f in fields(Stands):
            getattr(self._stands, f.name)[traders] = 0
        self._orders = self._orders.take(~np.isin(self._orders.trader, traders))

    def orders(self, round_: int) -> Orders:
        """Returns the orders that stand in this round, those of its own decisions apart."""
        # A decision of this very round comes with orders of its own.
        trader = self._orders.trader
        return self._orders.take((self._until[trader] >= round_) & (self._decided[trader] < round_))


def covered(orders: Orders, cash_ticks: Int64, have: Int64, step_lots: int = 1) -> tuple[Orders, int]:
    """Returns orders cut to what their traders have at their limits, in sequence, and how many lots were cut.

    `cash_ticks` is by trader and `have` is [traders, goods]; `orders` are in canonical order. What the market itself
    lets an order rest on is its own affair: it checks everything again.
    """
    cash, stock = np.maximum(cash_ticks, 0), np.maximum(have, 0)
    lots = orders.quantity_lots.copy()
    starts = np.searchsorted(orders.trader, orders.trader)
    # All traders' first orders at once, then their second: each takes from what those before it have left.
    ranks = np.arange(len(orders)) - starts
    for rank in range(int(ranks.max(initial=-1)) + 1):
        rows = np.flatnonzero(ranks == rank)
        trader, good, limit = orders.trader[rows], orders.good[rows], orders.limit_ticks[rows]
        buys = orders.side[rows] == BUY
        # Asks lock lots as bids lock cash, so that two orders never count on the same goods.
        most = np.where(buys, cash[trader] // np.maximum(limit, 1), stock[trader, good])
        lots[rows] = np.minimum(lots[rows], most) // step_lots * step_lots
        cash[trader] -= np.where(buys, lots[rows] * limit, 0)
        stock[trader, good] -= np.where(buys, 0, lots[rows])
    cut = int((orders.quantity_lots - lots).sum())
    kept = lots > 0
    left = orders.take(kept)
    return replace(left, quantity_lots=lots[kept]), cut
