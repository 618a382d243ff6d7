"""A shard: the traders that one actor hosts. It is a loop over their minds, of which it knows nothing.

It knows nothing of Ray: in one process there is one shard with all traders, on a cluster there are several.
"""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from swarm.agents.decision import DecisionError, Reading, engine_failure
from swarm.agents.decisions import Decisions, decisions_of
from swarm.agents.memory import Memory
from swarm.agents.mind import Mind, Rule, Seats
from swarm.agents.minds import cast
from swarm.agents.observation import Int64, Observation
from swarm.agents.plan import ShardPlan
from swarm.agents.turns import Turns
from swarm.llm.protocol import ENGINE_FAILURES, ModelClient, ModelReply, TokenUsage
from swarm.market.orders import Orders

log = logging.getLogger(__name__)

MODELS_SHARE = 0.9
"""Of a round's time, the share after which models are no longer waited for; what they said has yet to be read."""


# Without a text of its own: while asyncio puts its signals back it prints the result of each run, for nobody to read.
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class ShardAnswer:
    """A shard's round: the models' turns and what they mean, the other traders' orders, and what these have learned."""

    turns: Turns
    decisions: Decisions
    baseline_orders: Orders
    memory: Memory


class Shard:
    """The traders `first_trader` .. `first_trader + len(minds) - 1`. It keeps nothing from one round to the next."""

    def __init__(self, plan: ShardPlan, clients: Mapping[str, ModelClient]) -> None:
        self.plan = plan
        self.clients = clients
        names = np.array(plan.minds)
        self._rows: dict[str, Int64] = {name: np.flatnonzero(names == name) for name in dict.fromkeys(plan.minds)}
        self._asking: dict[str, Mind] = {}
        self._rules: dict[str, Rule] = {}
        for name, mind in cast(plan).items():
            if isinstance(mind, Rule):
                self._rules[name] = mind
            else:
                self._asking[name] = mind

    async def decide(self, seen: Observation, memory: Memory) -> ShardAnswer:
        """Returns what all traders decide; `seen.private` has a row for each, `memory` what they learned."""
        seats = {name: Seats.at(seen, _asked(self._rows[name], seen)) for name in self._asking}
        # All minds at once: each waits for its own engines.
        parts = await asyncio.gather(*(self._decide(name, seats[name]) for name in self._asking))
        turns = Turns.join(parts)
        decisions = read_by_minds(self._asking, dict(zip(self._asking, parts, strict=True)), seats)
        return ShardAnswer(turns, decisions, *self.baselines(seen, memory))

    def baselines(self, seen: Observation, memory: Memory) -> tuple[Orders, Memory]:
        """Returns the orders of the traders that ask no model, and what these have learned by then."""
        orders: list[Orders] = []
        learned = Memory.empty()
        for name, rule in self._rules.items():
            own = Observation(seen.public, seen.private.take(self._rows[name]))
            placed, more = rule.orders(own, memory)
            orders.append(placed)
            learned = learned.updated(more)
        submitted = Orders.concatenate(orders)
        assigned = seen.private.assigned
        if assigned is None:
            return submitted, learned
        # A rule decides for whole columns; the orders of traders who are away are dropped behind it.
        return submitted.take(assigned.present[submitted.trader - self.plan.first_trader]), learned

    @property
    def learns(self) -> bool:
        """Tells whether any trader's decisions depend on what it has learned."""
        return any(rule.learns for rule in self._rules.values())

    async def _decide(self, name: str, seats: Seats) -> Turns:
        """Returns the turns of one mind; one that fails costs its own traders this round and nobody else."""
        try:
            turns = await self._asking[name].decide(
                seats, self.clients, MODELS_SHARE * self.plan.budget.round_deadline_s
            )
            self._check(name, turns, seats)
            return turns
        except Exception as error:
            log.warning("the mind %s has failed in round %d", name, seats.seen.public.round, exc_info=True)
            return _failed(name, seats, type(error).__name__)

    def _check(self, name: str, turns: Turns, seats: Seats) -> None:
        """Raises ValueError where a mind answers for others, in another name or with a model that the run has not."""
        if turns.trader.tolist() != seats.trader.tolist():
            raise ValueError(f"expected a turn for each of {len(seats)} seats in their order, got {len(turns)}")
        if {*turns.minds} - {name} or {*turns.models} - self.plan.form_of.keys():
            raise ValueError(f"expected turns of {name} at models of the run, got {turns.minds} at {turns.models}")


def read_by_minds(minds: Mapping[str, Mind], turns: Mapping[str, Turns], seats: Mapping[str, Seats]) -> Decisions:
    """Returns what the turns of each mind mean, in the order of traders."""
    read = [_read(minds[name], own, seats[name]) for name, own in turns.items()]
    trader = np.concatenate([np.empty(0, dtype=np.int64), *(own.trader for own in turns.values())])
    return Decisions.join(read, np.argsort(trader, kind="stable"))


def _read(mind: Mind, turns: Turns, seats: Seats) -> Decisions:
    """Returns what turns mean; where a mind cannot read them, all of them are lost, in a replay as in the run."""
    try:
        return mind.read(turns, seats)
    except Exception:
        log.warning("the mind %s cannot read round %d", mind.name, seats.seen.public.round, exc_info=True)
        failed = [reason in ENGINE_FAILURES for reason in turns.finish_reason]
        errors = [
            engine_failure(reason) if lost else DecisionError.WRONG_SHAPE
            for lost, reason in zip(failed, turns.finish_reason, strict=True)
        ]
        # An engine's failure keeps its own name; all else is the fault of whatever could not be read.
        return decisions_of(turns, [Reading(error) for error in errors], (), 0)


def read_again(plan: ShardPlan, minds: Mapping[str, Mind], turns: Turns, seen: Observation) -> Decisions:
    """Returns what recorded turns mean to the minds that took them; ValueError names a mind that there is not."""
    parts: dict[str, Turns] = {}
    seats: dict[str, Seats] = {}
    for index, name in enumerate(turns.minds):
        if name not in minds:
            raise ValueError(f"turns.minds: expected minds of the run that ask models, found {name[:40]!r}")
        rows = np.flatnonzero(turns.mind == index)
        parts[name] = turns.take(rows)
        seats[name] = Seats.at(seen, turns.trader[rows] - plan.first_trader)
    return read_by_minds(minds, parts, seats)


def _asked(rows: Int64, seen: Observation) -> Int64:
    assigned = seen.private.assigned
    return rows if assigned is None else rows[assigned.asked[rows]]


def _failed(mind: str, seats: Seats, told: str) -> Turns:
    replies = [ModelReply(told, TokenUsage(0, 0), "error", 0.0)] * len(seats)
    none = Turns.asked_once(mind, "", seats.trader, replies, [0] * len(seats), np.zeros(len(seats), dtype=np.int64))
    return none.without_calls()
