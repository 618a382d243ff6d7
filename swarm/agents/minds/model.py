"""The mind `model`: one call of one model decides, in the form that the model answers in."""

import asyncio
from collections.abc import Mapping

from swarm.agents.asking import ask_model
from swarm.agents.decisions import Decisions, decisions_of, read_single
from swarm.agents.mind import MindPlugin, Seats, TurnBound
from swarm.agents.plan import ShardPlan
from swarm.agents.turns import Turns
from swarm.coordination.standing import default_stand
from swarm.llm.protocol import ModelClient
from swarm.schema import StrictModel


class ModelMindConfig(StrictModel):
    """One model that decides alone."""

    model: str
    """The model's name."""


class ModelMind:
    """Traders whom one model decides for."""

    def __init__(self, name: str, section: ModelMindConfig, plan: ShardPlan) -> None:
        self.name = name
        self.model = section.model
        self.models = frozenset({section.model})
        self.most = TurnBound(plan.budget.tokens_per_turn)
        self._plan = plan

    async def decide(self, seats: Seats, models: Mapping[str, ModelClient], deadline_s: float) -> Turns:
        """Returns the model's reply to each seat's prompt."""
        parts = [self._ask(model, group, models[model], deadline_s) for (model,), group in seats.chosen(self.model)]
        return Turns.join(await asyncio.gather(*parts))

    async def _ask(self, model: str, seats: Seats, client: ModelClient, deadline_s: float) -> Turns:
        plan = self._plan
        seeds = seats.seeds(plan.seed)
        asked = await ask_model(plan, model, plan.form(self.model), seats, client, seeds, deadline_s)
        return Turns.asked_once(self.name, model, seats.trader, asked.replies, asked.digests, asked.pruned_messages)

    def read(self, turns: Turns, seats: Seats) -> Decisions:
        """Returns the decisions that the replies hold."""
        plan, form, rows = self._plan, self._plan.form(self.model), seats.rows.tolist()
        readings = read_single(turns, self.most.tokens, lambda i, text, cut: form.read(text, cut, seats.seen, rows[i]))
        stand = default_stand(plan.traders.standing)
        return decisions_of(turns, readings, plan.rules.goods, plan.traders.max_gossip_chars, stand, form.stands)


MIND = MindPlugin(
    name="model",
    summary="One call of one model.",
    Config=ModelMindConfig,
    build=ModelMind,
    models=lambda section: (section.model,),
)
