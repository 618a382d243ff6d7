"""Owns the traders of a run as the round loop sees them, and two ways to have them without a cluster."""

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Thread
from typing import Any, Protocol, runtime_checkable

import numpy as np

from swarm.agents.decisions import Decisions
from swarm.agents.memory import Memory
from swarm.agents.mind import Mind
from swarm.agents.minds import asking
from swarm.agents.observation import Int64, Observation
from swarm.agents.plan import ShardPlan
from swarm.agents.shard import Shard, ShardAnswer, read_again
from swarm.agents.turns import Turns
from swarm.coordination.assignment import Chosen
from swarm.errors import JournalError
from swarm.llm.protocol import Connected, ModelClient
from swarm.market.orders import Orders
from swarm.simulation.entries import Decided


@dataclass(frozen=True, slots=True, eq=False)
class Gathered:
    """The answers of shards that came in time, and the traders whose shard did not answer, in ascending order.

    `pace` or `chosen` is what the staffing chose for the round, once that is known: a journal tells it, and for traders
    that were asked the round loop fills it in. What was `recorded` comes
    from a journal, which has no word of latencies, caches and clocks.
    """

    turns: Turns
    decisions: Decisions
    baseline_orders: Orders
    late: Int64
    pace: tuple[int, int] | None = None
    chosen: Chosen | None = None
    recorded: bool = False

    def entry(self, round_: int) -> Decided:
        """Returns what the journal has of it."""
        return Decided(round_, self.turns, self.baseline_orders, self.late, self.pace, self.chosen)


class TradersPort(Protocol):
    """All traders of a run."""

    def decide(self, seen: Observation) -> Gathered:
        """Asks everybody; `seen.private` has one row for each trader of the run, in order."""
        ...


@runtime_checkable
class KnowsRounds(Protocol):
    """Traders of a recorded run, whose journal says who was asked in its rounds."""

    def recorded(self, round_: int) -> Decided | None:
        """Returns a round as the journal has it; None where it has none."""
        ...


class AskableTraders(TradersPort, Protocol):
    """Traders that can be asked, in a run that may have begun without them."""

    def remember(self, memory: Memory) -> None:
        """Takes over what was learned in the rounds before."""
        ...


def gather(answers: Sequence[ShardAnswer], late: Int64) -> Gathered:
    """Puts the shards' answers into the one order that does not depend on how traders are spread over shards."""
    turns = Turns.join([a.turns for a in answers])
    trader = np.concatenate([np.empty(0, dtype=np.int64), *(a.turns.trader for a in answers)])
    # By trader, whichever shard was first to answer.
    decisions = Decisions.join([a.decisions for a in answers], np.argsort(trader, kind="stable"))
    baseline_orders = Orders.concatenate([a.baseline_orders for a in answers]).in_canonical_order()
    return Gathered(turns, decisions, baseline_orders, np.sort(late))


@contextmanager
def kept_open(clients: Iterable[ModelClient]) -> Iterator[asyncio.Runner]:
    """Yields one event loop for all rounds, in which clients that keep connections are open until the block ends."""
    connected = [client for client in clients if isinstance(client, Connected)]
    with asyncio.Runner() as runner:
        try:
            for client in connected:
                runner.run(client.open())
            yield runner
        finally:
            for client in connected:
                runner.run(client.close())


Run = Callable[[Coroutine[Any, Any, ShardAnswer]], ShardAnswer]


@contextmanager
def in_background(runner: asyncio.Runner) -> Iterator[Run]:
    """Runs the loop of `runner` in a thread until the block ends, so that several threads may wait for answers at once.

    What is given runs a coroutine on that loop and returns its answer to the thread that asks.
    """
    loop = runner.get_loop()
    thread = Thread(target=loop.run_forever, name="decisions", daemon=True)
    thread.start()
    try:
        yield lambda asked: asyncio.run_coroutine_threadsafe(asked, loop).result()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()


class LocalTraders:
    """All traders in one shard of this process, asked by `run`, or in a new event loop for each round."""

    def __init__(self, plan: ShardPlan, clients: Mapping[str, ModelClient], run: Run = asyncio.run) -> None:
        self.shard = Shard(plan, clients)
        self._memory = Memory.empty()
        self._run = run

    def decide(self, seen: Observation) -> Gathered:
        """Asks everybody."""
        answer = self._run(self.shard.decide(seen, self._memory))
        self._memory = self._memory.updated(answer.memory)
        return gather([answer], np.empty(0, dtype=np.int64))

    def remember(self, memory: Memory) -> None:
        """Takes over what was learned in the rounds before."""
        self._memory = memory


class RecordedTraders:
    """Traders that say what a journal says they said; the replies are read again, no model is asked.

    `plans` has, for each round from which on another plan holds, that plan.
    """

    def __init__(self, plans: Mapping[int, ShardPlan], rounds: Mapping[int, Decided]) -> None:
        self._plans = sorted(plans.items(), reverse=True)
        self.rounds = rounds
        self._minds: tuple[ShardPlan | None, dict[str, Mind]] = (None, {})

    def plan(self, round_: int) -> ShardPlan:
        """Returns the plan that holds in a round."""
        return next(plan for first, plan in self._plans if first <= round_)

    def recorded(self, round_: int) -> Decided | None:
        """Returns a round as the journal has it; None where it has none."""
        return self.rounds.get(round_)

    def decide(self, seen: Observation) -> Gathered:
        """Returns the recorded round."""
        plan = self.plan(seen.public.round)
        decided = self.rounds[seen.public.round]
        # Minds are made once for each plan, since many are dear to make.
        if self._minds[0] is not plan:
            self._minds = plan, asking(plan)
        try:
            decisions = read_again(plan, self._minds[1], decided.turns, seen)
        except ValueError as error:
            raise JournalError(f"the decisions of round {seen.public.round}: {error}") from error
        return Gathered(
            decided.turns,
            decisions,
            decided.baseline_orders,
            decided.late,
            decided.pace,
            decided.chosen,
            recorded=True,
        )


class ResumedTraders:
    """Traders that say what the journal says they said, and are asked from the first round on that it does not have.

    What was learned until then is learned again from the observations, since no journal holds it.
    """

    def __init__(self, recorded: RecordedTraders, asked: AskableTraders) -> None:
        self._recorded = recorded
        self._asked = asked
        self._memory = Memory.empty()
        self._learner: Shard | None = None
        self._caught_up = not recorded.rounds

    def recorded(self, round_: int) -> Decided | None:
        """Returns a round as the journal has it; None where it has none."""
        return self._recorded.recorded(round_)

    def decide(self, seen: Observation) -> Gathered:
        """Returns the recorded round, or asks everybody."""
        round_ = seen.public.round
        if round_ not in self._recorded.rounds:
            # The shards start with an empty memory, and are given what was learned from the recorded rounds.
            if not self._caught_up:
                self._asked.remember(self._memory)
                self._caught_up = True
            return self._asked.decide(seen)
        gathered = self._recorded.decide(seen)
        plan = self._recorded.plan(round_)
        if self._learner is None or self._learner.plan is not plan:
            self._learner = Shard(plan, {})
        if self._learner.learns:
            # Whoever was late has not learned in this round: its shard's answer was dropped, and with it its memory.
            _, learned = self._learner.baselines(seen, self._memory)
            self._memory = self._memory.updated(learned.without(gathered.late))
        return gathered
