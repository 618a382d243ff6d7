"""Trains the five embedded models: together first, then each by itself; needs torch.

First they are one network: each prompt is asked for the letters of all five teachers and for what its tables say,
which action has the most of a column and what a cell holds. Then each model goes on with its own teacher alone.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from swarm.experiments.workers import side_by_side
from swarm.llm.engines.embedded import tokenizer
from swarm.llm.engines.embedded.tokenizer import TOKEN
from swarm.training.corpus import HELD_OUT_FROM, MENU_ROWS, TEMPERAMENTS, Corpus, simulate_many
from swarm.training.export import export
from swarm.training.net import Net, Shape
from swarm.training.recipe import Recipe, Tell


def train(out: Path, recipe: Recipe, tell: Tell) -> dict[str, Any]:
    """Simulates, trains, and writes the five models and `training.json` into `out`; returns what the latter holds."""
    started = perf_counter()
    tell(f"simulating {recipe.markets} markets and {recipe.held_out_markets} held out")
    # Seeds of training lie far below HELD_OUT_FROM, so that no market is both taught and examined.
    taught = simulate_many(1 + 10_000 * recipe.seed, recipe.markets, recipe.workers)
    held_out = simulate_many(HELD_OUT_FROM, recipe.held_out_markets, recipe.workers)
    simulated_s = perf_counter() - started
    tell(f"{len(taught)} prompts of {len(taught.public)} rounds, {len(held_out)} held out, {simulated_s:.0f} s")
    # Through files, which the workers map: each would need a copy of its own otherwise.
    with TemporaryDirectory() as folder:
        for name, corpus in (("taught", taught), ("held_out", held_out)):
            corpus.save(Path(folder, name))
        shared = _train_together(Path(folder), recipe, tell)
        shared_s = perf_counter() - started - simulated_s
        tell(f"trained together in {shared_s:.0f} s; now each by itself")
        jobs = [(Path(folder), recipe, shared, teacher, out) for teacher in range(len(TEMPERAMENTS))]
        marks = side_by_side(_specialise, jobs, recipe.workers)
    agreement = dict(zip(TEMPERAMENTS, marks, strict=True))
    record = {
        "recipe": asdict(recipe),
        "shape": asdict(Shape()),
        "parameters": sum(tensor.numel() for tensor in shared.values()),
        "prompts": len(taught),
        "held_out_prompts": len(held_out),
        "agreement": agreement,
        "simulated_s": round(simulated_s),
        "shared_s": round(shared_s),
        "own_s": round(perf_counter() - started - simulated_s - shared_s),
        "torch": str(torch.__version__),
    }
    (out / "training.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return record


def question(*words: str) -> list[int]:
    tokens = [TOKEN[word] for word in words]
    return tokens + [tokenizer.PAD] * (tokenizer.WIDTH - len(tokens))


class Batches:
    """Draws groups of prompts that share a round, as the engine will see them."""

    def __init__(self, corpus: Corpus, seed: int, rounds: int, prompts: int) -> None:
        self.corpus = corpus
        self.random = np.random.default_rng(seed)
        self.prompts = prompts
        self.rounds = rounds
        # The prompts of each round, as runs of one sorted column.
        order = np.argsort(corpus.round_of, kind="stable")
        starts = np.searchsorted(corpus.round_of[order], np.arange(len(corpus.public) + 1))
        self.members = [order[a:b] for a, b in pairwise(starts)]
        self._queue: list[np.ndarray] = []

    def next(self) -> np.ndarray:
        """Returns the numbers of the next prompts as [rounds, prompts]; each row is of one round."""
        while len(self._queue) < self.rounds:
            for members in self.random.permutation(np.arange(len(self.members))):
                mixed = self.random.permutation(self.members[members])
                # The last piece of a round is filled up with prompts of the same round.
                for start in range(0, len(mixed), self.prompts):
                    self._queue.append(np.resize(mixed[start : start + self.prompts], self.prompts))
            self.random.shuffle(self._queue)  # type: ignore[arg-type]
        taken, self._queue = self._queue[: self.rounds], self._queue[self.rounds :]
        return np.stack(taken)


def grids(corpus: Corpus, rows: np.ndarray) -> tuple[Tensor, Tensor]:
    """Returns the public and the private token ids, without lines that are empty in the whole batch."""
    public = corpus.public[corpus.round_of[rows[:, 0]]]
    private = corpus.private[rows]
    lines = int((public[..., 0] > 0).sum(1).max())
    height = int((private[..., 0] > 0).sum(2).max())
    return torch.from_numpy(public[:, :lines].astype(np.int64)), torch.from_numpy(
        private[:, :, :height].astype(np.int64)
    )


def _answers(corpus: Corpus, rows: np.ndarray, teachers: list[int]) -> np.ndarray:
    """Returns the tokens of the letters, as [..., 2 per teacher]."""
    letters = np.stack([corpus.actions[rows][..., teachers], corpus.sayings[rows][..., teachers]], -1)
    return (letters + tokenizer.FIRST_LETTER).reshape(*rows.shape, 2 * len(teachers)).astype(np.int64)


def posed(teachers: list[int]) -> np.ndarray:
    return np.array([question(kind, TEMPERAMENTS[t]) for t in teachers for kind in ("<act>", "<say>")])


def _reading(corpus: Corpus, rows: np.ndarray, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Returns two questions of reading for each prompt, [..., 2, W], and their answers, -1 where there is none.

    The first asks which action has the most of a column, the second what a cell holds.
    """
    figures, height = corpus.figures[rows], corpus.rows[rows]
    shape = rows.shape
    asked = np.zeros((*shape, 2, tokenizer.WIDTH), dtype=np.int64)
    columns = random.integers(0, len(tokenizer.COLUMNS), size=(*shape, 2))
    first_column = TOKEN[tokenizer.COLUMNS[0]]
    asked[..., 0, 0], asked[..., 1, 0] = TOKEN["<most>"], TOKEN["<look>"]
    asked[..., 0, 1] = first_column + columns[..., 0]
    asked[..., 1, 1] = first_column + columns[..., 1]
    # The cell's row is drawn among those that the prompt has.
    letter = (random.random(shape) * height).astype(np.int64)
    asked[..., 1, 2] = tokenizer.FIRST_LETTER + letter
    # [..., MENU_ROWS]: the column asked for; a tie for the most has no answer.
    column = np.take_along_axis(figures, columns[..., 0][..., None, None], -1)[..., 0]
    column = np.where(np.arange(MENU_ROWS) < height[..., None], column, -(2**30))
    most = column.argmax(-1)
    unique = (column == column.max(-1, keepdims=True)).sum(-1) == 1
    row = np.take_along_axis(figures, letter[..., None, None], -2)[..., 0, :]
    number = np.take_along_axis(row, columns[..., 1][..., None], -1)[..., 0]
    tokens = np.vectorize(tokenizer.number_token, otypes=[np.int64])(number)
    return asked, np.stack([np.where(unique, most + tokenizer.FIRST_LETTER, -1), tokens], -1)


