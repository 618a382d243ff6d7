"""The market's statistics against published prices and values that can be worked out by hand."""

import numpy as np
import pytest

from swarm.market import quality
from swarm.market.quality import LogitOligopoly

SSW = 0.24 * (15 - np.arange(15))
"""Fundamental values of Smith, Suchanek, Williams 1988: 3.60 falling to 0.24 in fifteen periods."""


@pytest.mark.parametrize(("firms", "nash", "monopoly"), [(2, 1.4729, 1.9250), (3, 1.3702, 2.0000), (5, 1.3115, 2.0972)])
def test_prices_of_the_logit_oligopoly(firms: int, nash: float, monopoly: float) -> None:
    market = LogitOligopoly(firms)
    assert round(market.nash_price, 4) == nash
    assert round(market.monopoly_price, 4) == monopoly


def test_profits_margins_and_collusion_of_the_duopoly() -> None:
    duopoly = LogitOligopoly()
    nash, monopoly = duopoly.nash_price, duopoly.monopoly_price
    assert (round(duopoly.profit(nash), 4), round(duopoly.profit(monopoly), 4)) == (0.2229, 0.3375)
    assert (round(duopoly.lerner(nash), 3), round(duopoly.lerner(monopoly), 3)) == (0.321, 0.481)
    assert [round(duopoly.calvano_delta(p), 3) for p in (1.6, 1.7, 1.8)] == [0.433, 0.709, 0.905]
    assert (duopoly.calvano_delta(nash), duopoly.calvano_delta(monopoly)) == (0.0, 1.0)


@pytest.mark.parametrize("firms", [1, 2, 4])
def test_no_firm_gains_by_leaving_the_equilibrium(firms: int) -> None:
    market = LogitOligopoly(firms, quality=2.5, cost=1.2, outside=0.4, mu=0.3)
    nash, monopoly = market.nash_price, market.monopoly_price

    def alone(price: float) -> float:
        ours = np.exp((market.quality - price) / market.mu)
        theirs = np.exp((market.quality - nash) / market.mu) * (firms - 1) + np.exp(market.outside / market.mu)
        return float((price - market.cost) * ours / (ours + theirs))

    around = np.linspace(-0.3, 0.3, 61)
    assert max(alone(nash + step) for step in around) == pytest.approx(market.profit(nash), rel=1e-9)
    assert max(market.profit(monopoly + step) for step in around) == pytest.approx(market.profit(monopoly), rel=1e-9)


@pytest.mark.parametrize(
    ("prices", "rad", "rd"),
    [
        (SSW, 0.0, 0.0),
        (1.1 * SSW, 0.10, 0.10),
        (0.9 * SSW, 0.10, -0.10),
        (np.full(15, 3.60), 0.875, 0.875),
        (np.full(15, 1.92), 0.4667, 0.0),
    ],
)
def test_bubbles_in_a_market_with_a_falling_value(prices: np.ndarray, rad: float, rd: float) -> None:
    assert quality.relative_absolute_deviation(prices, SSW) == pytest.approx(rad, abs=5e-5)
    assert quality.relative_deviation(prices, SSW) == pytest.approx(rd, abs=5e-5)


def test_a_bubble_to_twice_the_value_and_back() -> None:
    value = np.full(21, 14.0)
    up = np.linspace(14, 28, 11)
    # The ends weigh half, as in an integral.
    prices = np.concatenate([(up[1:] + up[:-1]) / 2, (up[::-1][1:] + up[::-1][:-1]) / 2])
    assert quality.relative_absolute_deviation(prices, value[:20]) == pytest.approx(0.5)
    assert quality.relative_deviation(prices, value[:20]) == pytest.approx(0.5)


def test_gini() -> None:
    assert quality.gini(np.full(7, 3)) == pytest.approx(0.0)
    assert quality.gini(np.array([1] + [0] * 99)) == pytest.approx(0.99)
    assert quality.gini(np.arange(1, 101)) == pytest.approx(0.33)
    assert quality.gini(np.zeros(3)) == 0.0
    shares = (np.arange(1_000) + 0.5) / 1_000
    assert quality.gini(-np.log(1 - shares)) == pytest.approx(0.4995, abs=5e-4)


