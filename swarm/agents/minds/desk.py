"""The mind `desk`: a model that calls tools in several steps; smolagents is imported when it is asked."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from swarm.agents import desk_tools
from swarm.agents.config import DeskConfig
from swarm.agents.decision import Decision, DecisionError, Reading, Rules, engine_failure
from swarm.agents.decisions import Decisions, decisions_of
from swarm.agents.desk_trace import read_trace
from swarm.agents.mind import MindPlugin, Seats, TurnBound
from swarm.agents.observation import Observation
from swarm.agents.plan import ShardPlan
from swarm.agents.turns import Turns
from swarm.coordination.standing import default_stand
from swarm.llm.protocol import ENGINE_FAILURES, ModelClient
from swarm.llm.tokens import MESSAGE_OVERHEAD, count_tokens

if TYPE_CHECKING:
    from swarm.agents.desk import Desk


class DeskMind:
    """Traders who sit at one desk."""

    def __init__(self, name: str, section: DeskConfig, plan: ShardPlan) -> None:
        self.name = name
        self.config = section
        self.models = frozenset({section.model})
        self.most = TurnBound(section.max_tokens, section.max_steps)
        self._plan = plan
        self._desks: dict[str, Desk] = {}

    async def decide(self, seats: Seats, models: Mapping[str, ModelClient], deadline_s: float) -> Turns:
        """Returns the trace of each seat's turn."""
        parts = [
            self._sit(model, group, models[model], deadline_s) for (model,), group in seats.chosen(self.config.model)
        ]
        return Turns.join(await asyncio.gather(*parts))

    async def _sit(self, model: str, seats: Seats, client: ModelClient, deadline_s: float) -> Turns:
        plan = self._plan
        if model not in self._desks:
            # smolagents takes a second and 50 MB, which only shards with desks owe.
            from swarm.agents.desk import Desk

            reply = plan.completion_tokens[model]
            self._desks[model] = Desk(
                self.config, client, reply, plan.rules, plan.scenario_rules, plan.tick_cents, model
            )
        turns = await self._desks[model].decide(seats.seen, seats.rows.tolist(), seats.seeds(plan.seed), deadline_s)
        return Turns.asked_often(
            self.name,
            seats.trader,
            [t.text for t in turns],
            [t.finish_reason for t in turns],
            [t.calls for t in turns],
            np.array([t.pruned_messages for t in turns], dtype=np.int64),
        )

    def read(self, turns: Turns, seats: Seats) -> Decisions:
        """Returns the decisions that the traces hold, checked anew."""
        makes = seats.seen.private.makes[seats.rows].tolist()
        spent = (turns.prompt_tokens + turns.completion_tokens).tolist()
        rules, tokens = self._plan.rules, self.most.tokens
        readings = [
            read_turn(text, reason, taken, rules, made, tokens)
            for text, reason, taken, made in zip(turns.text, turns.finish_reason, spent, makes, strict=True)
        ]
        traders = self._plan.traders
        stand = default_stand(traders.standing)
        return decisions_of(turns, readings, self._plan.rules.goods, traders.max_gossip_chars, stand)


def read_turn(text: str, finish_reason: str, spent: int, rules: Rules, makes: int, tokens: int) -> Reading[Decision]:
    """Returns what the trace of a turn comes to that has spent so many of its `tokens`."""
    reading = read_trace(text, rules, makes)
    # What was repaired and what went wrong before the failure is counted all the same.
    if finish_reason in ENGINE_FAILURES:
        return replace(reading, outcome=engine_failure(finish_reason))
    return replace(reading, outcome=DecisionError.OVER_BUDGET) if spent > tokens else reading


def first_call(section: DeskConfig, plan: ShardPlan, seen: Observation) -> int:
    """Returns the tokens of the first step's prompt and of the longest reply to it."""
    texts = (desk_tools.system_text(plan.scenario_rules, section, plan.rules), desk_tools.task_text(seen))
    return sum(count_tokens(text) + MESSAGE_OVERHEAD for text in texts) + plan.completion_tokens[section.model]


MIND = MindPlugin(
    name="desk",
    summary="One model that looks, orders and speaks with tools, in several calls.",
    Config=DeskConfig,
    build=DeskMind,
    models=lambda section: (section.model,),
    by_tools=True,
    barters=True,
    first_call=first_call,
    extra=("smolagents", "desks"),
)
