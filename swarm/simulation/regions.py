"""Several markets in one run: their round loops in step, the road between them, and what they come to together.

Each region is a run of its own with its own market and journal. They meet once a round, when all have settled: the road
looks at every market, and what it moves is journalled in each region by itself, so that one region's journal replays
without the others.
"""

import hashlib
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import Executor, wait
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal, Protocol, TypeVar

import numpy as np
from pydantic import Field, model_validator

from swarm.market.ledger import ROAD
from swarm.scenarios.protocol import Consequence, Int64, Movement
from swarm.schema import StrictModel
from swarm.seeding import draw, draw_below
from swarm.simulation.entries import Acted
from swarm.simulation.loop import Interrupted, RoundLoop
from swarm.simulation.party import Act, Move, Quote
from swarm.simulation.plan import RunPlan
from swarm.simulation.region import Region
from swarm.simulation.road import RegionState, Road, Travellers

In = TypeVar("In")
Phases = Generator[None, Sequence[Acted | Consequence], None]
Neighbours = tuple[tuple[str, tuple[int, ...]], ...]


class RegionsConfig(StrictModel):
    """Several markets in one run, and the travellers who trade in two of them."""

    names: tuple[str, ...] = Field(default=(), max_length=64)
    """What the regions are called, in small letters, digits, `-` and `_`; empty: by number, as many as `count` says."""

    count: int | None = Field(default=None, ge=2, le=64)
    """How many regions there are; null: as many as `names`."""

    roads: tuple[tuple[str, str], ...] | None = Field(default=None, max_length=2_016)
    """Pairs of neighbours, by name; null: a ring, on which each region has the next one for a neighbour."""

    travellers: int = Field(default=10, ge=0, le=100_000)
    """How many traders of each pair of neighbours have a seat in both markets; half of them live in either."""

    abroad: Literal["arbitrage", "own"] = "arbitrage"
    """Who decides for a traveller away from home: the rule `arbitrage`, or its own mind, which then has two turns."""

    fee_permille: int = Field(default=20, ge=0, le=1_000)
    """What the road costs: this share of the goods' value at the price where they leave, in 1/1000."""

    capacity_lots: int = Field(default=8, ge=1, le=10_000)
    """Most lots that a traveller carries in a round."""

    tilt_permille: int = Field(default=300, ge=0, le=900)
    """How far regions begin apart: goods are up to this share dearer and scarcer, or cheaper and more plentiful, as the
    seed draws for each region, in 1/1000; 0: alike but for chance."""

    @model_validator(mode="after")
    def _regions_exist(self) -> "RegionsConfig":
        if self.names and self.count not in (None, len(self.names)):
            raise ValueError(f"count is {self.count}, but there are {len(self.names)} names; leave one of them out")
        if not self.names and self.count is None:
            raise ValueError("expected names, or a count from 2 to 64")
        if len(self.names) == 1:
            raise ValueError("expected 2 regions or more; one market needs no regions at all")
        for name in self.names:
            if not 0 < len(name) <= 40 or set(name) - set("abcdefghijklmnopqrstuvwxyz0123456789-_"):
                raise ValueError(f"{name!r} is no name of a region; expected 1 to 40 small letters, digits, `-` or `_`")
        if len(set(self.names)) < len(self.names):
            raise ValueError("two regions have one name; give each its own")
        pairs = [frozenset(pair) for pair in self.roads or ()]
        for pair in self.roads or ():
            if missing := [name for name in pair if name not in self.all_names]:
                raise ValueError(
                    f"a road leads to {missing[0]!r}, which is no region; known: {', '.join(self.all_names)}"
                )
            if pair[0] == pair[1]:
                raise ValueError(f"a road leads from {pair[0]!r} to itself")
            if pairs.count(frozenset(pair)) > 1:
                raise ValueError(f"two roads join {pair[0]!r} and {pair[1]!r}; leave one out")
        return self

    @property
    def all_names(self) -> tuple[str, ...]:
        """The names, by number where none are given."""
        return self.names or tuple(f"region-{number}" for number in range(1, (self.count or 0) + 1))

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """Pairs of neighbours, by number."""
        names = self.all_names
        if self.roads is not None:
            return [(names.index(one), names.index(other)) for one, other in self.roads]
        ring = [(r, (r + 1) % len(names)) for r in range(len(names))]
        return ring[:1] if len(names) == 2 else ring

    @property
    def neighbours(self) -> list[list[int]]:
        """The neighbours of each region, by number."""
        return [[b if r == a else a for a, b in self.pairs if r in (a, b)] for r in range(len(self.all_names))]

    def homes(self, region: int) -> int:
        """How many travellers live in a region."""
        ends = [(one, (self.travellers + 1) // 2) for one, _ in self.pairs]
        ends += [(other, self.travellers // 2) for _, other in self.pairs]
        return sum(some for end, some in ends if end == region)


def populations(population: int, regions: int) -> list[int]:
    """How many traders live in each region: as many in one as in another, up to one."""
    return [population // regions + (region < population % regions) for region in range(regions)]


def region_seed(seed: int, region: int) -> int:
    """What the chance of one region is drawn from."""
    return int(draw(seed, "region", region).item()) >> 1


def choose_travellers(config: RegionsConfig, seed: int, natives: Sequence[int]) -> Travellers:
    """Who travels, drawn from the seed: nobody on two roads. Guests sit behind those who live in a region."""
    free = [
        np.argsort(draw_below(seed, "travellers", 2**53, r, np.arange(n)), kind="stable") for r, n in enumerate(natives)
    ]
    next_home, next_guest = [0] * len(natives), list(natives)
    rows: list[tuple[tuple[int, int], tuple[int, int]]] = []
    for pair in config.pairs:
        for number in range(config.travellers):
            home, away = pair if number % 2 == 0 else pair[::-1]
            rows.append(((home, away), (int(free[home][next_home[home]]), next_guest[away])))
            next_home[home] += 1
            next_guest[away] += 1
    columns = np.array(rows, dtype=np.int64).reshape(len(rows), 2, 2)
    return Travellers(columns[:, 0], columns[:, 1])


@dataclass(frozen=True, slots=True)
class RegionsPlan:
    """A run of several regions: a plan for each, and one of the `whole` as if it were a single market.

    `number_of[r]` has, for each seat of region r, the number of its trader in the whole; a traveller has one number.
    """

    config: RegionsConfig
    plans: tuple[RunPlan, ...]
    whole: RunPlan
    travellers: Travellers
    number_of: tuple[Int64, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The regions' names."""
        return self.config.all_names

    def new_road(self) -> Road:
        """The road of this run, on which nothing is under way yet."""
        plan = self.whole
        return Road(
            self.travellers,
            len(self.plans),
            len(plan.scenario.goods),
            self.config.fee_permille,
            self.config.capacity_lots,
            plan.market.config.tick_cents,
        )


def region_of(plan: RunPlan) -> Region:
    """The region that a plan is of."""
    if not isinstance(plan.scenario, Region):
        raise TypeError(f"{plan.name} is no region of a run")
    return plan.scenario


@dataclass(frozen=True, slots=True, eq=False)
class Dispatch:
    """What reaches a region at the end of a round: its neighbours' prices, and what comes and goes on the road."""

    round: int
    elsewhere: Neighbours
    movements: Sequence[Movement]

    def told_to(self, loop: RoundLoop) -> Sequence[Acted | Consequence]:
        """Tell the region, and say what its journal and its market are to be sent."""
        region_of(loop.plan).elsewhere = self.elsewhere
        acts: list[Act] = [Quote(name, np.array(prices, dtype=np.int64)) for name, prices in self.elsewhere]
        acts += [Move(m.cause, m.source, m.target, m.asset, m.amount) for m in self.movements]
        return [Acted(self.round, ROAD, tuple(acts)), *self.movements]

    @classmethod
    def recorded(cls, acted: Acted) -> "Dispatch":
        """Returns the dispatch that a journal has."""
        news = [(act.of, tuple(act.prices_ticks.tolist())) for act in acted.acts if isinstance(act, Quote)]
        moves = [act for act in acted.acts if isinstance(act, Move)]
        movements = [Movement(m.cause, m.source, m.target, m.asset, m.amount) for m in moves]
        return cls(acted.round, tuple(news), movements)


def as_recorded(acted: Mapping[int, Sequence[Acted]]) -> Callable[[RoundLoop], Sequence[Acted | Consequence]]:
    """What the road sent one region, from its journal: so that it replays without the others."""

    def outside(loop: RoundLoop) -> Sequence[Acted | Consequence]:
        found = acted.get(loop.round)
        return Dispatch.recorded(found[0]).told_to(loop) if found else ()

    return outside


class Regions:
    """Round loops in step: all decide, all settle, the road moves what travellers carry, and all end their round.

    `watchers` are told of each round of the whole when all regions have ended it. Regions are asked at once, in threads
    of `pool`, so that no slow one makes the others wait in turn.
    """

    def __init__(
        self, plan: RegionsPlan, loops: Sequence[RoundLoop], pool: Executor, watchers: Sequence["RegionsWatcher"] = ()
    ) -> None:
        self.plan = plan
        self.road = plan.new_road()
        self._loops = loops
        self._pool = pool
        self._watchers = watchers
        self._road_account = plan.whole.market.named_accounts.index(ROAD)

    @property
    def round(self) -> int:
        """How many rounds all regions have ended."""
        return min(loop.round for loop in self._loops)

    def step(self) -> None:
        """One round of all regions; Interrupted, and nothing is journalled, if one of them was told to stop."""
        phases = [loop.phases() for loop in self._loops]
        self._all(next, phases)
        self._all(next, phases)
        dispatches = self._dispatches()
        sent = [dispatch.told_to(loop) for dispatch, loop in zip(dispatches, self._loops, strict=True)]
        self._all(_end, list(zip(phases, sent, strict=True)))
        self.road.check([loop.answer.named[self._road_account] for loop in self._loops])
        for watcher in self._watchers:
            watcher.round_done(dispatches, self.road)

    def _dispatches(self) -> list[Dispatch]:
        loops, names = self._loops, self.plan.names
        states = [loop.answer.state for loop in loops]
        places = [
            RegionState(state.balances, state.reference_ticks, region_of(loop.plan).may_be_taken(state, loop.cleared))
            for loop, state in zip(loops, states, strict=True)
        ]
        moved = self.road.move(places, last_round=loops[0].round == self.plan.whole.rounds)
        prices = [tuple(state.reference_ticks.tolist()) for state in states]
        return [
            Dispatch(loop.round, tuple((names[n], prices[n]) for n in near), movements)
            for loop, near, movements in zip(loops, self.plan.config.neighbours, moved, strict=True)
        ]

    def _all(self, do: Callable[[In], None], regions: Sequence[In]) -> None:
        """Do it for all regions at once, and raise what one of them has raised only when all are done."""
        asked = [self._pool.submit(do, region) for region in regions]
        wait(asked)
        for answer in asked:
            answer.result()


class RegionsWatcher(Protocol):
    """Somebody who looks on at all regions."""

    def round_done(self, dispatches: Sequence[Dispatch], road: Road) -> None:
        """A round is settled and durable in all regions, after these dispatches."""
        ...


def run_regions(regions: Regions, should_stop: Callable[[], bool] = lambda: False) -> int:
    """Run all rounds and return how many were finished, as `run_rounds` does for one market."""
    while regions.round < regions.plan.whole.rounds and not should_stop():
        try:
            regions.step()
        except Interrupted:
            break
    return regions.round


def run_sha256(journal_sha256s: Sequence[str]) -> str:
    """The hash of a run of several regions: over the hashes of their journals, in the order of the regions."""
    return hashlib.sha256("".join(journal_sha256s).encode()).hexdigest()


def _end(phase: tuple[Phases, Sequence[Acted | Consequence]]) -> None:
    """Let a region's round end with what it is sent."""
    with suppress(StopIteration):
        phase[0].send(phase[1])
