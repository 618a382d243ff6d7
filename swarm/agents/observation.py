"""Holds what traders are shown: the round's public part, the same for all, and the private columns of some of them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from swarm.coordination.assignment import Assignment
from swarm.coordination.bids import Brief
from swarm.llm.tokens import TokenSize
from swarm.market import wire

Int64 = npt.NDArray[np.int64]


MAX_HISTORY = 20
"""Most rounds that lie in a history."""


@dataclass(frozen=True, slots=True)
class PastRound:
    """A round as a history has it, one entry per good; a clearing price of 0 says that nothing was traded."""

    round: int
    reference_ticks: tuple[int, ...]
    clearing_ticks: tuple[int, ...]
    volume_lots: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class MembersWorth:
    """The worth of a council's members by all rounds so far, in their order.

    `alone` is the member that is followed without counting while it is surely better than the council, or -1. The
    council passes where its winner's share of the votes, as a probability, is below `doubt_permille` / 1000.
    """

    weights_permille: tuple[int, ...]
    alone: int = -1
    doubt_permille: int = 0

    @classmethod
    def alike(cls, members: int, doubt_permille: int = 0) -> "MembersWorth":
        """Returns what is known before the first round: nothing."""
        return cls((1_000,) * members, doubt_permille=doubt_permille)


@dataclass(frozen=True, slots=True)
class Calibration:
    """The share of right decisions by the margin of a cascade's small model so far, as knots that rise, in 1/1000.

    Between two knots it is linear, outside them flat; without knots nothing is known yet.
    """

    margin_permille: tuple[int, ...] = ()
    right_permille: tuple[int, ...] = ()

    def wrong_permille(self, margin_permille: int) -> int:
        """Returns how likely a choice with this margin is wrong; of a choice between two, where nothing is known."""
        if not self.margin_permille:
            return (1_000 - margin_permille) // 2
        return 1_000 - round(float(np.interp(margin_permille, self.margin_permille, self.right_permille)))


@dataclass(frozen=True, slots=True, eq=False)
class PublicView:
    """The view that everybody has of a round; arrays have one entry per good and tell of the last round.

    `history` has the last rounds, the newest last, where there are desks to ask for it. `elsewhere` has, where there
    are several regions, the names of the neighbours and their prices by good after the last round. `sizes` has what
    engines make of prompts, by model, where that is more than is estimated, `members_worth` what is known of each
    council's members, and `calibrations` of each cascade's margins. `shadow_permille` is what a dollar of the run's
    budget is worth, in 1/1000 of a dollar. `brief` is what tiers of an auction bid by, in rounds with bids. No prompt
    shows any of them but the brief's memory.
    """

    round: int
    rounds: int
    season: str
    news: tuple[str, ...]
    reference_ticks: Int64
    change_ticks: Int64
    clearing_ticks: Int64
    volume_lots: Int64
    unfilled_buy_lots: Int64
    unfilled_sell_lots: Int64
    history: tuple[PastRound, ...] = ()
    elsewhere: tuple[tuple[str, tuple[int, ...]], ...] = ()
    sizes: Mapping[str, TokenSize] = field(default_factory=dict)
    members_worth: Mapping[str, MembersWorth] = field(default_factory=dict)
    calibrations: Mapping[str, Calibration] = field(default_factory=dict)
    shadow_permille: int = 1_000
    brief: Brief | None = None


def _from_message(kind: Callable[..., Any], values: Sequence[Any]) -> Any:
    return kind(*map(wire.received, values))


@dataclass(frozen=True, slots=True, eq=False)
class Barter:
    """The columns that each of n traders knows of itself where goods are made, needed and swapped.

    `makes` is the good it produces or -1. `need`, `spare` and `worth_ticks` are [n, goods]: lots it is short of, lots
    it can do without, and what the next lot is worth to it (where it has some to spare: the least to take for one).
    `mood` is from 0 to 100.
    """

    makes: Int64
    need: Int64
    spare: Int64
    worth_ticks: Int64
    mood: Int64

    def take(self, rows: Int64 | slice) -> "Barter":
        """Returns the rows at these indices."""
        return Barter(self.makes[rows], self.need[rows], self.spare[rows], self.worth_ticks[rows], self.mood[rows])

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickles columns as narrow as their numbers are, which takes a sixth of the bytes."""
        return _from_message, (type(self), [wire.sent(getattr(self, f.name)) for f in fields(self)])


