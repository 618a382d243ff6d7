"""Measures how good a market is and what its prices are like, by the statistics that economists use.

It has statistics of allocation, of dispersion between markets, of bubbles, of inequality, of returns, and of collusion.
Every function is pure and takes arrays in any unit as long as it is one; what it returns is a plain number. Sources
stand with each. Prices that nobody paid are the caller's to leave out; it knows no market and no run.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.int64] | npt.NDArray[np.floating]


def maximal_surplus(values: Numbers, costs: Numbers) -> float:
    """Returns the most that buyers and sellers can gain together.

    `values` has one entry per lot wanted and `costs` one per lot offered. The gains are exhausted when the dearest
    wants have met the cheapest offers for as long as a pair gains.
    """
    # Supply and demand as steps: pair i gains the i-th dearest want less the i-th cheapest offer.
    lots = min(len(values), len(costs))
    gains = np.sort(values)[::-1][:lots] - np.sort(costs)[:lots]
    return float(np.maximum(gains, 0).sum())


def efficiency(realised: float, maximal: float) -> float:
    """Returns realised over maximal surplus; 1 where there was nothing to gain and nothing was lost.

    Gode and Sunder 1993, "Allocative efficiency of markets with zero-intelligence traders", JPE 101(1).
    """
    if maximal == 0:
        return 1.0 if realised == 0 else float("-inf")
    return realised / maximal


def smiths_alpha(prices: Numbers, equilibrium: float) -> float:
    """Returns the root mean square distance of trade prices from the equilibrium price, in percent of it.

    Smith 1962, "An experimental study of competitive market behavior", JPE 70(2).
    """
    return float(100 * np.sqrt(np.mean((prices - equilibrium) ** 2)) / equilibrium)


def price_dispersion(prices: Numbers) -> npt.NDArray[np.float64]:
    """Returns, by good, the coefficient of variation of its price over markets; 0 is one price for all.

    `prices` is [markets, goods]. The coefficient is the standard deviation as a share of the mean.
    """
    dispersion: npt.NDArray[np.float64] = np.std(prices, axis=0) / np.mean(prices, axis=0)
    return dispersion


def relative_absolute_deviation(prices: Numbers, fundamental: Numbers) -> float:
    """Returns RAD: the mean distance of a period's price from its fundamental value, over the mean fundamental value.

    Stoeckl, Huber, Kirchler 2010, "Bubble measures in experimental asset markets", Experimental Economics 13. A
    period's price is its mean weighted by volume.
    """
    return float(np.mean(np.abs(prices - fundamental)) / abs(np.mean(fundamental)))


def relative_deviation(prices: Numbers, fundamental: Numbers) -> float:
    """Returns RD: RAD with the sign, so that it tells overpricing from underpricing and hides what cancels out.

    Source: as for `relative_absolute_deviation`.
    """
    return float(np.mean(prices - fundamental) / abs(np.mean(fundamental)))


def gini(values: Numbers) -> float:
    """Returns the Gini coefficient: 0 for equals, (n - 1) / n where one has all.

    It is defined for non-negative values alone, so who owns less than nothing counts as somebody who has nothing.
    """
    ordered = np.sort(np.maximum(values, 0)).astype(np.float64)
    n, total = len(ordered), float(ordered.sum())
    if total == 0:
        return 0.0
    return float((2 * np.arange(1, n + 1) - n - 1) @ ordered / (n * total))


def herfindahl_hirschman(amounts: Numbers) -> float:
    """Returns HHI, the sum of squared shares of what several firms sold: 1 / n to 1, and 0 where nothing was sold.

    Hirschman 1964, "The paternity of an index", AER 54(5). Authorities quote it times 10,000.
    """
    total = float(np.sum(amounts))
    return float(np.sum((amounts / total) ** 2)) if total else 0.0


def log_returns(prices: Numbers) -> npt.NDArray[np.float64]:
    """Returns the logarithms of the ratios of successive prices, which must be positive."""
    returns: npt.NDArray[np.float64] = np.diff(np.log(prices))
    return returns


def hill_tail_index(returns: Numbers, share: float = 0.01) -> float:
    """Returns the exponent of the tail of |returns|, from its largest `share`; infinite where these are all equal.

    Hill 1975, "A simple general approach to inference about the tail of a distribution", Annals of Statistics 3(5):
    1 over the mean log distance of the k largest from the one after them.
    """
    ordered = np.sort(np.abs(np.asarray(returns, dtype=np.float64)))[::-1]
    k = max(int(len(ordered) * share), 1)
    if k >= len(ordered) or ordered[k] <= 0:
        raise ValueError(f"{len(ordered)} returns are too few, or too many of them 0, for a tail of {share}")
    distance = float(np.mean(np.log(ordered[:k] / ordered[k])))
    return 1 / distance if distance else float("inf")


def autocorrelation(series: Numbers, lag: int) -> float:
    """Returns the sample autocorrelation at `lag`; 0 for a constant series.

    Of |returns| it measures the clustering of volatility.
    Cont 2001, "Empirical properties of asset returns: stylized facts and statistical issues", Quantitative Finance 1.
    """
    if not 0 < lag < len(series):
        raise ValueError(f"lag {lag} is not in 1..{len(series) - 1}")
    # Over the variance of the whole series, as is usual, so that the estimate stays within -1 and 1.
    centred = series - np.mean(series)
    variance = float(centred @ centred)
    return float(centred[lag:] @ centred[:-lag]) / variance if variance else 0.0


def autocorrelation_band(n: int) -> float:
    """Returns half the width of the 95% band around 0 of the autocorrelations of n independent draws: 1.96 / sqrt(n).

    Bartlett 1946, "On the theoretical specification and sampling properties of autocorrelated time-series".
    """
    return float(1.96 / np.sqrt(n))


def excess_kurtosis(returns: Numbers) -> float:
    """Returns the fourth standardised moment less the normal distribution's 3; its standard error is sqrt(24 / n)."""
    centred = returns - np.mean(returns)
    variance = float(np.mean(centred**2))
    return float(np.mean(centred**4)) / variance**2 - 3 if variance else 0.0


