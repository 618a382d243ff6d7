"""The Ray actors, which are plain classes, and the one table of their options.

They hold no rule of their own: each hands on to a class that runs in one process just as well.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import ray

from swarm.agents.memory import Memory
from swarm.agents.observation import Observation
from swarm.agents.plan import ShardPlan
from swarm.agents.shard import Shard, ShardAnswer
from swarm.runtime.serving import ServeModelClient
from swarm.simulation.entries import Entry
from swarm.simulation.journal import JournalStats
from swarm.simulation.market import Market, MarketAnswer, MarketClosing, MarketPlan

OPTIONS: dict[str, dict[str, Any]] = {
    # A market that restarts reads its state from its journal. Ray does not know what it had done of a call, so it is
    # the driver who asks again, with the indices in the journal that make that harmless.
    "market": {"num_cpus": 0, "max_restarts": -1, "max_task_retries": 0},
    # A shard keeps nothing between rounds; the driver asks again while the round lasts, and says on which node it is.
    "shard": {"num_cpus": 0, "max_restarts": -1, "max_task_retries": 0},
}


class MarketActor:
    """The one market of a run."""

    def __init__(self, plan: MarketPlan, journal: str | None) -> None:
        self.market = Market(plan, Path(journal) if journal else None)

    def execute(self, entries: Sequence[Entry], at: int | None = None) -> MarketAnswer:
        """Journals, then applies; without `at`, behind all that is there."""
        return self.market.execute(entries, at)

    def end_round(self, round_: int, at: int) -> JournalStats:
        """Makes the round durable, and returns what the journal has taken."""
        return self.market.end_round(round_, at)

    def close(self) -> MarketClosing:
        """Closes the journal."""
        return self.market.close()


class ShardActor:
    """One shard; it reaches its models by the names of their applications."""

    def __init__(self, plan: ShardPlan, applications: Mapping[str, str]) -> None:
        self.shard = Shard(plan, {m: ServeModelClient(app) for m, app in applications.items()})

    async def decide(self, seen: Observation, memory: Memory) -> ShardAnswer:
        """Decides for all traders of the shard."""
        return await self.shard.decide(seen, memory)

    async def home(self) -> str:
        """Returns the id of the node that the shard is on, as soon as it is made."""
        return str(ray.get_runtime_context().get_node_id())
