"""What a run is made from, once its config has been read."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from swarm import __version__
from swarm.agents.plan import ShardPlan
from swarm.llm.config import ModelConfig
from swarm.scenarios.protocol import Consequence, Scenario
from swarm.simulation.entries import JOURNAL_FORMAT, Forked, RunBegan
from swarm.simulation.market import MarketPlan
from swarm.simulation.presence import PopulationStep, among, present_in


@dataclass(frozen=True, slots=True)
class RunPlan:
    """One run, not yet started. `minds[t]` decides for trader t; `shard` describes a shard that hosts all of them.

    `scenario` holds the state of the creatures, so a plan serves one run. `fork` says from where on another plan holds.
    `population` says how many traders are there from which round on; all of them all the time where it is empty.
    `software` is the version that the run was begun with, and `idle_minds` are those of the config that nobody got.
    """

    name: str
    seed: int
    rounds: int
    scenario_name: str
    scenario: Scenario
    models: tuple[ModelConfig, ...]
    market: MarketPlan
    shard: ShardPlan
    config_record: dict[str, Any]
    config_sha256: str
    fork: "Fork | None" = None
    population: tuple[PopulationStep, ...] = ()
    software: str = __version__
    idle_minds: tuple[str, ...] = ()

    @property
    def traders(self) -> int:
        """How many traders there are; where they come and go, the most that are there in any round."""
        return self.market.traders

    def present(self, round_: int) -> int:
        """How many traders are there in a round: those from 0 on. Round 0 is the opening."""
        return present_in(self.population, round_) if self.population else self.traders

    def reaching(self, consequences: Sequence[Consequence], round_: int) -> Sequence[Consequence]:
        """The consequences without what they do to traders who are not there in a round."""
        return among(consequences, 0, self.present(round_)) if self.population else consequences

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
        """The forks from here on, in order."""
        return [self.fork, *self.fork.plan.forks()] if self.fork else []

    def shards_by_round(self) -> dict[int, ShardPlan]:
        """The shard's plan, by the first round in which it holds."""
        later = self.fork.plan.shards_by_round() if self.fork else {}
        if self.fork:
            later[self.fork.round + 1] = later.pop(1)
        return {1: self.shard, **later}


@dataclass(frozen=True, slots=True)
class Fork:
    """Where a run leaves the history of its parent: after `round`, for `plan`, which has these `changes`."""

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


def config_digest(record: dict[str, Any]) -> str:
    """SHA-256 of a config's plain values as canonical JSON."""
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()
