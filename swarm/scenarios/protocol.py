"""What a scenario must offer: a setting's goods, rules and mechanics. Write one file with these and it runs.

A scenario owns what its creatures are and need; the market owns what they have. It never touches a balance: it returns
`Movement`s and `ReferenceMove`s, which the round loop turns into commands. It may draw from the seed with
`swarm.seeding`, and from nothing else.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from swarm.agents.observation import Observation
from swarm.market.config import MarketConfig
from swarm.market.events import RoundCleared
from swarm.schema import StrictModel

Int64 = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Movement:
    """Post `amount` of `asset` from `source` to `target`, row by row; an account is a trader's number or a name."""

    cause: str
    source: Int64 | str
    target: Int64 | str
    asset: Int64
    amount: Int64


@dataclass(frozen=True, slots=True)
class ReferenceMove:
    """Multiply the reference price of a good by `permille` / 1000."""

    cause: str
    good: int
    permille: int


Consequence = Movement | ReferenceMove


@dataclass(frozen=True, slots=True, eq=False)
class MarketState:
    """What the scenario sees of the market between commands: `balances` is [traders, assets], asset 0 is cash.

    `owed` has the same shape and says what traders owe where they may borrow; None where nobody may. `previous_ticks`
    are the reference prices at which the last round began; None before the second.
    """

    balances: Int64
    reference_ticks: Int64
    owed: Int64 | None = None
    previous_ticks: Int64 | None = None

    @property
    def change_ticks(self) -> Int64:
        """How far reference prices have moved since the last round began."""
        before = self.reference_ticks if self.previous_ticks is None else self.previous_ticks
        return self.reference_ticks - before


def fills_of(last: RoundCleared | None, traders: int, goods: int) -> tuple[Int64, Int64]:
    """[traders, goods]: what each of the scenario's traders bought, and sold, in the last round.

    A round's trades may name traders from `traders` on: guests from another region, of whom no scenario knows.
    """
    bought, sold = np.zeros((traders, goods), dtype=np.int64), np.zeros((traders, goods), dtype=np.int64)
    if last is not None:
        for lots, side in ((bought, last.trades.buyer), (sold, last.trades.seller)):
            own = side < traders
            np.add.at(lots, (side[own], last.trades.good[own]), last.trades.quantity_lots[own])
    return bought, sold


@dataclass(frozen=True, slots=True)
class ShockMark:
    """A shock as a chart shows it: from `first_round` to `last_round`."""

    title: str
    first_round: int
    last_round: int
    good: str


class Scenario(Protocol):
    """One run's setting, with the state of its creatures. `kinds[trader_kind[t]]` names what trader t is."""

    goods: tuple[str, ...]
    kinds: tuple[str, ...]
    trader_kind: Int64
    makes: Int64
    named_accounts: tuple[str, ...]
    opening_reference_ticks: Int64
    shocks: tuple[ShockMark, ...]

    def rules_text(self) -> str:
        """The setting in a few sentences, the first bytes of every prompt."""
        ...

    def opening(self) -> list[Consequence]:
        """What the traders begin with."""
        ...

    def observe(self, round_: int, market: MarketState, last: RoundCleared | None) -> Observation:
        """What all traders are shown in a round; the loop adds what each has heard."""
        ...

    def after_clearing(self, round_: int, market: MarketState, cleared: RoundCleared) -> list[Consequence]:
        """What happens once a round's trades are settled, in order."""
        ...

    def snapshot(self) -> dict[str, Int64]:
        """The creatures' own state between rounds: all that later rounds depend on besides the config and the seed."""
        ...

    def restore(self, snapshot: dict[str, Int64]) -> None:
        """Go on from a snapshot of the same creatures, which may have lived under another config."""
        ...

    def trader_columns(self) -> dict[str, Int64]:
        """Columns of the creatures' own state for the run's tables, one entry per trader."""
        ...


@runtime_checkable
class KnowsValues(Protocol):
    """A scenario that knows what each trade is worth to both sides, so that the gains from trade can be told."""

    @property
    def efficiency(self) -> float:
        """Realised over the largest possible gains from trade, so far."""
        ...


@dataclass(frozen=True, slots=True)
class ScenarioPlugin:
    """The one export of a scenario's file.

    `build(config, seed, traders, rounds, market)` makes the scenario of a run; `config` is an instance of `Config`.
    `tilted(config, seed, permille)`, where there is one, is the config of a region in which, as the seed draws, goods
    are up to `permille` / 1000 dearer and scarcer than in `config`, or cheaper and more plentiful.
    """

    name: str
    summary: str
    Config: type[StrictModel]
    build: Callable[[Any, int, int, int, MarketConfig], Scenario]
    tilted: Callable[[Any, int, int], StrictModel] | None = None


def with_debts(facts: tuple[str, ...], state: MarketState, goods: tuple[str, ...], tick_cents: int) -> tuple[str, ...]:
    """The facts of all traders, with a line on what each owes where there is something; cash is rounded up."""
    if state.owed is None or not state.owed.any():
        return facts
    lines = list(facts)
    for trader in np.flatnonzero(state.owed.any(axis=1)).tolist():
        cash, *lots = state.owed[trader].tolist()
        owed = [f"{-(-cash // tick_cents)} pebbles"] if cash else []
        owed += [f"{n} {good}" for n, good in zip(lots, goods, strict=True) if n]
        lines[trader] = "\n".join(filter(None, (lines[trader], f"YOU OWE {', '.join(owed)}")))
    return tuple(lines)
