"""Puts the round loop's ports over a link that loses, doubles and delays messages, to processes that die and come back.

What is decided here is when to ask again, and what to do with what comes late; how a message travels is the link's
affair. Ray is one link, the simulator of the tests another, so that what the tests find is what Ray runs.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy as np

from swarm.agents.memory import Memory
from swarm.agents.observation import Int64, Observation
from swarm.agents.plan import ShardPlan
from swarm.agents.shard import ShardAnswer
from swarm.errors import ClusterError, called
from swarm.simulation.entries import Entry
from swarm.simulation.journal import JournalStats
from swarm.simulation.loop import Interrupted
from swarm.simulation.market import MarketAnswer, MarketClosing, OutOfStep
from swarm.simulation.traders import Gathered, gather

POLL_S = 0.2
ASK_AGAIN_AFTER_S = 0.1


class Lost(Exception):
    """The news that no answer came: whoever was asked may have done it, or not."""


class MarketLink(Protocol):
    """The way in which messages travel to the market."""

    def call(self, method: str, *arguments: Any) -> Any:
        """Returns the market's answer; Lost if none came."""
        ...

    def now(self) -> float:
        """Seconds on a clock."""
        ...

    def pause(self, seconds: float) -> None:
        """Waits so many seconds."""
        ...


class RemoteMarket:
    """A `MarketPort` whose market may lose its process at any time.

    All messages since the last durable round are kept and sent again when an answer is lost. The market knows each by
    its index in the journal, so that none is applied twice, and none is left out.
    """

    def __init__(self, link: MarketLink, patience_s: float) -> None:
        self._link = link
        self._patience_s = patience_s
        self._index = 0
        self._since_sync: list[tuple[str, Any, int]] = []
        self.lost: Counter[str] = Counter()
        self.outages_s: list[float] = []

    def execute(self, entries: Sequence[Entry]) -> MarketAnswer:
        """Journals all entries, then apply the commands among them."""
        entries = list(entries)
        answer: MarketAnswer = self._send("execute", entries, len(entries))
        return answer

    def end_round(self, round_: int) -> JournalStats:
        """Makes the round durable, and returns what the market's journal has taken."""
        journal: JournalStats = self._send("end_round", round_, 1)
        # What is durable need not be sent again to a market that comes back.
        self._since_sync.clear()
        return journal

    def close(self) -> MarketClosing:
        """Closes the journal."""
        closing: MarketClosing = self._until_answered(lambda: self._link.call("close"), self._since_sync)
        return closing

    def _send(self, method: str, argument: Any, records: int) -> Any:
        message = method, argument, self._index
        # What must be sent again before this message, should the market have lost it.
        before = list(self._since_sync)
        self._since_sync.append(message)
        self._index += records
        return self._until_answered(lambda: self._link.call(*message), before)

    def _until_answered(self, ask: Callable[[], Any], before: Sequence[tuple[str, Any, int]]) -> Any:
        """Returns the answer, however often the market has to be asked; ClusterError when patience is at its end."""
        began = self._link.now()
        try:
            return ask()
        except Lost as error:
            reason = error
        while True:
            self.lost["market_answers"] += 1
            self._link.pause(ASK_AGAIN_AFTER_S)
            try:
                # What came before is sent as well: a market that restarted knows only what its journal held.
                for message in before:
                    self._resend(message)
                answer = ask()
            except Lost as error:
                reason = error
                if self._link.now() - began > self._patience_s:
                    raise ClusterError(
                        f"ray: the market is gone or silent ({reason}); the journal is complete up to its last round; "
                        f"{called('`swarm run --resume`', '`swarm.resume`')} goes on from there"
                    ) from error
                continue
            self.outages_s.append(self._link.now() - began)
            return answer

    def _resend(self, message: tuple[str, Any, int]) -> None:
        try:
            self._link.call(*message)
        except OutOfStep:
            # It has been overtaken: the market did not restart, and has applied what came after.
            self.lost["messages_sent_twice"] += 1


