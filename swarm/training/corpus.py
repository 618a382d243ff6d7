"""Makes examples to learn from and to be examined on: prompts of simulated markets, and each teacher's answer.

A market is a run of the Wood or of the double auction in one process, drawn from a seed: population, minds, shocks,
seasons, prices. Markets for training and for examination have disjoint seeds.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from swarm.agents.policies.menu import MenuView, choose, read_menu
from swarm.config_file import resolve
from swarm.experiments.workers import side_by_side
from swarm.llm.engines.embedded import tokenizer
from swarm.llm.engines.scripted.config import ScriptedModel
from swarm.llm.protocol import ModelReply, ModelRequest, TokenUsage
from swarm.llm.temperament import Temperament
from swarm.runtime.play import play
from swarm.seeding import draw_below

TEMPERAMENTS: tuple[Temperament, ...] = ("value", "momentum", "maker", "hoarder", "panic")
PUBLIC_LINES, PRIVATE_LINES, MENU_ROWS = 16, 24, 16
HELD_OUT_FROM = 1_000_000
"""Markets with this number or a higher one are never trained on."""

Int16 = npt.NDArray[np.int16]
Int32 = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True, eq=False)
class Corpus:
    """Examples as columns: `public` has one entry per round, all others one per prompt.

    `round_of` points into `public`; `actions` and `sayings` hold each teacher's letters as numbers from 0; `figures`
    are the menu's columns by letter; `rows` and `spoken` are how many letters there are of either kind.
    """

    public: Int16
    round_of: Int32
    private: Int16
    actions: Int16
    sayings: Int16
    figures: Int32
    rows: Int16
    spoken: Int16

    def __len__(self) -> int:
        return len(self.private)

    @classmethod
    def join(cls, parts: Sequence[Self]) -> Self:
        """Returns all examples of `parts`, whose rounds are numbered on."""
        columns: dict[str, Any] = {
            f.name: np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(cls) if f.name != "round_of"
        }
        # `round_of` points into its own part's rounds and is moved to where these now begin.
        starts = np.cumsum([0, *(len(p.public) for p in parts[:-1])])
        columns["round_of"] = np.concatenate(
            [p.round_of + start for p, start in zip(parts, starts, strict=True)]
        ).astype(np.int32)
        return cls(**columns)

    def save(self, folder: Path) -> None:
        """Writes the columns as files of a new folder."""
        folder.mkdir()
        for f in fields(self):
            np.save(folder / f"{f.name}.npy", getattr(self, f.name))

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Returns what `save` wrote, mapped and not copied, so that several processes share it."""
        return cls(**{f.name: np.load(folder / f"{f.name}.npy", mmap_mode="r") for f in fields(cls)})


class _Sink:
    """A gatherer of the prompts of one market."""

    def __init__(self) -> None:
        self.public: dict[str, int] = {}
        self.texts: list[str] = []
        self.round_of: list[int] = []
        self.private: list[npt.NDArray[np.int64]] = []
        self.views: list[MenuView] = []
        self.seen: set[str] = set()

    def add(self, text: str, view: MenuView) -> None:
        """Keeps a prompt, unless it was seen before or leaves nothing to choose."""
        public, private = tokenizer.split_prompt(text)
        # Traders in the same state see the same text, which would otherwise weigh as often as it is seen.
        if text in self.seen or len(view.choices) < 2:
            return
        self.seen.add(text)
        self.round_of.append(self.public.setdefault(public, len(self.public)))
        lines = tokenizer.encode(private, tokenizer.market_goods(public))
        self.private.append(tokenizer.grid(lines.rows, PRIVATE_LINES))
        self.views.append(view)

    def corpus(self) -> Corpus:
        """Returns the columns of what was kept."""
        # figures is [prompts, MENU_ROWS, columns], answers [action or saying, prompts, teachers].
        n = len(self.views)
        figures = np.zeros((n, MENU_ROWS, len(tokenizer.COLUMNS)), dtype=np.int32)
        answers = np.zeros((2, n, len(TEMPERAMENTS)), dtype=np.int16)
        for i, view in enumerate(self.views):
            figures[i, : len(view.choices)] = [
                (c.gain, c.expect, c.trend, c.edge, c.needs, c.buys, c.sells) for c in view.choices
            ]
            for t, temperament in enumerate(TEMPERAMENTS):
                answers[:, i, t] = [tokenizer.LETTERS.index(letter) for letter in choose(temperament, view)]
        public = [tokenizer.grid(tokenizer.encode_public(p).rows, PUBLIC_LINES) for p in self.public]
        return Corpus(
            public=np.array(public, dtype=np.int16).reshape(-1, PUBLIC_LINES, tokenizer.WIDTH),
            round_of=np.array(self.round_of, dtype=np.int32),
            private=np.array(self.private, dtype=np.int16).reshape(-1, PRIVATE_LINES, tokenizer.WIDTH),
            actions=answers[0],
            sayings=answers[1],
            figures=figures,
            rows=np.array([len(v.choices) for v in self.views], dtype=np.int16),
            spoken=np.array([len(v.sayings) for v in self.views], dtype=np.int16),
        )