@dataclass(frozen=True, slots=True)
class LogitOligopoly:
    """Equal firms that set prices for differentiated goods under logit demand.

    A firm's demand is q = exp((quality - p) / mu) / (sum of the same over all firms + exp(outside / mu)), its profit
    (p - cost) q. The defaults are those of Calvano, Calzolari, Denicolo, Pastorello 2020, "Artificial intelligence,
    algorithmic pricing, and collusion", AER 110(10).
    """

    firms: int = 2
    quality: float = 2.0
    cost: float = 1.0
    outside: float = 0.0
    mu: float = 0.25

    def demand(self, price: float) -> float:
        """Returns what one firm sells when all ask `price`."""
        # Over exp((quality - p) / mu), which keeps the exponent small where a market exists.
        return float(1 / (self.firms + np.exp((self.outside - self.quality + price) / self.mu)))

    def profit(self, price: float) -> float:
        """Returns what one firm earns when all ask `price`."""
        return (price - self.cost) * self.demand(price)

    @property
    def nash_price(self) -> float:
        """Returns the price of the one-shot equilibrium, where p - cost = mu / (1 - q)."""
        return self._root(share_counted=1)

    @property
    def monopoly_price(self) -> float:
        """Returns the price that maximises the sum of profits, where p - cost = mu / (1 - n q)."""
        return self._root(share_counted=self.firms)

    def calvano_delta(self, price: float) -> float:
        """Returns the profit at a common `price`, as the share of the way from the competitive to the collusive one.

        Delta = (profit - Nash profit) / (monopoly profit - Nash profit).
        """
        # 0 is the profit of competition, 1 that of a cartel; below 0 firms undercut each other further still.
        nash, monopoly = self.profit(self.nash_price), self.profit(self.monopoly_price)
        return (self.profit(price) - nash) / (monopoly - nash)

    def lerner(self, price: float) -> float:
        """Returns the Lerner index: the margin over cost as a share of the price.

        Lerner 1934, "The concept of monopoly and the measurement of monopoly power", RES 1(3).
        """
        return (price - self.cost) / price

    def _root(self, share_counted: int) -> float:
        """Halves the bracket of the first-order condition until no float lies between; its left side rises with p."""
        # At cost the left side is negative; the upper end doubles its distance until it is not.
        low, high = self.cost, self.cost + self.mu
        while self._condition(high, share_counted) < 0:
            high += high - low
        while low < (middle := (low + high) / 2) < high:
            if self._condition(middle, share_counted) < 0:
                low = middle
            else:
                high = middle
        return high

    def _condition(self, price: float, share_counted: int) -> float:
        return (price - self.cost) * (1 - share_counted * self.demand(price)) - self.mu
