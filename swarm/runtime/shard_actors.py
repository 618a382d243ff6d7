"""The shards' actors: each on a node of its own choice, moved between rounds where nodes have joined or left.

A shard keeps nothing from one round to the next, so that moving it is starting another actor elsewhere, asking that
one from the round on in which it is ready, and ending the first. No round waits for it.
"""

import logging
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from threading import Thread
from time import monotonic
from typing import Any

import ray

from swarm.agents.memory import Memory
from swarm.agents.minds import models_asked
from swarm.agents.observation import Observation
from swarm.agents.plan import ShardPlan
from swarm.errors import ClusterError, ConfigError
from swarm.runtime.actors import OPTIONS, ShardActor
from swarm.runtime.placement import Node, moves
from swarm.simulation.loop import Interrupted
from swarm.simulation.remote import POLL_S

log = logging.getLogger(__name__)

LOOK_EVERY_S = 1.0
"""How often the cluster is asked for its nodes, which takes it about two milliseconds when all is well."""

MOVES_AT_ONCE = 4
"""New actors that start at the same time, each of which takes a core for a second."""

NODE_ID_LABEL = "ray.io/node-id"


def nodes_with(labels: Mapping[str, str]) -> list[Node]:
    """Returns the living nodes that have these labels; ConfigError if there is none."""
    nodes = _living()
    if fitting := [n for n in nodes if n.has(labels)]:
        return fitting
    asked = ", ".join(f"{key}={value}" for key, value in labels.items())
    there = sorted({f"{k}={v}" for n in nodes for k, v in n.labels.items() if k != NODE_ID_LABEL})
    raise ConfigError(
        "runtime.placement",
        f"none of the cluster's {len(nodes)} nodes has {asked}; their labels are: {', '.join(there) or 'none'}",
        "give a node the label with `ray start --labels`, or spread the shards over all nodes with `spread`",
    )


class _Look:
    """A question for the living nodes, asked beside the rounds, since a head in trouble takes long to answer."""

    def __init__(self) -> None:
        self._found: list[Node] | None = None
        self._asking: Thread | None = None

    def begin(self) -> None:
        """Asks, unless the last question is still open."""
        if self._asking is None or not self._asking.is_alive():
            self._asking = Thread(target=self._ask, daemon=True)
            self._asking.start()

    def found(self) -> list[Node] | None:
        """Returns the answer, once; None while there is none."""
        found, self._found = self._found, None
        return found

    def end(self) -> None:
        """Lets an open question come to its end before the connection does."""
        if self._asking is not None:
            self._asking.join(LOOK_EVERY_S)

    def _ask(self) -> None:
        try:
            self._found = _living()
        except (ray.exceptions.RayError, RuntimeError) as error:
            # The nodes stay as they were last seen, and the next question is not far.
            log.info("the cluster did not say which nodes it has: %s", error)


@dataclass(slots=True)
class _Move:
    """The next actor of a shard, which is starting."""

    actor: Any
    ready: Any
    begun_s: float


