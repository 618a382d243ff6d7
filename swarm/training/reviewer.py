"""Trains a tiny reviewer of contracts, from nothing, on cases of the user's own labelled contracts; needs torch.

It is the network of the embedded models in a smaller shape. What it has learned are others' texts, so it is a file of
whoever trains it and travels with nothing.
"""

from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from swarm.llm.engines.embedded import review_tokens, tokenizer
from swarm.llm.engines.embedded.config import REVIEWER, STUDENT
from swarm.llm.engines.embedded.tokenizer import FIRST_LETTER
from swarm.scenarios.contract.verdicts import LETTERS
from swarm.training.contract_cases import Case, cases_of
from swarm.training.corpus import Corpus
from swarm.training.export import export
from swarm.training.net import Net, Shape
from swarm.training.reader import ASKED_AS, recorded, school
from swarm.training.recipe import ReviewerRecipe, Tell
from swarm.training.train import Batches, grids, question

ONE_IN = 8
"""One document in so many is held out."""

LINE_COUNTS = 0.5
"""What naming the line counts in the loss, beside the verdict."""

_NO_LINE = -1


def train_reviewer(data: Path, out: Path, recipe: ReviewerRecipe, tell: Tell) -> dict[str, Any]:
    """Trains the reviewer, writes `model.onnx` and `reviewer.json` into `out`, and returns what the latter holds."""
    torch.set_num_threads(1)
    torch.manual_seed(recipe.seed)
    began = process_time()
    cases = cases_of(data, recipe.contracts, recipe.seed)
    held_out = [one for one in cases if one.document % ONE_IN == 0]
    taught, examined = _columns([one for one in cases if one.document % ONE_IN], recipe), _columns(held_out, recipe)
    tell(f"{len(taught)} cases, {len(examined)} held out")
    net = Net(Shape(width=64, layers=3, heads=4, hidden=160, vocabulary=review_tokens.SIZE))
    batches = Batches(taught, recipe.seed, recipe.batch_rounds, recipe.prompts_per_round)

    def right() -> str:
        return f"{examine(net, examined)['right']:.3f} right"

    school(net, recipe, lambda: _loss(net, taught, batches.next()), right, tell)
    export(net, ASKED_AS, out / STUDENT, REVIEWER)
    found = {
        "cases": len(taught),
        "held_out_cases": len(examined),
        "held_out": examine(net, examined),
        "cpu_s": round(process_time() - began),
    }
    return recorded(out / f"{REVIEWER}.json", net, recipe, found)


def _columns(cases: list[Case], recipe: ReviewerRecipe) -> Corpus:
    """Returns cases as columns, in an order by lot, so many in a round."""
    order = np.random.default_rng(recipe.seed).permutation(len(cases)).tolist()
    rounds = -(-len(cases) // recipe.prompts_per_round)
    public = np.zeros((rounds, review_tokens.PUBLIC_ROWS, tokenizer.WIDTH), dtype=np.int16)
    private = np.zeros((len(cases), review_tokens.PRIVATE_ROWS, tokenizer.WIDTH), dtype=np.int16)
    for row, number in enumerate(order):
        same, own = review_tokens.encode(cases[number].text)
        public[:] = tokenizer.grid(same.rows, review_tokens.PUBLIC_ROWS)
        private[row] = tokenizer.grid(own.rows, review_tokens.PRIVATE_ROWS)
    verdicts = np.array([[cases[number].verdict] for number in order], dtype=np.int16)
    lines = np.array([[cases[number].line] for number in order], dtype=np.int16)
    round_of = (np.arange(len(cases)) // recipe.prompts_per_round).astype(np.int32)
    legal = np.full(len(cases), len(LETTERS), dtype=np.int16)
    nothing = np.zeros((len(cases), 0, 0), dtype=np.int32)
    return Corpus(public, round_of, private, verdicts, lines, nothing, legal, legal)


def _letters(net: Net, corpus: Corpus, rows: np.ndarray) -> tuple[Tensor, Tensor]:
    """Returns the logits of the verdicts and of the lines, [rounds, prompts, letters] each."""
    posed = torch.tensor([question("<act>", ASKED_AS), question("<say>", ASKED_AS)]).expand(*rows.shape, 2, -1)
    logits = net(*grids(corpus, rows), posed)[..., FIRST_LETTER:]
    return logits[..., 0, : len(LETTERS)], logits[..., 1, : review_tokens.MOST_LINES]


def _loss(net: Net, corpus: Corpus, rows: np.ndarray) -> Tensor:
    verdicts, lines = _letters(net, corpus, rows)
    wanted, shows = (torch.from_numpy(c[rows][..., 0].astype(np.int64)) for c in (corpus.actions, corpus.sayings))
    loss = functional.cross_entropy(verdicts.flatten(0, 1), wanted.flatten())
    # Where nothing shows the verdict, no line is asked for.
    if bool((shows != _NO_LINE).any()):
        named = functional.cross_entropy(lines.flatten(0, 1), shows.flatten(), ignore_index=_NO_LINE)
        loss = loss + LINE_COUNTS * named
    return loss


def examine(net: Net, corpus: Corpus) -> dict[str, float]:
    """Returns the share of right verdicts, that of who always gives the commonest one, and that of right lines."""
    parts = [
        _letters(net, corpus, rows[None]) for rows in np.array_split(np.arange(len(corpus)), len(corpus) // 40 + 1)
    ]
    said, named = (np.concatenate([part[k][0].argmax(-1).numpy() for part in parts]) for k in (0, 1))
    wanted, shows = corpus.actions[:, 0], corpus.sayings[:, 0]
    asked = shows != _NO_LINE
    told = {
        "right": (said == wanted).mean(),
        "commonest": np.bincount(wanted).max() / len(wanted),
        "right_lines": (named[asked] == shows[asked]).mean(),
    }
    return {name: round(float(value), 4) for name, value in told.items()}
