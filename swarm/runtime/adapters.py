"""The round loop's ports over Ray: one market actor, shards that are asked all at once and must answer in time.

It knows actors and what Ray raises; what is asked again, and when, is `simulation/remote.py`'s matter.
"""

from collections.abc import Callable, Mapping
from time import monotonic, sleep
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from swarm.agents.memory import Memory
from swarm.agents.observation import Observation
from swarm.agents.plan import ShardPlan
from swarm.agents.shard import ShardAnswer
from swarm.errors import ClusterError, SwarmError, called
from swarm.runtime.actors import OPTIONS, MarketActor
from swarm.runtime.garbage import LEAST_TRADERS, give_back
from swarm.runtime.shard_actors import ShardActors
from swarm.simulation.journal import JournalStats
from swarm.simulation.market import MarketPlan
from swarm.simulation.remote import Lost, RemoteMarket, RemoteTraders, split
from swarm.simulation.traders import Gathered

MARKET_TIMEOUT_S = 120.0
"""Seconds for which one answer of the market is waited for, and for which it is asked again after it was lost."""


class _Clock:
    """The clock of both links."""

    def now(self) -> float:
        """Returns seconds that never go back."""
        return monotonic()

    def pause(self, seconds: float) -> None:
        """Waits."""
        sleep(seconds)


class _MarketActorLink(_Clock):
    """A `MarketLink` to a market in an actor on the driver's node, where the run's folder is."""

    def __init__(self, plan: MarketPlan, journal: str | None, many_texts: bool) -> None:
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        # Without a journal nothing could be recovered, and a market that comes back would have forgotten everything.
        options = OPTIONS["market"] if journal else OPTIONS["market"] | {"max_restarts": 0}
        actor = ray.remote(MarketActor).options(**options, scheduling_strategy=here)
        self.actor: Any = actor.remote(plan, journal, many_texts)

    def call(self, method: str, *arguments: Any) -> Any:
        """Returns the market's answer; raises what the market itself raised, a full disk say, as it was there."""
        try:
            return ray.get(getattr(self.actor, method).remote(*arguments), timeout=MARKET_TIMEOUT_S)
        except ray.exceptions.RayTaskError as error:
            # The market's own errors name key and remedy; Ray's wrapping around them would hide both.
            if isinstance(error.cause, SwarmError):
                raise error.cause from error
            raise
        except ray.exceptions.ActorUnavailableError as error:
            # Ray is restarting it: the caller asks again until its time is over.
            raise Lost(type(error).__name__) from error
        except (ray.exceptions.RayActorError, ray.exceptions.GetTimeoutError) as error:
            raise ClusterError(
                f"ray: the market actor is gone or silent ({type(error).__name__}); the journal is complete up to its "
                f"last round, which {called('`swarm run --resume`', '`swarm.resume`')} goes on from"
            ) from error


class RayMarket(RemoteMarket):
    """A `MarketPort` whose market lives in an actor, which Ray restarts and which then reads its journal again."""

    def __init__(self, plan: MarketPlan, journal: str | None, asks_models: bool = False) -> None:
        self._many_texts = asks_models and plan.traders >= LEAST_TRADERS
        link = _MarketActorLink(plan, journal, self._many_texts)
        super().__init__(link, MARKET_TIMEOUT_S)
        self._actor = link.actor

    def end_round(self, round_: int) -> JournalStats:
        """Makes the round durable; its memory is given back on both ends of the link where it had many texts."""
        stats = super().end_round(round_)
        if self._many_texts:
            give_back()
        return stats

    def end(self) -> None:
        """Ends the actor."""
        ray.kill(self._actor)


class _ShardActorsLink(_Clock):
    """A `ShardsLink` to actors."""

    def __init__(self, shards: ShardActors) -> None:
        self.shards = shards

    def ask(self, shard: int, seen: Observation, memory: Memory) -> Any:
        """Sends a question, and returns what its answer will come under."""
        return self.shards.ask(shard, seen, memory)

    def wait(self, questions: list[Any], timeout_s: float) -> list[Any]:
        """Returns those of `questions` that are answered or lost, as soon as all are or the time is over."""
        done, _ = ray.wait(questions, num_returns=len(questions), timeout=timeout_s)
        return list(done)

    def answer(self, question: Any) -> ShardAnswer:
        """Returns the answer to a question; Lost if its shard died over it, which Ray then restarts."""
        try:
            answer: ShardAnswer = ray.get(question, timeout=MARKET_TIMEOUT_S)
        except (ray.exceptions.RayActorError, ray.exceptions.ObjectLostError) as error:
            raise Lost(type(error).__name__) from error
        return answer


class RayTraders(RemoteTraders):
    """A `TradersPort` whose shards live in actors, on the nodes that have the labels."""

    def __init__(
        self,
        plan: ShardPlan,
        applications: Mapping[str, str],
        shard_size: int,
        labels: Mapping[str, str],
        start_timeout_s: float,
        should_stop: Callable[[], bool],
    ) -> None:
        """Begins the shards, which `wait` waits for."""
        parts = split(plan, shard_size)
        self._shards = ShardActors(parts, applications, labels, start_timeout_s)
        super().__init__(parts, _ShardActorsLink(self._shards), plan.budget.round_deadline_s, should_stop)

    def wait(self) -> None:
        """Waits until all shards are up; ClusterError where that takes too long, Interrupted where told to stop."""
        self._shards.wait(self._should_stop)

    def decide(self, seen: Observation) -> Gathered:
        """Lets shards that have moved take over, then asks all of them."""
        self._shards.between_rounds(self.overdue)
        return super().decide(seen)

    def layout(self) -> dict[str, Any]:
        """Returns how many shards there are, where, and what has moved."""
        return {"shards": len(self._shards.actors), **self._shards.layout()}

    def end(self) -> None:
        """Ends the shards."""
        self._shards.end()
