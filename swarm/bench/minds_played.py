"""One market of one population, with what each of its minds made of it: profit, regret, errors, tokens, CPU, gossip."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from time import process_time
from typing import Any

import numpy as np

from swarm.agents.forms.menus import Menus
from swarm.agents.observation import Int64, PublicView
from swarm.bench.claims import Truth
from swarm.config_file import resolve
from swarm.llm.protocol import ModelClient, ModelReply, ModelRequest
from swarm.market.orders import Orders
from swarm.runtime.play import play
from swarm.scenarios.protocol import MarketState
from swarm.seeding import draw_some
from swarm.simulation.basis import RoundBasis
from swarm.simulation.gains import gain_of, orders_of, realised_ticks
from swarm.simulation.loop import RoundOutcome
from swarm.simulation.plan import RunPlan
from swarm.training.evaluate import EXAMINED_FROM
from swarm.training.offers import best_of
from swarm.training.surplus import Surplus

TOKENS = 1_000
"""Tokens of a turn, prompt and reply, as a config has them by default."""

RULE = "value-rule"
"""The value rule as a model's entry, in mixed markets beside every mind."""

LOOKED_AT = 4
"""Traders of a round whose menus are all tried again, drawn anew in each."""


@dataclass(frozen=True, slots=True)
class Size:
    """How large a measurement is: markets of so many traders and rounds, one for each seed, and as many mixed ones."""

    seeds: int = 20
    rounds: int = 12
    traders: int = 16
    mixed: bool = True

    @property
    def told(self) -> str:
        """It in words."""
        return f"{self.seeds} seed{'s' if self.seeds > 1 else ''}, {self.rounds} rounds, {self.traders} traders"


@dataclass(slots=True)
class OfMind:
    """What one mind's turns came to in one market; `regret`, `best` and `as_rule` are of those looked at alone."""

    profit: list[int] = field(default_factory=list)
    regret: list[int] = field(default_factory=list)
    best: list[bool] = field(default_factory=list)
    as_rule: list[bool] = field(default_factory=list)
    errors: Counter[str] = field(default_factory=Counter)
    tokens: list[int] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    truth: Truth = field(default_factory=Truth)


@dataclass(frozen=True, slots=True)
class Market:
    """What one market came to: its efficiency, each mind's turns, and the CPU seconds of the models under test."""

    efficiency: float
    of: Mapping[str, OfMind]
    cpu_s: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """Returns it as JSON holds it."""
        # A counter that `asdict` copies counts its own pairs.
        of = {m: {**asdict(own), "errors": dict(own.errors), "truth": own.truth.counted} for m, own in self.of.items()}
        return {"efficiency": self.efficiency, "of": of, "cpu_s": self.cpu_s}

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> "Market":
        """Returns what `to_json` told."""
        of = {
            mind: OfMind(**{**own, "errors": Counter(own["errors"]), "truth": Truth(*own["truth"])})
            for mind, own in told["of"].items()
        }
        return cls(told["efficiency"], of, told["cpu_s"])


class Timed:
    """A `ModelClient` that counts the CPU seconds of this process while another one answers; threads count, too."""

    def __init__(self, client: ModelClient) -> None:
        self._client = client
        self.cpu_s = 0.0

    async def complete(self, requests: Sequence[ModelRequest], deadline_s: float) -> list[ModelReply]:
        """Hands everything on."""
        begun = process_time()
        replies = await self._client.complete(requests, deadline_s)
        self.cpu_s += process_time() - begun
        return replies


