"""A shard: the traders that one actor hosts. It asks the models for some and applies the baselines for the rest.

It knows nothing of Ray: in one process there is one shard with all traders, on a cluster there are several.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from swarm.agents import baselines, prompt
from swarm.agents.config import BudgetConfig, TradersConfig
from swarm.agents.decision import Rules
from swarm.agents.memory import Memory
from swarm.agents.observation import Int64, Observation, PrivateViews, PublicView
from swarm.agents.turns import NEVER_ASKED, Decisions, Turns, read_turns
from swarm.llm.protocol import MAX_REPLY_CHARS, ModelClient, ModelReply, ModelRequest, TokenUsage
from swarm.market.orders import Orders
from swarm.seeding import draw

MODELS_SHARE = 0.9
"""Of a round's time, the share after which models are no longer waited for; what they said has yet to be read."""


@dataclass(frozen=True, slots=True)
class ShardPlan:
    """What a shard is made from: everything that is the same in all rounds.

    `minds[i]` decides for trader `first_trader + i`: the name of a model or of a baseline. `completion_tokens` is, by
    model, the most tokens of one reply.
    """

    seed: int
    first_trader: int
    minds: tuple[str, ...]
    completion_tokens: Mapping[str, int]
    rules: Rules
    scenario_rules: str
    tick_cents: int
    traders: TradersConfig
    budget: BudgetConfig


@dataclass(frozen=True, slots=True, eq=False)
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
        self.system = prompt.system_text(plan.scenario_rules, plan.rules)
        self.schema = plan.rules.schema()
        minds = np.array(plan.minds)
        self.rows: dict[str, Int64] = {m: np.flatnonzero(minds == m) for m in dict.fromkeys(plan.minds)}
        self.pricing = {
            name: baselines.pricing(name, plan.seed, plan.first_trader + self.rows[name], len(plan.rules.goods))
            for name in baselines.BASELINES
            if name in self.rows
        }

    async def decide(self, seen: Observation, memory: Memory) -> ShardAnswer:
        """Decide for all traders; `seen.private` has one row for each, in order, `memory` what they have learned."""
        public = prompt.public_text(seen.public, self.plan.rules.goods)
        models = [m for m in self.rows if m not in self.pricing]
        turns = Turns.join(
            list(await asyncio.gather(*(self._ask(m, public, seen.public, seen.private) for m in models)))
        )
        decisions = read_turns(
            turns,
            seen.private.makes[turns.trader - self.plan.first_trader],
            self.plan.rules,
            self.plan.budget.tokens_per_turn,
            self.plan.traders.max_gossip_chars,
        )
        return ShardAnswer(turns, decisions, *self.baselines(seen, memory))

    def baselines(self, seen: Observation, memory: Memory) -> tuple[Orders, Memory]:
        """The orders of the traders that need no text, and what these have learned by then."""
        rules = self.plan.rules
        orders: list[Orders] = []
        learned = Memory.empty()
        for name, rule in self.pricing.items():
            if isinstance(rule, baselines.Learner):
                rule.recall(memory)
            own = Observation(seen.public, seen.private.take(self.rows[name]))
            orders.append(
                baselines.orders_of(
                    rule,
                    own,
                    rules.max_orders,
                    rules.max_price_ticks,
                    rules.max_quantity_lots,
                    self.plan.tick_cents,
                )
            )
            if isinstance(rule, baselines.Learner):
                learned = learned.updated(rule.learned())
        return Orders.concatenate(orders), learned

    @property
    def learns(self) -> bool:
        """Whether any trader's decisions depend on what it has learned."""
        return any(isinstance(rule, baselines.Learner) for rule in self.pricing.values())

    async def _ask(self, model: str, public: str, view: PublicView, private: PrivateViews) -> Turns:
        rows = self.rows[model]
        budget = self.plan.budget
        max_tokens = self.plan.completion_tokens[model]
        prompt_budget = budget.tokens_per_turn - max_tokens
        seeds = draw(self.plan.seed, "request", view.round, private.trader[rows]).tolist()
        requests: list[ModelRequest] = []
        asked: list[int] = []
        replies: list[ModelReply] = [ModelReply(NEVER_ASKED, TokenUsage(0, 0), "error", 0.0)] * len(rows)
        pruned = np.zeros(len(rows), dtype=np.int64)
        for i, row in enumerate(rows.tolist()):
            own = prompt.private_text(private, row, self.plan.rules.goods, self.plan.tick_cents)
            rendered = prompt.render(self.system, public, own, private.heard[row], prompt_budget)
            if rendered is None:
                pruned[i] = len(private.heard[row])
                continue
            pruned[i] = rendered.pruned_messages
            asked.append(i)
            requests.append(ModelRequest(rendered.messages, self.schema, max_tokens, seeds[i] >> 1))
        if requests:
            answered = await self.clients[model].complete(requests, MODELS_SHARE * budget.round_deadline_s)
            for i, reply in zip(asked, answered, strict=True):
                replies[i] = reply
        return Turns(
            trader=private.trader[rows],
            text=tuple(_kept(r.text) for r in replies),
            finish_reason=tuple(r.finish_reason for r in replies),
            prompt_tokens=np.array([r.usage.prompt for r in replies], dtype=np.int64),
            completion_tokens=np.array([r.usage.completion for r in replies], dtype=np.int64),
            pruned_messages=pruned,
            latency_s=np.array([r.latency_s for r in replies], dtype=np.float64),
            cached_prompt_tokens=np.array([r.usage.cached_prompt for r in replies], dtype=np.int64),
        )


def _kept(text: str) -> str:
    """What is read and journalled of a reply: valid Unicode, and of an endless one just enough to see that it is."""
    return text[: MAX_REPLY_CHARS + 1].encode(errors="replace").decode()
