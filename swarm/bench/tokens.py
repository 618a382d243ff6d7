"""What prompts cost in tokens: by the number of traders, by who hears what, and what pruning changes in a market.

Prompts are those of real runs of the Wood with scripted policies, which are no language models, but are asked in the
same words. Tokens are the project's estimate; those that an engine computes follow from a model of its prefix cache.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from statistics import mean, median
from typing import Any, Literal

import numpy as np

from swarm.agents.config import BudgetConfig
from swarm.agents.memory import Memory
from swarm.agents.observation import Int64, Observation
from swarm.agents.shard import Shard
from swarm.bench.form import RUNS, Result, median_of
from swarm.bench.prefix_cache import BLOCK_TOKENS, BlockCache
from swarm.bench.runs import TEMPERAMENTS
from swarm.config_file import resolve
from swarm.coordination.messages import Messages
from swarm.llm import engines
from swarm.llm.protocol import Message, ModelClient, ModelReply, ModelRequest, TokenUsage
from swarm.llm.tokens import MESSAGE_OVERHEAD, count_tokens, pieces
from swarm.planning import compose
from swarm.preflight import Narrator
from swarm.scenarios.protocol import MarketState
from swarm.simulation.loop import RoundOutcome
from swarm.simulation.market import Market
from swarm.simulation.plan import RunPlan
from swarm.simulation.record import Recorder
from swarm.simulation.traders import Gathered, LocalTraders
from swarm.simulation.world import run_rounds
from swarm.training.evaluate import interval, surplus

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

SEEDS = 20
MARKET_TRADERS = 60
MARKET_ROUNDS = 30
HEARING = {"hears": 8, "minds": {"momentum": 3, "panic-menu": 1, "value": 1, "maker": 1}}
WAYS: dict[str, dict[str, Any]] = {
    "whole": HEARING,
    "weighted": {**HEARING, "router": {"message_tokens": 20}},
    "random": {**HEARING, "router": {"message_tokens": 20, "ranker": "random"}},
    "silent": {**HEARING, "hears": 0},
}
"""The same markets with all that contacts say, with it pruned, with it pruned by lot, and with nothing heard at all."""


class _Meter:
    """A `ModelClient` that counts the tokens of what an engine is asked, and those that it would compute."""

    def __init__(self, inner: ModelClient | None, cache: BlockCache | None) -> None:
        self.inner = inner
        self.cache = cache
        self.prompt_tokens = self.computed_tokens = self.completion_tokens = 0

    async def complete(self, requests: Sequence[ModelRequest], deadline_s: float) -> list[ModelReply]:
        """Count, then ask; where there is nobody to ask, the answer is nothing."""
        for request in requests:
            if self.cache is None:
                length = sum(count_tokens(m.content) + MESSAGE_OVERHEAD for m in request.messages)
            else:
                tokens = [token for message in request.messages for token in tokens_of(message)]
                length = len(tokens)
                # A prompt that several traders share is computed once for all of them.
                self.computed_tokens += self.cache.computed(tokens)
            self.prompt_tokens += request.samples * length
        if self.inner is None:
            silence = ModelReply("", TokenUsage(0, 0), "stop", 0.0)
            return [silence] * sum(request.samples for request in requests)
        replies = await self.inner.complete(requests, deadline_s)
        self.completion_tokens += sum(reply.usage.completion for reply in replies)
        return replies


def tokens_of(message: Message) -> list[str]:
    """A message's tokens as the project estimates them, those of its borders first."""
    border = [f"<{message.role} {n}>" for n in range(MESSAGE_OVERHEAD)]
    return border + (_kept_pieces if message.role == "system" else pieces)(message.content)


@lru_cache(maxsize=64)
def _kept_pieces(text: str) -> list[str]:
    return pieces(text)


class _Traders(LocalTraders):
    """All traders in this process, with what they were last shown."""

    seen: Observation

    def decide(self, seen: Observation) -> Gathered:
        """Ask everybody."""
        self.seen = seen
        return super().decide(seen)


