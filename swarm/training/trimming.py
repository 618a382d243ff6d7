"""Trains what trims a quotation to names and dates: a logistic regression over words and their neighbours."""

from collections.abc import Container, Sequence

import numpy as np

from swarm.scenarios.contract.finder import pieces_of
from swarm.scenarios.contract.trimming import Trimmer, marks, tokens
from swarm.training.labelled_contracts import Clauses

LEAST_WEIGHT = 0.03
"""A mark that weighs less is left out."""


def fit_trimmer(contracts: Sequence[Clauses], topic: str, known: Container[int]) -> Trimmer:
    """Returns the trimmer of a topic, by the pieces that hold its labels in the contracts that are `known`."""
    from scipy.sparse import csr_matrix
    from sklearn.linear_model import LogisticRegression

    # [words, marks] as coordinates, and which words are inside a label.
    columns: dict[str, int] = {}
    rows: list[int] = []
    found: list[int] = []
    inside: list[bool] = []
    for number, one in enumerate(contracts):
        gold = one.labels.get(topic, ()) if number in known else ()
        # Only pieces in which something is to be kept; the others never come to be trimmed.
        for start, end in pieces_of(one.text) if gold else ():
            if not any(min(end, b) > max(start, a) for a, b in gold):
                continue
            own = tokens(one.text, start, end)
            for told, (first, last) in zip(marks(one.text, own), own, strict=True):
                found += [columns.setdefault(mark, len(columns)) for mark in told]
                rows += [len(inside)] * len(told)
                inside.append(any(a <= first and last <= b for a, b in gold))
    if not any(inside) or all(inside):
        return Trimmer({}, 10.0 if inside and all(inside) else -10.0, 0.5)
    matrix = csr_matrix((np.ones(len(rows)), (rows, found)), (len(inside), len(columns)))
    model = LogisticRegression(C=1.0, solver="liblinear", random_state=0).fit(matrix, inside)
    weights = {mark: round(float(w), 3) for mark, at in columns.items() if abs(w := model.coef_[0][at]) > LEAST_WEIGHT}
    return Trimmer(weights, float(model.intercept_[0]), 0.5)
