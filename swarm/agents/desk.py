"""Desks: traders who act with tools, each as an agent that thinks with one of our models.

This module needs smolagents and is imported only where a run has desks. There is no code agent: agents emit data.
smolagents is synchronous, so agents run in threads, and their models' calls go back to the event loop.
"""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter

from swarm.agents.config import DeskConfig
from swarm.agents.decision import Rules
from swarm.agents.desk_agent import SeatAgent
from swarm.agents.desk_tools import Seat, alone, call_schema, system_text, task_text
from swarm.agents.desk_turn import DeskTurn, Terms, TurnUnderWay
from swarm.agents.observation import Observation
from swarm.llm.protocol import ModelClient
from swarm.llm.tokens import ESTIMATED

THREADS = 128
"""Most traders of one desk and shard that are at it at once."""


class Desk:
    """All traders of one desk in a shard. An agent keeps nothing from one round to the next."""

    def __init__(
        self,
        config: DeskConfig,
        client: ModelClient,
        completion_tokens: int,
        rules: Rules,
        scenario_rules: str,
        tick_cents: int,
        model: str = "",
    ) -> None:
        """`model` is the name of the client's model, if not the one that the desk's config names."""
        self.config = config
        self.rules = rules
        self.tick_cents = tick_cents
        self.system = system_text(scenario_rules, config, rules)
        schema = call_schema(config, rules)
        self.terms = Terms(client, model or config.model, schema, config.max_tokens, completion_tokens)
        # Agents are dear to make and are kept; what they hold is reset at the start of each turn.
        self._agents: dict[int, SeatAgent] = {}
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix=f"desk-{config.name}")

    async def decide(
        self, seen: Observation, rows: Sequence[int], seeds: Sequence[int], deadline_s: float
    ) -> list[DeskTurn]:
        """Returns a turn for each of these rows of `seen.private`, all within `deadline_s` seconds."""
        loop = asyncio.get_running_loop()
        until = perf_counter() + deadline_s
        task, size = task_text(seen), seen.public.sizes.get(self.terms.model, ESTIMATED)
        turns = []
        for row, seed in zip(rows, seeds, strict=True):
            turn = self.agent(int(seen.private.trader[row])).turn
            under_way = TurnUnderWay(self.terms, loop, until, seed, size)
            # A thread for each turn: it spends nearly all of its time waiting for the event loop's replies.
            turns.append(loop.run_in_executor(self._threads, turn, alone(seen, row), task, under_way))
        return list(await asyncio.gather(*turns))

    def agent(self, trader: int) -> SeatAgent:
        """Returns the one agent of a trader, with tools that are bound to this trader's seat."""
        if trader not in self._agents:
            self._agents[trader] = SeatAgent(self.system, Seat(trader, self.config, self.rules, self.tick_cents))
        return self._agents[trader]