def test_concentration() -> None:
    assert quality.herfindahl_hirschman(np.array([5, 0, 0])) == 1.0
    assert quality.herfindahl_hirschman(np.array([5, 5, 5, 5])) == 0.25
    assert quality.herfindahl_hirschman(np.array([3, 1])) == 0.625
    assert quality.herfindahl_hirschman(np.zeros(3)) == 0.0


def test_surplus_and_efficiency() -> None:
    assert quality.maximal_surplus(np.array([10, 8, 3]), np.array([9, 1, 2])) == 9 + 6
    assert quality.maximal_surplus(np.array([1]), np.array([2, 3])) == 0
    assert quality.efficiency(12, 15) == 0.8
    assert quality.efficiency(0, 0) == 1.0
    assert quality.efficiency(-1, 0) == float("-inf")
    assert quality.smiths_alpha(np.array([90, 110]), 100) == 10.0
    assert quality.smiths_alpha(np.array([100, 100]), 100) == 0.0


@pytest.mark.parametrize(("degrees", "published", "large_sample"), [(None, 10.1, 9.1), (3, 2.7, 2.9), (4, 3.4, 3.65)])
def test_the_tail_index_tells_a_heavy_tail(degrees: int | None, published: float, large_sample: float) -> None:
    rng = np.random.default_rng(1)
    n = 400_000
    returns = rng.standard_normal(n) if degrees is None else rng.standard_t(degrees, n)
    found = quality.hill_tail_index(returns)
    assert found == pytest.approx(large_sample, rel=0.05)
    # The values we compare with are of single samples of 10,000, whose standard error is a tenth.
    assert found == pytest.approx(published, rel=0.2)


def test_the_tail_index_of_a_pareto_tail_is_its_exponent() -> None:
    quantiles = (np.arange(100_000) + 0.5) / 100_000
    assert quality.hill_tail_index((1 - quantiles) ** (-1 / 2.5)) == pytest.approx(2.5, rel=0.01)
    assert quality.hill_tail_index(np.array([1, -8, 2, 4]), share=0.5) == pytest.approx(1 / (1.5 * np.log(2)))
    with pytest.raises(ValueError, match="too few"):
        quality.hill_tail_index(np.array([1.0]))
    assert quality.hill_tail_index(np.ones(500)) == float("inf")


def garch(n: int, rng: np.random.Generator) -> np.ndarray:
    """GARCH(1, 1) with 0.1 and 0.88, whose returns are heavy-tailed and cluster but do not predict one another."""
    returns, variance = np.empty(n), 1.0
    for t, shock in enumerate(rng.standard_normal(n)):
        returns[t] = np.sqrt(variance) * shock
        variance = 0.02 + 0.1 * returns[t] ** 2 + 0.88 * variance
    return returns


def test_volatility_clusters_in_garch_and_not_in_a_random_walk() -> None:
    rng = np.random.default_rng(2)
    n = 50_000
    band = quality.autocorrelation_band(n)
    clustered, independent = garch(n, rng), rng.standard_normal(n)
    assert abs(quality.autocorrelation(independent, 1)) < 1.5 * band
    assert abs(quality.autocorrelation(np.abs(independent), 1)) < 1.5 * band
    assert 0.18 < quality.autocorrelation(np.abs(clustered), 1) < 0.30
    assert 0.10 < quality.autocorrelation(np.abs(clustered), 20) < 0.22
    assert 3 < quality.hill_tail_index(clustered) < 5.5
    assert quality.excess_kurtosis(clustered) > 1
    assert abs(quality.excess_kurtosis(independent)) < 4 * np.sqrt(24 / n)


def test_autocorrelation_and_kurtosis_by_hand() -> None:
    assert quality.autocorrelation(np.array([1.0, -1.0, 1.0, -1.0]), 1) == -0.75
    assert quality.autocorrelation(np.ones(5), 2) == 0.0
    assert quality.autocorrelation_band(1_000) == pytest.approx(0.062, abs=5e-4)
    assert quality.excess_kurtosis(np.array([1.0, -1.0])) == -2.0
    assert quality.excess_kurtosis(np.ones(4)) == 0.0
    with pytest.raises(ValueError, match="lag 3"):
        quality.autocorrelation(np.ones(3), 3)
    assert np.exp(quality.log_returns(np.array([1, 2, 6]))).tolist() == pytest.approx([2.0, 3.0])
