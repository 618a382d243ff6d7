"""Votes, failing alike and calibration: goldens with correlated voters, and what each must do at its edges."""

from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import isotonic_regression

from swarm.coordination.calibration import Isotonic, expected_calibration_error
from swarm.coordination.failing_alike import Int64, Mask, effective_votes, error_correlation, failing_alike, same_wrong
from swarm.coordination.vote import MISSING, confident, dawid_skene, log_odds, scores, winners

OPTIONS, ITEMS, LABELLED, SETS = 4, 2_000, 300, 10
FALLING, ONE_STRONG = (0.75, 0.7, 0.65, 0.6, 0.55), (0.8, 0.55, 0.55, 0.55, 0.55)


def voters(
    drawn: np.random.Generator, accuracy: tuple[float, ...], latent: float, shared_wrong: float
) -> tuple[Int64, Int64, Mask]:
    """Answers, truth and who was right, from a Gaussian copula with a trap that some wrong answers share."""
    members = len(accuracy)
    factor = drawn.standard_normal(ITEMS)
    noise = drawn.standard_normal((ITEMS, members))
    z = np.sqrt(latent) * factor[:, None] + np.sqrt(1 - latent) * noise
    right = z < np.array([NormalDist().inv_cdf(p) for p in accuracy])
    truth = drawn.integers(0, OPTIONS, ITEMS)
    trap = (truth + 1 + drawn.integers(0, OPTIONS - 1, ITEMS)) % OPTIONS
    own = (truth[:, None] + 1 + drawn.integers(0, OPTIONS - 1, (ITEMS, members))) % OPTIONS
    wrong = np.where(drawn.random((ITEMS, members)) < shared_wrong, trap[:, None], own)
    return np.where(right, truth[:, None], wrong), truth, right


def table() -> list[list[float]]:
    """Best single, majority, log-odds, Dawid-Skene, correlation, n_eff, same wrong, joint failure over independent."""
    drawn, rows = np.random.default_rng(0), []
    for accuracy in (FALLING, ONE_STRONG):
        for latent, shared in ((0, 0.0), (0.3, 0.3), (0.6, 0.6)):
            found = []
            for _ in range(SETS):
                answers, truth, right = voters(drawn, accuracy, latent, shared)
                weights = log_odds(right[:LABELLED].mean(axis=0), OPTIONS)
                estimate = dawid_skene(answers, OPTIONS)
                rest = slice(LABELLED, None)
                by_majority = winners(scores(answers, np.ones(len(accuracy)), OPTIONS), drawn.random((ITEMS, OPTIONS)))
                by_weight = winners(scores(answers, weights, OPTIONS), drawn.random((ITEMS, OPTIONS)))
                correlation = error_correlation(right)
                found.append(
                    [
                        right[rest].mean(axis=0).max(),
                        *((vote == truth)[rest].mean() for vote in (by_majority, by_weight)),
                        (estimate.posterior.argmax(axis=1) == truth)[rest].mean(),
                        correlation,
                        effective_votes(5, correlation),
                        same_wrong(answers, right),
                        (~right).all(axis=1).mean(),
                        np.prod(1 - right.mean(axis=0)),
                    ]
                )
            rows.append(np.mean(found, axis=0).tolist())
    return rows


def test_the_goldens_of_correlated_voters() -> None:
    rows = table()
    # Published with three digits: best single, majority, log-odds with 300 labels, Dawid-Skene without.
    expected = {0: (0.743, 0.867, 0.882, 0.883), 1: (0.748, 0.788, 0.808, 0.807), 2: (0.752, 0.714, 0.733, 0.733)}
    expected[4] = (0.798, 0.738, 0.781, 0.774)
    for row, figures in expected.items():
        assert [round(value, 3) for value in rows[row][:4]] == pytest.approx(figures, abs=0.0011), row
    # Correlation, effective votes, same wrong answer, and joint failure beside independence.
    assert [round(rows[2][i], 2) for i in (4, 6)] == [0.39, 0.57]
    assert rows[2][5] == pytest.approx(2.0, abs=0.05)
    assert rows[2][7] / rows[2][8] == pytest.approx(19, abs=0.5)


