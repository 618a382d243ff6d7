"""The cost of prompts in tokens, by the number of traders and by who hears what.

Prompts are those of real runs of the Wood with scripted policies, which are no language models, but are asked in the
same words. Tokens are the project's estimate; those that an engine computes follow from a model of its prefix cache.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from statistics import mean, median
from typing import Any

import numpy as np

from swarm.agents.config import BudgetConfig
from swarm.agents.memory import Memory
from swarm.agents.observation import Int64, Observation
from swarm.agents.shard import Shard
from swarm.bench import pruning
from swarm.bench.form import RUNS, Result, median_of
from swarm.bench.prefix_cache import BLOCK_TOKENS, BlockCache
from swarm.bench.runs import TEMPERAMENTS
from swarm.config_file import resolve
from swarm.coordination.messages import Messages
from swarm.llm import engines
from swarm.llm.protocol import Message, ModelClient, ModelReply, ModelRequest, TokenUsage
from swarm.llm.tokens import MESSAGE_OVERHEAD, count_tokens, pieces
from swarm.preflight import Narrator
from swarm.runtime.play import Shown, play
from swarm.scenarios.protocol import MarketState
from swarm.simulation.loop import RoundOutcome
from swarm.simulation.plan import RunPlan

POPULATIONS = (10, 32, 100, 316, 1_000, 3_162, 10_000)
TRADERS = 1_000
FIRST_MEASURED, LAST_MEASURED = 4, 5
"""Rounds whose tokens are counted: by then all is said that is said in a round."""

STAND_ROUNDS = 4
LAST_STANDING = 13
"""The last round that is counted where orders stand: ten of them, since traders wake in waves."""

AIM_SLOPE = 1.05
AIM_SHARE = 0.1
"""Of the tokens of prompts in which everybody reads everything, the share that may be computed."""

ROUTED: dict[str, Any] = {"hears": 8, "router": {"message_tokens": 40}}
STANDING: dict[str, Any] = {**ROUTED, "standing": {"max_rounds": STAND_ROUNDS}}


class _Meter:
    """A `ModelClient` that counts the tokens of what an engine is asked, and those that it would compute."""

    def __init__(self, inner: ModelClient | None, cache: BlockCache | None) -> None:
        self.inner = inner
        self.cache = cache
        self.prompt_tokens = self.computed_tokens = self.completion_tokens = 0

    async def complete(self, requests: Sequence[ModelRequest], deadline_s: float) -> list[ModelReply]:
        """Counts, then asks; where there is nobody to ask, the answer is nothing."""
        for request in requests:
            if self.cache is None:
                length = sum(count_tokens(m.content) + MESSAGE_OVERHEAD for m in request.messages)
            else:
                tokens = [token for message in request.messages for token in tokens_of(message)]
                length = len(tokens)
                # A prompt that several traders share is computed once for all of them.
                self.computed_tokens += self.cache.computed(tokens)
            self.prompt_tokens += request.samples * length
        # Only lengths are asked for: a meter without a model behind it answers with silence.
        if self.inner is None:
            silence = ModelReply("", TokenUsage(0, 0), "stop", 0.0)
            return [silence] * sum(request.samples for request in requests)
        replies = await self.inner.complete(requests, deadline_s)
        self.completion_tokens += sum(reply.usage.completion for reply in replies)
        return replies


def tokens_of(message: Message) -> list[str]:
    """Returns a message's tokens as the project estimates them, those of its borders first."""
    border = [f"<{message.role} {n}>" for n in range(MESSAGE_OVERHEAD)]
    return border + (_kept_pieces if message.role == "system" else pieces)(message.content)


@lru_cache(maxsize=64)
def _kept_pieces(text: str) -> list[str]:
    return pieces(text)


@dataclass(slots=True)
class Tokens:
    """The tokens of the measured rounds of one run, by round; `all_prompt` is of prompts with every message."""

    prompt: list[int] = field(default_factory=list)
    computed: list[int] = field(default_factory=list)
    completion: list[int] = field(default_factory=list)
    all_prompt: list[int] = field(default_factory=list)


class _Counter:
    """A watcher that takes down what the meters read, and what they would if everybody read everything."""

    def __init__(self, traders: Shown, meters: dict[str, _Meter], with_all: bool) -> None:
        self.traders, self.meters, self.with_all = traders, meters, with_all
        self.tokens = Tokens()
        self._said = Messages.none(0)
        self._before = self._read()

    def started(self, plan: RunPlan, opening: MarketState, named: Int64) -> None:
        """Has nothing to take down yet."""

    def round_done(self, outcome: RoundOutcome) -> None:
        """Takes down a round."""
        now = self._read()
        # Meters count up through a run; a round is the difference of two readings.
        spent = [after - before for after, before in zip(now, self._before, strict=True)]
        if outcome.round >= FIRST_MEASURED:
            for column, n in zip(
                (self.tokens.prompt, self.tokens.computed, self.tokens.completion), spent, strict=True
            ):
                column.append(n)
            if self.with_all:
                self.tokens.all_prompt.append(all_prompt_tokens(outcome.plan, self.traders.seen[-1], self._said))
        self._before = now
        self._said = outcome.said

    def _read(self) -> tuple[int, int, int]:
        meters = self.meters.values()
        return (
            sum(m.prompt_tokens for m in meters),
            sum(m.computed_tokens for m in meters),
            sum(m.completion_tokens for m in meters),
        )


