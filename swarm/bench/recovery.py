"""The time that a lost market takes to be back: from its journal alone, and from its last snapshot.

The market is lost as late as can be before its next snapshot is due, so that the tail is as long as it gets.
"""

import shutil
import tempfile
from pathlib import Path
from time import perf_counter
from typing import Protocol

import numpy as np

from swarm.bench.form import RUNS, Result, median_of
from swarm.config import RuntimeConfig
from swarm.market.commands import CloseRound, SubmitOrders, Transfer
from swarm.market.config import MarketConfig
from swarm.market.ledger import CASH, ISSUE
from swarm.market.orders import BUY, SELL, Orders
from swarm.simulation.journal_disk import head_path
from swarm.simulation.market import Market, MarketPlan

GOODS = 5
ROUNDS = 99
TRADERS = (1_000, 50_000)
AIM_S = 5.0
REFERENCE_TICKS = 500


class Narrator(Protocol):
    """Somebody who is told what is being measured."""

    def phase(self, text: str) -> None:
        """Takes note that something has begun which takes a while."""
        ...


def measure(narrator: Narrator) -> list[Result]:
    """Returns the figures of both ways, for a thousand traders and for as many as offer five million orders."""
    return [result for traders in TRADERS for result in _recovery(narrator, traders)]


def _recovery(narrator: Narrator, traders: int) -> list[Result]:
    plan = MarketPlan(
        MarketConfig(), traders, (REFERENCE_TICKS,) * GOODS, (ISSUE,), snapshot_rounds=RuntimeConfig().snapshot_rounds
    )
    with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix=".bench-") as folder:
        journal, alone = Path(folder, "journal.swarm"), Path(folder, "alone.swarm")
        narrator.phase(f"a market of {ROUNDS} rounds and {ROUNDS * traders:,} orders")
        state = write(plan, journal)
        # A copy without the snapshots that lie beside the journal.
        for source, target in ((journal, alone), (head_path(journal), head_path(alone))):
            shutil.copyfile(source, target)
        seconds: dict[Path, list[float]] = {alone: [], journal: []}
        for attempt in range(RUNS):
            for path, runs in seconds.items():
                narrator.phase(f"recovery {attempt + 1} of {RUNS} of {ROUNDS * traders:,} orders")
                runs.append(_recover(plan, path, state))
    orders = ROUNDS * traders
    note = f"{traders:,} traders, {ROUNDS} rounds, {orders:,} orders of {GOODS} goods"
    every = plan.snapshot_rounds
    return [
        median_of(
            f"market_recovery_s_{orders}",
            seconds[alone],
            "s",
            "lower",
            bound="reading the journal, and clearing all its rounds again",
            note=note,
        ),
        median_of(
            f"market_recovery_s_snapshot_{orders}",
            seconds[journal],
            "s",
            "lower",
            aim=AIM_S,
            bound=f"reading the journal and its chain of hashes, and clearing the {ROUNDS % every} rounds of the tail",
            note=f"{note}, a snapshot every {every} rounds",
        ),
    ]


def write(plan: MarketPlan, journal: Path) -> str:
    """Writes the journal of a market in which everybody offers one order a round; returns its last state's hash."""
    market = Market(plan, journal)
    everybody = np.arange(plan.traders)
    nobody = np.zeros(plan.traders, dtype=np.int64)
    rng = np.random.default_rng(plan.traders)
    # Enough of everything that no order is refused for lack of it.
    number = 0
    for asset in range(GOODS + 1):
        number += 1
        amount = nobody + (10**12 if asset == CASH else 10**5)
        market.execute([Transfer(number, "endowment", nobody + plan.traders, everybody, nobody + asset, amount)])
    for round_ in range(1, ROUNDS + 1):
        orders = Orders(
            trader=everybody,
            sequence=nobody,
            good=rng.integers(0, GOODS, plan.traders),
            side=rng.choice([BUY, SELL], plan.traders),
            limit_ticks=np.clip(np.rint(rng.normal(REFERENCE_TICKS, 25, plan.traders)).astype(np.int64), 1, 1_000),
            quantity_lots=rng.integers(1, 101, plan.traders),
            priority=rng.integers(0, 2**62, plan.traders),
        )
        market.execute([SubmitOrders(number + 1, round_, orders), CloseRound(number + 2, round_)])
        market.end_round(round_)
        number += 2
    market.close()
    return market.exchange.state_hash()


def _recover(plan: MarketPlan, journal: Path, expected: str) -> float:
    # As an actor that Ray restarts: open the journal, take the last snapshot, clear what came after it.
    started = perf_counter()
    market = Market(plan, journal)
    market.catch_up(market.recorded)
    took = perf_counter() - started
    market.close()
    if market.exchange.state_hash() != expected:
        raise RuntimeError(f"{journal}: the market came back in another state")
    return took
