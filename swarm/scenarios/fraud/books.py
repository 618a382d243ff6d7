"""A round of the desk as postings: slots that are looked at, payments and money on hold, rewards and costs.

Beside the bank's own books the run's ledger has a paper for each payment of the rounds, which lies with `released`,
`held` or `seized`, and the money that is on hold or seized; so all of it is conserved and journalled.
"""

import numpy as np

from swarm.market.ledger import CASH, ISSUE
from swarm.market.orders import BUY, SELL, Orders
from swarm.scenarios.fraud.config import FraudConfig
from swarm.scenarios.fraud.market import KEPT, OPEN, Bids, offered
from swarm.scenarios.fraud.payments import Int64
from swarm.scenarios.fraud.settling import Settled
from swarm.scenarios.protocol import Consequence, MarketState, Movement

SLOT, KEPT_SLOT, PAPER = 1, 2, 3
"""Assets: a slot of the analyst's time, one that is kept for dissenters, and the paper of a payment."""

GOODS = ("slot", "kept_slot", "payments")
PAPERS = frozenset(GOODS[2:])
RELEASED, HELD, SEIZED, ANALYST = "released", "held", "seized", "analyst"
ACCOUNTS = (ISSUE, RELEASED, HELD, SEIZED, ANALYST)
"""The world outside, where payments lie by their state, and who is paid for false alerts."""

DESK = 0
"""The trader that sells slots."""


def move(cause: str, source: Int64 | str, target: Int64 | str, asset: int, amount: Int64) -> list[Consequence]:
    """Returns a movement of the rows that move something; nothing where none does."""
    rows = np.flatnonzero(amount)
    if not len(rows):
        return []
    picked = [side if isinstance(side, str) else side[rows] for side in (source, target)]
    return [Movement(cause, picked[0], picked[1], np.full(len(rows), asset), amount[rows])]


def opened(config: FraudConfig, watchers: int) -> list[Consequence]:
    """Returns the purses of watchers and the slots of the first round."""
    seats = np.arange(1, watchers + 1)
    return [*move("purse", ISSUE, seats, CASH, np.full(watchers, config.purse_cents)), *_slots(config)]


def orders(config: FraudConfig, bids: Bids) -> Orders:
    """Returns the orders of a round: the desk offers its slots, and each payment is bid for once."""
    open_, kept = offered(config, bids)
    # [goods] lots on offer; a good of which there is none is not offered.
    lots = np.array([open_, kept])
    goods = np.flatnonzero(lots)
    # The desk's orders first; a watcher's are numbered by how much they bid.
    rank = np.zeros(len(bids), dtype=np.int64)
    for watcher in np.unique(bids.watcher).tolist():
        own = bids.watcher == watcher
        rank[own] = np.arange(int(own.sum()))
    none = np.zeros(len(goods) + len(bids), dtype=np.int64)
    sells = np.full(len(goods), config.reserve_ticks)
    return Orders(
        np.concatenate([np.full(len(goods), DESK), bids.watcher + 1]),
        np.concatenate([np.arange(len(goods)), rank]),
        np.concatenate([goods, bids.good]),
        np.concatenate([np.full(len(goods), SELL), np.full(len(bids), BUY)]),
        np.concatenate([sells, bids.ticks]),
        np.concatenate([lots[goods], np.ones(len(bids), dtype=np.int64)]),
        none,
    )


def closed(
    config: FraudConfig,
    market: MarketState,
    lots: Int64,
    payments: int,
    held_cents: Int64,
    settled: Settled,
    more_rounds: bool,
) -> list[Consequence]:
    """Returns the postings of a round that has cleared: `lots` are [traders, goods], `held_cents` of each new hold."""
    traders, postings = np.arange(len(lots)), []
    for good, asset in ((OPEN, SLOT), (KEPT, KEPT_SLOT)):
        used = lots[:, good].copy()
        used[DESK] = 0
        postings += move("looked at", traders, ISSUE, asset, used)
        postings += move("unsold", traders[:1], ISSUE, asset, market.balances[:1, asset])
    # Papers of the day's payments, and the money of those on hold.
    held = len(held_cents)
    postings += move("paid", ISSUE, RELEASED, PAPER, np.array([payments - held]))
    postings += move("held", ISSUE, HELD, PAPER, np.array([held]))
    postings += move("held", ISSUE, HELD, CASH, held_cents)
    # What the analyst knows by now leaves `held`, with its money.
    free = ~settled.seized
    for cause, target, back, which in (
        ("seized", SEIZED, SEIZED, settled.seized),
        ("released", RELEASED, ISSUE, free),
    ):
        postings += move(cause, HELD, target, PAPER, np.array([int(which.sum())]))
        postings += move(cause, HELD, back, CASH, settled.cents[which])
    # Rewards come from outside, where the saved money would have gone.
    seats = settled.watcher + 1
    postings += move("confirmed", ISSUE, seats, CASH, np.maximum(settled.earned_cents, 0))
    postings += move("false alert", seats, ANALYST, CASH, np.maximum(-settled.earned_cents, 0))
    return [*postings, *(_slots(config) if more_rounds else [])]


def _slots(config: FraudConfig) -> list[Consequence]:
    """Returns the slots that the desk has for a round; of kept ones as many more as may be wanted."""
    desk = np.array([DESK])
    return [
        *move("slots", ISSUE, desk, SLOT, np.array([config.slots])),
        *move("slots", ISSUE, desk, KEPT_SLOT, np.array([config.kept_slots])),
    ]
