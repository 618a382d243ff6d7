"""A shard: the traders that one actor hosts. It asks the models for some and applies the baselines for the rest.

It knows nothing of Ray: in one process there is one shard with all traders, on a cluster there are several.
"""

import asyncio
import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from swarm.agents import baselines, menu, prompt
from swarm.agents.config import BudgetConfig, DeskConfig, TradersConfig
from swarm.agents.decision import Rules
from swarm.agents.decisions import Decisions, read_turns
from swarm.agents.memory import Memory
from swarm.agents.menu import Menu, compose_menus
from swarm.agents.observation import ABSENT, ASLEEP, AWAKE_AT_CHEAPER, Int64, Observation, PrivateViews, PublicView
from swarm.agents.turns import Calls, PromptDigest, Turns
from swarm.coordination.standing import default_stand
from swarm.llm.asking import asked_of
from swarm.llm.protocol import ModelClient, ModelReply, ModelRequest
from swarm.market.orders import Orders
from swarm.seeding import draw

if TYPE_CHECKING:
    from swarm.agents.desk import Desk

MODELS_SHARE = 0.9
"""Of a round's time, the share after which models are no longer waited for; what they said has yet to be read."""


@dataclass(frozen=True, slots=True)
class ShardPlan:
    """What a shard is made from: everything that is the same in all rounds.

    `minds[i]` decides for trader `first_trader + i`: the name of a model or of a baseline. `completion_tokens` is, by
    model, the most tokens of one reply. `menu_minds` are the models that answer with letters of a menu. `cheaper` has,
    for each model for which there is a cheaper one of its form, the cheapest.
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
    menu_minds: frozenset[str] = frozenset()
    cheaper: Mapping[str, str] = field(default_factory=dict)

    def menus(self, seen: Observation) -> dict[int, Menu]:
        """By trader, the menus of those rows of `seen` that answer with letters."""
        if not self.menu_minds:
            return {}
        mind_of = (seen.private.trader - self.first_trader).tolist()
        awake = seen.private.awake
        asked = itertools.repeat(1) if awake is None else awake.tolist()
        rows = np.array(
            [
                i
                for i, (t, a) in enumerate(zip(mind_of, asked, strict=False))
                if a > ASLEEP and self.minds[t] in self.menu_minds
            ],
            dtype=np.int64,
        )
        theirs = Observation(seen.public, seen.private.take(rows))
        menus = compose_menus(self.seed, theirs, self.rules, self.tick_cents)
        return dict(zip(theirs.private.trader.tolist(), menus, strict=True))

    @property
    def desks(self) -> dict[str, DeskConfig]:
        """The desks that some trader here sits at, by name."""
        return {d.name: d for d in self.traders.desks if d.name in self.minds}

    @property
    def desk_tokens(self) -> dict[int, int]:
        """By trader at a desk, the most tokens of its turn."""
        limits = {name: desk.max_tokens for name, desk in self.desks.items()}
        return {t: limits[m] for t, m in enumerate(self.minds, self.first_trader) if m in limits}

    @property
    def models(self) -> set[str]:
        """The models that are or may be asked here."""
        desks = self.desks
        own = {desks[m].model if m in desks else m for m in self.minds if m not in baselines.BASELINES}
        return own | {self.cheaper[m] for m in own if m in self.cheaper}


# Without a text of its own: while asyncio puts its signals back it prints the result of each run, for nobody to read.
@dataclass(frozen=True, slots=True, eq=False, repr=False)
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
        self.menu_system = menu.menu_system_text(plan.scenario_rules)
        self.schema = plan.rules.schema()
        minds = np.array(plan.minds)
        self.rows: dict[str, Int64] = {m: np.flatnonzero(minds == m) for m in dict.fromkeys(plan.minds)}
        self.pricing = {
            name: baselines.pricing(name, plan.seed, plan.first_trader + self.rows[name], len(plan.rules.goods))
            for name in baselines.BASELINES
            if name in self.rows
        }
        self.desk_tokens = plan.desk_tokens
        self.desks: dict[tuple[str, str], Desk] = {}
        """By the desk's name and the model that thinks at it."""
        for name, config in plan.desks.items():
            for model in {config.model, plan.cheaper.get(config.model, config.model)} & clients.keys():
                # smolagents takes a second and 50 MB, which only shards with desks owe.
                from swarm.agents import desk

                self.desks[name, model] = desk.Desk(
                    config,
                    clients[model],
                    plan.completion_tokens[model],
                    plan.rules,
                    plan.scenario_rules,
                    plan.tick_cents,
                    model,
                )

    async def decide(self, seen: Observation, memory: Memory) -> ShardAnswer:
        """Decide for all traders; `seen.private` has one row for each, in order, `memory` what they have learned."""
        public = prompt.public_text(seen.public, self.plan.rules.goods)
        menus = self.plan.menus(seen)
        asked = (self._awake(mind, seen.private) for mind in self.rows if mind not in self.pricing)
        turns = Turns.join(
            list(
                await asyncio.gather(
                    *(
                        self._sit(mind, model, rows, seen)
                        if mind in self.plan.desks
                        else self._ask(mind, model, rows, public, seen.public, seen.private, menus)
                        for mind, model, rows in asked
                    )
                )
            )
        )
        decisions = read_turns(
            turns,
            seen.private.makes[turns.trader - self.plan.first_trader],
            self.plan.rules,
            self.plan.budget.tokens_per_turn,
            self.plan.traders.max_gossip_chars,
            self.desk_tokens,
            menus,
            default_stand(self.plan.traders.standing),
        )
        return ShardAnswer(turns, decisions, *self.baselines(seen, memory))

    def baselines(self, seen: Observation, memory: Memory) -> tuple[Orders, Memory]:
        """The orders of the traders that need no text, and what these have learned by then."""
        rules = self.plan.rules
        orders: list[Orders] = []
        learned = Memory.empty()
        awake = seen.private.awake
        absent = seen.private.trader[:0] if awake is None else seen.private.trader[awake == ABSENT]
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
                if len(absent):
                    # Who comes back begins anew, as somebody who has learned nothing.
                    rule.recall(Memory.empty())
                    learned = learned.updated(rule.learned().of(absent))
        submitted = Orders.concatenate(orders)
        return submitted.take(~np.isin(submitted.trader, absent)), learned

    @property
    def learns(self) -> bool:
        """Whether any trader's decisions depend on what it has learned."""
        return any(isinstance(rule, baselines.Learner) for rule in self.pricing.values())

    def _awake(self, mind: str, private: PrivateViews) -> tuple[str, str, Int64]:
        """The mind, the model that is asked for it in this round, and the rows of its traders that are asked."""
        rows = self.rows[mind]
        desk = self.plan.desks.get(mind)
        model = desk.model if desk else mind
        if private.awake is not None:
            rows = rows[private.awake[rows] > ASLEEP]
            if (private.awake[rows] == AWAKE_AT_CHEAPER).any():
                model = self.plan.cheaper.get(model, model)
        return mind, model, rows

    async def _sit(self, desk: str, model: str, rows: Int64, seen: Observation) -> Turns:
        deadline_s = MODELS_SHARE * self.plan.budget.round_deadline_s
        trader = seen.private.trader[rows]
        seeds = draw(self.plan.seed, "request", seen.public.round, trader).tolist()
        turns = await self.desks[desk, model].decide(seen, rows.tolist(), [s >> 1 for s in seeds], deadline_s)
        calls = [(i, call) for i, turn in enumerate(turns) for call in turn.calls]
        return Turns(
            trader=trader,
            mind=np.zeros(len(rows), dtype=np.int64),
            text=tuple(t.text for t in turns),
            finish_reason=tuple(t.finish_reason for t in turns),
            pruned_messages=np.array([t.pruned_messages for t in turns], dtype=np.int64),
            minds=(desk,),
            models=(model,),
            calls=Calls.of(
                [i for i, _ in calls],
                [0] * len(calls),
                [call.prompt_digest for _, call in calls],
                [call.reply for _, call in calls],
            ),
        )

    async def _ask(
        self,
        mind: str,
        model: str,
        rows: Int64,
        public: str,
        view: PublicView,
        private: PrivateViews,
        menus: Mapping[int, Menu],
    ) -> Turns:
        goods, tick_cents = self.plan.rules.goods, self.plan.tick_cents
        by_menu = mind in self.plan.menu_minds
        system = self.menu_system if by_menu else self.system
        if by_menu:
            public = menu.menu_public_text(view, goods)
        budget = self.plan.budget
        max_tokens = self.plan.completion_tokens[model]
        prompt_budget = budget.tokens_per_turn - max_tokens
        seeds = draw(self.plan.seed, "request", view.round, private.trader[rows]).tolist()
        # Traders with the same prompt are one request, with a sample for each.
        alike: dict[str, list[int]] = {}
        requests: dict[str, ModelRequest] = {}
        replies: list[ModelReply | None] = [None] * len(rows)
        digests = [0] * len(rows)
        pruned = np.zeros(len(rows), dtype=np.int64)
        digest = PromptDigest(system, public)
        for i, row in enumerate(rows.tolist()):
            schema = self.schema
            if by_menu:
                choices = menus[int(private.trader[row])]
                schema = choices.schema()
                rendered = menu.render_menu(system, public, private, row, choices, goods, tick_cents, prompt_budget)
            else:
                own = prompt.private_text(private, row, goods, tick_cents)
                rendered = prompt.render(system, public, own, private.heard[row], prompt_budget)
            if rendered is None:
                pruned[i] = len(private.heard[row])
                continue
            pruned[i] = rendered.pruned_messages
            # The rules are the same for all, and what may be answered follows from the text.
            text = rendered.messages[-1].content
            if text in requests:
                first = alike[text][0]
                digests[i] = digests[first]
                alike[text].append(i)
            else:
                digests[i] = digest.of(text)
                alike[text] = [i]
                requests[text] = ModelRequest(rendered.messages, schema, max_tokens, seeds[i] >> 1)
        if requests:
            asked = [
                replace(r, more_seeds=tuple(seeds[i] >> 1 for i in alike[text][1:])) if len(alike[text]) > 1 else r
                for text, r in requests.items()
            ]
            answered = await asked_of(self.clients[model], asked, MODELS_SHARE * budget.round_deadline_s)
            for i, reply in zip((i for group in alike.values() for i in group), answered, strict=True):
                replies[i] = reply
        return Turns.asked_once(mind, model, private.trader[rows], replies, digests, pruned)
