"""Trains a screener of contracts on the user's own labelled ones; needs scikit-learn, of the extra `contracts`.

What finds clauses is a logistic regression over weighted words for each topic. Every threshold is set on contracts that
the fit which reads them has not seen, and none on a test.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from swarm.scenarios.contract.finder import Finder, Quoting, features, logit, pieces_of, vectors
from swarm.scenarios.contract.grams import Grams
from swarm.scenarios.contract.quotation import Span
from swarm.scenarios.contract.screener import Screener, save
from swarm.training import labelled_contracts as labelled
from swarm.training.labelled_contracts import Clauses, Terms
from swarm.training.quoting import Read, Way, best_together, scored, tally
from swarm.training.recipe import Tell
from swarm.training.regressions import calibration, matrix_of, regression
from swarm.training.stances import fit_stances
from swarm.training.trimming import fit_trimmer

Float64 = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

FOLDS = 4
"""Parts of the training contracts, each of which is read by a fit on all others, so that thresholds can be set."""

UNLABELLED = 0.15
"""The share of pieces without any label that a fit is given, each of which counts for those left out."""

NAMES_UP_TO = 60
"""A topic whose spans have a median of no more characters is a name or a date, and is trimmed word by word."""

LEAST_BY, SHARES = (0.35, 0.6, 1.0, 1.5), (0.1, 0.3, 0.6, 1.0, 1.5)
WIDE_SHARES, TRIMMED_AT = (0.6, 1.0, 1.5), (0.05, 0.1, 0.2, 0.3)


@dataclass(eq=False)
class Cut:
    """Contracts cut into pieces: of each its contract and span, and [pieces, topics] what it is labelled as."""

    contracts: Sequence[Clauses]
    topics: tuple[str, ...]
    contract: npt.NDArray[np.int64]
    spans: list[Span]
    is_a: Mask

    @classmethod
    def of(cls, contracts: Sequence[Clauses], topics: tuple[str, ...]) -> "Cut":
        """Returns contracts in pieces."""
        # A row for each piece.
        owner, spans, is_a = [], [], []
        for number, one in enumerate(contracts):
            for start, end in pieces_of(one.text):
                owner.append(number)
                spans.append((start, end))
                is_a.append([any(_about(start, end, a, b) for a, b in one.labels.get(t, ())) for t in topics])
        return cls(contracts, topics, np.array(owner), spans, np.array(is_a, dtype=np.bool_))

    def texts(self, number: int) -> list[str]:
        """Returns the pieces of one contract."""
        text = self.contracts[number].text
        return [text[slice(*self.spans[row])] for row in np.flatnonzero(self.contract == number).tolist()]

    @property
    def truth(self) -> Mask:
        """[contracts, topics]: which contract has which topic."""
        return np.array([[topic in one.labels for topic in self.topics] for one in self.contracts], dtype=np.bool_)


def train_screener(data: Path, out: Path, tell: Tell) -> dict[str, Any]:
    """Trains on what a folder has of CUAD, ContractNLI and CLAUDETTE, writes the screener, and returns what it is."""
    screener = fit(data, tell)
    save(out, screener)
    return {"topics": len(screener.topics), "trained_on": dict(screener.told), "bytes": out.stat().st_size}


def fit(data: Path, tell: Tell) -> Screener:
    """Returns a screener of the training parts; tests are not opened for it."""
    # Each corpus is a part of its own; what a folder lacks is left out.
    finders, told, stances = [], {}, None
    had = labelled.had(data)
    if labelled.CUAD in had:
        contracts, _ = labelled.cuad(data)
        tell(f"{len(contracts)} contracts with clauses")
        finders.append(fit_clauses(contracts, tell))
        told[labelled.CUAD] = f"{len(contracts)} contracts"
    if labelled.UNFAIR in had:
        terms = labelled.unfair(data)
        tell(f"{len(terms)} terms of companies")
        finders.append(fit_unfair(terms))
        told[labelled.UNFAIR] = f"{len(terms)} terms"
    if labelled.NLI in had:
        agreements, _ = labelled.nli(data)
        tell(f"{len(agreements)} confidentiality agreements")
        stances = fit_stances(agreements)
        told[labelled.NLI] = f"{len(agreements)} agreements"
    return Screener(tuple(finders), stances, told)


def fit_clauses(contracts: Sequence[Clauses], tell: Tell) -> Finder:
    """Returns a finder of clauses, its thresholds set on contracts that a fit has not seen."""
    topics = tuple(sorted({topic for one in contracts for topic in one.labels}))
    cut = Cut.of(contracts, topics)
    # Words of the training contracts as a whole; which are about what is not told by them.
    pieces = [text for number in range(len(contracts)) for text in cut.texts(number)]
    own = Grams.seen_in(pieces, "words", 2, fewest=8, most=60_000)
    near = Grams.seen_in(pieces, "words", 1, fewest=20, most=6_000)
    rows = [one for number in range(len(contracts)) for one in vectors(own, near, cut.texts(number))]
    matrix = matrix_of(rows, features(own, near))
    # [pieces, topics] by fits that have not seen the piece's contract.
    chances = np.zeros(cut.is_a.shape)
    fold = cut.contract % FOLDS
    for one in range(FOLDS):
        tell(f"reading part {one + 1} of {FOLDS} by a fit on the others")
        weights, bias = _weights(matrix, cut.is_a, fold != one)
        chances[fold == one] = 1 / (1 + np.exp(-(matrix[fold == one] @ weights + bias)))
    tell("setting thresholds")
    weights, bias = _weights(matrix, cut.is_a, np.ones(len(fold), dtype=np.bool_))
    present = thresholds(best_of(cut, chances), cut.truth)
    finder = Finder(topics, own, near, weights.astype(np.float32), bias, present)
    return replace(
        finder,
        calibration=calibration(logit(best_of(cut, chances)) - logit(present), cut.truth),
        quoting=_quoting(cut, chances, tell),
    )


def fit_unfair(terms: Sequence[Terms]) -> Finder:
    """Returns a finder of unfair terms: a sentence is one from even odds on, as the classes are weighted."""
    sentences = [text for one in terms for text in one.sentences]
    own = Grams.seen_in(sentences, "words", 3, fewest=2)
    matrix = matrix_of([own.vector(text) for text in sentences], len(own))
    unfair = [classes for one in terms for classes in one.unfair]
    # [sentences, classes]
    is_a = np.array([[name in own_classes for name in labelled.UNFAIR_CLASSES] for own_classes in unfair])
    weights, bias = np.zeros((len(own), is_a.shape[1])), np.zeros(is_a.shape[1])
    for column in range(is_a.shape[1]):
        weights[:, column], bias[column] = regression(matrix, is_a[:, column], 50, {False: 1, True: 4})
    even = np.full(is_a.shape[1], 0.5)
    topics = tuple(f"unfair-{name}" for name in labelled.UNFAIR_CLASSES)
    quoting = tuple(Quoting(0.5, 1.0) for _ in topics)
    return Finder(topics, own, None, weights.astype(np.float32), bias, even, (1.0, 0.0), quoting)


def _weights(matrix: Any, is_a: Mask, known: Mask) -> tuple[Float64, Float64]:
    """Returns [features, topics] and [topics] by a regression for each topic."""
    # Of pieces without any label some are enough.
    some: Mask = np.asarray(is_a.any(axis=1))
    rows = np.flatnonzero(known & (some | (np.random.default_rng(0).random(len(is_a)) < UNLABELLED)))
    weight = np.where(some[rows], 1.0, 1 / UNLABELLED)
    own = matrix[rows]
    weights, bias = np.zeros((matrix.shape[1], is_a.shape[1])), np.zeros(is_a.shape[1])
    for topic in range(is_a.shape[1]):
        weights[:, topic], bias[topic] = regression(own, is_a[rows, topic], 10, {False: 1, True: 3}, weight)
    return weights, bias


def best_of(cut: Cut, chances: Float64) -> Float64:
    """Returns [contracts, topics] the likeliest piece of each."""
    return np.array([chances[cut.contract == one].max(axis=0) for one in range(len(cut.contracts))])


def threshold(score: Float64, truth: Mask) -> float:
    """Returns the threshold with the best F1."""
    order = np.argsort(-score, kind="stable")
    hits = np.cumsum(truth[order])
    f1 = 2 * hits / (np.arange(1, len(order) + 1) + truth.sum())
    # Equal scores stand or fall together.
    last = np.append(score[order][1:] != score[order][:-1], True)
    return float(score[order][np.argmax(np.where(last, f1, -1))])


def thresholds(best: Float64, truth: Mask) -> Float64:
    """Returns [topics] thresholds, each drawn half-way to that of all, since some topics have few contracts."""
    # [topics] by its own contracts, then together with all topics.
    own = np.array([threshold(best[:, topic], truth[:, topic]) for topic in range(truth.shape[1])])
    return (own + threshold(best.ravel(), truth.ravel())) / 2


def _quoting(cut: Cut, chances: Float64, tell: Tell) -> tuple[Quoting, ...]:
    """Returns how each topic is quoted, all together best, on contracts that no fit has seen."""
    ways = [_ways(cut, chances[:, topic], name) for topic, name in enumerate(cut.topics)]
    tell("choosing how to quote")
    every = range(len(cut.contracts))
    # What trims is fitted anew on all contracts.
    return tuple(
        replace(way.quoting, trimmer=replace(fit_trimmer(cut.contracts, name, every), least=way.trimmed_at))
        if way.trimmed_at
        else way.quoting
        for name, way in zip(cut.topics, best_together(ways), strict=True)
    )


def _ways(cut: Cut, chances: Float64, name: str) -> list[Way]:
    """Returns ways to quote a topic: as pieces stand, and names and dates trimmed besides."""
    read = [Read.of(one, name, cut, chances, number) for number, one in enumerate(cut.contracts)]
    told = [one for one in read if one is not None]
    least = threshold(np.array([one.best for one in told]), np.array([bool(one.gold) for one in told]))
    grid = [Quoting(min(least * by, 0.95), share) for by in LEAST_BY for share in SHARES]
    whole = [Way(one, 0.0, tally([scored(row, one, None) for row in told])) for one in grid]
    lengths = [end - start for one in cut.contracts for start, end in one.labels.get(name, ())]
    if not lengths or np.median(lengths) > NAMES_UP_TO:
        return whole
    # Trimmers read contracts that they were not trained on, too: each half is read by that of the other.
    halves = [fit_trimmer(cut.contracts, name, range(1 - half, len(cut.contracts), 2)) for half in (0, 1)]
    # What is to be trimmed is sought as well as it is quoted whole.
    base = max(whole, key=lambda way: way.worth).quoting
    trimmed = []
    for share, at in product(WIDE_SHARES, TRIMMED_AT):
        own = replace(base, share=share)
        rows = [scored(row, own, replace(halves[row.number % 2], least=at)) for row in told]
        trimmed.append(Way(own, at, tally(rows)))
    return [*whole, *trimmed]


def _about(start: int, end: int, first: int, last: int) -> bool:
    """Tells whether a piece and a labelled span share more than a few characters."""
    return min(end, last) - max(start, first) > min(20, 0.5 * min(last - first, end - start))