class Played(Surplus):
    """A watcher that keeps the figures of one market, by mind, and its surplus."""

    def __init__(self) -> None:
        super().__init__()
        self.of: dict[str, OfMind] = {}

    def started(self, plan: RunPlan, opening: MarketState, named: Int64) -> None:
        """Makes room for each mind."""
        super().started(plan, opening, named)
        self.of = {mind: OfMind() for mind in plan.shard.minds}

    def round_done(self, outcome: RoundOutcome) -> None:
        """Adds a round."""
        super().round_done(outcome)
        basis, minds = outcome.basis, outcome.plan.shard.minds
        if basis is None:
            return
        for row, trader in enumerate(basis.seen.private.trader.tolist()):
            self.of[minds[trader]].profit.append(gain_of(outcome.cleared.trades, trader, basis.seen, row))
        self._look_again(outcome, basis)
        for of in self.of.values():
            of.truth.begin(basis.seen.public)
        self._read(outcome, basis.seen.public)

    def _look_again(self, outcome: RoundOutcome, basis: RoundBasis) -> None:
        """Clears the round again for all that some of its traders could have done."""
        plan = outcome.plan
        shard, seen = plan.shard, basis.seen
        menus = Menus(shard.seed, seen, shard.rules, shard.tick_cents)
        again = basis.counterfactual(plan)
        rows = draw_some(LOOKED_AT, shard.seed, "looked at", seen.public.round, seen.private.trader)
        for row in rows.tolist():
            trader = int(seen.private.trader[row])
            actions = menus.of(row).actions
            gains = [realised_ticks(again, trader, action, seen, row) for action in actions]
            own = gain_of(outcome.cleared.trades, trader, seen, row)
            of = self.of[shard.minds[trader]]
            # Orders that are on no menu can bring more than the best of it, which is no regret.
            of.regret.append(max(max(gains) - own, 0))
            of.best.append(own >= max(gains))
            ordered = basis.orders.take(basis.orders.trader == trader)
            of.as_rule.append(_wishes(ordered) == _wishes(orders_of(actions[best_of(actions)], trader)))

    def _read(self, outcome: RoundOutcome, public: PublicView) -> None:
        """What models answered, what they said, and what it cost."""
        turns, decisions = outcome.gathered.turns, outcome.gathered.decisions
        calls = turns.calls
        # [turns]: tokens of all calls of a turn together.
        spent = np.bincount(calls.turn, calls.prompt_tokens + calls.completion_tokens, minlength=len(turns))
        for turn, mind in enumerate(turns.mind.tolist()):
            of = self.of[turns.minds[mind]]
            of.tokens.append(int(spent[turn]))
            if error := decisions.errors[turn]:
                of.errors[str(error)] += 1
            if line := decisions.gossip[turn]:
                of.said.append(line)
                of.truth.hear(line, public, outcome.plan.shard.rules.goods)


def _wishes(orders: Orders) -> set[tuple[int, ...]]:
    """Orders as a set, by good, side, limit and lots."""
    columns = (orders.good, orders.side, orders.limit_ticks, orders.quantity_lots)
    return set(zip(*(column.tolist() for column in columns), strict=True))


def play_market(
    minds: Mapping[str, int],
    models: Sequence[Mapping[str, Any]],
    clients: Mapping[str, ModelClient],
    seed: int,
    size: Size,
    define: Mapping[str, Any] = {},
    tokens: int = TOKENS,
) -> Market:
    """Returns the figures of a market of the Wood that nothing was trained on, with a mania and a blight in it.

    `define` has minds that are more than one model, as `traders.define` has them; `tokens` are those of a turn.
    """
    played = Played()
    timed = {name: Timed(client) for name, client in clients.items()}
    # Seeds from which on nothing was trained; the shocks come early and late enough to be traded on.
    config = {
        "name": "bench-minds-real",
        "seed": EXAMINED_FROM + seed,
        "rounds": size.rounds,
        "population": size.traders,
        "scenario": {
            "name": "wood",
            "shocks": [
                {"kind": "mania", "round": 1 + size.rounds // 5, "good": "acorns"},
                {"kind": "blight", "round": 1 + size.rounds // 2, "good": "mushrooms"},
            ],
        },
        "models": [dict(model) for model in models],
        "traders": {"minds": dict(minds), "define": dict(define)},
        "budget": {"round_deadline_s": 3_600, "tokens_per_turn": tokens},
    }
    play(resolve(config), played, clients=timed)
    # The value rule beside a model is no part of that model's cost.
    return Market(played.efficiency, played.of, sum(client.cpu_s for name, client in timed.items() if name != RULE))
