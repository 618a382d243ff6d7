"""Measures a trained screener on labelled contracts: clauses of CUAD, statements of ContractNLI, and unfair terms.

It is trained on the training parts of the user's own copies, here or before; test documents are read once. None of it
is a language model.
"""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import numpy.typing as npt

from swarm.bench.form import Result
from swarm.preflight import Narrator
from swarm.scenarios.contract.finder import Finder
from swarm.scenarios.contract.screener import Screener, digest, load
from swarm.scenarios.contract.stances import AGAINST, THERE, Stances
from swarm.training import labelled_contracts as labelled
from swarm.training.quoting import Read, figures, scored
from swarm.training.screener import Cut, best_of, fit, fit_unfair

Mask = npt.NDArray[np.bool_]

FREE_TEXT = (
    *("Document Name", "Parties", "Agreement Date", "Effective Date", "Expiration Date", "Renewal Term"),
    *("Notice Period to Terminate Renewal", "Governing Law"),
)
"""Categories that almost every contract has, so that saying yes to them says nothing."""


def screener_of(narrator: Narrator, data: Path, trained: Path | None) -> Screener | None:
    """Returns the screener of a file, else one that is trained here; None where nothing can be trained on."""
    if trained is not None:
        return load(trained, digest(trained))
    known = labelled.had(data)
    if find_spec("sklearn") is None or not known:
        return None
    narrator.phase(f"training a screener on {', '.join(known)}")
    return fit(data, narrator.phase)


def measure(narrator: Narrator, data: Path, screener: Screener | None) -> list[Result]:
    """Returns the figures of what the folder has; what it lacks is not measured, and says so."""
    if screener is None:
        note = f"nothing to train on in {data}, or the extra `contracts` is missing"
        return [Result("contracts_cuad", None, "F1", "higher", note=note)]
    results: list[Result] = []
    # Neighbours count for clauses alone, so that is the one that knows CUAD.
    finder = next((one for one in screener.finders if one.near is not None), None)
    for name, part in ((labelled.CUAD, finder), (labelled.NLI, screener.stances), (labelled.UNFAIR, True)):
        if name not in labelled.had(data) or not part:
            note = f"there is no {data / name}" if part else "the screener was not trained on it"
            results.append(Result(f"contracts_{name}", None, "F1", "higher", note=note))
            continue
        narrator.phase(f"reading {name}")
        if isinstance(part, Finder):
            results += _cuad(data, part)
        elif isinstance(part, Stances):
            results += _nli(data, part)
        else:
            results += _unfair(data)
    return results


def _cuad(data: Path, finder: Finder) -> list[Result]:
    """Returns contract-level F1, and F1, Jaccard and false `none` by ContractEval's rule, on the test contracts."""
    _, contracts = labelled.cuad(data)
    cut = Cut.of(contracts, finder.topics)
    chances = np.concatenate([finder.chances(cut.texts(number)) for number in range(len(contracts))])
    # [contracts, topics] the likeliest piece decides.
    best, truth = best_of(cut, chances), cut.truth
    asked = [k for k, name in enumerate(finder.topics) if name not in FREE_TEXT]
    said, gold = (best >= finder.present)[:, asked], truth[:, asked]
    hits, f1 = int((said & gold).sum()), 2 * (said & gold).sum() / (said.sum() + gold.sum())
    low, high = _interval(said, gold)
    told = f"precision {hits / said.sum():.3f}, recall {hits / gold.sum():.3f}; TF-IDF of the data's scripts 0.778"
    # How sure it says it is of each answer.
    sure = np.array([[finder.sure(best[row, k], k) for k in asked] for row in range(len(contracts))])
    brier, base = float(np.mean((sure - gold) ** 2)), float(gold.mean() * (1 - gold.mean()))
    return [
        Result(
            "contracts_cuad_contract_f1",
            round(float(f1), 4),
            "F1",
            "higher",
            0.80,
            bound=f"95% {low:.3f} to {high:.3f}; {told}",
        ),
        Result(
            "contracts_cuad_brier",
            round(brier, 4),
            "",
            "lower",
            bound=f"{base:.3f} for who always says the share of yes",
        ),
        *_quoting(cut, finder, chances),
    ]