class _TeachingClient:
    """A `ModelClient` that answers as its teacher, at times at random, and keeps some of the prompts."""

    def __init__(self, temperament: Temperament, sink: _Sink, noise_permille: int, keep_permille: int) -> None:
        self.temperament = temperament
        self.sink = sink
        self.noise_permille = noise_permille
        self.keep_permille = keep_permille

    async def complete(self, requests: Sequence[ModelRequest], deadline_s: float) -> list[ModelReply]:
        """Answers every request at once."""
        replies = []
        for request in requests:
            text = request.messages[-1].content
            view = read_menu(text)
            answer = choose(self.temperament, view)
            # The request's seed draws, in different digits, what is kept and who errs, so that neither tells the other.
            if request.seed % 1_009 < self.keep_permille:
                self.sink.add(text, view)
            # Errors lead markets where no teacher would, and a model must know its way there, too.
            if request.seed // 1_009 % 1_000 < self.noise_permille:
                pairs = request.schema["enum"]
                answer = pairs[request.seed // 1_009_000 % len(pairs)]
            replies.append(ModelReply(answer, TokenUsage(0, 2), "stop", 0.0))
        return replies


def market_config(number: int) -> dict[str, Any]:
    """Returns the config of the market with this number, which draws all that is in it."""
    draws = _Draws(number)
    rounds = 12 + draws.below("rounds", 30)
    scenario = _double_auction(draws) if draws.below("scenario", 10) < 3 else _wood(draws, rounds)
    names = [f"menu-{t}" for t in TEMPERAMENTS]
    minds = {name: draws.below(f"weight {name}", 4) for name in names}
    minds |= {"zi_c": draws.below("zi_c", 3), "zip": draws.below("zip", 2)}
    # At least one of the teachers is there.
    minds[names[draws.below("some", 5)]] += 1
    return {
        "seed": number,
        "rounds": rounds,
        "population": 10 + draws.below("population", 30),
        "scenario": scenario,
        "models": [{"name": n, "temperament": t, "form": "menu"} for n, t in zip(names, TEMPERAMENTS, strict=True)],
        "traders": {"minds": minds},
        "market": {"drift_permille": 40 + draws.below("drift", 120)},
    }


@dataclass(frozen=True, slots=True)
class _Draws:
    """Draws of one market, each from a stream of its own, so that another draw changes none of the others."""

    number: int

    def below(self, stream: str, bound: int) -> int:
        return int(draw_below(self.number, stream, bound).item())

    def among(self, stream: str, values: Sequence[Any]) -> Any:
        return values[self.below(stream, len(values))]


def _double_auction(draws: _Draws) -> dict[str, Any]:
    low = 5 + draws.below("low", 60)
    return {
        "name": "double_auction",
        "rounds_per_period": 3 + draws.below("period", 8),
        "units": 1 + draws.below("units", 4),
        "lowest_ticks": low,
        "highest_ticks": low + 20 + draws.below("span", 120),
        "redraw": bool(draws.below("redraw", 2)),
        "start_cash_ticks": draws.among("cash", (200, 500, 1_000)),
    }


def _wood(draws: _Draws, rounds: int) -> dict[str, Any]:
    goods = ("acorns", "berries", "mushrooms", "honey", "firewood")
    shocks = [
        {
            "kind": draws.among(f"kind {i}", ("mania", "venture", "run", "blight")),
            "round": 1 + draws.below(f"when {i}", rounds),
            "rounds": 1 + draws.below(f"long {i}", 6),
            "good": draws.among(f"what {i}", goods),
            "size_permille": 100 + draws.below(f"size {i}", 600),
        }
        for i in range(draws.below("shocks", 4))
    ]
    return {
        "name": "wood",
        "shocks": shocks,
        "season_rounds": 3 + draws.below("season", 12),
        "start_pebbles": draws.among("pebbles", (150, 300, 400, 400, 800)),
        "start_stock_lots": draws.below("stock", 10),
        "meal_foods": 2 + draws.below("meal", 3),
        "start_price_ticks": {g: 12 + draws.below(f"price {g}", 36) for g in goods},
    }


def simulate(number: int) -> Corpus:
    """Returns the examples of the market with this number."""
    # In a third of markets nobody errs, in the others 15 or 30 of 100 answers are drawn.
    config = resolve(market_config(number))
    sink = _Sink()
    noise = int(draw_below(number, "noise", 3).item()) * 150
    clients = {
        m.name: _TeachingClient(m.temperament, sink, noise, keep_permille=500)
        for m in config.models
        if isinstance(m, ScriptedModel)
    }
    play(config, clients=clients)
    return sink.corpus()


def simulate_many(first: int, markets: int, processes: int) -> Corpus:
    """Returns the examples of markets `first` .. `first + markets - 1`, in their order."""
    return Corpus.join(side_by_side(simulate, [(number,) for number in range(first, first + markets)], processes))
