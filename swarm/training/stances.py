"""Trains what tells the stance of a confidentiality agreement on a statement, on the user's copy of ContractNLI."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from swarm import bounded_yaml
from swarm.scenarios.contract.finder import logit
from swarm.scenarios.contract.grams import Grams
from swarm.scenarios.contract.stances import LABELS, Stances, cued, pooled, with_short
from swarm.training.labelled_contracts import Stated
from swarm.training.regressions import calibration, matrix_of, regression

Float64 = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

FOLDS = 5
CUES = Path(__file__).parent / "contract_cues.yaml"


def fit_stances(agreements: Sequence[Stated]) -> Stances:
    """Returns the stances of all statements; what judges evidence is taught on evidence that a fit found unseen."""
    topics = tuple(sorted(agreements[0].labels, key=lambda name: int(name.split("-")[1])))
    ours: dict[str, list[str]] = bounded_yaml.parse(bounded_yaml.read_text(CUES))
    cues = tuple(tuple(ours.get(topic, ())) for topic in topics)
    texts = [with_short(one.sentences) for one in agreements]
    words = Grams.seen_in([text for own in texts for text in own], "words", 3, fewest=2)
    turned = Grams.seen_in([text for own in texts for text in own], "turned", 2, fewest=2)
    vectors = [([words.vector(t) for t in own], [turned.vector(t) for t in own]) for own in texts]
    sentences = matrix_of([row for own, _ in vectors for row in own], len(words))
    owner = np.repeat(np.arange(len(texts)), [len(own) for own in texts])
    # By topic: how evidence is found, and how it is judged.
    find, find_bias = np.zeros((len(words), len(topics))), np.zeros(len(topics))
    judged, right, told = [], [], []
    for column, topic in enumerate(topics):
        shows = np.concatenate([np.isin(np.arange(len(own.sentences)), own.evidence[topic]) for own in agreements])
        chances = np.zeros(len(owner))
        for fold in range(FOLDS):
            held = owner % FOLDS == fold
            weights, bias = regression(sentences[~held], shows[~held], 30, {False: 1, True: 5})
            chances[held] = 1 / (1 + np.exp(-(sentences[held] @ weights + bias)))
        find[:, column], find_bias[column] = regression(sentences, shows, 30, {False: 1, True: 5})
        flat = [[" ".join(text.split()) for text in one.sentences] for one in agreements]
        seen = np.array(
            [
                pooled(chances[owner == n], *vectors[n], (len(words), len(turned)), cued(cues[column], flat[n]))
                for n in range(len(agreements))
            ]
        )
        labels = np.array([one.labels[topic] for one in agreements])
        judged.append(_judge(seen, labels))
        # Each agreement judged by a fit on others, so that its sureness can be believed.
        for fold in range(FOLDS):
            held = np.arange(len(labels)) % FOLDS == fold
            rows, shifts = _judge(seen[~held], labels[~held])
            shares = _shares(seen[held] @ rows.T + shifts)
            told += shares.max(axis=1).tolist()
            right += (shares.argmax(axis=1) == labels[held]).tolist()
    sure = calibration(logit(np.array(told)), np.array(right))
    return Stances(
        topics,
        words,
        turned,
        find.astype(np.float32),
        find_bias,
        cues,
        tuple(weights.astype(np.float32) for weights, _ in judged),
        tuple(bias for _, bias in judged),
        sure,
    )


def _shares(scores: Float64) -> Float64:
    found = np.exp(scores - scores.max(axis=1, keepdims=True))
    shares: Float64 = found / found.sum(axis=1, keepdims=True)
    return shares


def _judge(seen: Float64, labels: Any) -> tuple[Float64, Float64]:
    """Returns [labels, features] and [labels] of a regression; a label that is never there has no chance."""
    from sklearn.linear_model import LogisticRegression

    weights, bias = np.zeros((len(LABELS), seen.shape[1])), np.full(len(LABELS), -30.0)
    known = np.unique(labels)
    if len(known) == 1:
        bias[known[0]] = 0.0
        return weights, bias
    # Agreements are few and features many, so it is fitted in the space that the agreements span; the same, and fast.
    values, axes = np.linalg.eigh(seen @ seen.T)
    kept = values > 1e-8
    basis = seen.T @ (axes[:, kept] / np.sqrt(values[kept]))
    model = LogisticRegression(C=10, max_iter=500, class_weight="balanced").fit(seen @ basis, labels)
    coefficients, intercept = model.coef_, model.intercept_
    # Of two labels scikit-learn keeps the difference alone.
    if len(known) == 2:
        coefficients, intercept = np.vstack([-coefficients / 2, coefficients / 2]), np.array([-1, 1]) * intercept / 2
    weights[known], bias[known] = coefficients @ basis.T, intercept
    return weights, bias
