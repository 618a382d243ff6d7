"""Who looks on and who decides where a test plays a run: watchers and traders that several tests share."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from swarm.agents.memory import Memory
from swarm.agents.observation import Observation
from swarm.agents.plan import ShardPlan
from swarm.agents.shard import Shard, ShardAnswer
from swarm.llm import engines
from swarm.llm.protocol import FinishReason, ModelClient, ModelReply, ModelRequest, TokenUsage
from swarm.simulation.loop import RoundOutcome
from swarm.simulation.plan import RunPlan
from swarm.simulation.record import RunRecord
from swarm.simulation.traders import Gathered, gather


class Outcomes:
    """A watcher that keeps what the rounds came to."""

    def __init__(self) -> None:
        self.rounds: list[RoundOutcome] = []

    def started(self, *_: object) -> None:
        """Keeps nothing."""

    def round_done(self, outcome: RoundOutcome) -> None:
        """Keeps a round."""
        self.rounds.append(outcome)


MOODS: Mapping[str, tuple[str, FinishReason]] = {
    "fails": ("no", "timeout"),
    "late": ("no", "deadline"),
    "babbles": ("well, hm", "stop"),
    "passes": ("AA", "stop"),
    "hurries": ("F", "stop"),
}


class Moody:
    """A model that raises, or answers everybody as its mood has it."""

    def __init__(self, mood: str) -> None:
        self.mood = mood

    async def complete(self, requests: Sequence[ModelRequest], deadline_s: float) -> list[ModelReply]:
        """Answers all alike."""
        await asyncio.sleep(0)
        if self.mood == "raises":
            raise RuntimeError("out of order")
        text, reason = MOODS[self.mood]
        return [ModelReply(text, TokenUsage(10, 1), reason, 0.0) for r in requests for _ in range(r.samples)]


class SplitTraders:
    """The traders of a run in several shards, which may answer in another order than they are asked."""

    def __init__(
        self, plan: ShardPlan, clients: Mapping[str, ModelClient], shards: int, backwards: bool = False
    ) -> None:
        self.rows = np.array_split(np.arange(len(plan.minds)), shards)
        self.shards = [
            Shard(replace(plan, first_trader=int(rows[0]), minds=plan.minds[rows[0] : rows[-1] + 1]), clients)
            for rows in self.rows
        ]
        self.memory = [Memory.empty() for _ in self.rows]
        self.backwards = backwards
        self.rounds: list[Gathered] = []

    def decide(self, seen: Observation) -> Gathered:
        """Asks all shards, and keeps what came back."""

        async def ask(shard: int) -> ShardAnswer:
            part = Observation(seen.public, seen.private.take(self.rows[shard]))
            answer = await self.shards[shard].decide(part, self.memory[shard])
            self.memory[shard] = self.memory[shard].updated(answer.memory)
            return answer

        answers = [asyncio.run(ask(shard)) for shard in range(len(self.shards))]
        self.rounds.append(gather(answers[::-1] if self.backwards else answers, np.empty(0, dtype=np.int64)))
        return self.rounds[-1]


class Phased:
    """Traders who are asked under the plan that holds in a round, and keep over a fork what they have learned."""

    def __init__(self, plan: RunPlan) -> None:
        self.plans = sorted(plan.shards_by_round().items(), reverse=True)
        self.clients = {m.name: engines.in_process(m) for m in (*plan.models, *plan.last.models)}
        self.memory = Memory.empty()

    def decide(self, seen: Observation) -> Gathered:
        """Asks everybody."""
        plan = next(plan for first, plan in self.plans if first <= seen.public.round)
        answer = asyncio.run(Shard(plan, self.clients).decide(seen, self.memory))
        self.memory = self.memory.updated(answer.memory)
        return gather([answer], np.empty(0, dtype=np.int64))

    def remember(self, memory: Memory) -> None:
        """Takes over what was learned in the rounds before."""
        self.memory = memory


def used_pebbles(record: RunRecord, first: int, last: int) -> float:
    """The worth of goods that were eaten, burnt or spoilt in these rounds, reckoned trader by trader."""
    lots: dict[tuple[int, int, str], int] = {}
    for row in record.tables["traders"].iter_rows(named=True):
        for good in record.summary["goods"]:
            lots[row["round"], row["trader"], good] = row[f"{good}_lots"]
    traded: Counter[tuple[int, int, str]] = Counter()
    for row in record.tables["trades"].iter_rows(named=True):
        traded[row["round"], row["buyer"], row["good"]] += row["quantity_lots"]
        traded[row["round"], row["seller"], row["good"]] -= row["quantity_lots"]
    prices = record.tables["prices"].select("round", "good", "reference_ticks")
    price = {(round_, good): ticks for round_, good, ticks in prices.iter_rows()}
    cents = 0
    for (round_, trader, good), have in lots.items():
        if first <= round_ <= last:
            gone = lots[round_ - 1, trader, good] + traded[round_, trader, good] - have
            cents += max(gone, 0) * price[round_, good] * record.summary["tick_cents"]
    return cents / 100
