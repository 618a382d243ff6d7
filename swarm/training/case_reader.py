"""Trains the tiny model of cases, which answers readers' seats of a fraud desk; needs torch.

A letter says by how much the odds of fraud are moved, so it is schooled on what its letters would have scored: the
expected loss of the probability that each letter comes to, by the truth. Kinds are learned from what was fraud.
"""

from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from swarm.llm.engines.embedded import news_tokens
from swarm.llm.engines.embedded.config import CASES, STUDENT
from swarm.llm.engines.embedded.tokenizer import FIRST_LETTER
from swarm.scenarios.fraud.form import ASKED_KINDS, ODDS
from swarm.scenarios.fraud.payments import KINDS
from swarm.training.case_corpus import FIRST_SEED, cases_of, corpus_of, drawn_bank
from swarm.training.corpus import Corpus
from swarm.training.export import export
from swarm.training.net import Net, Shape
from swarm.training.reader import ASKED_AS, recorded, school
from swarm.training.recipe import CasesRecipe, Tell
from swarm.training.train import Batches, grids, question

CLEARED, WATCHED = 0.003, 0.02
"""What A and B come to as probabilities, which no bid is worth."""


def train_cases(out: Path, recipe: CasesRecipe, tell: Tell) -> dict[str, Any]:
    """Trains the model, writes `model.onnx` and `cases.json` into `out`, and returns what the latter holds."""
    torch.set_num_threads(1)
    torch.manual_seed(recipe.seed)
    began = perf_counter()
    # Banks are cheap beside the steps; the last ones are held out.
    cases = []
    for number in range(recipe.banks + recipe.held_out_banks):
        seed = FIRST_SEED + number
        cases.append(list(cases_of(drawn_bank(seed), seed, recipe.rounds)))
        if (number + 1) % 10 == 0:
            tell(f"{number + 1} banks, {sum(map(len, cases))} cases")
    random = np.random.default_rng(recipe.seed)
    taught = [case for own in cases[: recipe.banks] for case in own]
    taught = [taught[i] for i in random.permutation(len(taught)).tolist()]
    examined = [case for own in cases[recipe.banks :] for case in own]
    corpus, held_out = (corpus_of(some, recipe.cases_per_round) for some in (taught, examined))
    net = Net(Shape(width=64, layers=3, heads=4, hidden=160, vocabulary=news_tokens.SIZE))
    batches = Batches(corpus, recipe.seed, recipe.batch_rounds, recipe.cases_per_round)
    school(net, recipe, lambda: loss_of(net, corpus, batches.next()), lambda: str(examine(net, held_out)), tell)
    out.mkdir(parents=True, exist_ok=True)
    export(net, ASKED_AS, out / STUDENT, CASES)
    found = {
        "cases": len(corpus),
        "held_out_cases": len(held_out),
        "held_out": examine(net, held_out),
        "seconds": round(perf_counter() - began),
    }
    return recorded(out / f"{CASES}.json", net, recipe, found)


def _letters(net: Net, corpus: Corpus, rows: np.ndarray) -> tuple[Tensor, Tensor]:
    """Returns the logits of letters and of kinds, [cases, letters] and [cases, kinds]."""
    asked = torch.tensor([question(which, ASKED_AS) for which in ("<act>", "<say>")]).expand(*rows.shape, 2, -1)
    logits = net(*grids(corpus, rows), asked)[..., FIRST_LETTER:].flatten(0, 1)
    return logits[:, 0, : len(ODDS)], logits[:, 1, : len(ASKED_KINDS)]


def _probabilities(corpus: Corpus, rows: np.ndarray) -> Tensor:
    """Returns [cases, letters] the probability of fraud that each letter comes to."""
    chance = np.clip(corpus.figures[rows].reshape(-1) / 1_000, 0.005, 0.98)
    odds = (chance / (1 - chance))[:, None] * np.array([times for times in ODDS.values() if times])
    moved = odds / (1 + odds)
    unbid = np.broadcast_to((CLEARED, WATCHED), (len(chance), 2))
    return torch.from_numpy(np.concatenate([unbid, moved], axis=1)).float()


def loss_of(net: Net, corpus: Corpus, rows: np.ndarray) -> Tensor:
    """Returns the expected log loss of the letters that the network would draw, and that of kinds where it is fraud."""
    letters, kinds = _letters(net, corpus, rows)
    q = _probabilities(corpus, rows)
    fraud = torch.from_numpy(corpus.actions[rows].reshape(-1, 1).astype(np.float32))
    cost = -(fraud * q.log() + (1 - fraud) * (1 - q).log())
    loss = (letters.softmax(-1) * cost).sum(-1).mean()
    # Kinds of what is lawful are nobody's.
    named = torch.from_numpy(corpus.sayings[rows].reshape(-1).astype(np.int64))
    named = torch.where(named < len(KINDS), named, -1)
    if bool((named >= 0).any()):
        loss = loss + 0.2 * functional.cross_entropy(kinds, named, ignore_index=-1)
    return loss


def examine(net: Net, corpus: Corpus) -> dict[str, float]:
    """Returns the mean log loss of the likeliest letters beside that of the chance as told, and the kinds right."""
    per_round = len(corpus) // len(corpus.public)
    every = np.arange(len(corpus)).reshape(-1, per_round)
    with torch.no_grad():
        letters, kinds = (part.argmax(-1) for part in _letters(net, corpus, every))
    q = _probabilities(corpus, every)
    fraud = torch.from_numpy(corpus.actions.reshape(-1) > 0)
    said, told = q[torch.arange(len(q)), letters], q[:, 2]
    right = kinds.numpy() == corpus.sayings.reshape(-1)
    found = {
        "loss": functional.binary_cross_entropy(said, fraud.float()),
        "loss_of_the_chance": functional.binary_cross_entropy(told, fraud.float()),
        "bids_on_fraud": (letters[fraud] >= 2).float().mean(),
        "bids_on_lawful": (letters[~fraud] >= 2).float().mean(),
        "kinds_right": torch.from_numpy(right)[fraud].float().mean(),
    }
    return {name: round(float(value), 4) for name, value in found.items()}
