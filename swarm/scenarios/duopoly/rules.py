"""The rules of sellers that think with no model: best reply, grim trigger, trained Q-learners, and chance.

They look at what sellers did in numbers of prices, and answer with one order each, to sell at such a number from 1 on.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from swarm.agents.observation import Observation
from swarm.agents.plan import OwnRule
from swarm.market.orders import SELL, Int64, Orders
from swarm.scenarios.duopoly.demand import Benchmarks, nearest, price_list, profits
from swarm.scenarios.duopoly.learning import QUICK, learn
from swarm.scenarios.duopoly.remedy import Remedy
from swarm.seeding import draw_below

OWN_PRICE, RIVAL_PRICE, LOWEST_PRICE = "own price", "rival's price", "lowest price so far"
"""The columns that rules look at: numbers of prices from 0 on."""


def quoted(traders: Int64, price: Int64) -> Orders:
    """Returns one order each, whose limit is the number of the price, counted from 1."""
    ones = np.ones_like(traders)
    return Orders(traders, 0 * ones, 0 * ones, SELL * ones, price + 1, ones, 0 * ones)


@dataclass(frozen=True, slots=True)
class BestReply:
    """Takes what earns most beside the rival's last price."""

    prices: int

    def __call__(self, seed: int, seen: Observation) -> Orders:
        """Returns each seller's price."""
        best = np.argmax(profits(price_list(self.prices)), axis=0)
        return quoted(seen.private.trader, best[seen.private.columns[RIVAL_PRICE]])


@dataclass(frozen=True, slots=True)
class GrimTrigger:
    """Takes the cartel's price until anybody in its market has gone below, and the competitive one ever after."""

    prices: int

    def __call__(self, seed: int, seen: Observation) -> Orders:
        """Returns each seller's price."""
        listed, marks = price_list(self.prices), Benchmarks.of_two()
        competitive, cartel = (nearest(listed, price) for price in (marks.competitive_price, marks.cartel_price))
        betrayed = seen.private.columns[LOWEST_PRICE] < cartel
        return quoted(seen.private.trader, np.where(betrayed, competitive, cartel))


@dataclass(frozen=True, slots=True)
class QLearners:
    """Plays what two Q-learners learned from each other before the run began, under the same remedy."""

    prices: int
    remedy: Remedy

    def __call__(self, seed: int, seen: Observation) -> Orders:
        """Returns each seller's price."""
        trader, columns = seen.private.trader, seen.private.columns
        own, rival = columns[OWN_PRICE], columns[RIVAL_PRICE]
        learned = learn(seed, self.prices, QUICK, self.remedy)
        # The first of a market's two sellers knows the state by its own price first, the second by its rival's.
        seat = trader % 2
        state = np.where(seat == 0, own * self.prices + rival, rival * self.prices + own)
        return quoted(trader, learned.choice[seat, state])


@dataclass(frozen=True, slots=True)
class Chance:
    """Takes any price of the list."""

    prices: int

    def __call__(self, seed: int, seen: Observation) -> Orders:
        """Returns each seller's price."""
        trader = seen.private.trader
        return quoted(trader, draw_below(seed, "duopoly chance", self.prices, seen.public.round, trader))


def all_rules(prices: int, remedy: Remedy) -> Mapping[str, OwnRule]:
    """Returns the rules by name, for a list of so many prices."""
    return {
        "best_reply": BestReply(prices),
        "grim": GrimTrigger(prices),
        "q_learner": QLearners(prices, remedy),
        "chance": Chance(prices),
    }
