"""The round loop's ports over Ray: one market actor, shards that are asked all at once and must answer in time."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from time import monotonic
from typing import Any

import numpy as np
import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from swarm.agents.observation import Int64, Observation
from swarm.agents.shard import ShardAnswer, ShardPlan
from swarm.errors import ClusterError, SwarmError
from swarm.market.commands import Command
from swarm.runtime.actors import OPTIONS, MarketActor, ShardActor
from swarm.simulation.loop import Interrupted
from swarm.simulation.market import MarketAnswer, MarketClosing, MarketPlan, Note
from swarm.simulation.traders import Gathered, gather

MARKET_TIMEOUT_S = 120.0
POLL_S = 0.2


class RayMarket:
    """A `MarketPort` whose market lives in an actor on the driver's node, where the run's folder is."""

    def __init__(self, plan: MarketPlan, journal: str | None) -> None:
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        self._actor: Any = (
            ray.remote(MarketActor).options(**OPTIONS["market"], scheduling_strategy=here).remote(plan, journal)
        )

    def execute(self, entries: Sequence[Command | Note]) -> MarketAnswer:
        """Journal all entries, then apply the commands among them."""
        answer: MarketAnswer = self._get(self._actor.execute.remote(list(entries)))
        return answer

    def end_round(self, round_: int) -> None:
        """Make the round durable."""
        self._get(self._actor.end_round.remote(round_))

    def close(self) -> MarketClosing:
        """Close the journal."""
        closing: MarketClosing = self._get(self._actor.close.remote())
        return closing

    def end(self) -> None:
        """End the actor."""
        ray.kill(self._actor)

    def _get(self, reference: Any) -> Any:
        try:
            return ray.get(reference, timeout=MARKET_TIMEOUT_S)
        except ray.exceptions.RayTaskError as error:
            # What the market itself raised, a broken ledger or a full disk, is raised here as it was there.
            if isinstance(error.cause, SwarmError):
                raise error.cause from error
            raise
        except (ray.exceptions.RayActorError, ray.exceptions.GetTimeoutError) as error:
            raise ClusterError(
                f"ray: the market actor is gone or silent ({type(error).__name__}); the journal is whole up to its "
                "last round, which `swarm replay` shows"
            ) from error


class RayTraders:
    """A `TradersPort` over shards. What is late is counted, dropped when it comes, and costs only its own traders."""

    def __init__(
        self,
        plan: ShardPlan,
        applications: Mapping[str, str],
        shard_size: int,
        start_timeout_s: float,
        should_stop: Callable[[], bool],
    ) -> None:
        self.deadline_s = plan.budget.round_deadline_s
        self.should_stop = should_stop
        self.lost: Counter[str] = Counter()
        actor = ray.remote(ShardActor).options(**OPTIONS["shard"])
        self._slices: list[Int64] = []
        self._actors: list[Any] = []
        for first in range(0, len(plan.minds), shard_size):
            minds = plan.minds[first : first + shard_size]
            self._slices.append(np.arange(first, first + len(minds)))
            part = replace(plan, first_trader=first, minds=minds)
            used = {m: app for m, app in applications.items() if m in part.models}
            self._actors.append(actor.remote(part, used))
        self._overdue: dict[int, Any] = {}
        started = monotonic()
        waiting = [a.ready.remote() for a in self._actors]
        while waiting:
            _, waiting = ray.wait(waiting, num_returns=len(waiting), timeout=POLL_S)
            if should_stop():
                raise Interrupted
            if waiting and monotonic() - started > start_timeout_s:
                raise ClusterError(
                    f"ray: {len(waiting)} of {len(self._actors)} shards are not up after {start_timeout_s:.0f} s; "
                    "raise runtime.traders_per_actor or runtime.start_timeout_s"
                )

    @property
    def shards(self) -> int:
        """How many shards there are."""
        return len(self._actors)

    def decide(self, seen: Observation) -> Gathered:
        """Ask every shard that is not still busy with an earlier round, and wait until the deadline."""
        deadline = monotonic() + self.deadline_s
        self._drop_overdue()
        asked = {
            i: self._actors[i].decide.remote(Observation(seen.public, seen.private.take(self._slices[i])))
            for i in range(len(self._actors))
            if i not in self._overdue
        }
        waiting = list(asked.values())
        while waiting and (left := deadline - monotonic()) > 0:
            if self.should_stop():
                raise Interrupted
            _, waiting = ray.wait(waiting, num_returns=len(waiting), timeout=min(left, POLL_S))
        answers: list[ShardAnswer] = []
        for i, reference in asked.items():
            if reference in waiting:
                self._overdue[i] = reference
                self.lost["late_shards"] += 1
                continue
            try:
                answers.append(ray.get(reference, timeout=MARKET_TIMEOUT_S))
            except ray.exceptions.RayActorError:
                # Ray restarts it; its traders miss this round.
                self._overdue[i] = reference
                self.lost["dead_shards"] += 1
        late = [self._slices[i] for i in self._overdue]
        return gather(answers, np.concatenate([np.empty(0, dtype=np.int64), *late]))

    def end(self) -> None:
        """End the shards."""
        for actor in self._actors:
            ray.kill(actor)

    def _drop_overdue(self) -> None:
        done, _ = (
            ray.wait(list(self._overdue.values()), num_returns=len(self._overdue), timeout=0)
            if self._overdue
            else ([], [])
        )
        for i, reference in list(self._overdue.items()):
            if reference in done:
                del self._overdue[i]
                self.lost["late_answers_dropped"] += 1
