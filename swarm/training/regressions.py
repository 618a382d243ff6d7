"""Logistic regressions over weighted words, as the parts of a screener are fitted; needs scikit-learn."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from swarm.scenarios.contract.grams import Vector

Float64 = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


def matrix_of(rows: Sequence[Vector], width: int) -> Any:
    """Returns [rows, features] of vectors."""
    from scipy.sparse import csr_matrix

    starts = np.concatenate([[0], np.cumsum([len(indices) for indices, _ in rows])])
    indices = np.concatenate([indices for indices, _ in rows])
    return csr_matrix((np.concatenate([values for _, values in rows]), indices, starts), (len(rows), width))


def regression(
    matrix: Any, truth: Mask, strength: float, counts: Mapping[bool, float], weight: Float64 | None = None
) -> tuple[Float64, float]:
    """Returns weights and bias of a logistic regression; nothing but a bias where there is one answer alone."""
    from sklearn.linear_model import LogisticRegression

    if truth.all() or not truth.any():
        return np.zeros(matrix.shape[1]), 10.0 if truth.all() else -10.0
    model = LogisticRegression(C=strength, class_weight=dict(counts), solver="liblinear", random_state=0, tol=2e-2)
    model.fit(matrix, truth, sample_weight=weight)
    return model.coef_[0], float(model.intercept_[0])


def calibration(margin: Float64, right: Mask) -> tuple[float, float]:
    """Returns slope and shift by which a margin in log odds becomes a chance."""
    from sklearn.linear_model import LogisticRegression

    # Where nothing ever went wrong there is nothing to learn from.
    if right.all() or not right.any():
        return 1.0, 0.0
    model = LogisticRegression().fit(margin.reshape(-1, 1), right.ravel())
    return float(model.coef_[0, 0]), float(model.intercept_[0])
