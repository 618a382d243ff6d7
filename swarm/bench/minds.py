"""The CPU of a turn beside its calls of models, for each kind of mind: what it renders, reads, weighs and puts down.

Models are replaced by clients that answer at once, so all CPU that is left is ours. A turn is the whole way of a shard:
from what its traders are shown to their decisions.
"""

import asyncio
from collections.abc import Sequence
from importlib.util import find_spec
from statistics import median
from time import process_time
from typing import Any

from swarm.agents.memory import Memory
from swarm.agents.shard import Shard
from swarm.bench.form import RUNS, Result, median_of
from swarm.bench.runs import TEMPERAMENTS
from swarm.config_file import resolve
from swarm.llm.protocol import ModelReply, ModelRequest, TokenUsage
from swarm.planning import compose
from swarm.preflight import Narrator
from swarm.runtime.play import Shown, play

TRADERS, REPEATS = 100, 5
AIM_MS = 0.2

FINISH = '{"name": "final_answer", "arguments": {"answer": "I wait."}}'

KINDS: dict[str, dict[str, Any]] = {
    "model": {"minds": {"value": 1}},
    "rule": {"minds": {"truthful": 1}},
    "desk": {"desks": [{"name": "desk", "model": "value"}], "minds": {"desk": 1}},
    "council": {"councils": [{"name": "council", "members": list(TEMPERAMENTS)}], "minds": {"council": 1}},
    "cascade": {
        "cascades": [{"name": "cascade", "small": "value", "large": "maker", "price_ticks": 1.0, "samples": 2}],
        "minds": {"cascade": 1},
    },
}
"""By kind of mind, the traders' section of a config in which it decides for everybody."""

BOUNDS = {
    "model": "one prompt, its digest, and two letters that are read",
    "rule": "columns of all traders at once, no text",
    "desk": "smolagents' own steps, and three hops between the event loop and a thread; one call here",
    "council": "five prompts with menus in orders of their own, and five votes",
    "cascade": "two samples of the small model that agree, and the large one where it pays; stakes are weighed",
}


class _Instant:
    """A `ModelClient` that answers at once, by menu or at a desk."""

    def __init__(self, text: str) -> None:
        self._text = text

    async def complete(self, requests: Sequence[ModelRequest], deadline_s: float) -> list[ModelReply]:
        """Returns the same reply to everybody."""
        reply = ModelReply(self._text, TokenUsage(400, 2), "stop", 0.0)
        return [reply for request in requests for _ in range(request.samples)]


def measure(narrator: Narrator) -> list[Result]:
    """Returns the milliseconds of CPU of a turn of each kind of mind, five runs of each in turn."""
    there = {kind: keys for kind, keys in KINDS.items() if kind != "desk" or find_spec("smolagents")}
    shards = {kind: _Turns(kind, keys) for kind, keys in there.items()}
    runs: dict[str, list[float]] = {kind: [] for kind in there}
    for attempt in range(RUNS):
        for kind, turns in shards.items():
            narrator.phase(f"{kind}, run {attempt + 1} of {RUNS}")
            runs[kind].append(turns.cpu_ms())
    return [_result(kind, runs.get(kind), runs["model"]) for kind in KINDS]


class _Turns:
    """A shard of one kind of mind, with what its traders are shown in a round of a real run."""

    def __init__(self, kind: str, keys: dict[str, Any]) -> None:
        form = {} if kind == "desk" else {"form": "menu"}
        models = [{"name": t, "temperament": t, **form} for t in TEMPERAMENTS]
        config = {"name": "bench-minds", "rounds": 2, "population": TRADERS, "models": models}
        whole, shown = resolve({**config, "traders": keys}), Shown()
        play(whole, traders=shown.asking)
        plan, self._seen = compose(whole).run, shown.seen[-1]
        text = FINISH if kind == "desk" else "BA"
        self._shard = Shard(plan.shard, {m.name: _Instant(text) for m in plan.models})
        # What is loaded and kept with the first turn is no turn's cost.
        self.cpu_ms()

    def cpu_ms(self) -> float:
        """Returns the milliseconds of CPU of a turn, of all threads of this process."""

        async def rounds() -> None:
            for _ in range(REPEATS):
                await self._shard.decide(self._seen, Memory.empty())

        begun = process_time()
        asyncio.run(rounds())
        return 1_000 * (process_time() - begun) / (REPEATS * TRADERS)


def _result(kind: str, runs: list[float] | None, of_model: list[float]) -> Result:
    name = f"minds_{kind}_cpu_ms_per_turn"
    if runs is None:
        return Result(name, None, "ms", "lower", note="the extra `desks` is not installed")
    # A ratio of the same run holds on any machine, however busy.
    ratio = median(own / alone for own, alone in zip(runs, of_model, strict=True))
    return median_of(name, runs, "ms", "lower", aim=AIM_MS, bound=f"{BOUNDS[kind]}; {ratio:.2g} times `model`")
