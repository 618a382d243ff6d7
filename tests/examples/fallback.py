"""A mind that asks a cheap model first, and a strong one for those whom the cheap one has left without a decision."""

from collections.abc import Mapping

import numpy as np

from swarm.agents.asking import ask_model
from swarm.agents.decisions import Decisions, decisions_of, read_single
from swarm.agents.mind import MindPlugin, Seats, TurnBound
from swarm.agents.plan import ShardPlan
from swarm.agents.turns import Turns
from swarm.llm.protocol import ModelClient
from swarm.schema import StrictModel


class FallbackConfig(StrictModel):
    first: str
    then: str


class Fallback:
    def __init__(self, name: str, section: FallbackConfig, plan: ShardPlan) -> None:
        self.name, self.section, self.plan = name, section, plan
        self.models = frozenset({section.first, section.then})
        self.most = TurnBound(2 * plan.budget.tokens_per_turn, 2)

    async def decide(self, seats: Seats, models: Mapping[str, ModelClient], deadline_s: float) -> Turns:
        groups = seats.chosen(self.section.first, self.section.then)
        return Turns.join([await self.go(names, group, models, deadline_s) for names, group in groups])

    async def go(self, names: tuple[str, ...], seats: Seats, models: Mapping[str, ModelClient], left_s: float) -> Turns:
        first = await self.ask(names[0], seats, models, left_s / 2)
        lost = np.flatnonzero([len(names) > 1 and error is not None for error in self.read(first, seats).errors])
        then = await self.ask(names[-1], seats.take(lost), models, left_s / 2)
        last = {i: n for n, i in enumerate(lost.tolist())}
        return Turns.asked_often(
            self.name,
            seats.trader,
            [then.text[last[i]] if i in last else text for i, text in enumerate(first.text)],
            [then.finish_reason[last[i]] if i in last else why for i, why in enumerate(first.finish_reason)],
            [first.made(i) + (then.made(last[i]) if i in last else []) for i in range(len(seats))],
            first.pruned_messages,
        )

    async def ask(self, model: str, seats: Seats, models: Mapping[str, ModelClient], deadline_s: float) -> Turns:
        plan, seeds = self.plan, seats.seeds(self.plan.seed)
        asked = await ask_model(plan, model, plan.form(model), seats, models[model], seeds, deadline_s)
        return Turns.asked_once(self.name, model, seats.trader, asked.replies, asked.digests, asked.pruned_messages)

    def read(self, turns: Turns, seats: Seats) -> Decisions:
        form, rows = self.plan.form(self.section.first), seats.rows.tolist()
        readings = read_single(turns, self.most.tokens, lambda i, text, cut: form.read(text, cut, seats.seen, rows[i]))
        return decisions_of(turns, readings, self.plan.rules.goods, self.plan.traders.max_gossip_chars)


MIND = MindPlugin(
    "fallback", "A strong model where a cheap one fails.", FallbackConfig, Fallback, lambda s: (s.first, s.then)
)
