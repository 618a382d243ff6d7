"""Trains the tiny reader of news, which answers supply chains; needs torch.

It is the network of the embedded models in a smaller shape, from nothing, on prompts whose fitting letter is known.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from swarm.llm.engines.embedded import news_tokens
from swarm.llm.engines.embedded.config import READER, STUDENT
from swarm.llm.engines.embedded.tokenizer import FIRST_LETTER
from swarm.scenarios.supply_chain.form import LETTERS
from swarm.training.corpus import Corpus
from swarm.training.export import export
from swarm.training.net import Net, Shape
from swarm.training.news_corpus import make
from swarm.training.recipe import CasesRecipe, ReaderRecipe, ReviewerRecipe, Tell
from swarm.training.train import Batches, grids, optimiser_of, question, rates, take_step

ASKED_AS = "value"
"""The question in which the letter is asked for; the reader has no temperament."""

HELD_OUT_SEED = 1_000_003


def train_reader(out: Path, recipe: ReaderRecipe, tell: Tell) -> dict[str, Any]:
    """Trains the reader, writes `model.onnx` and `training.json` into `out`, and returns what the latter holds."""
    torch.set_num_threads(1)
    torch.manual_seed(recipe.seed)
    began = perf_counter()
    of_a_round = recipe.prompts_per_round
    taught = make(recipe.seed, recipe.rounds, of_a_round)
    examined = make(HELD_OUT_SEED, recipe.held_out_rounds, of_a_round)
    # [rounds, prompts] of each step share their news, as nodes of one region do in a run.
    tell(f"{len(taught)} prompts of {len(taught.public)} rounds, {len(examined)} held out")
    net = Net(Shape(width=64, layers=3, heads=4, hidden=160, vocabulary=news_tokens.SIZE))
    batches = Batches(taught, recipe.seed, recipe.batch_rounds, of_a_round)

    def loss() -> Tensor:
        rows = batches.next()
        return functional.cross_entropy(_letters(net, taught, rows).flatten(0, -2), _right(taught, rows))

    school(net, recipe, loss, lambda: f"{examine(net, examined)[0]:.3f} right", tell)
    export(net, ASKED_AS, out / STUDENT, READER)
    overall, by_letter = examine(net, examined)
    found = {
        "prompts": len(taught),
        "held_out_prompts": len(examined),
        "right_of_held_out": round(overall, 4),
        "right_by_letter": dict(zip(LETTERS, by_letter, strict=True)),
        "seconds": round(perf_counter() - began),
    }
    return recorded(out / f"{READER}.json", net, recipe, found)


def school(
    net: Net,
    recipe: ReaderRecipe | ReviewerRecipe | CasesRecipe,
    loss: Callable[[], Tensor],
    examined: Callable[[], str],
    tell: Tell,
) -> None:
    """Takes the steps of a recipe by the loss of one batch after another; `examined` is told now and then."""
    began, optimiser = perf_counter(), optimiser_of(net, recipe.rate)
    lost, every = 0.0, max(1, recipe.steps // 12)
    for step, rate in enumerate(rates(recipe.steps, recipe.rate)):
        if perf_counter() - began > 60 * recipe.minutes:
            tell(f"stopped after {step} of {recipe.steps} steps: the time is over")
            break
        found = loss()
        optimiser.zero_grad(set_to_none=True)
        found.backward()
        take_step(net, optimiser, rate)
        lost += float(found.detach())
        if (step + 1) % every == 0:
            tell(f"step {step + 1} of {recipe.steps}: loss {lost / every:.3f}, {examined()}")
            lost = 0.0


def recorded(
    file: Path, net: Net, recipe: ReaderRecipe | ReviewerRecipe | CasesRecipe, found: Mapping[str, Any]
) -> dict[str, Any]:
    """Writes what was trained and what was found of it beside the weights, and returns it."""
    record = {
        "recipe": asdict(recipe),
        "shape": asdict(net.shape),
        "parameters": sum(p.numel() for p in net.parameters()),
        **found,
        "torch": str(torch.__version__),
    }
    file.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return record


def _letters(net: Net, corpus: Corpus, rows: np.ndarray) -> Tensor:
    """Returns the logits of the seven letters, [rounds, prompts, 1, letters]."""
    asked = torch.tensor([question("<act>", ASKED_AS)]).expand(*rows.shape, 1, -1)
    return net(*grids(corpus, rows), asked)[..., FIRST_LETTER : FIRST_LETTER + len(LETTERS)]


def _right(corpus: Corpus, rows: np.ndarray) -> Tensor:
    return torch.from_numpy(corpus.actions[rows][..., 0].astype(np.int64)).flatten()


def examine(net: Net, corpus: Corpus) -> tuple[float, Sequence[float]]:
    """Returns the share of prompts whose letter is right, of all and by letter."""
    per_round = len(corpus) // len(corpus.public)
    every = np.arange(len(corpus)).reshape(-1, per_round)
    with torch.no_grad():
        parts = [_letters(net, corpus, rows).argmax(-1).numpy() for rows in np.array_split(every, 20)]
    said = np.concatenate([part.ravel() for part in parts])
    right = corpus.actions[:, 0] == said
    by_letter = [float(right[corpus.actions[:, 0] == i].mean().round(4)) for i in range(len(LETTERS))]
    return float(right.mean()), by_letter
