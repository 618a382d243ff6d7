"""Plays runs whose rounds can be looked at from outside: what was shown, and what any other orders would have brought.

Minds that are compared so meet the same turns, and none of them moves the market that the others meet.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from swarm.agents.asking import ask
from swarm.agents.decision import Decision, DecisionError
from swarm.agents.forms.menu import Action, MenuForm
from swarm.agents.mind import Seats
from swarm.agents.observation import Int64, Observation
from swarm.config import RunConfig
from swarm.experiments import statistics
from swarm.llm import engines
from swarm.llm.protocol import ModelClient, ModelReply
from swarm.market.commands import SubmitOrders
from swarm.market.counterfactual import Counterfactual
from swarm.market.orders import Orders
from swarm.planning import compose
from swarm.runtime.play import Shown, play
from swarm.seeding import draw
from swarm.simulation.basis import as_it_stood
from swarm.simulation.entries import Entry
from swarm.simulation.gains import gain_of, orders_decided, orders_of
from swarm.simulation.market import Market, MarketAnswer
from swarm.simulation.plan import RunPlan


class Again(Counterfactual):
    """A round that is cleared once for each set of orders of a trader, however often it is asked for."""

    def __init__(self, plan: RunPlan, before: MarketAnswer, seen: Observation, orders: Orders) -> None:
        super().__init__(as_it_stood(plan, before), seen.public.round, orders)
        self._seen, self._goods = seen, plan.shard.rules.goods
        self._found: dict[tuple[int, bytes], int] = {}

    def gain(self, row: int, orders: Orders) -> int:
        """Returns what a trader would have gained with these orders, in ticks."""
        trader = int(self._seen.private.trader[row])
        key = (trader, orders.stacked().tobytes())
        if key not in self._found:
            self._found[key] = gain_of(self.trades_had(trader, orders), trader, self._seen, row)
        return self._found[key]

    def of_action(self, row: int, action: Action) -> int:
        """Returns what an action of a menu would have brought, in ticks."""
        return self.gain(row, orders_of(action, int(self._seen.private.trader[row]))) if action.legs else 0

    def of_decision(self, row: int, decision: Decision | DecisionError) -> int:
        """Returns what a decision would have brought, in ticks."""
        return self.gain(row, orders_decided(decision, int(self._seen.private.trader[row]), self._goods))


Look = Callable[[Observation, Again], None]
"""What is done with a round before it is cleared."""


class _Looked(Market):
    """A market in this process that shows each round to somebody before it is cleared."""

    def __init__(self, plan: RunPlan, traders: Shown, look: Look) -> None:
        super().__init__(plan.market, None)
        self._plan_of_run, self._traders, self._look = plan, traders, look
        self._before: MarketAnswer | None = None

    def execute(self, entries: Sequence[Entry], at: int | None = None) -> MarketAnswer:
        """Applies the entries as any market does."""
        for entry in entries:
            if isinstance(entry, SubmitOrders) and self._before is not None:
                seen = self._traders.seen[-1]
                self._look(seen, Again(self._plan_of_run, self._before, seen, entry.orders))
        self._before = super().execute(entries, at)
        return self._before


class Shadow:
    """One run, and the clients of all models of its config, also of those that decide for nobody."""

    def __init__(self, config: RunConfig) -> None:
        self._config, self._world = config, compose(config)
        self.plan = self._world.run
        self.clients: dict[str, ModelClient] = {m.name: engines.in_process(m) for m in config.models}
        menus = self.plan.shard.forms[MenuForm.name]
        if not isinstance(menus, MenuForm):
            raise TypeError("a run that is looked at offers menus")
        self.menus = menus

    def play(self, look: Look) -> None:
        """Plays the whole run."""
        shown = Shown()
        play(
            self._config,
            plan=self._world,
            clients=self.clients,
            traders=shown.asking,
            new_market=lambda *_: _Looked(self.plan, shown, look),
        )

    def rows(self, seen: Observation, most: int) -> Int64:
        """Returns the rows of some traders, drawn anew in each round."""
        drawn = draw(self.plan.seed, "looked at", seen.public.round, seen.private.trader)
        return np.sort(np.argsort(drawn, kind="stable")[:most])

    def ask(self, model: str, seats: Seats, samples: int = 1) -> list[ModelReply]:
        """Returns what a model answers to these seats by menu, so often one after another, with how sure it is."""
        shard = self.plan.shard
        reply = shard.completion_tokens[model]
        budget = (shard.budget.tokens_per_turn - reply, reply)
        # Samples of one prompt are one request, which is computed once.
        often, number = seats.take(np.repeat(np.arange(len(seats)), samples)), np.tile(np.arange(samples), len(seats))
        drawn = draw(shard.seed, f"shadow {model}", seats.seen.public.round, often.trader, number) >> np.uint64(1)
        asked = asyncio.run(ask(self.menus, often, self.clients[model], drawn.tolist(), budget, 600.0, margin=True))
        if any(answer is None for answer in asked.replies):
            raise ValueError("a prompt did not fit its budget")
        return [answer for answer in asked.replies if answer is not None]


def interval(differences: Sequence[float]) -> tuple[float, float, float]:
    """Returns the mean of 20 paired differences with its 95% interval."""
    if len(differences) != 20:
        raise ValueError(f"expected a difference for each of 20 seeds, got {len(differences)}")
    middle, half = statistics.interval(differences)
    return middle, middle - half, middle + half


def told(differences: Sequence[float]) -> str:
    """Returns the mean of paired differences with its interval in words, and calls one that holds zero none."""
    middle, low, high = interval(differences)
    return f"{middle:+.3g} ({low:+.3g} to {high:+.3g}){', which is none' if low <= 0 <= high else ''}"


def by_seed(values: npt.NDArray[Any], seed: Int64) -> list[float]:
    """Returns the mean of each of 20 seeds' values."""
    return [float(values[seed == one].mean()) for one in range(20)]
