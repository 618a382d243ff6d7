"""The mind `desk`: a model that calls tools in several steps; smolagents is imported when it is asked."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from swarm.agents import desk_tools
from swarm.agents.config import DeskConfig
from swarm.agents.decision import Decision, DecisionError, Reading, Rules, engine_failure
from swarm.agents.decisions import Decisions, decisions_of
from swarm.agents.desk_trace import Trace, read_trace
from swarm.agents.mind import MindPlugin, Seats, TurnBound
from swarm.agents.observation import Observation
from swarm.agents.plan import ShardPlan
from swarm.agents.recall import Question, Recollection
from swarm.agents.turns import Call, Turns
from swarm.coordination.standing import default_stand
from swarm.llm.protocol import ENGINE_FAILURES, Message, ModelClient, ModelReply, ModelRequest, TokenUsage
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

    def recall(self, text: str, calls: Sequence[Call], seats: Seats) -> Recollection:
        """Returns the question of each step, as the agent puts them again when it is given the recorded replies."""
        trace = Trace.from_text(text)
        replies = [step.reply for step in trace.steps]
        told = "; ".join(
            f"step {number} {'called ' + step.tool if step.tool else 'called no tool'}"
            + (f" ({step.fault})" if step.fault else "")
            for number, step in enumerate(trace.steps, 1)
        )
        prompts, missing = self._prompts(replies, calls, seats), ""
        if prompts is None:
            missing = "a desk's prompts are made again by smolagents: `pip install 'thousand-token-wood[desks]'`"
        # A call that failed is no step, and has no reply; one that is not reached again has no prompt.
        questions = tuple(
            Question(f"step {number + 1}", replies[number] if number < len(replies) else "", None, messages, missing)
            for number, messages in enumerate([*(prompts or []), *[()] * len(calls)][: len(calls)])
        )
        return Recollection(questions, told)

    def _prompts(self, replies: Sequence[str], calls: Sequence[Call], seats: Seats) -> list[tuple[Message, ...]] | None:
        """Returns what an agent asks that is given these replies, step by step; None where there is no smolagents."""
        try:
            from swarm.agents.desk import Desk
        except ImportError:
            return None
        plan = self._plan
        model = calls[0].model if calls else self.config.model
        given = [replace(call.reply, text=text) for call, text in zip(calls, [*replies, ""], strict=False)]
        client = _Recorded(given)
        # Nobody is waited for, so no turn runs out of time.
        config = self.config.model_copy(update={"max_seconds": 3_600.0})
        reply = plan.completion_tokens[model]
        desk = Desk(config, client, reply, plan.rules, plan.scenario_rules, plan.tick_cents, model)
        asyncio.run(desk.decide(seats.seen, seats.rows.tolist(), seats.seeds(plan.seed), 3_600.0))
        return client.asked

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


class _Recorded:
    """A client that gives one recorded reply after another, and keeps what it is asked."""

    def __init__(self, replies: Sequence[ModelReply]) -> None:
        self.asked: list[tuple[Message, ...]] = []
        self._replies = iter(replies)

    async def complete(self, requests: Sequence[ModelRequest], deadline_s: float) -> list[ModelReply]:
        """Returns the next replies; a failure where the record has no more."""
        self.asked += [request.messages for request in requests]
        nothing = ModelReply("", TokenUsage(0, 0), "error", 0.0)
        return [next(self._replies, nothing) for _ in requests]


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