class ShardsLink(Protocol):
    """The way in which messages travel to the shards. What `ask` returns stands for one question."""

    def ask(self, shard: int, seen: Observation, memory: Memory) -> Any:
        """Sends a question."""
        ...

    def wait(self, questions: list[Any], timeout_s: float) -> list[Any]:
        """Returns those of `questions` that are answered or lost, as soon as all are or the time is over."""
        ...

    def answer(self, question: Any) -> ShardAnswer:
        """Returns the answer to a question that `wait` returned; Lost if there is none."""
        ...

    def now(self) -> float:
        """Seconds on a clock."""
        ...

    def pause(self, seconds: float) -> None:
        """Waits so many seconds."""
        ...


def split(plan: ShardPlan, shard_size: int) -> list[ShardPlan]:
    """Returns the plans of shards of at most `shard_size` traders each."""
    return [
        replace(plan, first_trader=plan.first_trader + first, minds=plan.minds[first : first + shard_size])
        for first in range(0, len(plan.minds), shard_size)
    ]


class RemoteTraders:
    """A `TradersPort` over shards. What is late is counted, dropped when it comes, and costs only its own traders.

    A shard keeps nothing, so that a question which was lost is simply asked again while the round lasts. What a shard
    has learned comes with its answer and goes with the next question; a late answer's is dropped with it.
    """

    def __init__(
        self, parts: Sequence[ShardPlan], link: ShardsLink, deadline_s: float, should_stop: Callable[[], bool]
    ) -> None:
        self._link = link
        self._deadline_s = deadline_s
        self._should_stop = should_stop
        self._traders = [np.arange(p.first_trader, p.first_trader + len(p.minds)) for p in parts]
        self._memory = Memory.empty()
        self._overdue: dict[int, Any] = {}
        self.lost: Counter[str] = Counter()

    @property
    def overdue(self) -> set[int]:
        """The shards that had not answered when their round closed."""
        return set(self._overdue)

    def remember(self, memory: Memory) -> None:
        """Takes over what was learned in the rounds before."""
        self._memory = memory

    def decide(self, seen: Observation) -> Gathered:
        """Asks every shard that is not still busy with an earlier round, and waits until the deadline."""
        deadline = self._link.now() + self._deadline_s
        self._drop_overdue()
        open_: dict[int, Any] = {i: self._ask(i, seen) for i in range(len(self._traders)) if i not in self._overdue}
        answers: list[ShardAnswer] = []
        while open_ and (left := deadline - self._link.now()) > 0:
            if self._should_stop():
                raise Interrupted
            done = self._link.wait(list(open_.values()), min(left, POLL_S))
            lost: list[int] = []
            for i, question in [(i, q) for i, q in open_.items() if q in done]:
                try:
                    answers.append(self._link.answer(question))
                    del open_[i]
                except Lost:
                    lost.append(i)
            if lost:
                self.lost["shard_answers"] += len(lost)
                self._link.pause(ASK_AGAIN_AFTER_S)
                open_.update({i: self._ask(i, seen) for i in lost})
        # Who is not done keeps its question, and is not asked again before it has answered.
        self._overdue.update(open_)
        self.lost["late_shards"] += len(open_)
        for answer in answers:
            self._memory = self._memory.updated(answer.memory)
        late = [self._traders[i] for i in self._overdue]
        return gather(answers, np.concatenate([np.empty(0, dtype=np.int64), *late]))

    def _ask(self, shard: int, seen: Observation) -> Any:
        traders: Int64 = self._traders[shard]
        first, last = int(traders[0]), int(traders[-1])
        # A shard gets its own traders' rows and memory alone, or messages would grow with the run. A slice of rows is
        # not copied before it is sent.
        own = seen.private.take(slice(first, last + 1))
        return self._link.ask(shard, Observation(seen.public, own), self._memory.between(first, last))

    def _drop_overdue(self) -> None:
        # A late answer is of a round that has gone on without it.
        done = self._link.wait(list(self._overdue.values()), 0) if self._overdue else []
        for i, question in list(self._overdue.items()):
            if question in done:
                del self._overdue[i]
                self.lost["late_answers_dropped"] += 1
