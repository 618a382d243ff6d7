"""Scores quotations by ContractEval's rule: right only if all that is labelled was quoted (arXiv 2508.03080).

How alike the two are is told by the words that both have, of the words that one has.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

from swarm.scenarios.contract.finder import Quoting, quoted
from swarm.scenarios.contract.quotation import Span
from swarm.scenarios.contract.trimming import Trimmer
from swarm.training.labelled_contracts import Clauses

Float64 = npt.NDArray[np.float64]


LEAST_JACCARD, MOST_NONE = 0.475, 0.09
"""How like quotations must be, and how often one may be overlooked, where they are set: a little better than is asked
of a test, since a choice looks better where it is made."""

LIKENESS_PRICES = tuple(0.05 * step for step in range(0, 61))
WRONG_PRICES, NONE_PRICES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7), (0.0, 0.1, 0.2, 0.3)
"""What a likeness of 1, a wrong quotation and one that is overlooked count beside one that is right."""


@dataclass(frozen=True, slots=True)
class Quoted:
    """What quoting one topic of one contract came to."""

    wanted: bool
    said: bool
    right: bool
    jaccard: float


@dataclass(frozen=True, slots=True)
class Figures:
    """F1, precision, recall, the mean likeness where something is labelled, and the share that is overlooked."""

    f1: float
    precision: float
    recall: float
    jaccard: float
    none: float


@dataclass(frozen=True, slots=True)
class Way:
    """A way of quoting a topic, how likely a word must be where it is trimmed, 0 for never, and what it comes to.

    `tally` is [right, wrong, labelled, likeness, overlooked], each summed over contracts that no fit has seen.
    """

    quoting: Quoting
    trimmed_at: float
    tally: Float64

    @property
    def worth(self) -> float:
        """How good it is by itself: F1 and likeness, less half of what is overlooked."""
        told = _figures(self.tally)
        return told.f1 + told.jaccard - told.none / 2


@dataclass(frozen=True, eq=False)
class Read:
    """One topic of one contract as it was read: its pieces, how likely each is, and what is labelled."""

    number: int
    text: str
    spans: tuple[Span, ...]
    chances: Float64
    gold: tuple[str, ...]

    @classmethod
    def of(cls, contract: Clauses, topic: str, cut: Any, chances: Float64, number: int) -> "Read | None":
        """Returns a contract of `cut` as read; None where it has a topic whose spans were not found."""
        labels = contract.labels.get(topic)
        if labels is not None and not labels:
            return None
        rows = np.flatnonzero(cut.contract == number)
        gold = tuple(contract.text[start:end] for start, end in labels or ())
        return cls(number, contract.text, tuple(cut.spans[row] for row in rows.tolist()), chances[rows], gold)

    @property
    def best(self) -> float:
        """How likely its likeliest piece is."""
        return float(self.chances.max(initial=0.0))


def scored(read: Read, way: Quoting, trimmer: Trimmer | None) -> Quoted:
    """Returns what a way of quoting comes to."""
    # What is overlooked, and what should have been, needs no look at the text.
    if read.best < way.least or not read.gold:
        return Quoted(bool(read.gold), read.best >= way.least, False, 0.0)
    spans = quoted(read.text, read.spans, read.chances, Quoting(way.least, way.share, trimmer))
    return judged(read.gold, [read.text[start:end] for start, end in spans])


def judged(gold: Sequence[str], said: Sequence[str]) -> Quoted:
    """Returns what quotations come to beside what is labelled."""
    # White space counts for nothing, as in the yardstick.
    plain = " ".join(" ".join(said).split())
    right = bool(gold) and all(" ".join(one.split()) in plain for one in gold)
    return Quoted(bool(gold), bool(said), right, likeness(" ".join(gold), "\n".join(said)) if gold and said else 0.0)


def likeness(one: str, other: str) -> float:
    """Returns how alike two texts are as sets of words, as ContractEval counts them."""
    words = [set(re.sub(r"[.,;:]", "", text).lower().replace("/", " ").split(" ")) for text in (one, other)]
    return len(words[0] & words[1]) / len(words[0] | words[1])


def figures(rows: Sequence[Quoted]) -> Figures:
    """Returns the figures of all topics and contracts together."""
    return _figures(tally(rows))


def tally(rows: Sequence[Quoted]) -> Float64:
    """Returns what topics and contracts add up to, as a way's tally has it."""
    # Right is asked of what is labelled, wrong is said of what is not.
    wanted = [row for row in rows if row.wanted]
    right, wrong = sum(row.right for row in wanted), sum(row.said and not row.wanted for row in rows)
    likenesses, overlooked = sum(row.jaccard for row in wanted), sum(not row.said for row in wanted)
    return np.array([right, wrong, len(wanted), likenesses, overlooked], dtype=np.float64)


def _figures(added: Float64) -> Figures:
    right, wrong, wanted, likenesses, overlooked = added.tolist()
    precision, recall = right / max(right + wrong, 1), right / max(wanted, 1)
    f1 = 2 * precision * recall / max(precision + recall, 1e-9)
    return Figures(f1, precision, recall, likenesses / max(wanted, 1), overlooked / max(wanted, 1))


def best_together(topics: Sequence[Sequence[Way]]) -> list[Way]:
    """Returns a way for each topic, such that together they have the best F1 among those like and complete enough.

    Where none is, it is those that come nearest to being like enough.
    """
    # A wrong quotation, a likeness and an oversight have a price, the same for all topics; each topic then chooses by
    # itself, which finds the best of all that can be had at once (Lagrange's multipliers).
    found: list[tuple[bool, float, list[Way]]] = []
    for likeness_price, wrong_price, none_price in product(LIKENESS_PRICES, WRONG_PRICES, NONE_PRICES):
        prices = np.array([1.0, -wrong_price, 0.0, likeness_price, -none_price])
        chosen = [max(ways, key=lambda way: float(way.tally @ prices)) for ways in topics]
        told = _figures(np.sum([way.tally for way in chosen], axis=0))
        enough = told.jaccard >= LEAST_JACCARD and told.none <= MOST_NONE
        found.append((enough, told.f1 if enough else told.jaccard, chosen))
    return max(found, key=lambda one: one[:2])[2]