def _interval(said: Mask, gold: Mask) -> tuple[float, float]:
    """Returns the 95% interval of micro F1 by a bootstrap over contracts."""
    drawn = np.random.default_rng(0).integers(0, len(gold), (1_000, len(gold)))
    both, either = (said & gold).sum(axis=1), said.sum(axis=1) + gold.sum(axis=1)
    f1 = 2 * both[drawn].sum(axis=1) / np.maximum(either[drawn].sum(axis=1), 1)
    low, high = np.quantile(f1, [0.025, 0.975])
    return float(low), float(high)


def _quoting(cut: Cut, finder: Finder, chances: npt.NDArray[np.float64]) -> list[Result]:
    """Returns the figures of quoting."""
    # A row for each topic of each contract, but for those whose labels were not found in the text.
    rows = []
    for topic, name in enumerate(finder.topics):
        for number, contract in enumerate(cut.contracts):
            read = Read.of(contract, name, cut, chances[:, topic], number)
            if read is not None:
                rows.append(scored(read, finder.quoting[topic], finder.quoting[topic].trimmer))
    told = figures(rows)
    return [
        Result(
            "contracts_cuad_quoting_f1",
            round(told.f1, 4),
            "F1",
            "higher",
            0.72,
            bound=f"precision {told.precision:.3f}, recall {told.recall:.3f}; the data's scripts 0.719, GPT-4.1 0.641",
        ),
        Result(
            "contracts_cuad_jaccard",
            round(told.jaccard, 4),
            "share",
            "higher",
            0.45,
            bound="0.343 and 0.472 of these two",
        ),
        Result(
            "contracts_cuad_false_none",
            round(told.none, 4),
            "share",
            "lower",
            0.10,
            bound="0.145 and 0.071 of these two",
        ),
    ]


def _nli(data: Path, stances: Stances) -> list[Result]:
    """Returns accuracy, F1 and calibration on the test agreements; F1 is the mean over statements, as in its paper."""
    _, agreements = labelled.nli(data)
    # By statement what was said of each agreement; sureness and truth pooled over all.
    said: dict[str, list[int]] = {topic: [] for topic in stances.topics}
    sure: list[float] = []
    right: list[bool] = []
    for one in agreements:
        for topic, label, chance, _ in stances.read(one.sentences):
            said[topic].append(label)
            sure.append(chance)
            right.append(label == one.labels[topic])
    truth = {topic: np.array([one.labels[topic] for one in agreements]) for topic in stances.topics}
    against, there = (
        float(np.mean([_f1(np.array(said[t]) == label, truth[t] == label) for t in said if (truth[t] == label).any()]))
        for label in (AGAINST, THERE)
    )
    brier = float(np.mean((np.array(sure) - np.array(right)) ** 2))
    told = f"{len(agreements)} agreements, {len(said)} statements; majority 0.674, TF-IDF of the data's scripts 0.792"
    return [
        Result("contracts_nli_accuracy", round(float(np.mean(right)), 4), "share", "higher", 0.82, bound=told),
        Result(
            "contracts_nli_contradiction_f1", round(against, 4), "F1", "higher", 0.30, bound="the data's scripts 0.227"
        ),
        Result("contracts_nli_entailment_f1", round(there, 4), "F1", "higher", bound="the data's scripts 0.749"),
        Result("contracts_nli_brier", round(brier, 4), "", "lower", bound=f"says {np.mean(sure):.3f} sure on average"),
    ]


def _f1(said: Mask, truth: Mask) -> float:
    return float(2 * (said & truth).sum() / max(int(said.sum() + truth.sum()), 1))


def _unfair(data: Path) -> list[Result]:
    """Returns macro F1 over eight classes of unfair terms, in the corpus' own five folds by company."""
    terms = labelled.unfair(data)
    said, truth = [], []
    # Each fold is read by a fit on the others, so a screener that knows all of them is not asked.
    for fold in sorted({one.fold for one in terms}):
        finder = fit_unfair([one for one in terms if one.fold != fold])
        for one in (own for own in terms if own.fold == fold):
            said.append(finder.chances(one.sentences) >= finder.present)
            truth.append(_classes(one.unfair))
    found, gold = np.concatenate(said), np.concatenate(truth)
    macro = float(np.mean([_f1(found[:, k], gold[:, k]) for k in range(gold.shape[1])]))
    told = f"{len(gold):,} sentences of {len(terms)} terms, five folds; the data's scripts 0.637"
    return [Result("contracts_unfair_macro_f1", round(macro, 4), "F1", "higher", 0.637, bound=told)]


def _classes(unfair: Sequence[frozenset[str]]) -> Mask:
    return np.array([[name in own for name in labelled.UNFAIR_CLASSES] for own in unfair], dtype=np.bool_)
