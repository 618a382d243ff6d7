"""A load on the real market actor: submitters that send batches of orders as fast as they are taken."""

from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import ray

from swarm.market.commands import CloseRound, Transfer
from swarm.market.config import MarketConfig
from swarm.market.events import OrdersTaken
from swarm.market.ledger import CASH, ISSUE
from swarm.market.orders import BUY, SELL, Orders
from swarm.runtime.actors import OPTIONS, MarketIntakeActor
from swarm.simulation.market import MarketPlan

TIMEOUT_S = 120.0
REFERENCE_TICKS = 900


class Submitter:
    """Sends its traders' orders, one each, in batches; a few batches are always under way."""

    def __init__(self, market: Any, first_trader: int, traders: int, batch: int, in_flight: int) -> None:
        self.market = market
        self.in_flight = in_flight
        rng = np.random.default_rng(first_trader)
        self.batches = [
            random_orders(np.arange(start, min(start + batch, first_trader + traders)), rng)
            for start in range(first_trader, first_trader + traders, batch)
        ]

    def send(self, round_: int) -> int:
        """How many orders were taken, all of them durable."""
        answers: list[OrdersTaken] = []
        waiting: list[Any] = []
        for orders in self.batches:
            if len(waiting) == self.in_flight:
                answers.append(ray.get(waiting.pop(0), timeout=TIMEOUT_S))
            waiting.append(self.market.submit.remote(round_, orders))
        answers += ray.get(waiting, timeout=TIMEOUT_S)
        return sum(answer.accepted for answer in answers)


def journalled_orders_per_s(
    journal: Path, submitters: int, orders_each: int, batch: int, in_flight: int, rounds: int
) -> list[float]:
    """The rate of each round, from its first batch to the last acknowledgement; the clearing is not counted.

    The cluster must be up. RuntimeError if an order was refused, which would count work that was not done.
    """
    traders = submitters * orders_each
    plan = market_plan(traders)
    market: Any = ray.remote(MarketIntakeActor).options(**OPTIONS["market"]).remote(plan, str(journal))
    ray.get(market.execute.remote(endowment(traders)), timeout=TIMEOUT_S)
    actors: list[Any] = [
        ray.remote(Submitter).options(num_cpus=0).remote(market, i * orders_each, orders_each, batch, in_flight)
        for i in range(submitters)
    ]
    rates = []
    number = 2
    try:
        for round_ in range(1, rounds + 2):
            started = perf_counter()
            taken = sum(ray.get([a.send.remote(round_) for a in actors], timeout=TIMEOUT_S))
            rates.append(taken / (perf_counter() - started))
            if taken != traders:
                raise RuntimeError(f"{traders - taken} orders of round {round_} were refused")
            # Far above any number of the groups, which count on from the last command.
            number += 1_000_000
            ray.get(market.execute.remote([CloseRound(number, round_)]), timeout=TIMEOUT_S)
        ray.get(market.close.remote(), timeout=TIMEOUT_S)
    finally:
        for actor in (*actors, market):
            ray.kill(actor)
    return rates[1:]  # the first round starts the processes


def market_plan(traders: int) -> MarketPlan:
    """A market of one good."""
    return MarketPlan(MarketConfig(), traders, (REFERENCE_TICKS,), (ISSUE,))


def endowment(traders: int) -> list[Transfer]:
    """More for everybody than they can spend."""
    everyone, nobody = np.arange(traders), np.zeros(traders, dtype=np.int64)
    amounts = [(1, CASH, 10**12), (2, CASH + 1, 10**6)]
    return [Transfer(n, "endowment", nobody + traders, everyone, nobody + a, nobody + x) for n, a, x in amounts]


def random_orders(trader: Any, rng: np.random.Generator) -> Orders:
    """One order for each trader, at limits around the reference price."""
    n = len(trader)
    return Orders(
        trader=trader,
        sequence=np.zeros(n, dtype=np.int64),
        good=np.zeros(n, dtype=np.int64),
        side=rng.choice([BUY, SELL], n),
        limit_ticks=np.clip(np.rint(rng.normal(REFERENCE_TICKS, 25, n)).astype(np.int64), 1, 1_000),
        quantity_lots=rng.integers(1, 101, n),
        priority=rng.integers(0, 2**62, n),
    )