@dataclass(frozen=True, slots=True, eq=False)
class PrivateViews:
    """The columns that each of n traders knows of itself: row i of every column belongs to `trader[i]`.

    `have` is [n, goods], lots owned. `facts` are lines for its prompt that no rule needs to read, `heard` is the gossip
    that was routed to it, and `bought_lots` and `sold_lots` are its fills of the last round by good. `barter` has what
    only markets of goods know. `before_cash_cents` and `before_have` are cash and lots as they were a round ago, where
    there are desks to compare them. `assigned` says who is there and is asked in this round, and at which model; None:
    all are, at their own. `forced_round` is, where there are cascades, the last round in which one had to ask its large
    model for a trader, 0 for none. `columns` has by name what the scenario's own rules look at, [n] or [n, values].
    `words` are, where a run has them, a trader's persona and what it remembers of others, as lines of its prompt.
    `called` marks those whom something new concerns, so that they think again whatever stands; None: nobody.
    """

    trader: Int64
    cash_cents: Int64
    have: Int64
    bought_lots: Int64
    sold_lots: Int64
    facts: tuple[str, ...]
    heard: tuple[tuple[str, ...], ...]
    barter: Barter | None = None
    before_cash_cents: Int64 | None = None
    before_have: Int64 | None = None
    assigned: Assignment | None = None
    forced_round: Int64 | None = None
    columns: Mapping[str, Int64] = field(default_factory=dict)
    words: tuple[tuple[str, str], ...] | None = None
    called: npt.NDArray[np.bool_] | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickles columns of integers as narrow as their numbers are."""
        return _from_message, (type(self), [wire.sent(getattr(self, f.name)) for f in fields(self)])

    @property
    def bartering(self) -> Barter:
        """The columns of a barter; ValueError where these traders do not barter."""
        if self.barter is None:
            raise ValueError("these traders do not barter: there is nothing that they make, need or can spare")
        return self.barter

    def bartered(self, **columns: Int64) -> Self:
        """Returns the same views with these columns of the barter replaced."""
        return replace(self, barter=replace(self.bartering, **columns))

    def calling(self, called: npt.NDArray[np.bool_]) -> Self:
        """Returns the same views with a mark at those whom something new concerns."""
        return replace(self, called=called)

    @property
    def makes(self) -> Int64:
        """The good that each trader makes; -1 where it makes none."""
        return np.full(len(self.trader), -1) if self.barter is None else self.barter.makes

    def __len__(self) -> int:
        return len(self.trader)

    def take(self, rows: Int64 | slice) -> Self:
        """Returns the rows at the indices `rows`; those of a slice are views of these."""
        picked: dict[str, Any] = {}
        for f in fields(self):
            column = getattr(self, f.name)
            if column is not None:
                # Columns of text are tuples, columns of columns pick their own rows, and all others are arrays.
                if isinstance(column, tuple):
                    # By plain integers, which index a tuple several times as fast as those of an array.
                    picked[f.name] = (
                        column[rows] if isinstance(rows, slice) else tuple([column[i] for i in rows.tolist()])
                    )
                elif isinstance(column, Assignment | Barter):
                    picked[f.name] = column.take(rows)
                elif isinstance(column, Mapping):
                    picked[f.name] = {name: values[rows] for name, values in column.items()}
                else:
                    picked[f.name] = column[rows]
        return replace(self, **picked)


@dataclass(frozen=True, slots=True, eq=False)
class Observation:
    """One message to one shard: what its traders are shown in a round."""

    public: PublicView
    private: PrivateViews
