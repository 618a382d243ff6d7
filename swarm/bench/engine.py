"""The share of time in which an engine is busy: turns a second of a run over those of its prompts alone."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from time import perf_counter

from swarm.bench.form import RUNS, Result, median_of
from swarm.bench.runs import Warm, play
from swarm.config import RunConfig
from swarm.config_file import resolve
from swarm.errors import ConfigError
from swarm.llm.engines.vllm.config import VllmModel
from swarm.llm.engines.vllm.engine import VllmEngine
from swarm.llm.protocol import ModelReply, ModelRequest
from swarm.preflight import Narrator
from swarm.runtime import play as playing
from swarm.runtime.ports import RunsOn
from swarm.simulation.traders import LocalTraders, kept_open

TRADERS = 512
WARM_UP_ROUNDS = 1
ROUNDS = 3
BUSY_AIM = 0.95
BLOCK_TOKENS = 32
"""Tokens in a block of the prefix cache on a CPU."""


class Kept:
    """A `ModelClient` that keeps what each round asked of an engine, and what that answered."""

    def __init__(self, engine: VllmEngine) -> None:
        self.engine = engine
        self.batches: list[list[ModelRequest]] = []
        self.replies: list[list[ModelReply]] = []

    async def complete(self, requests: Sequence[ModelRequest], deadline_s: float) -> list[ModelReply]:
        """Asks the engine."""
        replies = await self.engine.complete(requests, deadline_s)
        self.batches.append(list(requests))
        self.replies.append(replies)
        return replies


def config(folder: Path, catalogue: str) -> RunConfig:
    """Returns the wood with one vLLM engine on the CPU and weights of chance."""
    if not (folder / "config.json").exists():
        raise ConfigError(f"--engine {folder}", "there is no model here", "name a folder with a config.json")
    model = {
        "name": "engine",
        "engine": "vllm",
        "catalogue": catalogue,
        "source": str(folder),
        "weights": "dummy",
        "hardware": {"kind": "cpu"},
        "max_completion_tokens": 300,
    }
    return resolve(
        {
            "name": "bench-engine",
            "rounds": WARM_UP_ROUNDS + ROUNDS,
            "population": TRADERS,
            "models": [model],
            "budget": {"round_deadline_s": 120},
            "runtime": {"start_timeout_s": 600},
        }
    )


def not_measured() -> list[Result]:
    """Returns the same figures where no engine was named."""
    note = "needs the real vLLM and a model: make bench-engine"
    return [
        Result("engine_busy_ratio", None, "ratio", "higher", aim=BUSY_AIM, note=note),
        Result("uncached_prefix_blocks", None, "blocks", "lower", aim=2.0, note=note),
    ]


def measure(folder: Path, catalogue: str, narrator: Narrator) -> list[Result]:
    """Returns the figures of five runs over Ray, in one process, and of their prompts straight to the engine."""
    run = config(folder, catalogue)
    over_ray: list[float] = []
    local: list[float] = []
    straight: list[float] = []
    blocks: list[float] = []
    for attempt in range(RUNS):
        narrator.phase(f"run {attempt + 1} of {RUNS}, over Ray")
        # The two halves of a pair follow each other, since the machine's speed drifts.
        over_ray.append(_over_ray(run, narrator))
        narrator.phase(f"run {attempt + 1} of {RUNS}, in one process and straight to the engine")
        one, direct, missed = _in_one_process(run)
        local.append(one)
        straight.append(direct)
        blocks.append(missed)
    bound = (
        "1: the engine never waits for the swarm; on a shared machine its own speed swings by a tenth and more between "
        "the two halves of a pair"
    )
    # Each run against the engine alone in the same pair of minutes.
    by_ray, by_one = ([a / b for a, b in zip(rates, straight, strict=True)] for rates in (over_ray, local))
    return [
        median_of(
            "engine_busy_ratio", by_ray, "ratio", "higher", aim=BUSY_AIM, bound=bound, of_bound=min(1.0, median(by_ray))
        ),
        median_of("engine_busy_ratio_local", by_one, "ratio", "higher", aim=BUSY_AIM, bound=bound),
        median_of("engine_turns_per_s", straight, "1/s", "higher", bound="the engine itself, on one thread of a CPU"),
        median_of(
            "uncached_prefix_blocks",
            blocks,
            "blocks",
            "lower",
            aim=2.0,
            bound=f"0: all but the first prompt of a round find what it shares with them in the cache, in blocks of "
            f"{BLOCK_TOKENS} tokens",
        ),
    ]


def _over_ray(run: RunConfig, narrator: Narrator) -> float:
    watch = Warm(WARM_UP_ROUNDS)
    play(run, RunsOn(), narrator, watch)
    return watch.turns_per_s


def _in_one_process(run: RunConfig) -> tuple[float, float, float]:
    """Returns turns a second of a local run and of its prompts alone, and missed blocks per request."""
    watch = Warm(WARM_UP_ROUNDS)
    [model] = run.models
    if not isinstance(model, VllmModel):
        raise TypeError(f"a run on {type(model).__name__} cannot be compared with vLLM")
    engine = VllmEngine(model)
    kept = Kept(engine)
    # The market and its journal work meanwhile, as in any run; the engine is the only model.
    with tempfile.TemporaryDirectory() as folder, kept_open([engine]) as runner:
        playing.play(
            run,
            watch,
            clients={"engine": kept},
            traders=lambda plan, _: LocalTraders(plan.shard, {"engine": kept}, runner.run),
            journals_in=Path(folder),
        )
        batches, replies = kept.batches[WARM_UP_ROUNDS:], kept.replies[WARM_UP_ROUNDS:]
        missed = [missed_blocks(engine.tokens(b), r) for b, r in zip(batches, replies, strict=True)]
        # The run has filled the cache with just these prompts.
        runner.run(engine.forget())
        started = perf_counter()
        for batch in batches:
            runner.run(engine.complete(batch, 120.0))
        straight = sum(map(len, batches)) / (perf_counter() - started)
    return watch.turns_per_s, straight, median(missed)


def missed_blocks(prompts: Sequence[Sequence[int]], replies: Sequence[ModelReply]) -> float:
    """Returns blocks per request that were computed although all prompts, given as tokens, begin with them.

    The first to come has to compute them; of the others each could find all whole blocks in the cache.
    """
    # Tokens from the first on that are the same in every prompt.
    shared = 0
    for column in zip(*prompts, strict=False):
        if len(set(column)) > 1:
            break
        shared += 1
    # Blocks per request, the first request having to compute them.
    ideal = shared // BLOCK_TOKENS * (len(prompts) - 1) / len(prompts)
    cached = sum(reply.usage.cached_prompt for reply in replies) / len(replies) / BLOCK_TOKENS
    return max(0.0, ideal - cached)
