"""Student's t and Holm's correction against scipy and the definitions."""

from itertools import pairwise

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from swarm.experiments.means import means
from swarm.experiments.statistics import holm, interval, p_of_mean, p_value, quantile

P_VALUES = st.lists(st.floats(0, 1), max_size=12)
VALUES = st.lists(st.integers(-1_000, 1_000).map(float), min_size=2, max_size=40)


@given(st.floats(0.01, 0.9999), st.integers(1, 300))
def test_quantiles_are_those_of_scipy(confidence: float, degrees: int) -> None:
    assert quantile(confidence, degrees) == pytest.approx(stats.t.ppf((1 + confidence) / 2, degrees), rel=1e-6)


@given(st.floats(-50, 50), st.integers(1, 300))
def test_p_values_are_those_of_scipy(t: float, degrees: int) -> None:
    assert p_value(t, degrees) == pytest.approx(2 * stats.t.sf(abs(t), degrees), abs=1e-12)


@given(VALUES)
def test_an_interval_is_that_of_scipy(values: list[float]) -> None:
    middle, half = interval(values)
    spread = stats.sem(values)
    assert middle == pytest.approx(np.mean(values))
    if spread:
        low, high = stats.t.interval(0.95, len(values) - 1, middle, spread)
        assert (middle - half, middle + half) == pytest.approx((low, high), rel=1e-6, abs=1e-6)
        assert p_of_mean(values) == pytest.approx(stats.ttest_1samp(values, 0).pvalue, abs=1e-9)


def test_known_values() -> None:
    assert quantile(0.95, 19) == pytest.approx(2.0930, abs=5e-5)
    assert interval([1.0, 2.0, 3.0, 4.0, 5.0, 6.0]) == pytest.approx((3.5, 1.9633), abs=5e-5)
    assert interval([2.0]) == (2.0, float("inf"))
    assert [p_of_mean(v) for v in ([3.0, 3.0], [0.0, 0.0], [3.0])] == [0.0, 1.0, 1.0]
    # Holm's own arithmetic: 3 x 0.01, then 2 x 0.03, then no less than the one before.
    assert [one.p for one in holm([0.01, 0.04, 0.03])] == pytest.approx([0.03, 0.06, 0.06])


@given(P_VALUES)
def test_holm_is_between_none_and_bonferroni(p_values: list[float]) -> None:
    corrected = holm(p_values)
    for before, after in zip(p_values, corrected, strict=True):
        assert before <= after.p <= min(1.0, len(p_values) * before) or after.p == max(c.p for c in corrected)
        assert 0.95 - 1e-12 <= after.confidence < 1
    in_order = [corrected[i].p for i in sorted(range(len(p_values)), key=lambda i: p_values[i])]
    assert all(a <= b for a, b in pairwise(in_order))


@given(st.lists(VALUES.map(tuple), min_size=1, max_size=5, unique=True))
def test_an_interval_excludes_zero_exactly_where_holm_rejects(samples: list[tuple[float, ...]]) -> None:
    for values, one in zip(samples, holm([p_of_mean(v) for v in samples]), strict=True):
        middle, half = interval(values, one.confidence)
        if abs(one.p - 0.05) > 1e-9 and half > 0:
            assert (not middle - half <= 0 <= middle + half) == (one.p < 0.05)


def test_differences_are_paired_by_seed_and_missing_seeds_are_left_out() -> None:
    rows = [("a", seed, 10.0 * seed) for seed in range(4)] + [("b", seed, 10.0 * seed + 1) for seed in range(1, 4)]
    table = means(pl.DataFrame(rows, schema=["variant", "seed", "m"], orient="row"), ["m"])
    base, other = table.to_dicts()
    assert (base["runs"], base["difference"]) == (4, None)
    assert (other["runs"], other["pairs"], other["difference"], other["differs"]) == (3, 3, 1.0, True)
    # Unpaired, seeds would drown a difference of 1 out.
    assert base["low"] < other["mean"] < base["high"]
