"""A mind that asks a cheap model first, and a strong one for those whom the cheap one has left without a decision."""

from collections.abc import Mapping

import numpy as np

from swarm.agents.asking import ask
from swarm.agents.decisions import Decisions, decisions_of, read_single
from swarm.agents.mind import MindPlugin, Seats, TurnBound
from swarm.agents.plan import ShardPlan
from swarm.agents.turns import Turns
from swarm.llm.protocol import ModelClient
from swarm.schema import StrictModel


class CascadeConfig(StrictModel):
    first: str
    then: str


class Cascade:
    def __init__(self, name: str, section: CascadeConfig, plan: ShardPlan) -> None:
        self.name, self.section, self.plan = name, section, plan
        self.models = frozenset({section.first, section.then})
        self.most = TurnBound(2 * plan.budget.tokens_per_turn, 2)

    async def decide(self, seats: Seats, models: Mapping[str, ModelClient], deadline_s: float) -> Turns:
        first = await self.ask(self.section.first, seats, models, deadline_s / 2)
        errors = self.read(first, seats).errors
        lost = np.array([i for i, error in enumerate(errors) if error is not None], dtype=np.int64)
        second = await self.ask(self.section.then, seats.take(lost), models, deadline_s / 2)
        last = dict(zip(lost.tolist(), range(len(lost)), strict=True))
        return Turns.asked_often(
            self.name,
            seats.trader,
            [second.text[last[i]] if i in last else text for i, text in enumerate(first.text)],
            [second.finish_reason[last[i]] if i in last else why for i, why in enumerate(first.finish_reason)],
            [first.made(i) + (second.made(last[i]) if i in last else []) for i in range(len(seats))],
            first.pruned_messages,
        )

    async def ask(self, model: str, seats: Seats, models: Mapping[str, ModelClient], deadline_s: float) -> Turns:
        reply = self.plan.completion_tokens[model]
        budget = (self.plan.budget.tokens_per_turn - reply, reply)
        seeds = seats.seeds(self.plan.seed)
        asked = await ask(self.plan.form(model), seats, models[model], seeds, budget, deadline_s)
        return Turns.asked_once(self.name, model, seats.trader, asked.replies, asked.digests, asked.pruned_messages)

    def read(self, turns: Turns, seats: Seats) -> Decisions:
        form, rows = self.plan.form(self.section.first), seats.rows.tolist()
        readings = read_single(turns, self.most.tokens, lambda i, text, cut: form.read(text, cut, seats.seen, rows[i]))
        return decisions_of(turns, readings, self.plan.rules.goods, self.plan.traders.max_gossip_chars)


MIND = MindPlugin(
    "cascade", "A strong model where a cheap one fails.", CascadeConfig, Cascade, lambda s: (s.first, s.then)
)
