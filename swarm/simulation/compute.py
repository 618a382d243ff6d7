"""Makes charges of a staffing into movements of cash: what traders pay for the thinking that was done for them.

The account COMPUTE is there only where a staffing charges. It knows no tokens and no prices: those are the staffing's.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from swarm.agents.observation import Observation
from swarm.coordination.staffing import Charges
from swarm.errors import ConfigError
from swarm.market.events import RoundCleared
from swarm.market.ledger import CASH
from swarm.market.orders import Int64
from swarm.scenarios.protocol import MarketState, Movement

COMPUTE = "compute"
"""The account that traders pay for models' tokens to; it is never below zero."""


@dataclass(frozen=True, slots=True)
class Charged:
    """The outcome of charges: the movements, what was paid and given back, and what nobody could pay, in cents."""

    movements: tuple[Movement, ...] = ()
    paid_cents: int = 0
    given_back_cents: int = 0
    unpaid_cents: int = 0


def charged(charges: Sequence[Charges], state: MarketState, compute_cents: int) -> Charged:
    """Returns what is taken of what is charged, in the order of the charges; never more than a trader has free.

    What is given back comes out of COMPUTE, to the first traders first, as long as that has something.
    """
    # [traders] cents that no resting order has on hold.
    free = state.balances[:, CASH] - (0 if state.held is None else state.held[:, CASH])
    movements: list[Movement] = []
    paid = given_back = unpaid = 0
    for one in charges:
        trader, which = np.unique(np.asarray(one.trader, dtype=np.int64), return_inverse=True)
        if len(trader) and not 0 <= trader[0] <= trader[-1] < len(free):
            raise ConfigError("traders.staffing", f"charges a trader that there is not, of {len(free)}")
        cents = np.zeros(len(trader), dtype=np.int64)
        np.add.at(cents, which, one.cents)
        # What a trader cannot pay is not taken.
        due = np.maximum(cents, 0)
        taken = np.minimum(due, np.maximum(free[trader], 0))
        free[trader] -= taken
        compute_cents += int(taken.sum())
        # What COMPUTE has is given back until it is used up.
        owed = np.maximum(-cents, 0)
        given = np.diff(np.minimum(np.cumsum(owed), compute_cents), prepend=0)
        free[trader] += given
        compute_cents -= int(given.sum())
        for source, target, amount in ((trader, COMPUTE, taken), (COMPUTE, trader, given)):
            if amount.any():
                movements.append(Movement(one.cause, source, target, np.full(len(trader), CASH), amount))
        paid, given_back = paid + int(taken.sum()), given_back + int(given.sum())
        unpaid += int((due - taken).sum() + (owed - given).sum())
    return Charged(tuple(movements), paid, given_back, unpaid)


def earned(cleared: RoundCleared, traders: int, tick_cents: int) -> Int64:
    """Returns [traders] cents: what each one's trades of a round brought in, less what they cost."""
    cents = np.zeros(traders, dtype=np.int64)
    value = cleared.trades.price_ticks * cleared.trades.quantity_lots * tick_cents
    for side, sign in ((cleared.trades.seller, 1), (cleared.trades.buyer, -1)):
        # Lenders trade, too, and have numbers beyond the traders'.
        own = side < traders
        np.add.at(cents, side[own], sign * value[own])
    return cents


def surplus(cleared: RoundCleared, seen: Observation, tick_cents: int) -> Int64 | None:
    """Returns [traders] cents: what each one's trades left it better off, by what goods are worth to it.

    A lot beyond its need is worth half, as the menu reckons too. None where nobody barters.
    """
    if (barter := seen.private.barter) is None:
        return None
    traders, goods = barter.worth_ticks.shape
    lots = np.zeros((2, traders, goods), dtype=np.int64)
    trades = cleared.trades
    for number, side in enumerate((trades.buyer, trades.seller)):
        own = side < traders
        np.add.at(lots[number], (side[own], trades.good[own]), trades.quantity_lots[own])
    bought, sold = lots
    needed = np.minimum(bought, barter.need)
    worth = (barter.worth_ticks * (bought + needed) // 2 - barter.worth_ticks * sold).sum(axis=1)
    better: Int64 = worth * tick_cents + earned(cleared, traders, tick_cents)
    return better
