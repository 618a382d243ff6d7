"""The cost of an embedded model's decision, from text to letters, on one core and on four: prompts of a round."""

import asyncio
import multiprocessing
import os
from collections import Counter
from collections.abc import Sequence
from statistics import median
from time import perf_counter
from typing import Any, get_args

import numpy as np

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
WIDTH, LAYERS, HIDDEN, PATCH, LETTERS, QUESTIONS = 128, 4, 320, 704, 16, 2
"""The shape of the five networks: of vectors, of what lies between, of a line's tokens side by side, of answers."""

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


def products(prompts: int, rows: int, lines: int) -> Counter[tuple[int, int, int]]:
    """Returns the products of matrices, [a, b] by [b, c], of prompts of so many rows that share so many lines."""
    own, questions, seen = prompts * (rows + QUESTIONS), prompts * QUESTIONS, lines + rows + QUESTIONS
    found = Counter[tuple[int, int, int]]()

    def layer(vectors: int, keys: int, projected: int) -> None:
        # Queries, keys, values and what attention comes to are as wide as a vector; so many of the first three.
        found[vectors, WIDTH, WIDTH] += projected + 1
        found.update([(vectors, WIDTH, keys), (vectors, keys, WIDTH)])
        found[vectors, WIDTH, HIDDEN] += 2
        found[vectors, HIDDEN, WIDTH] += 1

    for vectors, keys in ((own, seen), (lines, lines)):
        found[vectors, PATCH, WIDTH] += 1
        for _ in range(LAYERS - 1):
            layer(vectors, keys, 3)
        # Only the questions go through the last layer, and look at the keys and values of all.
        found[vectors, WIDTH, WIDTH] += 2
    layer(questions, seen, 1)
    found[questions, WIDTH, LETTERS] += 1
    return found


def _bare_s(shapes: Counter[tuple[int, int, int]]) -> float:
    """Returns seconds for products of matrices of these shapes by numpy, each as often as it is told."""
    total = 0.0
    for (a, b, c), times in shapes.items():
        left, right = np.ones((a, b), dtype=np.float32), np.ones((b, c), dtype=np.float32)
        taken = []
        for _ in range(RUNS):
            started = perf_counter()
            _ = left @ right
            taken.append(perf_counter() - started)
        total += times * min(taken)
    return total


def _pool(cores: int) -> Any:
    """Returns so many new processes, in each of which numpy computes on one core."""
    names = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
    before = {name: os.environ[name] for name in names if name in os.environ}
    # It is read once, when numpy is imported.
    os.environ.update(dict.fromkeys(names, "1"))
    try:
        return multiprocessing.get_context("spawn").Pool(cores)
    finally:
        for name in names:
            del os.environ[name]
        os.environ.update(before)


def _answer_all(asked: dict[Temperament, list[ModelRequest]]) -> float:
    """Returns seconds for one answer to each prompt, by its own model, in this process with one thread."""
    five = engines()
    started = perf_counter()
    for temperament, requests in asked.items():
        replies = five[temperament].answer(requests, 600.0)
        if any(r.failed for r in replies):
            raise RuntimeError(f"{temperament}: {next(r.text for r in replies if r.failed)}")
    return perf_counter() - started


def _alone_ms(requests: list[ModelRequest]) -> float:
    """Returns milliseconds for each request, by the value model, one after another."""
    engine = engines()["value"]
    started = perf_counter()
    for request in requests:
        asyncio.run(engine.complete([request], 60.0))
    return 1_000 * (perf_counter() - started) / len(requests)


def measure(narrator: Narrator) -> list[Result]:
    """Returns the figures of one core and of four, the prompts being given; then of one request at a time."""
    # Prompts are made beforehand, so that the model alone is timed.
    narrator.phase("collecting prompts")
    asked = prompts()
    cores = min(CORES, os.cpu_count() or 1)
    shapes = Counter[tuple[int, int, int]]()
    for temperament, engine in engines().items():
        for of_a_chunk in engine.shapes(asked[temperament]):
            shapes += products(*of_a_chunk)
    millions = sum(a * b * c * times for (a, b, c), times in shapes.items()) / TRADERS / 1e6
    one: list[float] = []
    four: list[float] = []
    bare: list[float] = []
    with _pool(cores) as pool:
        # Once unmeasured: weights are read, and code is warm.
        pool.map(_answer_all, [asked] * cores, chunksize=1)
        _answer_all(asked)
        for attempt in range(RUNS):
            narrator.phase(f"run {attempt + 1} of {RUNS}")
            one.append(TRADERS / _answer_all(asked))
            bare.append(TRADERS / pool.apply(_bare_s, (shapes,)))
            # Each process answers every prompt, and what counts is the slowest.
            four.append(cores * TRADERS / max(pool.map(_answer_all, [asked] * cores, chunksize=1)))
    narrator.phase("one request at a time")
    single = [_alone_ms(asked["value"][:SINGLE_CALLS]) for _ in range(RUNS)]
    # Of all prompts of the round, each counted by its own model's tokenizer.
    tokens = [r.usage.prompt for t, batch in asked.items() for r in engines()[t].answer(batch, 600.0)]
    return [
        median_of(
            "embedded_decisions_per_s_1_core",
            one,
            "1/s",
            "higher",
            aim=AIM_PER_S,
            bound=f"{millions:.0f} million multiplications a decision; numpy makes those of {median(bare):,.0f} "
            "decisions a second, with nothing between them",
            of_bound=round(median(one) / median(bare), 3),
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
