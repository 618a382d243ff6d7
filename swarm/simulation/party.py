"""Owns parties: those outside the population who act between two rounds, as the road between regions does.

An act is a plain value of a closed union, journalled before it holds, so that every party replays by `RecordedParty`.
A party may read a queue or a clock; nothing of it is known to the market, which only obeys the commands made of acts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Protocol, get_args, runtime_checkable

import numpy as np
import numpy.typing as npt

from swarm.market import records
from swarm.market.config import MarketConfig, Mechanism
from swarm.market.events import RoundCleared
from swarm.market.evidence import Round
from swarm.market.records import RecordError
from swarm.scenarios.protocol import Int64, MarketState

MAX_TEXT_CHARS = 2_000
"""The longest text of an act."""

Account = Int64 | str
"""Traders by number, one for each row, or the name of one account."""


@dataclass(frozen=True, slots=True, eq=False)
class Move:
    """A posting of `amount` of `asset` from `source` to `target`, by row; asset 0 is cash in cents, others lots.

    With `if_done` it comes after the act before it, and is refused where that was.
    """

    cause: str
    source: Account
    target: Account
    asset: Int64
    amount: Int64
    market: int = 0
    if_done: bool = False


@dataclass(frozen=True, slots=True)
class Reprice:
    """A change of a good's reference price, which is multiplied by `permille` / 1000."""

    cause: str
    good: int
    permille: int
    market: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Say:
    """A line from `speaker` that some traders hear in the next round, before all gossip.

    With `if_done` it tells of the act before it, and is not said where that was refused.
    """

    speaker: str
    to: Int64
    text: str
    if_done: bool = False
    market: int = 0


@dataclass(frozen=True, slots=True)
class Announce:
    """A line among the public news of the next round."""

    text: str
    market: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Quote:
    """The prices of the market `of`, which traders are shown from the next round on."""

    of: str
    prices_ticks: Int64
    market: int = 0


@dataclass(frozen=True, slots=True)
class Strike:
    """A shock of the scenario's own, of `size_permille` / 1000, which begins in the next round and lasts `rounds`."""

    kind: str
    good: int
    rounds: int
    size_permille: int
    market: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Freeze:
    """Refuses the orders of traders in the next `rounds` rounds."""

    cause: str
    trader: Int64
    rounds: int
    market: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Cap:
    """Lets traders come to own at most so many lots of each good, whatever they have already."""

    cause: str
    trader: Int64
    lots: int
    market: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Exile:
    """Refuses the orders of traders until they are pardoned."""

    cause: str
    trader: Int64
    market: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Pardon:
    """Lifts all that this party has sentenced traders to; what others have sentenced them to holds on."""

    cause: str
    trader: Int64
    market: int = 0


Act = Move | Reprice | Say | Announce | Quote | Strike | Freeze | Cap | Exile | Pardon
"""What a party can do; `market` is the index of the market that it is done in, and is not journalled there."""


@dataclass(frozen=True, slots=True, eq=False)
class MarketView:
    """A market as parties see it after a round: traders' balances, those of accounts by name, and the clearing.

    `movable_lots` is [traders, goods] and `movable_cents` [traders]: what each can spare of its goods and its cash.
    `staying` is [traders]: who is still there in the next round. `evidence` is what was ordered, traded and tipped in
    the round, under `rules` and with each good's mechanism. `done` is what parties did after the round before: who,
    what, and why it was refused or nothing.
    """

    name: str
    goods: tuple[str, ...]
    state: MarketState
    named: Mapping[str, Int64]
    cleared: RoundCleared | None
    movable_lots: Int64  # never below 0
    movable_cents: Int64
    staying: npt.NDArray[np.bool_]
    evidence: Round | None = None
    rules: MarketConfig = field(default_factory=MarketConfig)
    mechanisms: tuple[Mechanism, ...] = ()
    done: tuple[tuple[str, Act, str], ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class RoundView:
    """The view that parties have between two rounds: the one just settled, in all markets of the run."""

    round: int
    rounds: int
    markets: tuple[MarketView, ...]

    @property
    def is_last(self) -> bool:
        """Tells whether no round follows."""
        return self.round >= self.rounds


class Party(Protocol):
    """Somebody outside the population who acts between two rounds."""

    name: str

    def act(self, view: RoundView) -> Sequence[Act]:
        """Returns what the party does after a round, in order."""
        ...


@runtime_checkable
class Remembers(Protocol):
    """A party that goes by what was before: it is shown recorded rounds, too, and follows another one at a fork."""

    def saw(self, view: RoundView) -> None:
        """Takes in a round after which it does again what the journal says."""
        ...

    def succeed(self, before: Party) -> None:
        """Takes over what the party of its name knew before a fork."""
        ...


class RecordedParty:
    """A party that does again what a journal says that it did, by round."""

    def __init__(self, name: str, acts: Mapping[int, Sequence[Act]]) -> None:
        self.name = name
        self._acts = acts

    def act(self, view: RoundView) -> Sequence[Act]:
        """Returns the recorded acts of the round."""
        return self._acts.get(view.round, ())


def _text(value: Any, name: str) -> str:
    found = records.text(value, name)
    if len(found) > MAX_TEXT_CHARS:
        raise RecordError(f"{name}: expected at most {MAX_TEXT_CHARS} characters, got {len(found)}")
    return found


def _flag(value: Any, name: str) -> bool:
    if type(value) is not bool:
        raise records.expected(name, "true or false", value)
    return value


def _account(value: Any, name: str) -> Account:
    return records.text(value, name) if isinstance(value, str) else records.column(value, name)


KINDS: dict[str, type[Any]] = {c.__name__: c for c in get_args(Act)}

# By the field's name where that narrows what it may hold, else by its type.
_READERS: dict[Any, records.Read] = {
    "text": _text,
    str: records.text,
    int: records.integer,
    bool: _flag,
    Int64: records.column,
    Account: _account,
}


def to_record(act: Act) -> list[Any]:
    """Returns `[kind, field, field, ...]` without the market, in plain values."""
    # Fields stand in the order of the class, so none may be moved while journals of this format are read.
    values = [getattr(act, f.name) for f in fields(act) if f.name != "market"]
    if isinstance(act, Move) and not act.if_done:
        # Written where it says something, so that journals from before it read as they were written.
        values.pop()
    return [type(act).__name__, *(v.tolist() if isinstance(v, np.ndarray) else v for v in values)]


def _with_market(kind: str, values: list[Any]) -> list[Any]:
    """Returns an act's values with the market among them, where its class has it."""
    if kind != Move.__name__:
        return [*values, 0]
    before = len(fields(Move)) - 2
    return [*values[:before], 0, *(values[before:] or [False])]


def from_record(record: Any, name: str) -> Act:
    """Returns the act that `to_record` wrote; RecordError names the field that is no such act's."""
    kind, *values = records.listed(record, name) or [None]
    if type(kind) is not str or kind not in KINDS:
        raise records.expected(name, f"one of {', '.join(KINDS)}", kind)
    try:
        # The market is that of the journal, so it is not written and read as the first.
        act: Act = records.read_fields(KINDS[kind], _with_market(kind, values), _READERS)
    except RecordError as error:
        raise RecordError(f"{name} ({kind}).{error}") from None
    if isinstance(act, Move):
        # A named account stands for all rows, so only columns are compared.
        rows = {len(c) for c in (act.source, act.target, act.asset, act.amount) if not isinstance(c, str)}
        if len(rows) > 1:
            raise RecordError(f"{name} (Move): its columns differ in length")
    return act
