"""The cost of an embedded model's decision, from text to letters, on one core and on four: prompts of a round."""

import asyncio
import multiprocessing
import os
from collections.abc import Sequence
from time import perf_counter
from typing import get_args

from swarm.agents.policies.menu import answer_menu
from swarm.bench.form import RUNS, Result, median_of
from swarm.config_file import resolve
from swarm.llm.engines.embedded.config import EmbeddedModel
from swarm.llm.engines.embedded.engine import EmbeddedEngine
from swarm.llm.protocol import ModelReply, ModelRequest, TokenUsage
from swarm.llm.temperament import Temperament
from swarm.preflight import Narrator
from swarm.runtime.play import play

TRADERS = 1_000
CORES = 4
AIM_PER_S = 5_000
SINGLE_CALLS = 50
TEMPERAMENTS: tuple[Temperament, ...] = get_args(Temperament)


class _Collector:
    """A `ModelClient` that answers by the rules and keeps what it was asked last."""

    def __init__(self, temperament: Temperament) -> None:
        self.temperament = temperament
        self.requests: Sequence[ModelRequest] = ()

    async def complete(self, requests: Sequence[ModelRequest], deadline_s: float) -> list[ModelReply]:
        """Answers at once."""
        self.requests = requests
        texts = [answer_menu(self.temperament, r.messages[-1].content) for r in requests]
        return [ModelReply(text, TokenUsage(0, 2), "stop", 0.0) for text in texts]


def prompts() -> dict[Temperament, list[ModelRequest]]:
    """Returns what the traders of each temperament are asked in the fourth round of a wood of 1,000."""
    models = [{"name": t, "engine": "embedded", "temperament": t} for t in TEMPERAMENTS]
    clients = {t: _Collector(t) for t in TEMPERAMENTS}
    config = resolve({"rounds": 4, "population": TRADERS, "models": models})
    play(config, clients={str(t): c for t, c in clients.items()})
    return {t: list(client.requests) for t, client in clients.items()}


def engines() -> dict[Temperament, EmbeddedEngine]:
    return {t: EmbeddedEngine(EmbeddedModel(name=t, engine="embedded", temperament=t)) for t in TEMPERAMENTS}


def _answer_all(asked: dict[Temperament, list[ModelRequest]]) -> float:
    """Returns seconds for one answer to each prompt, by its own model, in this process with one thread."""
    five = engines()
    started = perf_counter()
    for temperament, requests in asked.items():
        replies = five[temperament].answer(requests, 600.0)
        if any(r.failed for r in replies):
            raise RuntimeError(f"{temperament}: {next(r.text for r in replies if r.failed)}")
    return perf_counter() - started


def measure(narrator: Narrator) -> list[Result]:
    """Returns the figures of one core and of four, the prompts being given; then of one request at a time."""
    # Prompts are made beforehand, so that the model alone is timed.
    narrator.phase("collecting prompts")
    asked = prompts()
    cores = min(CORES, os.cpu_count() or 1)
    one: list[float] = []
    four: list[float] = []
    with multiprocessing.get_context("spawn").Pool(cores) as pool:
        # Once unmeasured: weights are read, and code is warm.
        pool.map(_answer_all, [asked] * cores, chunksize=1)
        _answer_all(asked)
        for attempt in range(RUNS):
            narrator.phase(f"run {attempt + 1} of {RUNS}")
            one.append(TRADERS / _answer_all(asked))
            # Each process answers every prompt, and what counts is the slowest.
            four.append(cores * TRADERS / max(pool.map(_answer_all, [asked] * cores, chunksize=1)))
    narrator.phase("one request at a time")
    engine, requests = engines()["value"], asked["value"][:SINGLE_CALLS]
    single: list[float] = []
    for _ in range(RUNS):
        started = perf_counter()
        for request in requests:
            asyncio.run(engine.complete([request], 60.0))
        single.append(1_000 * (perf_counter() - started) / len(requests))
    # Of all prompts of the round, each counted by its own model's tokenizer.
    tokens = [r.usage.prompt for t, batch in asked.items() for r in engines()[t].answer(batch, 600.0)]
    return [
        median_of(
            "embedded_decisions_per_s_1_core",
            one,
            "1/s",
            "higher",
            aim=AIM_PER_S,
            bound="about 40 million multiplications a decision, which onnxruntime makes; a twentieth is the tokenizer",
        ),
        median_of(
            f"embedded_decisions_per_s_{cores}_cores",
            four,
            "1/s",
            "higher",
            bound="the same on every core",
        ),
        median_of(
            "embedded_single_request_ms",
            single,
            "ms",
            "lower",
            bound="the public part is computed for one prompt alone",
        ),
        Result("embedded_prompt_tokens", round(sum(tokens) / len(tokens), 1), "tokens", "lower"),
    ]
