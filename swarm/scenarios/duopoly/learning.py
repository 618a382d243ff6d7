"""Two sellers that learn prices by Q-learning, each from its own profits and from the prices of the round before.

They are the algorithms of Calvano et al. 2020, and no language models. What they learn follows from the seed.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from swarm.market.compiled import kernel
from swarm.scenarios.duopoly.demand import Benchmarks, Float64, price_list, profits
from swarm.scenarios.duopoly.remedy import NOTHING, Remedy
from swarm.seeding import draw, draw_unit

Int64 = npt.NDArray[np.int64]

CYCLE = 1_000
"""Rounds over which the profits of what was learned are averaged."""


@dataclass(frozen=True, slots=True)
class Learning:
    """How the sellers learn, as Calvano et al. have it; chance choices fall off by exp(-`fading`) a round.

    A session ends once neither best choice has changed in any state for `settled_rounds`, or at `most_rounds`.
    """

    rate: float = 0.15
    fading: float = 4e-6
    patience: float = 0.95
    settled_rounds: int = 100_000
    most_rounds: int = 6_000_000


QUICK = Learning(fading=4e-5, settled_rounds=10_000, most_rounds=600_000)
"""The same ten times as fast, which colludes a little less."""


@dataclass(frozen=True, slots=True, eq=False)
class Learned:
    """What a session came to: `choice` is [sellers, states] prices by number; a state is first * prices + second.

    `collusion` is the index of collusion of the prices on the cycle that is played after learning.
    """

    choice: Int64
    rounds: int
    settled: bool
    collusion: float


@lru_cache(maxsize=64)
def learn(seed: int, prices: int, learning: Learning, remedy: Remedy = NOTHING) -> Learned:
    """Returns what two sellers learn from a list of so many prices under a remedy."""
    listed = price_list(prices)
    plain, marks = profits(listed), Benchmarks.of_two()
    # [prices, prices] what a seller keeps of a round, and [entrants, prices, prices] beside each price of an entrant.
    kept = remedy.kept(plain, marks.competitive_profit)
    entrants = listed[remedy.entrant_prices(listed, marks)]
    beside = np.stack([profits(listed, price) for price in entrants])
    share = remedy.entrant_permille / 1_000
    # Untrained, each price is worth what it earns on average for ever, if the rival's is drawn from the list.
    untrained = kept.mean(axis=1) / (1.0 - learning.patience)
    values = np.tile(untrained, (2, prices * prices, 1))
    choice = np.argmax(values, axis=2)
    state = np.array([int(draw(seed, "duopoly state", 0)[0] % np.uint64(prices * prices)), 0, 0])
    while state[1] < learning.settled_rounds and state[2] < learning.most_rounds:
        chance = _chance(seed, int(state[2]), share > 0)
        _walk()(
            values, choice, state, kept, beside, chance, share,
            learning.rate, learning.fading, learning.patience, learning.settled_rounds, learning.most_rounds,
        )  # fmt: skip
    return Learned(choice, int(state[2]), bool(state[1] >= learning.settled_rounds), _played(choice, state, plain))


_CHUNK = 1 << 16
"""Rounds whose chances are drawn at once."""


def _chance(seed: int, first: int, entry: bool) -> Float64:
    """Returns draws from 0 to 1, [rounds, 3]: for both sellers, and for the entrant where there may be one."""
    rounds = np.arange(first, first + _CHUNK)
    drawn = np.ones((_CHUNK, 3))
    for column in range(3 if entry else 2):
        drawn[:, column] = draw_unit(seed, "duopoly learning", column, rounds)
    return drawn


def _walk() -> Any:
    return kernel(_learn_rounds) or _learn_rounds


def _learn_rounds(
    values: Any, choice: Any, state: Any, kept: Any, beside: Any, chance: Any, share: float,
    rate: float, fading: float, patience: float, settled_rounds: int, most_rounds: int,
) -> None:  # fmt: skip
    """Plays rounds until the draws are used up or learning has settled; changes values, choice and state in place.

    `state` has what was chosen last as one number, the rounds since a best choice changed, and the rounds played.
    """
    prices = kept.shape[0]
    chosen = np.zeros(2, dtype=np.int64)
    for row in range(len(chance)):
        if state[1] >= settled_rounds or state[2] >= most_rounds:
            break
        # A draw below the falling threshold is a choice by chance, and says also which.
        exploring = np.exp(-fading * state[2])
        for seller in range(2):
            drawn = chance[row, seller]
            if drawn < exploring:
                chosen[seller] = min(int(drawn / exploring * prices), prices - 1)
            else:
                chosen[seller] = choice[seller, state[0]]
        entrant = -1
        if chance[row, 2] < share:
            entrant = min(int(chance[row, 2] / share * len(beside)), len(beside) - 1)
        after = chosen[0] * prices + chosen[1]
        changed = False
        for seller in range(2):
            own, rival = chosen[seller], chosen[1 - seller]
            earned = kept[own, rival] if entrant < 0 else beside[entrant, own, rival]
            ahead = values[seller, after, choice[seller, after]]
            of_state = values[seller, state[0]]
            of_state[own] += rate * (earned + patience * ahead - of_state[own])
            best = np.argmax(of_state)
            if best != choice[seller, state[0]]:
                choice[seller, state[0]] = best
                changed = True
        state[0] = after
        state[1] = 0 if changed else state[1] + 1
        state[2] += 1


def _played(choice: Int64, state: Int64, plain: Float64) -> float:
    """Returns the index of collusion of what is played after learning, without chance."""
    at, prices = int(state[0]), len(plain)
    earned = 0.0
    for _ in range(CYCLE):
        first, second = (int(own[at]) for own in choice)
        earned += (plain[first, second] + plain[second, first]) / 2.0
        at = first * prices + second
    return float(Benchmarks.of_two().collusion(earned / CYCLE))