def all_prompt_tokens(plan: RunPlan, seen: Observation, said: Messages) -> int:
    """Returns tokens of the round's prompts if each trader read every message of every other; they are really made."""
    senders = said.sender.tolist()
    heard = tuple(
        tuple(text for sender, text in zip(senders, said.text, strict=True) if sender != trader)
        for trader in range(plan.traders)
    )
    # With a budget in which all of it fits, and with nobody to answer.
    most = BudgetConfig(tokens_per_turn=100_000)
    meters = {m.name: _Meter(None, None) for m in plan.models}
    shard = Shard(replace(plan.shard, budget=most), meters)
    answer = asyncio.run(shard.decide(Observation(seen.public, replace(seen.private, heard=heard)), Memory.empty()))
    if answer.turns.pruned_messages.any():
        raise RuntimeError("a prompt with all messages is longer than any budget may be")
    return sum(meter.prompt_tokens for meter in meters.values())


def count(
    population: int, seed: int, traders: dict[str, Any], with_all: bool = False, rounds: int = LAST_MEASURED
) -> Tokens:
    """Returns tokens of the measured rounds of a wood of the five scripted policies."""
    config = resolve(
        {
            "seed": seed,
            "rounds": rounds,
            "population": population,
            "models": [{"name": t, "temperament": t} for t in TEMPERAMENTS],
            "traders": traders,
        }
    )
    meters = {m.name: _Meter(engines.in_process(m), BlockCache()) for m in config.models}
    shown = Shown()
    counter = _Counter(shown, meters, with_all)
    play(config, counter, clients=meters, traders=shown.asking)
    return counter.tokens


def slope(narrator: Narrator) -> Result:
    """Returns the log-log slope, over populations, of tokens computed in a round: uncached prompts and replies."""
    slopes: list[float] = []
    for seed in range(1, RUNS + 1):
        # Computed tokens of a round at each population, mean of the measured rounds.
        computed = []
        for population in POPULATIONS:
            narrator.phase(f"run {seed} of {RUNS}, {population} traders")
            tokens = count(population, seed, ROUTED)
            computed.append(mean(tokens.computed) + mean(tokens.completion))
        # The exponent of a power law through the populations: 1 is linear, 2 would be everybody reading everybody.
        slopes.append(float(np.polyfit(np.log(POPULATIONS), np.log(computed), 1)[0]))
    return median_of(
        "token_slope",
        slopes,
        "ratio",
        "lower",
        aim=AIM_SLOPE,
        bound="1, once the common prefix, which is computed once per model and round, weighs little",
        note=f"{POPULATIONS[0]} to {POPULATIONS[-1]:,} traders; {_CACHE}",
    )


_CACHE = (
    f"computed: by a model of an engine's prefix cache (blocks of {BLOCK_TOKENS} tokens, nothing evicted, one request "
    "after another, tokens as the project estimates them), not measured on an engine"
)


def prompt_tokens(narrator: Narrator) -> list[Result]:
    """Returns prompt tokens of a round of 1,000 traders, four ways."""
    runs: list[Tokens] = []
    stood: list[Tokens] = []
    for seed in range(1, RUNS + 1):
        narrator.phase(f"run {seed} of {RUNS}, {TRADERS} traders, four ways to hear")
        runs.append(count(TRADERS, seed, ROUTED, with_all=True))
        stood.append(count(TRADERS, seed, STANDING, rounds=LAST_STANDING))
    # From the dearest way to the cheapest; the last aims at a share of the first.
    everything = median_of(
        "prompt_tokens_all",
        [mean(r.all_prompt) for r in runs],
        "tokens",
        "lower",
        bound="every message in every prompt: the square of the number of traders",
    )
    routed = median_of(
        "prompt_tokens_routed",
        [mean(r.prompt) for r in runs],
        "tokens",
        "lower",
        bound="the common prefix, which stands in every prompt",
    )
    computed = median_of(
        "prompt_tokens_computed",
        [mean(r.computed) for r in stood],
        "tokens",
        "lower",
        aim=round(AIM_SHARE * (everything.value or 0)),
        bound="what is private to those who are asked",
        note=f"with standing orders; without: {median(mean(r.computed) for r in runs):,.0f}; {_CACHE}",
    )
    standing = median_of(
        "prompt_tokens_standing",
        [mean(r.prompt) for r in stood],
        "tokens",
        "lower",
        bound="how many traders have something to decide",
        note=f"scripted policies, whose orders stand for up to {STAND_ROUNDS} rounds; mean of ten rounds",
    )
    return [everything, routed, standing, computed]


def measure(narrator: Narrator) -> list[Result]:
    """Returns the slope, the four ways, and the cost of pruning in behaviour."""
    return [slope(narrator), *prompt_tokens(narrator), *pruning.measure(narrator)]
