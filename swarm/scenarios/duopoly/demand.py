"""The logit demand of two sellers, and what prices competition and a cartel come to.

Source: Calvano, Calzolari, Denicolo, Pastorello 2020, "Artificial intelligence, algorithmic pricing, and collusion",
American Economic Review 110(10), section II. Prices and profits are in units of the marginal cost, per buyer.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

Float64 = npt.NDArray[np.float64]

QUALITY, COST, SPREAD, OUTSIDE = 2.0, 1.0, 0.25, 0.0
"""The sellers' quality and marginal cost, how unlike buyers find goods, and what buying nothing is worth."""

SELLERS = 2
BEYOND = 0.1
"""How far the list of prices goes beyond both benchmarks, as a share of the way between them."""


def demand(prices: Float64) -> Float64:
    """Returns the share of buyers that each seller gets; the last axis of `prices` are the sellers in a market."""
    pull = np.exp((QUALITY - prices) / SPREAD)
    share: Float64 = pull / (pull.sum(axis=-1, keepdims=True) + np.exp(OUTSIDE / SPREAD))
    return share


def profit(prices: Float64) -> Float64:
    """Returns what each seller earns per buyer."""
    earned: Float64 = (prices - COST) * demand(prices)
    return earned


def competitive_price(sellers: int = SELLERS) -> float:
    """Returns the price of the Nash equilibrium in one round."""
    # The first-order condition of one seller alone, whose markup is SPREAD over the share that it does not have.
    return _root(lambda p: p - COST - SPREAD / (1.0 - _share(p, sellers)))


def cartel_price(sellers: int = SELLERS) -> float:
    """Returns the price at which all sellers together earn most."""
    # As for one seller, but nobody's buyers are won from another, so all shares count.
    return _root(lambda p: p - COST - SPREAD / (1.0 - sellers * _share(p, sellers)))


def _share(price: float, sellers: int) -> float:
    return float(demand(np.full(sellers, price))[0])


def _root(condition: Callable[[float], float]) -> float:
    """Returns where a rising function crosses zero between the cost and four times that, by bisection."""
    low, high = COST, 4.0 * COST
    # 60 halvings leave less than a double can tell.
    for _ in range(60):
        middle = (low + high) / 2.0
        low, high = (middle, high) if condition(middle) < 0.0 else (low, middle)
    return (low + high) / 2.0


@dataclass(frozen=True, slots=True)
class Benchmarks:
    """Competition and cartel: the price of both sellers, and what each of them earns per buyer."""

    competitive_price: float
    cartel_price: float
    competitive_profit: float
    cartel_profit: float

    @classmethod
    @cache
    def of_two(cls) -> "Benchmarks":
        """Returns the benchmarks of two sellers."""
        prices = competitive_price(), cartel_price()
        return cls(*prices, *(float(profit(np.full(SELLERS, price))[0]) for price in prices))

    def collusion(self, mean_profit: Float64 | float) -> Float64:
        """Returns the index of collusion: 0 in competition, 1 in a cartel, below 0 under a price war."""
        gap = self.cartel_profit - self.competitive_profit
        index: Float64 = (np.asarray(mean_profit) - self.competitive_profit) / gap
        return index


def price_list(prices: int) -> Float64:
    """Returns so many prices, evenly from a little below competition to a little above a cartel."""
    marks = Benchmarks.of_two()
    low, high = marks.competitive_price, marks.cartel_price
    margin = BEYOND * (high - low)
    return np.linspace(low - margin, high + margin, prices)


def nearest(listed: Float64, price: float) -> int:
    """Returns the number of the price of a list that is nearest to `price`."""
    return int(np.argmin(np.abs(listed - price)))


def profits(prices: Float64, entrant: float | None = None) -> Float64:
    """Returns what a seller earns per buyer, [own price, rival's price], beside an entrant's price where given."""
    own, rival = np.meshgrid(prices, prices, indexing="ij")
    others = [] if entrant is None else [np.full_like(own, entrant)]
    earned: Float64 = profit(np.stack([own, rival, *others], axis=-1))[..., 0]
    return earned


def profits_alone(prices: Float64, entrant: float | None = None) -> Float64:
    """Returns what a seller earns per buyer whose rival sells nothing, [own price]; or beside an entrant alone."""
    others = [] if entrant is None else [np.full_like(prices, entrant)]
    earned: Float64 = profit(np.stack([prices, *others], axis=-1))[..., 0]
    return earned
