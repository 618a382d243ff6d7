"""Watchers that learn: an isolation forest from payments alone, gradient boosting from the labels of the days before.

Both are scikit-learn's, an extra. They learn once, from what lies before the first round, and in one thread.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from swarm.errors import ConfigError

Float64 = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

EXTRA = "pip install 'thousand-token-wood[fraud]'"
FOREST, BOOSTING = "forest", "boosting"
MOST_FOREST_ROWS = 50_000
MODELS, ONE_IN, LEAST = 3, 8, 1e-9
"""Of how many models boosting is made, which part of lawful payments each learns from, and the least probability."""


def check(index: int, watch: str) -> None:
    """Raises ConfigError where the extra that a learning watcher needs is not installed."""
    try:
        import sklearn  # noqa: F401
    except ImportError:
        raise ConfigError(
            f"scenario.watchers.{index}.watch", f"{watch!r} needs scikit-learn, which is not installed", EXTRA
        ) from None


class Learned:
    """What was fitted, one model or several: higher scores are more suspicious, and all are above 0."""

    def __init__(self, watch: str, *models: Any) -> None:
        self._watch, self._models = watch, models

    def scores(self, figures: Float64) -> Float64:
        """Returns [payments] scores."""
        if not len(figures):
            return np.empty(0)
        from threadpoolctl import threadpool_limits

        found: Float64
        with threadpool_limits(1):
            if self._watch == FOREST:
                found = -self._models[0].score_samples(figures)
            else:
                # The geometric mean, so that one of them alone raises no alarm.
                each = [np.log(np.maximum(one.predict_proba(figures)[:, 1], LEAST)) for one in self._models]
                found = np.exp(np.mean(each, axis=0))
        return found


def fit(watch: str, figures: Float64, fraud: Mask, known: Mask) -> Learned | None:
    """Returns a watcher that has learned from [payments, figures]; None where there is nothing to learn from.

    Boosting learns from payments whose label is `known` alone, the forest from all of them, whatever they were.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier, IsolationForest
    from threadpoolctl import threadpool_limits

    if watch == FOREST:
        if len(figures) < 100:
            return None
        # Every n-th payment, so that all days have their share.
        step = -(-len(figures) // MOST_FOREST_ROWS)
        return Learned(watch, IsolationForest(n_estimators=100, random_state=0).fit(figures[::step]))
    # Labels of one kind alone teach nothing.
    if not fraud[known].any() or fraud[known].all():
        return None
    # All fraud and every n-th lawful payment, another part of them for each model: what differs between the models by
    # chance is averaged out. [payments] weights make up for what is left out.
    fraud, figures = fraud[known], figures[known]
    models = []
    # One thread: more of them wait for one another longer than they work on so few payments.
    with threadpool_limits(1):
        for number in range(MODELS):
            part = fraud | (np.arange(len(fraud)) % ONE_IN == number)
            model = HistGradientBoostingClassifier(
                max_iter=60,
                learning_rate=0.1,
                max_leaf_nodes=15,
                min_samples_leaf=10,
                l2_regularization=1.0,
                max_features=0.25,
                random_state=number,
            )
            weight = np.where(fraud, 1.0, ONE_IN)[part]
            models.append(model.fit(figures[part], fraud[part], sample_weight=weight))
    return Learned(watch, *models)


def plain(figures: Float64, fraud: Mask) -> Learned:
    """Returns boosting as one model that learns from all payments: what benchmarks compare with, and no watcher."""
    from sklearn.ensemble import HistGradientBoostingClassifier
    from threadpoolctl import threadpool_limits

    model = HistGradientBoostingClassifier(
        max_iter=200, learning_rate=0.06, max_leaf_nodes=15, min_samples_leaf=10, l2_regularization=1.0, random_state=0
    )
    with threadpool_limits(1):
        return Learned(BOOSTING, model.fit(figures, fraud))
