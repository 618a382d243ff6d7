"""The Ray actors, which are plain classes, and the one table of their options.

They hold no rule of their own: each hands on to a class that runs in one process just as well.
"""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import ray

from swarm.agents.memory import Memory
from swarm.agents.observation import Observation
from swarm.agents.shard import Shard, ShardAnswer
from swarm.llm.protocol import ModelClient
from swarm.runtime.garbage import LEAST_TRADERS, collect_seldom, give_back
from swarm.scenarios.spreading import Part
from swarm.simulation.entries import Entry
from swarm.simulation.journal import JournalStats
from swarm.simulation.market import Market, MarketAnswer, MarketClosing, MarketPlan

GIVE_BACK_AFTER_S = 0.05
"""When a shard that asks models gives back the memory of a round, after its answer."""

OPTIONS: dict[str, dict[str, Any]] = {
    # A market that restarts reads its state from its journal. Ray does not know what it had done of a call, so it is
    # the driver who asks again, with the indices in the journal that make that harmless.
    "market": {"num_cpus": 0, "max_restarts": -1, "max_task_retries": 0},
    # A shard keeps nothing between rounds; the driver asks again while the round lasts, and says on which node it is.
    "shard": {"num_cpus": 0, "max_restarts": -1, "max_task_retries": 0},
    # What a part answers depends on the question alone, so Ray itself may ask again.
    "part": {"num_cpus": 0, "max_restarts": -1, "max_task_retries": -1},
}


def _clients(applications: Mapping[str, str]) -> Mapping[str, ModelClient]:
    if not applications:
        return {}
    # Serve takes more CPU to import than all else in an actor, which a market and rules do not owe.
    from swarm.runtime.serving import ServeModelClient

    return {model: ServeModelClient(application) for model, application in applications.items()}


class MarketActor:
    """The one market of a run; after each round it gives back the memory of texts where there are many."""

    def __init__(self, plan: MarketPlan, journal: str | None, many_texts: bool = False) -> None:
        collect_seldom()
        self._many_texts = many_texts
        self.market = Market(plan, Path(journal) if journal else None)

    def execute(self, entries: Sequence[Entry], at: int | None = None) -> MarketAnswer:
        """Journals, then applies; without `at`, behind all that is there."""
        return self.market.execute(entries, at)

    def end_round(self, round_: int, at: int) -> JournalStats:
        """Makes the round durable, and returns what the journal has taken."""
        stats = self.market.end_round(round_, at)
        if self._many_texts:
            give_back()
        return stats

    def close(self) -> MarketClosing:
        """Closes the journal."""
        return self.market.close()


class ShardActor:
    """One shard; it reaches its models by the names of their applications.

    Its plan comes as a reference with every question, in a list so that it stays one, and is fetched with the first:
    it may be large, and Ray does not keep a constructor's large arguments for a restart.
    """

    def __init__(self, applications: Mapping[str, str]) -> None:
        collect_seldom()
        self._clients = _clients(applications)
        self._shard: Shard | None = None

    async def decide(self, plan: list[Any], seen: Observation, memory: Memory) -> ShardAnswer:
        """Decides for all traders of the shard."""
        answer = await (await self._made(plan)).decide(seen, memory)
        if self._clients and len(seen.private) >= LEAST_TRADERS:
            # Once the answer is on its way, its own texts are among what is free.
            asyncio.get_running_loop().call_later(GIVE_BACK_AFTER_S, give_back)
        return answer

    async def home(self, plan: list[Any]) -> str:
        """Returns the id of the node that the shard is on, as soon as it is made."""
        await self._made(plan)
        return str(ray.get_runtime_context().get_node_id())

    async def _made(self, plan: list[Any]) -> Shard:
        if self._shard is None:
            self._shard = Shard(await plan[0], self._clients)
        return self._shard


class PartActor:
    """One part of a scenario's own work."""

    def __init__(self, part: Part) -> None:
        self.part = part

    def take(self, first: int, last: int) -> Any:
        """Returns the part's share."""
        return self.part.take(first, last)
