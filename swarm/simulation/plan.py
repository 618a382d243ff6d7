"""What a run is made from, once its config has been read."""

import hashlib
import json
from dataclasses import dataclass
from typing import Any

import numpy as np

from swarm.agents.shard import ShardPlan
from swarm.llm.config import ModelConfig
from swarm.scenarios.protocol import Scenario
from swarm.seeding import draw_below
from swarm.simulation.market import MarketPlan

JOURNAL_FORMAT = 1


@dataclass(frozen=True, slots=True)
class RunPlan:
    """One run, not yet started. `minds[t]` decides for trader t; `shard` describes a shard that hosts all of them.

    `scenario` holds the state of the creatures, so a plan serves one run.
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

    @property
    def traders(self) -> int:
        """How many traders there are."""
        return self.market.traders

    @property
    def minds(self) -> tuple[str, ...]:
        """Who decides, by trader."""
        return self.shard.minds

    def header(self) -> list[Any]:
        """The first record of the journal."""
        return [JOURNAL_FORMAT, self.config_sha256, self.config_record]


def config_digest(record: dict[str, Any]) -> str:
    """SHA-256 of a config's plain values as canonical JSON."""
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()


def assign_minds(seed: int, weights: dict[str, int], makes: np.ndarray) -> tuple[str, ...]:
    """A mind for each trader, in proportion to `weights` within each kind, shuffled by the seed.

    Shares are exact within each kind up to rounding, so that a mind's profit is not the luck of what it produces.
    """
    names = [name for name, weight in weights.items() for _ in range(weight)]
    minds = [""] * len(makes)
    for kind in np.unique(makes):
        members = np.flatnonzero(makes == kind)
        shuffled = members[np.argsort(draw_below(seed, "minds", 2**53, members), kind="stable")]
        # Kinds start at different names, so that rounding does not always favour the first.
        start = int(kind) % len(names)
        for place, member in enumerate(shuffled.tolist()):
            minds[member] = names[(start + place) % len(names)]
    return tuple(minds)
