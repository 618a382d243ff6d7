"""Plays runs whose rounds can be looked at from outside: what was shown, and what any other orders would have brought.

Minds that are compared so meet the same turns, and none of them moves the market that the others meet.
"""

import asyncio
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from swarm.agents.asking import ask
from swarm.agents.decision import Decision, DecisionError
from swarm.agents.forms.menu import MenuForm
from swarm.agents.forms.menus import Action
from swarm.agents.mind import Seats
from swarm.agents.observation import Int64, Observation
from swarm.config import RunConfig
from swarm.llm import engines
from swarm.llm.protocol import ModelClient, ModelReply
from swarm.market.counterfactual import Counterfactual
from swarm.market.orders import Orders
from swarm.planning import compose
from swarm.runtime.play import play
from swarm.scenarios.protocol import MarketState
from swarm.seeding import draw, draw_some
from swarm.simulation.basis import RoundBasis, as_it_stood
from swarm.simulation.gains import gain_of, orders_decided, orders_of
from swarm.simulation.loop import RoundOutcome
from swarm.simulation.plan import RunPlan


class Again(Counterfactual):
    """A round that is cleared once for each set of orders of a trader, however often it is asked for."""

    def __init__(self, plan: RunPlan, basis: RoundBasis) -> None:
        super().__init__(as_it_stood(plan, basis.before), basis.seen.public.round, basis.orders)
        self._seen, self._goods = basis.seen, plan.shard.rules.goods
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
"""What is done with a round, as it was shown and before it was cleared."""


class _Looking:
    """A watcher that shows each round to somebody."""

    def __init__(self, look: Look) -> None:
        self._look = look

    def started(self, plan: RunPlan, opening: MarketState, named: Int64) -> None:
        """Has no round to show yet."""

    def round_done(self, outcome: RoundOutcome) -> None:
        """Shows a round, which is cleared again as often as is asked for."""
        if outcome.basis is None:
            raise ValueError("a round of one market says what it was cleared from")
        self._look(outcome.basis.seen, Again(outcome.plan, outcome.basis))


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
        play(self._config, _Looking(look), plan=self._world, clients=self.clients)

    def rows(self, seen: Observation, most: int) -> Int64:
        """Returns the rows of some traders, drawn anew in each round."""
        return draw_some(most, self.plan.seed, "looked at", seen.public.round, seen.private.trader)

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


def by_seed(values: npt.NDArray[Any], seed: Int64) -> list[float]:
    """Returns the mean of each of 20 seeds' values."""
    return [float(values[seed == one].mean()) for one in range(20)]
