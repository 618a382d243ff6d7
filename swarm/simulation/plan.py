"""Owns what a run is made from, once its config has been read: the plan of each of its markets, and of its world.

A world has one market or several. What it comes to can be looked at as if it were one market: under `WorldPlan.run`.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from swarm.agents.plan import ShardPlan
from swarm.llm.entry import ModelEntry
from swarm.scenarios.protocol import Consequence, Int64, Scenario
from swarm.simulation.entries import JOURNAL_FORMAT, Forked, RunBegan
from swarm.simulation.market import MarketPlan
from swarm.simulation.parties.road import Travellers
from swarm.simulation.population import Mask, PopulationStage, among, population_in
from swarm.simulation.regions import RegionsConfig
from swarm.version import __version__


@dataclass(frozen=True, slots=True)
class RunPlan:
    """The plan of one market's run. `minds[t]` decides for trader t; `shard` describes a shard that hosts all of them.

    `scenario` holds the state of the creatures, so a plan serves one run. `fork` says from where on another plan holds.
    `population` says how many traders are there from which round on; all of them all the time where it is empty. A
    trader is there while more are than its `rank` says, by trader, which is its number in a single market.
    `software` is the version that the run was begun with, and `idle_minds` are those of the config that nobody got.
    """

    name: str
    seed: int
    rounds: int
    scenario_name: str
    scenario: Scenario
    models: tuple[ModelEntry, ...]
    market: MarketPlan
    shard: ShardPlan
    config_record: dict[str, Any]
    config_sha256: str
    fork: "Fork | None" = None
    population: tuple[PopulationStage, ...] = ()
    software: str = __version__
    idle_minds: tuple[str, ...] = ()
    rank: Int64 | None = field(default=None, compare=False)

    @property
    def traders(self) -> int:
        """How many traders there are; where they come and go, the most that are there in any round."""
        return self.market.traders

    def present(self, round_: int) -> int:
        """Returns how many traders are there in a round; round 0 is the opening."""
        return int(np.count_nonzero(self.there(round_))) if self.population else self.traders

    def there(self, round_: int) -> Mask:
        """Returns [traders]: who is there in a round."""
        if not self.population:
            return np.ones(self.traders, dtype=np.bool_)
        rank = np.arange(self.traders) if self.rank is None else self.rank
        # The first ones stay and the last ones leave, so who is there follows from how many are.
        there: Mask = rank < population_in(self.population, round_)
        return there

    def reaching(self, consequences: Sequence[Consequence], round_: int) -> Sequence[Consequence]:
        """Returns the consequences without what they do to traders who are not there in a round."""
        return among(consequences, self.there(round_)) if self.population else consequences

    @property
    def minds(self) -> tuple[str, ...]:
        """Who decides, by trader."""
        return self.shard.minds

    def began(self) -> RunBegan:
        """Returns the first entry of the journal."""
        return RunBegan(JOURNAL_FORMAT, self.software, self.config_sha256, self.config_record)

    @property
    def last(self) -> "RunPlan":
        """The plan that holds at the end of the run: this one, or that of the last fork."""
        return self.fork.plan.last if self.fork else self

    def forks(self) -> "list[Fork]":
        """Returns the forks from here on, in order."""
        # Each plan knows the fork that ends it, so that the later ones are found from plan to plan.
        return [self.fork, *self.fork.plan.forks()] if self.fork else []

    def plans(self) -> "list[RunPlan]":
        """Returns this plan and those of its forks, in order."""
        return [self, *(fork.plan for fork in self.forks())]

    def shards_by_round(self) -> dict[int, ShardPlan]:
        """Returns the shard's plan, by the first round in which it holds."""
        # A later plan counts itself as the first; here it holds from the round after the fork on.
        later = self.fork.plan.shards_by_round() if self.fork else {}
        if self.fork:
            later[self.fork.round + 1] = later.pop(1)
        return {1: self.shard, **later}


@dataclass(frozen=True, slots=True)
class Fork:
    """A fork, where a run leaves its parent's history: after `round`, for `plan`, which has these `changes`."""

    round: int
    parent_sha256: str
    changes: tuple[str, ...]
    plan: RunPlan

    def entry(self) -> Forked:
        """Returns the fork as the journal has it."""
        plan = self.plan
        return Forked(
            self.round,
            self.parent_sha256,
            self.changes,
            plan.config_sha256,
            plan.config_record,
            tuple(plan.market.mechanisms),
        )


@dataclass(frozen=True, slots=True, eq=False)
class WorldPlan:
    """The plan of a run of one market or several; like a market's plan, it serves one run.

    `markets` has a plan for each market, and `run` is the plan of all of them as if they were one, which watchers see;
    of one market both are the same. `number_of[m]` has, for each seat of market m, the number of its trader in the run;
    a traveller has two seats and one number. `founding_seed` is what the lands and who travels are drawn from: it stays
    when a fork has another seed. `future` is the plan that holds once `run.fork` has come.
    """

    run: RunPlan
    markets: tuple[RunPlan, ...]
    founding_seed: int
    regions: RegionsConfig | None = None
    travellers: Travellers = field(default_factory=Travellers.nobody)
    number_of: tuple[Int64, ...] = ()
    future: "WorldPlan | None" = None

    @classmethod
    def of(cls, plan: RunPlan) -> "WorldPlan":
        """Returns the world of a single market."""
        return cls(plan, (plan,), plan.seed, future=cls.of(plan.fork.plan) if plan.fork else None)

    @property
    def names(self) -> tuple[str, ...]:
        """The markets' names; a single one has none."""
        return self.regions.all_names if self.regions else ("",)

    @property
    def last(self) -> "WorldPlan":
        """The plan that holds at the end of the run."""
        return self.future.last if self.future else self

    def leaving(
        self, future: "WorldPlan", round_: int, parents: Sequence[str], changes: tuple[str, ...]
    ) -> "WorldPlan":
        """Returns this plan, left after a round for another one; `parents` are the hashes of the markets' journals."""
        markets = tuple(
            replace(own, fork=Fork(round_, parent, changes, then))
            for own, parent, then in zip(self.markets, parents, future.markets, strict=True)
        )
        run = markets[0]
        # The run of several markets is forked as a whole, at the hash that stands for all its journals.
        if self.regions:
            run = replace(self.run, fork=Fork(round_, run_sha256(parents), changes, future.run))
        return replace(self, run=run, markets=markets, future=future)

    def alone(self, name: str) -> "WorldPlan":
        """Returns the world that one of the regions is by itself; ValueError if there is none of that name."""
        own = self.markets[self.names.index(name)]
        future = self.future.alone(name) if self.future else None
        return WorldPlan(own, (own,), self.founding_seed, future=future)


def run_sha256(journal_sha256s: Sequence[str]) -> str:
    """Returns the hash of a run: its journal's, or of several markets that of their journals' hashes, in order."""
    if len(journal_sha256s) == 1:
        return journal_sha256s[0]
    # In the order of the regions, so that a swapped pair of journals shows.
    return hashlib.sha256("".join(journal_sha256s).encode()).hexdigest()


def config_digest(record: dict[str, Any]) -> str:
    """Returns the SHA-256 of a config's plain values as canonical JSON."""
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()
