"""A mind of several models: all are asked at once, and the decision that most of them come to is taken."""

import asyncio
import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
from pydantic import Field

from swarm.agents.asking import ask_model
from swarm.agents.decision import DecisionError, Reading
from swarm.agents.decisions import Decisions, decisions_of
from swarm.agents.mind import MindPlugin, Seats, TurnBound
from swarm.agents.plan import ShardPlan
from swarm.agents.turns import Turns, kept_text
from swarm.llm.protocol import ModelClient
from swarm.schema import StrictModel


class PanelConfig(StrictModel):
    models: tuple[str, ...] = Field(min_length=2, max_length=9)


class Panel:
    def __init__(self, name: str, section: PanelConfig, plan: ShardPlan) -> None:
        self.name, self.plan, self.members = name, plan, section.models
        self.models = frozenset(section.models)
        self.most = TurnBound(len(section.models) * plan.budget.tokens_per_turn, len(section.models))

    async def decide(self, seats: Seats, models: Mapping[str, ModelClient], deadline_s: float) -> Turns:
        parts = [self.ask(names, group, models, deadline_s) for names, group in seats.chosen(*self.members)]
        return Turns.join(await asyncio.gather(*parts))

    async def ask(self, names: tuple[str, ...], seats: Seats, models: Mapping[str, Any], deadline_s: float) -> Turns:
        seeds, plan = seats.seeds(self.plan.seed), self.plan
        asks = (ask_model(plan, m, plan.form(m), seats, models[m], seeds, deadline_s) for m in names)
        asked = await asyncio.gather(*asks)
        calls = [[c for m, a in zip(names, asked, strict=True) for c in a.calls(m, i)] for i in range(len(seats))]
        said = [json.dumps([[c.model, kept_text(c.reply.text)] for c in made if not c.reply.failed]) for made in calls]
        pruned = np.max([a.pruned_messages for a in asked], axis=0)
        return Turns.asked_often(self.name, seats.trader, said, ["stop"] * len(seats), calls, pruned)

    def read(self, turns: Turns, seats: Seats) -> Decisions:
        readings = [self.vote(text, seats, int(row)) for text, row in zip(turns.text, seats.rows, strict=True)]
        return decisions_of(turns, readings, self.plan.rules.goods, self.plan.traders.max_gossip_chars)

    def vote(self, text: str, seats: Seats, row: int) -> Reading[Any]:
        found = [self.plan.form(m).read(said, False, seats.seen, row) for m, said in json.loads(text)]
        able = [r for r in found if not isinstance(r.outcome, DecisionError)]
        votes = Counter(repr(getattr(r.outcome, "orders", r.outcome)) for r in able)
        best = max(able, key=lambda r: votes[repr(getattr(r.outcome, "orders", r.outcome))], default=None)
        return Reading(best.outcome if best else DecisionError.ENGINE, steps=len(found))


MIND = MindPlugin("panel", "Several models vote.", PanelConfig, Panel, models=lambda section: section.models)