class ShardActors:
    """One actor for each part of the traders, spread over the nodes that have the labels."""

    def __init__(
        self,
        parts: Sequence[ShardPlan],
        applications: Mapping[str, str],
        labels: Mapping[str, str],
        start_timeout_s: float,
    ) -> None:
        """Begins the actors, which `wait` waits for."""
        # Put into the object store once, which the driver's node keeps: restarts and moves take them from there.
        self._kept = [ray.put(part) for part in parts]
        self._applications = [{m: app for m, app in applications.items() if m in models_asked(p)} for p in parts]
        self._labels = dict(labels)
        self._start_timeout_s = start_timeout_s
        self._nodes = nodes_with(labels)
        self._look = _Look()
        self._moves: dict[int, _Move] = {}
        self._asked_home: dict[int, Any] = {}
        self._looked_s = monotonic()
        self.events: Counter[str] = Counter(nodes_joined=0, nodes_left=0, shards_moved=0)
        first = moves([None] * len(parts), self._nodes)
        self.actors: list[Any] = [self._start(i, first[i]) for i in range(len(parts))]
        self._first_homes = [self._home(i, actor) for i, actor in enumerate(self.actors)]
        self._homes: list[str | None] = [None] * len(parts)

    def wait(self, should_stop: Callable[[], bool]) -> None:
        """Waits until all actors are up; ClusterError where that takes too long, Interrupted where told to stop."""
        began_s = monotonic()
        asked = waiting = self._first_homes
        # In short waits, so that Ctrl-C is heard while actors start.
        while waiting:
            _, waiting = ray.wait(waiting, num_returns=len(waiting), timeout=POLL_S)
            if should_stop():
                raise Interrupted
            if waiting and monotonic() - began_s > self._start_timeout_s:
                raise ClusterError(
                    f"ray: {len(waiting)} of {len(asked)} shards are not up after {self._start_timeout_s:.0f} s; "
                    "raise runtime.traders_per_actor or runtime.start_timeout_s"
                )
        # One that died on its way up is asked for its home again later.
        self._homes = [_answer(home) for home in asked]

    def ask(self, shard: int, seen: Observation, memory: Memory) -> Any:
        """Sends a shard a question, and returns what its answer will come under."""
        return self.actors[shard].decide.remote([self._kept[shard]], seen, memory)

    def between_rounds(self, busy: Collection[int]) -> None:
        """Takes note of nodes that have come or gone, and of actors that are ready; `busy` shards stay for now."""
        self._finish_moves(busy)
        if (nodes := self._look.found()) is not None:
            self._rearrange([n for n in nodes if n.has(self._labels)])
        if monotonic() - self._looked_s >= LOOK_EVERY_S:
            self._look.begin()
            self._looked_s = monotonic()

    def layout(self) -> dict[str, Any]:
        """Returns where the shards are, by the nodes' addresses, and what has changed on the way."""
        addresses = {n.id: n.address for n in self._nodes}
        homes = Counter(addresses.get(home or "", "unknown") for home in self._homes)
        return {"shards_by_node": dict(sorted(homes.items())), **self.events}

    def end(self) -> None:
        """Ends all actors."""
        self._look.end()
        for actor in (*self.actors, *(m.actor for m in self._moves.values())):
            ray.kill(actor)

    def _start(self, shard: int, node: str) -> Any:
        options: dict[str, Any] = {
            # Ray restarts a shard's process on the node that is asked for while that lives, and elsewhere after that.
            # Its soft node affinity does not hold for actors that need no CPU, and labels do.
            "label_selector": {NODE_ID_LABEL: node, **self._labels},
            "fallback_strategy": [{"label_selector": self._labels}],
        }
        actor: Any = ray.remote(ShardActor).options(**OPTIONS["shard"], **options)
        return actor.remote(self._applications[shard])

    def _home(self, shard: int, actor: Any) -> Any:
        return actor.home.remote([self._kept[shard]])

    def _rearrange(self, nodes: list[Node]) -> None:
        before, now = {n.id for n in self._nodes}, {n.id for n in nodes}
        self._nodes = nodes
        self.events["nodes_joined"] += len(now - before)
        self.events["nodes_left"] += len(before - now)
        # Ray has restarted the shards of a lost node somewhere, or is about to.
        for i, home in enumerate(self._homes):
            if home not in now:
                self._homes[i] = None
                if i not in self._asked_home and i not in self._moves:
                    self._asked_home[i] = self._home(i, self.actors[i])
        for i in _done(self._asked_home):
            self._homes[i] = _answer(self._asked_home.pop(i))
        # Nothing is moved while it is not known where everything is.
        if not self._asked_home and not self._moves:
            wanted = moves(self._homes, self._nodes)
            for i in sorted(wanted)[:MOVES_AT_ONCE]:
                actor = self._start(i, wanted[i])
                self._moves[i] = _Move(actor, self._home(i, actor), monotonic())

    def _finish_moves(self, busy: Collection[int]) -> None:
        for i in _done({i: move.ready for i, move in self._moves.items()}):
            # The old actor still has a question; the new one waits for the next time between rounds.
            if i in busy:
                continue
            move = self._moves.pop(i)
            home = _answer(move.ready)
            if home is None:
                ray.kill(move.actor)
                continue
            ray.kill(self.actors[i])
            self.actors[i], self._homes[i] = move.actor, home
            self.events["shards_moved"] += 1
        # An actor that never comes up is given up, and its shard stays where it is.
        for i, move in list(self._moves.items()):
            if monotonic() - move.begun_s > self._start_timeout_s:
                ray.kill(self._moves.pop(i).actor)


def _living() -> list[Node]:
    rows: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
    return [
        Node(row["NodeID"], row["NodeManagerAddress"], row["Resources"].get("CPU", 0.0), row["Labels"])
        for row in rows
        if row["Alive"]
    ]


def _done(asked: Mapping[int, Any]) -> list[int]:
    """Returns the shards whose question is answered or lost."""
    if not asked:
        return []
    done, _ = ray.wait(list(asked.values()), num_returns=len(asked), timeout=0)
    return [i for i, question in asked.items() if question in done]


def _answer(question: Any) -> str | None:
    """Returns a home that was asked for; None if the actor died over it."""
    try:
        home: str = ray.get(question, timeout=POLL_S)
    except (ray.exceptions.RayActorError, ray.exceptions.GetTimeoutError):
        return None
    return home
