"""The cost that smolagents adds to a turn at a desk: stock and ours, two calls of an instant model, three tools."""

import asyncio
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Any

import numpy as np

from swarm.agents.config import DeskConfig
from swarm.agents.decision import Rules
from swarm.agents.observation import Barter, Observation, PrivateViews, PublicView
from swarm.bench.form import RUNS, Result, median_of
from swarm.llm.protocol import ModelReply, ModelRequest, TokenUsage
from swarm.preflight import Narrator, must_be_installed

TURNS = 100
WARM_UP_TURNS = 10
GOODS = ("acorns", "berries", "mushrooms", "honey", "firewood")
AIM_MS = 2.0
REPLIES = (
    '{"name": "portfolio", "arguments": {}}',
    '{"name": "final_answer", "arguments": {"answer": "I wait."}}',
)


class _Instant:
    """A `ModelClient` that looks once and then finishes, without delay."""

    async def complete(self, requests: Sequence[ModelRequest], deadline_s: float) -> list[ModelReply]:
        """Returns the first reply to a prompt without results, the second to all others."""
        texts = (REPLIES[len(request.messages) > 2] for request in requests)
        return [ModelReply(text, TokenUsage(500, 20), "stop", 0.0) for text in texts]


def seen() -> Observation:
    """Returns what one trader of the wood is shown."""
    # One row: a turn at a desk is measured by itself.
    zeros = np.zeros(len(GOODS), dtype=np.int64)
    row = np.arange(len(GOODS), dtype=np.int64)[None, :]
    one = np.ones(1, dtype=np.int64)
    public = PublicView(2, 60, "autumn", (), zeros + 20, zeros, zeros + 20, zeros + 5, zeros, zeros)
    barter = Barter(0 * one, row, row, row + 20, 50 * one)
    private = PrivateViews(0 * one, 40_000 * one, row, 0 * row, 0 * row, ("",), ((),), barter)
    return Observation(public, private)


def ours() -> Callable[[], None]:
    """Returns a hundred turns on all of a shard's way: from the event loop to a thread and back, twice."""
    from swarm.agents.desk import Desk

    desk = Desk(
        DeskConfig(name="bench", model="instant", tools=("market_data", "portfolio", "place_order")),
        _Instant(),
        200,
        Rules(GOODS, 3, 1_000, 100),
        "You live in the Wood.",
        100,
    )
    shown = seen()

    def turns(n: int) -> None:
        async def all_turns() -> None:
            for _ in range(n):
                (turn,) = await desk.decide(shown, [0], [1], 60.0)
                if turn.usage.total != 2 * 520:
                    raise ValueError(f"a turn at the desk was not two calls of the model: {turn.text}")

        asyncio.run(all_turns())

    return _repeated(turns)


def stock() -> Callable[[], None]:
    """Returns a hundred runs of smolagents' own agent, made once, with its log off."""
    from smolagents import ChatMessage, LogLevel, MessageRole, Model, Tool, ToolCallingAgent
    from smolagents.monitoring import TokenUsage as AgentTokenUsage

    class InstantModel(Model):  # type: ignore[misc]  # smolagents ships no types
        """Gives the same replies, as smolagents' own models do."""

        def generate(self, messages: list[Any], *_: Any, **__: Any) -> Any:
            # What smolagents' models do with messages before they send them belongs to its cost.
            prepared = self._prepare_completion_kwargs(messages, tools_to_call_from=agent.tools_and_managed_agents)
            text = REPLIES[len(prepared["messages"]) > 2]
            return ChatMessage(MessageRole.ASSISTANT, text, token_usage=AgentTokenUsage(500, 20))

    class Look(Tool):  # type: ignore[misc]
        """A tool that returns a few lines."""

        name, description, output_type = "portfolio", "your purse, stock, needs and worths", "string"
        inputs: dict[str, Any] = {}  # noqa: RUF012 - smolagents wants a plain class attribute

        def forward(self) -> str:
            return "PURSE 400\nSTOCK good HAVE NEED SPARE WORTH\nacorns 1 2 0 20"

    # As many tools as ours has, since each of them is described in the prompt.
    tools = [Look(), Look(), Look()]
    tools[1].name, tools[2].name = "market_data", "place_order"
    agent = ToolCallingAgent(tools=tools, model=InstantModel(), verbosity_level=LogLevel.OFF, max_steps=8)

    def turns(n: int) -> None:
        for _ in range(n):
            if agent.run("ROUND 2 of 60, autumn. Trade for yourself, then call final_answer.") != "I wait.":
                raise ValueError("smolagents' own agent did not finish")

    return _repeated(turns)


def _repeated(turns: Callable[[int], None]) -> Callable[[], None]:
    turns(WARM_UP_TURNS)
    return lambda: turns(TURNS)


def measure(narrator: Narrator) -> list[Result]:
    """Returns the figures of both, five times in turn; each is the mean of a hundred runs in a row, in wall time."""
    must_be_installed("smolagents", "desks", "swarm bench desks")
    ways = {"plain": stock(), "ours": ours()}
    figures: dict[str, list[float]] = {name: [] for name in ways}
    for attempt in range(RUNS):
        for name, way in ways.items():
            narrator.phase(f"run {attempt + 1} of {RUNS}, {name}")
            begun = perf_counter()
            way()
            figures[name].append((perf_counter() - begun) * 1_000 / TURNS)
    # Neighbours are compared, so that what else the machine does meets both.
    ratios = [plain / own for plain, own in zip(figures["plain"], figures["ours"], strict=True)]
    return [
        median_of(
            "desk_ms_per_run",
            figures["ours"],
            "ms",
            "lower",
            aim=AIM_MS,
            bound="smolagents' own steps and memory, and three hops between the event loop and a thread",
        ),
        median_of(
            "desk_ms_per_run_plain",
            figures["plain"],
            "ms",
            "lower",
            bound="templates that are compiled anew in each run, and rich text for a log that is off",
        ),
        median_of("desk_plain_over_ours", ratios, "ratio", "higher"),
    ]