@dataclass(slots=True)
class Tokens:
    """Tokens of the measured rounds of one run, by round; `all_prompt` has those of prompts with every message."""

    prompt: list[int] = field(default_factory=list)
    computed: list[int] = field(default_factory=list)
    completion: list[int] = field(default_factory=list)
    all_prompt: list[int] = field(default_factory=list)


class _Counter:
    """A watcher that takes down what the meters read, and asks what it would be if everybody read everything."""

    def __init__(self, plan: RunPlan, traders: _Traders, meters: dict[str, _Meter], with_all: bool) -> None:
        self.plan, self.traders, self.meters, self.with_all = plan, traders, meters, with_all
        self.tokens = Tokens()
        self._said = Messages.none(0)
        self._before = self._read()

    def started(self, plan: RunPlan, opening: MarketState, named: Int64) -> None:
        """Nothing was asked yet."""

    def round_done(self, outcome: RoundOutcome) -> None:
        """Take down a round."""
        now = self._read()
        spent = [after - before for after, before in zip(now, self._before, strict=True)]
        if outcome.round >= FIRST_MEASURED:
            for column, n in zip(
                (self.tokens.prompt, self.tokens.computed, self.tokens.completion), spent, strict=True
            ):
                column.append(n)
            if self.with_all:
                self.tokens.all_prompt.append(all_prompt_tokens(self.plan, self.traders.seen, self._said))
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
    """Tokens of the round's prompts if each trader read every message of every other; the prompts are really made."""
    senders = said.sender.tolist()
    heard = tuple(
        tuple(text for sender, text in zip(senders, said.text, strict=True) if sender != trader)
        for trader in range(plan.traders)
    )
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
    """Tokens of the measured rounds of a wood of the five scripted policies."""
    plan = compose(
        resolve(
            {
                "seed": seed,
                "rounds": rounds,
                "population": population,
                "models": [{"name": t, "temperament": t} for t in TEMPERAMENTS],
                "traders": traders,
            }
        )
    ).run
    meters = {m.name: _Meter(engines.in_process(m), BlockCache()) for m in plan.models}
    asked = _Traders(plan.shard, meters)
    counter = _Counter(plan, asked, meters, with_all)
    run_rounds(plan, Market(plan.market, None), asked, (counter,))
    return counter.tokens


def slope(narrator: Narrator) -> Result:
    """The log-log slope of tokens computed in a round, prompts after the prefix cache and replies, over populations."""
    slopes: list[float] = []
    for seed in range(1, RUNS + 1):
        computed = []
        for population in POPULATIONS:
            narrator.phase(f"run {seed} of {RUNS}, {population} traders")
            tokens = count(population, seed, ROUTED)
            computed.append(mean(tokens.computed) + mean(tokens.completion))
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
    """Prompt tokens of a round of 1,000 traders, four ways."""
    runs: list[Tokens] = []
    stood: list[Tokens] = []
    for seed in range(1, RUNS + 1):
        narrator.phase(f"run {seed} of {RUNS}, {TRADERS} traders, four ways to hear")
        runs.append(count(TRADERS, seed, ROUTED, with_all=True))
        stood.append(count(TRADERS, seed, STANDING, rounds=LAST_STANDING))
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


@dataclass(slots=True)
class Behaviour:
    """What a market came to, and how many deliveries were pruned on the way."""

    efficiency: float
    volume_lots: float
    price_error: float
    gini: float
    delivered: int
    addressed: int


class _Surplus:
    """A watcher that adds up what traders gained, and could have gained, at the worths that they were shown."""

    def __init__(self, traders: _Traders) -> None:
        self.traders = traders
        self.realised = self.possible = 0

    def started(self, plan: RunPlan, opening: MarketState, named: Int64) -> None:
        """Nothing was traded yet."""

    def round_done(self, outcome: RoundOutcome) -> None:
        """Add a round."""
        realised, possible = surplus(self.traders.seen, outcome.cleared.trades)
        self.realised += realised
        self.possible += possible


