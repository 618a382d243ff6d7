"""The protocol of a mind, which decides for traders. Write one file with these and an export `MIND`, and it runs.

A mind asks models (`Mind`) or is a rule on columns (`Rule`). Which traders it decides for, and which are asked in a
round, it is told; it knows no market, no cluster and no clock but its deadline.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np

from swarm.agents.decisions import Decisions
from swarm.agents.memory import Memory
from swarm.agents.observation import Int64, Observation
from swarm.agents.plan import ShardPlan
from swarm.agents.turns import Turns
from swarm.coordination.assignment import OWN
from swarm.llm.protocol import ModelClient
from swarm.market.orders import Orders
from swarm.schema import StrictModel
from swarm.seeding import draw


@dataclass(frozen=True, slots=True, eq=False)
class Seats:
    """The traders whom one mind decides for in a round: rows of `seen.private`.

    `model` has for each the index into `models` of the model that staffing chose, or OWN.
    """

    seen: Observation
    rows: Int64
    model: Int64
    models: tuple[str, ...] = ()

    @classmethod
    def at(cls, seen: Observation, rows: Int64) -> "Seats":
        """Returns the seats of these rows as staffing assigned them."""
        assigned = seen.private.assigned
        # Without staffing everybody is asked, at the model of its own.
        if assigned is None:
            return cls(seen, rows, np.full(len(rows), OWN))
        return cls(seen, rows, assigned.model[rows], assigned.models)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def trader(self) -> Int64:
        """The number of each seat's trader."""
        return self.seen.private.trader[self.rows]

    def take(self, indices: Int64) -> "Seats":
        """Returns the seats at these indices."""
        return Seats(self.seen, self.rows[indices], self.model[indices], self.models)

    def seeds(self, seed: int, stream: str = "request") -> list[int]:
        """Returns a seed for the sampling of each seat's replies; `stream` tells several questions of a turn apart."""
        drawn = draw(seed, stream, self.seen.public.round, self.trader)
        # 63 bits, since engines take a seed as a signed number.
        return [int(s) >> 1 for s in drawn.tolist()]

    def chosen(self, *own: str) -> list[tuple[tuple[str, ...], "Seats"]]:
        """Returns the seats by the models that they are asked at: a mind's `own`, or the one that staffing chose."""
        found = []
        for index in np.unique(self.model).tolist():
            seats = self.take(np.flatnonzero(self.model == index))
            found.append((own if index == OWN else (self.models[index],), seats))
        return found


@dataclass(frozen=True, slots=True)
class TurnBound:
    """The most that a turn takes: tokens of prompts and replies, and calls of a model.

    `of` has the same for each model, where a mind can tell; else all of it may be any model's, of which the dearest is
    reckoned with.
    """

    tokens: int
    calls: int = 1
    of: Mapping[str, "TurnBound"] = field(default_factory=dict)

    @classmethod
    def sum(cls, tokens_per_call: int, calls: Mapping[str, int]) -> "TurnBound":
        """Returns the bound of so many calls of each model, each of so many tokens."""
        of = {model: cls(tokens_per_call * n, n) for model, n in calls.items()}
        return cls(sum(one.tokens for one in of.values()), sum(calls.values()), of)


class Mind(Protocol):
    """Decides by asking models. `models` are those it may ask by itself; staffing may choose another in their place."""

    name: str
    models: frozenset[str]
    most: TurnBound

    async def decide(self, seats: Seats, models: Mapping[str, ModelClient], deadline_s: float) -> Turns:
        """Returns a turn for each of the seats, in their order, within `deadline_s` seconds."""
        ...

    def read(self, turns: Turns, seats: Seats) -> Decisions:
        """Returns what the turns mean; pure, and all that a replay calls."""
        ...


@runtime_checkable
class Rule(Protocol):
    """Decides on columns and asks nobody. `learns` says whether its orders depend on its `memory`."""

    name: str
    learns: bool

    def orders(self, seen: Observation, memory: Memory) -> tuple[Orders, Memory]:
        """Returns the orders of the traders that `seen.private` has, and what these have learned by then."""
        ...


@dataclass(frozen=True, slots=True)
class Stage:
    """What is known before a run of the place in which a mind would decide.

    It decides for so many `traders`, of whom each is heard by `listeners` others. `rests` says whether orders rest in
    the book of some good, and `lends` whether traders may borrow.
    """

    traders: int
    listeners: int
    rests: bool
    lends: bool


class InVain(NamedTuple):
    """Why a mind would do nothing of what it is for: the key of its section, what is missing, and what to do."""

    key: str
    reason: str
    remedy: str


@dataclass(frozen=True, slots=True)
class MindPlugin:
    """The one export of a mind's file.

    `build(name, section, plan)` makes the mind for the traders of a shard; `section` is an instance of `Config`.
    `models(section)` names the models that it asks, `by_tools` says whether it has them call tools, `form` names the
    form that all of them must answer in where that matters (with `votes` one that has a ballot does, too, if it is the
    same for all), `reads` names forms that it looks at besides, and `barters`
    says whether it has to know what traders make, need and can spare. `first_call(section, plan, seen)` is what the
    first of several calls takes in tokens, which its section's `max_tokens` must allow. `extra` names a package that it
    imports and the optional part of ours that brings it. `crew` says whether its traders know one another
    (`ShardPlan.crews`). `orders` says whether it trades at a market, whatever its scenario's models answer in, and
    `goods(section)` names the goods that it means by the key that each stands at. `writes(section)` says whether it has
    turns, with its decisions as texts, though it asks no model. `begins(section)` has, by the key of each list of
    things that happen, the round in which each of them begins, and `in_vain(section, stage)` says why nothing would
    come of it.
    """

    name: str
    summary: str
    Config: type[StrictModel]
    build: Callable[[str, Any, ShardPlan], Mind | Rule]
    models: Callable[[Any], tuple[str, ...]] = lambda _: ()
    by_tools: bool = False
    form: str | None = None
    votes: bool = False
    reads: tuple[str, ...] = ()
    barters: bool = False
    first_call: Callable[[Any, ShardPlan, Observation], int] = lambda *_: 0
    extra: tuple[str, str] | None = None
    crew: bool = False
    orders: bool = False
    goods: Callable[[Any], Mapping[str, str]] = lambda _: {}
    writes: Callable[[Any], bool] = lambda _: False
    begins: Callable[[Any], Mapping[str, Sequence[int]]] = lambda _: {}
    in_vain: Callable[[Any, Stage], InVain | None] = lambda *_: None
