"""Train the five embedded models: together first, then each by itself; needs torch, which nothing else of swarm does.

All five share one schooling: each prompt is asked for the letters of all five teachers and for what its tables say (which
action has the most of a column, what a cell holds). Then each model goes on from there with its own teacher alone.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from swarm.llm.embedded import tokenizer
from swarm.llm.embedded.tokenizer import TOKEN
from swarm.training.corpus import HELD_OUT_FROM, MENU_ROWS, TEMPERAMENTS, Corpus, simulate_many
from swarm.training.export import export
from swarm.training.net import Net, Shape


@dataclass(frozen=True, slots=True)
class Lesson:
    """How long and on what to train; the same lesson on the same machine gives the same models."""

    seed: int = 1
    markets: int = 700
    held_out_markets: int = 60
    shared_steps: int = 2_600
    own_steps: int = 350
    batch_rounds: int = 24
    prompts_per_round: int = 6
    rate: float = 2.5e-3
    own_rate: float = 8e-4
    threads: int = 4


Tell = Callable[[str], None]


def train(out: Path, lesson: Lesson, tell: Tell) -> dict[str, Any]:
    """Simulate, train and write the five models and `training.json` into `out`; returns what the latter holds."""
    started = perf_counter()
    torch.manual_seed(lesson.seed)
    torch.set_num_threads(lesson.threads)
    out.mkdir(parents=True, exist_ok=True)
    tell(f"simulating {lesson.markets} markets and {lesson.held_out_markets} held out")
    taught = simulate_many(1 + 10_000 * lesson.seed, lesson.markets, lesson.threads)
    held_out = simulate_many(HELD_OUT_FROM, lesson.held_out_markets, lesson.threads)
    simulated_s = perf_counter() - started
    tell(f"{len(taught)} prompts of {len(taught.public)} rounds, {len(held_out)} held out, {simulated_s:.0f} s")
    net = Net(Shape())
    size = sum(p.numel() for p in net.parameters())
    tell(f"{size} parameters")
    _school(net, taught, held_out, lesson, tell)
    shared_s = perf_counter() - started - simulated_s
    schooled = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    agreement = {}
    for place, temperament in enumerate(TEMPERAMENTS):
        net.load_state_dict(schooled)
        _specialise(net, place, taught, lesson)
        agreement[temperament] = round(_examine(net, held_out, [place])[0], 4)
        tell(f"{temperament}: agrees with its teacher on {agreement[temperament]:.3f} of held-out prompts")
        export(net, temperament, out / f"{temperament}.onnx")
    record = {
        "lesson": asdict(lesson),
        "shape": asdict(net.shape),
        "parameters": size,
        "prompts": len(taught),
        "held_out_prompts": len(held_out),
        "agreement": agreement,
        "simulated_s": round(simulated_s),
        "shared_s": round(shared_s),
        "own_s": round(perf_counter() - started - simulated_s - shared_s),
        "torch": torch.__version__,
    }
    (out / "training.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return record


def _question(*words: str) -> list[int]:
    tokens = [TOKEN[word] for word in words]
    return tokens + [tokenizer.PAD] * (tokenizer.WIDTH - len(tokens))


class _Batches:
    """Draws groups of prompts that share a round, as the engine will see them."""

    def __init__(self, corpus: Corpus, seed: int, rounds: int, prompts: int) -> None:
        self.corpus = corpus
        self.random = np.random.default_rng(seed)
        self.prompts = prompts
        self.rounds = rounds
        order = np.argsort(corpus.round_of, kind="stable")
        starts = np.searchsorted(corpus.round_of[order], np.arange(len(corpus.public) + 1))
        self.members = [order[a:b] for a, b in zip(starts[:-1], starts[1:], strict=True)]
        self._queue: list[np.ndarray] = []

    def next(self) -> np.ndarray:
        """[rounds, prompts]: numbers of prompts; each row is of one round."""
        while len(self._queue) < self.rounds:
            for members in self.random.permutation(np.arange(len(self.members))):
                mixed = self.random.permutation(self.members[members])
                # The last piece of a round is filled up with prompts of the same round.
                for start in range(0, len(mixed), self.prompts):
                    self._queue.append(np.resize(mixed[start : start + self.prompts], self.prompts))
            self.random.shuffle(self._queue)  # type: ignore[arg-type]
        taken, self._queue = self._queue[: self.rounds], self._queue[self.rounds :]
        return np.stack(taken)


def _grids(corpus: Corpus, rows: np.ndarray) -> tuple[Tensor, Tensor]:
    """The public and the private token ids, without lines that are empty in the whole batch."""
    public = corpus.public[corpus.round_of[rows[:, 0]]]
    private = corpus.private[rows]
    lines = int((public[..., 0] > 0).sum(1).max())
    height = int((private[..., 0] > 0).sum(2).max())
    return torch.from_numpy(public[:, :lines].astype(np.int64)), torch.from_numpy(
        private[:, :, :height].astype(np.int64)
    )


def _answers(corpus: Corpus, rows: np.ndarray, teachers: list[int]) -> np.ndarray:
    """[..., 2 per teacher]: the tokens of the letters."""
    letters = np.stack([corpus.actions[rows][..., teachers], corpus.sayings[rows][..., teachers]], -1)
    return (letters + tokenizer.FIRST_LETTER).reshape(*rows.shape, 2 * len(teachers)).astype(np.int64)


def _posed(teachers: list[int]) -> np.ndarray:
    return np.array([_question(kind, TEMPERAMENTS[t]) for t in teachers for kind in ("<act>", "<say>")])


def _reading(corpus: Corpus, rows: np.ndarray, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Two questions of reading for each prompt, [..., 2, W], and their answers, -1 where there is none."""
    figures, height = corpus.figures[rows], corpus.rows[rows]
    shape = rows.shape
    asked = np.zeros((*shape, 2, tokenizer.WIDTH), dtype=np.int64)
    columns = random.integers(0, len(tokenizer.COLUMNS), size=(*shape, 2))
    first_column = TOKEN[tokenizer.COLUMNS[0]]
    asked[..., 0, 0], asked[..., 1, 0] = TOKEN["<most>"], TOKEN["<look>"]
    asked[..., 0, 1] = first_column + columns[..., 0]
    asked[..., 1, 1] = first_column + columns[..., 1]
    letter = (random.random(shape) * height).astype(np.int64)
    asked[..., 1, 2] = tokenizer.FIRST_LETTER + letter
    column = np.take_along_axis(figures, columns[..., 0][..., None, None], -1)[..., 0]
    column = np.where(np.arange(MENU_ROWS) < height[..., None], column, -(2**30))
    most = column.argmax(-1)
    unique = (column == column.max(-1, keepdims=True)).sum(-1) == 1
    row = np.take_along_axis(figures, letter[..., None, None], -2)[..., 0, :]
    number = np.take_along_axis(row, columns[..., 1][..., None], -1)[..., 0]
    tokens = np.vectorize(tokenizer.number_token, otypes=[np.int64])(number)
    return asked, np.stack([np.where(unique, most + tokenizer.FIRST_LETTER, -1), tokens], -1)