def behaviour(seed: int, traders: dict[str, Any]) -> Behaviour:
    """One market whose minds act on what they hear, as far as scripted policies do."""
    plan = compose(
        resolve(
            {
                "seed": seed,
                "rounds": MARKET_ROUNDS,
                "population": MARKET_TRADERS,
                "scenario": {
                    "name": "wood",
                    "shocks": [
                        {"kind": "mania", "round": 6, "good": "acorns"},
                        {"kind": "blight", "round": 16, "good": "mushrooms"},
                    ],
                },
                "models": [
                    *({"name": t, "temperament": t} for t in ("momentum", "value", "maker")),
                    {"name": "panic-menu", "temperament": "panic", "form": "menu"},
                ],
                "traders": traders,
            }
        )
    ).run
    asked = _Traders(plan.shard, {m.name: engines.in_process(m) for m in plan.models})
    recorder, gains, market = Recorder(), _Surplus(asked), Market(plan.market, None)
    run_rounds(plan, market, asked, (recorder, gains))
    record = recorder.finish(market.close(), {})
    summary = record.summary
    errors = list(summary["quality"]["relative_absolute_deviation"]["by_good"].values())
    return Behaviour(
        efficiency=gains.realised / max(gains.possible, 1),
        volume_lots=summary["volume_lots"],
        price_error=mean(errors) if errors else 0.0,
        gini=summary["wealth"]["gini_end"],
        delivered=summary["messages"]["delivered"],
        addressed=summary["messages"]["addressed"],
    )


def pruning(narrator: Narrator) -> list[Result]:
    """What pruning changes in a market, paired by seed with the same market in which nothing is pruned."""
    found: dict[str, list[Behaviour]] = {way: [] for way in WAYS}
    for seed in range(1, SEEDS + 1):
        narrator.phase(f"market {seed} of {SEEDS}, {len(WAYS)} ways to hear")
        for way, traders in WAYS.items():
            found[way].append(behaviour(seed, traders))
    shares = [1 - m.delivered / m.addressed for m in found["weighted"]]
    measures: tuple[tuple[str, str, Literal["lower", "higher"]], ...] = (
        ("efficiency", "ratio", "higher"),
        ("volume_lots", "lots", "higher"),
        ("price_error", "ratio", "lower"),
        ("gini", "ratio", "lower"),
    )
    results = [
        Result(
            "pruned_share_of_deliveries",
            round(mean(shares), 6),
            "ratio",
            "higher",
            runs=tuple(round(s, 6) for s in shares),
            note=(
                f"mean of {SEEDS} seeds; {MARKET_TRADERS} traders who hear 8 others, offers included; scripted "
                "momentum and panic, two traders of three, act on what they hear, the others do not"
            ),
        )
    ]
    for name, unit, better in measures:
        against = np.array([getattr(m, name) for m in found["whole"]], dtype=np.float64)
        differences = {
            way: np.array([getattr(m, name) for m in found[way]], dtype=np.float64) - against
            for way in WAYS
            if way != "whole"
        }
        words = {way: _interval(d) for way, d in differences.items()}
        results.append(
            Result(
                f"pruning_{name.removesuffix('_lots')}_difference",
                round(float(differences["weighted"].mean()), 6),
                unit,
                better,
                runs=tuple(round(float(d), 6) for d in differences["weighted"]),
                note=(
                    f"{words['weighted']}, mean and 95% interval over {SEEDS} seeds, against {against.mean():.4g} with "
                    f"nothing pruned; pruned by lot: {words['random']}; nothing heard at all: {words['silent']}"
                ),
            )
        )
    return results


def _interval(differences: Any) -> str:
    middle, half = interval(differences)
    return f"{middle:+.4g} ({middle - half:+.4g} to {middle + half:+.4g})"


def measure(narrator: Narrator) -> list[Result]:
    """The slope, the four ways, and the cost of pruning in behaviour."""
    return [slope(narrator), *prompt_tokens(narrator), *pruning(narrator)]
