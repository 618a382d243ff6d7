"""The schooling of one student on what its actions would have brought; needs torch.

The loss is the regret that the student expects of itself: over the actions of each menu, its probability of each times
what that action brings less than the best. What the student says stays as its beginning says it.
"""

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from time import monotonic, perf_counter

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from swarm.llm.engines.embedded import tokenizer
from swarm.training.advantages import Judged
from swarm.training.corpus import MENU_ROWS, TEMPERAMENTS
from swarm.training.export import export
from swarm.training.labels import lawful, marks
from swarm.training.reading import network
from swarm.training.recipe import Tell
from swarm.training.train import Batches, grids, optimiser_of, posed, rates, take_step

BASE = "value"
"""The embedded model that a student begins as; its question is asked in this one's name, too."""


@dataclass(frozen=True, slots=True)
class Schooling:
    """How a student is schooled: steps of so many rounds with so many prompts each."""

    steps: int = 600
    batch_rounds: int = 24
    prompts_per_round: int = 6
    rate: float = 6e-4
    most_ticks: int = 60
    """Regret beyond this counts as this, so that few rich menus do not teach alone."""

    sharpness: float = 0.25
    """Share of the loss that is cross-entropy with the best actions, which moves a student that is sure and wrong."""

    seed: int = 1


def school(
    begin: Path,
    taught: Judged,
    targets: np.ndarray,
    schooling: Schooling,
    out: Path,
    tell: Tell,
    until: float = float("inf"),
) -> float:
    """Trains the model `begin` on, writes it to `out`, and returns the seconds that it took.

    `targets` is [prompts, MENU_ROWS], the share of each action in what is to be learnt; regret counts only where
    `taught` has gains, so that imitation passes a corpus of zeros.
    """
    torch.set_num_threads(1)
    torch.manual_seed(schooling.seed)
    started = perf_counter()
    # The beginning stays as it is beside the student, which is to speak as it does.
    net, before = network(begin), network(begin).eval()
    asked = torch.from_numpy(posed([TEMPERAMENTS.index(BASE)]))
    batches = Batches(taught, schooling.seed, schooling.batch_rounds, schooling.prompts_per_round)
    optimiser = optimiser_of(net, schooling.rate)
    lost = 0.0
    for step, rate in enumerate(rates(schooling.steps, schooling.rate)):
        if monotonic() > until:
            tell(f"stopped after {step} of {schooling.steps} steps: the time is over")
            break
        rows = batches.next()
        public, private = grids(taught, rows)
        questions = asked.expand(*rows.shape, *asked.shape).contiguous()
        letters = _letters(net(public, private, questions))
        with torch.no_grad():
            said = _letters(before(public, private, questions))[..., 1, :].argmax(-1)
        loss = _regret(letters[..., 0, :], taught, targets, rows, schooling)
        loss = loss + functional.cross_entropy(letters[..., 1, :].flatten(0, -2), said.flatten())
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        take_step(net, optimiser, rate)
        lost += float(loss.detach())
        if (step + 1) % max(1, schooling.steps // 6) == 0:
            tell(f"step {step + 1} of {schooling.steps}: loss {lost / max(1, schooling.steps // 6):.3f}")
            lost = 0.0
    export(net, BASE, out)
    return perf_counter() - started


def examine(model: Path, judged: Judged) -> dict[str, float]:
    """Returns the marks of a model on judged turns, by its likeliest letters."""
    net = network(model).eval()
    asked = torch.from_numpy(posed([TEMPERAMENTS.index(BASE)]))
    actions, letters_there = np.zeros(len(judged), dtype=np.int64), lawful(judged)
    order = np.argsort(judged.round_of, kind="stable")
    starts = np.searchsorted(judged.round_of[order], np.arange(len(judged.public) + 1))
    for first, end in pairwise(starts):
        rows = order[first:end][None]
        questions = asked.expand(*rows.shape, *asked.shape).contiguous()
        with torch.no_grad():
            letters = _letters(net(*grids(judged, rows), questions))[0, :, 0].numpy()
        actions[rows[0]] = np.where(letters_there[rows[0]], letters[:, :MENU_ROWS], -np.inf).argmax(-1)
    return marks(judged, actions)


def _letters(logits: Tensor) -> Tensor:
    """Returns the letters' logits of all tokens' logits."""
    return logits[..., tokenizer.FIRST_LETTER : tokenizer.FIRST_LETTER + len(tokenizer.LETTERS)]


def _regret(letters: Tensor, taught: Judged, targets: np.ndarray, rows: np.ndarray, schooling: Schooling) -> Tensor:
    """Returns the loss of the actions' letters, [rounds, prompts, letters], on the prompts `rows`."""
    lawful = torch.from_numpy(np.arange(MENU_ROWS) < taught.rows[rows][..., None])
    log_shares = functional.log_softmax(letters.masked_fill(~lawful, -1e9), -1)
    # [rounds, prompts, actions]: what is lost against the best, in shares of the most that counts.
    gains = torch.from_numpy(taught.gains[rows].astype(np.float32)).masked_fill(~lawful, -1e9)
    best = gains.max(-1, keepdim=True).values
    regret = ((best - gains) / schooling.most_ticks).clamp(0.0, 1.0)
    expected = (log_shares.exp() * regret.masked_fill(~lawful, 0.0)).sum(-1)
    # [rounds, prompts]: what is learnt even where the student is sure of something else, and its regret hardly moves.
    wanted = torch.from_numpy(targets[rows].astype(np.float32))
    crossed = -(wanted * log_shares.masked_fill(~lawful, 0.0)).sum(-1)
    return (expected + schooling.sharpness * crossed).mean()