def test_missing_votes_count_for_nothing() -> None:
    answers = np.array([[0, MISSING, 1], [MISSING, MISSING, MISSING], [2, 2, MISSING]])
    ties = np.array([[0.9, 0.5, 0.1]] * 3)
    assert winners(scores(answers, np.array([1.0, 9.0, 2.0]), 3), ties).tolist() == [1, 0, 2]
    estimate = dawid_skene(answers, 3)
    assert np.isfinite(estimate.posterior).all() and estimate.posterior[1] == pytest.approx([1 / 3] * 3)


def test_ties_go_by_what_the_caller_draws() -> None:
    answers = np.array([[0, 1], [0, 1]])
    ties = np.array([[0.1, 0.9, 0.99], [0.9, 0.1, 0.99]])
    assert winners(scores(answers, np.ones(2), 3), ties).tolist() == [1, 0]


def test_the_most_self_consistent_member_wins_and_skill_parts_equals() -> None:
    samples = np.array([[[0, 0, 1], [2, 2, 2]], [[1, 1, 0], [2, 2, 0]], [[MISSING] * 3, [MISSING] * 3]])
    answer, member = confident(samples, 3, np.array([0.9, 0.2]))
    assert answer.tolist() == [2, 1, MISSING]
    assert member.tolist() == [1, 0, MISSING]


def test_minds_that_fail_alike_are_called_so_and_independent_ones_are_not() -> None:
    drawn = np.random.default_rng(1)
    rounds = np.repeat(np.arange(200), 10)
    for latent, words in ((0.6, "failed alike"), (0.0, "did not fail more alike")):
        answers, _, right = voters(drawn, FALLING, latent, latent)
        alike = failing_alike(answers, right, OPTIONS, rounds)
        assert words in alike.sentence
        assert alike.ratio_low <= alike.ratio <= alike.ratio_high
        assert alike.same_wrong_by_chance == pytest.approx(1 / 3)


def test_without_errors_nothing_is_said_of_them() -> None:
    right = np.ones((4, 3), dtype=np.bool_)
    alike = failing_alike(np.zeros((4, 3), dtype=np.int64), right, 2, np.arange(4))
    assert "Too few" in alike.sentence


@given(st.lists(st.tuples(st.floats(-5, 5), st.booleans()), max_size=40))
def test_the_isotonic_map_rises_and_keeps_the_mean(pairs: list[tuple[float, bool]]) -> None:
    margin = np.array([m for m, _ in pairs], dtype=np.float64)
    right = np.array([r for _, r in pairs], dtype=np.float64)
    fit = Isotonic.fit(margin, right)
    assert (np.diff(fit(np.linspace(-6, 6, 50))) >= -1e-12).all()
    if pairs:
        assert fit(margin).mean() == pytest.approx(right.mean())


@given(st.lists(st.tuples(st.integers(-5, 5), st.booleans()), min_size=1, max_size=40))
def test_the_isotonic_map_is_that_of_scipy(pairs: list[tuple[int, bool]]) -> None:
    margin, right = (np.array(column, dtype=np.float64) for column in zip(*pairs, strict=True))
    at, group, weights = np.unique(margin, return_inverse=True, return_counts=True)
    mean = np.bincount(group, weights=right) / weights
    assert Isotonic.fit(margin, right)(at) == pytest.approx(isotonic_regression(mean, weights=weights).x)


def test_the_isotonic_map_of_a_textbook_case() -> None:
    # 1, 3, 2 pools the last two to 2.5, in proportion.
    fit = Isotonic.fit(np.array([0.0, 1.0, 2.0, 3.0]), np.array([0.0, 1.0, 0.0, 1.0]))
    assert fit(np.array([0.0, 1.0, 2.0, 3.0])).tolist() == [0.0, 0.5, 0.5, 1.0]
    assert expected_calibration_error(np.array([0.0, 0.5, 0.5, 1.0]), np.array([0.0, 1.0, 0.0, 1.0])) == 0.0


def test_opposite_errors_are_worth_no_number_of_votes() -> None:
    right = np.array([[True, False], [False, True]] * 2)
    alike = failing_alike(np.zeros((4, 2), dtype=np.int64), right, 2, np.arange(4))
    assert alike.correlation == pytest.approx(-1)
    assert (alike.all_wrong, alike.ratio) == (0, 0)
    assert np.isnan(alike.n_eff)
    assert "covered for each other" in alike.sentence