class _Mean:
    """Averages gradients over the workers through shared memory; each adds them up in the same order."""

    def __init__(self, workers: int, size: int) -> None:
        context = torch.multiprocessing.get_context("spawn")
        self.rows = torch.zeros(workers, size).share_memory_()
        self.barrier = context.Barrier(workers, timeout=600)

    def apply(self, rank: int, net: Net) -> None:
        """Puts the mean of all workers' gradients in place of this worker's."""
        grads = [p.grad for p in net.parameters() if p.grad is not None]
        self.rows[rank] = torch.cat([g.flatten() for g in grads])
        self.barrier.wait()
        mean = self.rows.mean(0)
        # Nobody writes the next gradients before all have read these.
        self.barrier.wait()
        start = 0
        for grad in grads:
            grad.copy_(mean[start : start + grad.numel()].view_as(grad))
            start += grad.numel()


def _train_together(folder: Path, recipe: Recipe, tell: Tell) -> dict[str, Tensor]:
    """Trains one network in several processes, of which this is one; returns its weights."""
    size = sum(p.numel() for p in Net(Shape()).parameters())
    mean = _Mean(recipe.workers, size)
    context = torch.multiprocessing.get_context("spawn")
    others = [
        context.Process(target=_train_worker, args=(rank, mean, folder, recipe), daemon=True)
        for rank in range(1, recipe.workers)
    ]
    for process in others:
        process.start()
    tell(f"{size} parameters")
    shared = _train_worker(0, mean, folder, recipe, tell)
    for process in others:
        process.join()
    return shared