def _school(net: Net, taught: Corpus, held_out: Corpus, lesson: Lesson, tell: Tell) -> None:
    """Train on all five teachers and on questions of reading."""
    everyone = list(range(len(TEMPERAMENTS)))
    batches = _Batches(taught, lesson.seed, lesson.batch_rounds, lesson.prompts_per_round)
    random = np.random.default_rng(lesson.seed + 1)
    posed = _posed(everyone)
    optimiser = _optimiser(net, lesson.rate)
    for step, rate in enumerate(_rates(lesson.shared_steps, lesson.rate)):
        rows = batches.next()
        reading, read = _reading(taught, rows, random)
        questions = np.concatenate([np.broadcast_to(posed, (*rows.shape, *posed.shape)), reading], 2)
        targets = torch.from_numpy(np.concatenate([_answers(taught, rows, everyone), read], 2))
        loss = _step(net, optimiser, rate, *_grids(taught, rows), torch.from_numpy(questions), targets)
        if (step + 1) % max(1, lesson.shared_steps // 12) == 0:
            marks = ", ".join(f"{a:.3f}" for a in _examine(net, held_out, everyone))
            tell(f"step {step + 1} of {lesson.shared_steps}: loss {loss:.3f}, agreement {marks}")


def _specialise(net: Net, teacher: int, taught: Corpus, lesson: Lesson) -> None:
    """Train on one teacher alone."""
    batches = _Batches(taught, lesson.seed + 7 + teacher, lesson.batch_rounds, lesson.prompts_per_round)
    posed = _posed([teacher])
    optimiser = _optimiser(net, lesson.own_rate)
    for rate in _rates(lesson.own_steps, lesson.own_rate):
        rows = batches.next()
        questions = torch.from_numpy(np.broadcast_to(posed, (*rows.shape, *posed.shape)).copy())
        targets = torch.from_numpy(_answers(taught, rows, [teacher]))
        _step(net, optimiser, rate, *_grids(taught, rows), questions, targets)


def _optimiser(net: Net, rate: float) -> torch.optim.AdamW:
    matrices = [p for p in net.parameters() if p.dim() == 2]
    others = [p for p in net.parameters() if p.dim() < 2]
    groups = [{"params": matrices, "weight_decay": 0.03}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=rate, betas=(0.9, 0.98))


def _rates(steps: int, peak: float) -> Iterator[float]:
    """A short rise, then half a cosine down to a hundredth."""
    for step in range(steps):
        rise = min(1.0, (step + 1) / min(100, 1 + steps // 10))
        yield peak * rise * (0.01 + 0.99 * 0.5 * (1 + float(np.cos(np.pi * step / steps))))


def _step(
    net: Net,
    optimiser: torch.optim.AdamW,
    rate: float,
    public: Tensor,
    private: Tensor,
    questions: Tensor,
    targets: Tensor,
) -> float:
    for group in optimiser.param_groups:
        group["lr"] = rate
    logits = net(public, private, questions)
    loss = F.cross_entropy(logits.flatten(0, -2), targets.flatten(), ignore_index=-1)
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
    optimiser.step()
    return float(loss.detach())


@torch.no_grad()
def _examine(net: Net, corpus: Corpus, teachers: list[int], most: int = 6_000) -> list[float]:
    """The share of prompts on which the action is the teacher's, for each of `teachers`."""
    posed = _posed(teachers)
    batches = _Batches(corpus, 0, 64, 8)
    right = np.zeros(len(teachers))
    seen = 0
    while seen < min(most, len(corpus)):
        rows = batches.next()
        questions = torch.from_numpy(np.broadcast_to(posed, (*rows.shape, *posed.shape)).copy())
        logits = net(*_grids(corpus, rows), questions)[..., ::2, tokenizer.FIRST_LETTER :][..., :MENU_ROWS].numpy()
        legal = np.arange(MENU_ROWS) < corpus.rows[rows][..., None, None]
        chosen = np.where(legal, logits, -np.inf).argmax(-1)
        right += (chosen == corpus.actions[rows][..., teachers]).sum((0, 1))
        seen += rows.size
    return [float(r) for r in right / seen]