def _train_worker(
    rank: int, mean: _Mean, folder: Path, recipe: Recipe, tell: Tell = lambda _line: None
) -> dict[str, Tensor]:
    """Trains one worker's copy on all five teachers and on questions of reading; returns its weights."""
    # Same seed and averaged gradients: all copies have the same weights at every step.
    torch.set_num_threads(1)
    torch.manual_seed(recipe.seed)
    net = Net(Shape())
    taught = Corpus.load(folder / "taught")
    everyone = list(range(len(TEMPERAMENTS)))
    batches = Batches(
        taught, 1_000 * recipe.seed + rank, recipe.batch_rounds // recipe.workers, recipe.prompts_per_round
    )
    random = np.random.default_rng(1_000 * recipe.seed + 500 + rank)
    asked = posed(everyone)
    optimiser = optimiser_of(net, recipe.rate)
    for step, rate in enumerate(rates(recipe.shared_steps, recipe.rate)):
        # [rounds, prompts, questions, W]: the letters of all teachers, and two questions on the tables.
        rows = batches.next()
        reading, read = _reading(taught, rows, random)
        questions = np.concatenate([np.broadcast_to(asked, (*rows.shape, *asked.shape)), reading], 2)
        targets = torch.from_numpy(np.concatenate([_answers(taught, rows, everyone), read], 2))
        loss = _loss(net, optimiser, *grids(taught, rows), torch.from_numpy(questions), targets)
        mean.apply(rank, net)
        take_step(net, optimiser, rate)
        if rank == 0 and (step + 1) % max(1, recipe.shared_steps // 12) == 0:
            held_out = Corpus.load(folder / "held_out")
            marks = ", ".join(f"{a:.3f}" for a in _examine(net, held_out, everyone, most=3_000))
            tell(f"step {step + 1} of {recipe.shared_steps}: loss {loss:.3f}, agreement {marks}")
    return dict(net.state_dict())


def _specialise(folder: Path, recipe: Recipe, shared: dict[str, Tensor], teacher: int, out: Path) -> float:
    """Trains on with one teacher alone, writes the model, and returns its agreement on the prompts held out."""
    torch.set_num_threads(1)
    torch.manual_seed(recipe.seed)
    net = Net(Shape())
    net.load_state_dict(shared)
    taught = Corpus.load(folder / "taught")
    batches = Batches(taught, 1_000 * recipe.seed + 700 + teacher, recipe.batch_rounds, recipe.prompts_per_round)
    asked = posed([teacher])
    optimiser = optimiser_of(net, recipe.own_rate)
    for rate in rates(recipe.own_steps, recipe.own_rate):
        rows = batches.next()
        questions = torch.from_numpy(np.broadcast_to(asked, (*rows.shape, *asked.shape)).copy())
        targets = torch.from_numpy(_answers(taught, rows, [teacher]))
        _loss(net, optimiser, *grids(taught, rows), questions, targets)
        take_step(net, optimiser, rate)
    temperament = TEMPERAMENTS[teacher]
    export(net, temperament, out / f"{temperament}.onnx")
    return round(_examine(net, Corpus.load(folder / "held_out"), [teacher], most=10_000)[0], 4)


def optimiser_of(net: Net, rate: float) -> torch.optim.AdamW:
    # Norms and biases are not drawn towards zero.
    matrices = [p for p in net.parameters() if p.dim() == 2]
    others = [p for p in net.parameters() if p.dim() < 2]
    groups = [{"params": matrices, "weight_decay": 0.03}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=rate, betas=(0.9, 0.98))


def rates(steps: int, peak: float) -> Iterator[float]:
    """Yields rates that rise shortly, then fall as half a cosine to a hundredth."""
    for step in range(steps):
        rise = min(1.0, (step + 1) / min(100, 1 + steps // 10))
        yield peak * rise * (0.01 + 0.99 * 0.5 * (1 + float(np.cos(np.pi * step / steps))))


def _loss(
    net: Net, optimiser: torch.optim.AdamW, public: Tensor, private: Tensor, questions: Tensor, targets: Tensor
) -> float:
    """Fills in the gradients of one batch, and returns its loss."""
    optimiser.zero_grad(set_to_none=True)
    logits = net(public, private, questions)
    loss = functional.cross_entropy(logits.flatten(0, -2), targets.flatten(), ignore_index=-1)
    loss.backward()
    return float(loss.detach())


def take_step(net: Net, optimiser: torch.optim.AdamW, rate: float) -> None:
    for group in optimiser.param_groups:
        group["lr"] = rate
    torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
    optimiser.step()


@torch.no_grad()
def _examine(net: Net, corpus: Corpus, teachers: list[int], most: int = 6_000) -> list[float]:
    """Returns the share of prompts on which the action is the teacher's, for each of `teachers`."""
    asked = posed(teachers)
    batches = Batches(corpus, 0, 64, 8)
    right = np.zeros(len(teachers))
    seen = 0
    while seen < min(most, len(corpus)):
        rows = batches.next()
        questions = torch.from_numpy(np.broadcast_to(asked, (*rows.shape, *asked.shape)).copy())
        # Every second question is for an action; letters that the menu does not have cannot be chosen.
        logits = net(*grids(corpus, rows), questions)[..., ::2, tokenizer.FIRST_LETTER :][..., :MENU_ROWS].numpy()
        legal = np.arange(MENU_ROWS) < corpus.rows[rows][..., None, None]
        chosen = np.where(legal, logits, -np.inf).argmax(-1)
        right += (chosen == corpus.actions[rows][..., teachers]).sum((0, 1))
        seen += rows.size
    return [float(r) for r in right / seen]
