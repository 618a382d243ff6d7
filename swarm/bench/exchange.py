"""The orders a second that the auctions take on one core, and the market actor in its rounds; and the cost of a sync.

The auctions run on one core and are timed by the CPU time they use, so that what else the machine does matters less.
Each figure stands beside a bound that is measured in turn with it: the least work of its kind on the same columns.
"""

import heapq
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from typing import Protocol

import numpy as np

from swarm.bench.form import RUNS, Result, median_of
from swarm.config import RuntimeConfig
from swarm.market import call_auction, compiled, continuous
from swarm.market.commands import CloseRound, SubmitOrders, Transfer
from swarm.market.config import MarketConfig
from swarm.market.ledger import CASH, ISSUE
from swarm.market.orders import BUY, SELL, Orders
from swarm.simulation.loop import with_priority
from swarm.simulation.market import Market, MarketPlan, MarketPort

SIZES = (1_000, 10_000, 100_000, 1_000_000)
REFERENCE_TICKS = 1_000
CALL_AIM = 10e6
COMPILED_AIM = 10e6
PYTHON_AIM = 1e6
JOURNAL_BLOCK_BYTES = 64 * 1024
ROUND_SIZES = (1_000, 10_000, 100_000)
ACTOR_AIM = 1.5e6
RULES = MarketConfig(max_price_ticks=10 * REFERENCE_TICKS)
"""The market's rules, under which no order of the rounds is refused: half of the limits lie above the reference."""
LEAST_ORDERS = 10_000
"""The orders of one run at the least."""
SEED = 1
"""What priorities are drawn from, as those of a run are."""


class Narrator(Protocol):
    """Somebody who is told what is being measured."""

    def phase(self, text: str) -> None:
        """Takes note that something has begun which takes a while."""
        ...


def orders(n: int) -> Orders:
    """Returns limit orders of one good: half bids, half asks, limits normal around 1,000 ticks, deviation 25."""
    rng = np.random.default_rng(n)
    return Orders(
        trader=np.arange(n),
        sequence=np.zeros(n, dtype=np.int64),
        good=np.zeros(n, dtype=np.int64),
        side=rng.choice([BUY, SELL], n),
        limit_ticks=np.maximum(np.rint(rng.normal(REFERENCE_TICKS, 25, n)).astype(np.int64), 1),
        quantity_lots=rng.integers(1, 101, n),
        priority=rng.integers(0, 2**62, n),
    )


def measure(narrator: Narrator) -> list[Result]:
    """Returns every figure, by size."""
    results: list[Result] = []
    for n in SIZES:
        narrator.phase(f"auctions of {n:,} orders")
        results += _auctions(n)
    narrator.phase("syncs")
    results.append(_fsync())
    narrator.phase("the market actor")
    results += _market_of_a_run()
    return results


def _auctions(n: int) -> list[Result]:
    """Returns the figures of both auctions and the simplest book on `n` orders, each beside its bound."""
    works = _works(n)
    if "in_machine_code" in works:
        works["in_machine_code"]()  # compiles
    # In turn, not one after another, so that what else the machine does meets all of them.
    runs: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(RUNS):
        for name, work in works.items():
            runs[name].append(_orders_per_s(work, n))
    # Each figure, the work that it is of, its aim, and the work that bounds it, in words and as measured.
    figures = (
        (
            f"call_auction_orders_per_s_{n}",
            "call",
            CALL_AIM,
            "memory: a copy of the four columns that go in and the one that comes out; small batches are bound by "
            "the start of some forty numpy calls",
            "copies",
        ),
        (
            f"continuous_orders_per_s_{n}",
            "in_machine_code",
            COMPILED_AIM,
            "memory: a copy of the columns and one read at a random place per order",
            "random_reads",
        ),
        (
            f"continuous_python_orders_per_s_{n}",
            "in_python",
            PYTHON_AIM,
            "the interpreter: a loop over the same columns that does nothing",
            "bare_loop",
        ),
        (f"python_book_orders_per_s_{n}", "plain_book", None, "the interpreter; this is the yardstick", "bare_loop"),
    )
    missing = "numba is not installed: it is the extra `fast`"
    return [
        _result(name, runs[work], aim, bound, runs[least])
        if work in runs
        else Result(name, None, "orders/s", "higher", aim, note=missing)
        for name, work, aim, bound, least in figures
    ]


def _works(n: int) -> dict[str, Callable[[], object]]:
    """Returns what is measured on one batch, by name; machine code only where there is a compiler."""
    batch = orders(n)
    columns = (batch.side, batch.limit_ticks, batch.quantity_lots, batch.priority)
    continuous_columns = (batch.kind, batch.side, batch.limit_ticks, batch.quantity_lots, batch.trader, batch.target)
    shuffled = np.random.default_rng(0).permutation(n)
    lists = [c.tolist() for c in (batch.side, batch.limit_ticks, batch.quantity_lots)]

    def copies() -> None:
        for column in (*columns, batch.quantity_lots):
            column.copy()

    def random_reads() -> None:
        # Each order is read once where it stands and touches one other anywhere, and leaves a trade of four columns.
        for column in (*continuous_columns, batch.quantity_lots, batch.trader):
            column.copy()
        batch.quantity_lots[shuffled]

    def bare_loop() -> None:
        for _ in zip(*(c.tolist() for c in continuous_columns), strict=True):
            pass

    works: dict[str, Callable[[], object]] = {
        "call": lambda: call_auction.clear(*columns, REFERENCE_TICKS),
        "in_python": lambda: continuous.match(*continuous_columns, use_compiled=False),
        "plain_book": lambda: python_book(*lists),
        "copies": copies,
        "random_reads": random_reads,
        "bare_loop": bare_loop,
    }
    if compiled.kernel(continuous._walk) is not None:
        works["in_machine_code"] = lambda: continuous.match(*continuous_columns, use_compiled=True)
    return works


def _result(name: str, runs: list[float], aim: float | None, bound: str, bound_runs: list[float]) -> Result:
    of_bound = min(median(runs) / median(bound_runs), 1.0)
    return median_of(name, runs, "orders/s", "higher", aim=aim, bound=bound, of_bound=round(of_bound, 4))


def _orders_per_s(work: Callable[[], object], n: int) -> float:
    """Returns orders per second of this process's CPU time; short work is repeated until the clock can tell."""
    repeats = max(1, 20_000 // n)
    started = process_time()
    for _ in range(repeats):
        work()
    return round(repeats * n / (process_time() - started), 1)


def python_book(side: list[int], limit: list[int], lots: list[int]) -> int:
    """Matches as the simplest continuous book does, two heaps of (price, row); returns the number of trades."""
    # Bids lie in the heap by their negative limit, so that both heaps begin with the best price.
    left = list(lots)
    bids: list[tuple[int, int]] = []
    asks: list[tuple[int, int]] = []
    trades = 0
    for row in range(len(side)):
        own, other = (bids, asks) if side[row] == BUY else (asks, bids)
        reach = -limit[row] * side[row]
        while left[row] and other and other[0][0] <= -reach:
            resting = other[0][1]
            traded = min(left[row], left[resting])
            trades += 1
            left[row] -= traded
            left[resting] -= traded
            if not left[resting]:
                heapq.heappop(other)
        if left[row]:
            heapq.heappush(own, (reach, row))
    return trades


def _market_of_a_run() -> list[Result]:
    """Returns the figures of rounds sent to the market actor as a round loop does: in one message, durably."""
    from swarm.runtime.adapters import RayMarket
    from swarm.runtime.cluster import own_cluster

    results = []
    with (
        tempfile.TemporaryDirectory(dir=Path.cwd(), prefix=".bench-") as folder,
        own_cluster(RuntimeConfig(num_cpus=os.cpu_count()), max(ROUND_SIZES)),
    ):
        for n in ROUND_SIZES:
            plan = MarketPlan(RULES, n, (REFERENCE_TICKS,), (ISSUE,), seed=SEED)
            # The same rounds on the same disk, with and without a message between processes.
            actor = RayMarket(plan, str(Path(folder, f"{n}.swarm").absolute()))
            runs = _rounds_per_s(actor, n)
            actor.end()
            bound = _rounds_per_s(Market(plan, Path(folder, f"{n}-here.swarm")), n)
            results.append(
                median_of(
                    f"market_actor_orders_per_s_{n}",
                    runs,
                    "orders/s",
                    "higher",
                    aim=ACTOR_AIM,
                    bound="one process: the same rounds journalled, cleared, settled and synced without messages",
                    of_bound=round(min(median(runs) / median(bound), 1.0), 4),
                    note=f"rounds of {n:,} orders, one of each trader, until the round is durable; wall time",
                )
            )
    return results


def _rounds_per_s(market: MarketPort, traders: int) -> list[float]:
    """Returns orders a second of each run of rounds: submitted, closed and ended as the round loop does it."""
    everyone, nobody = np.arange(traders), np.zeros(traders, dtype=np.int64)
    given = ((CASH, 10**12), (CASH + 1, 10**6))
    market.execute(
        [
            Transfer(number, "endowment", nobody + traders, everyone, nobody + asset, nobody + amount)
            for number, (asset, amount) in enumerate(given, start=1)
        ]
    )
    # Small rounds are over before the clock has said much, so that several of them make one run.
    rounds = max(1, LEAST_ORDERS // traders)
    seconds = []
    for round_ in range(1, (RUNS + 1) * rounds + 1):
        batch = with_priority(SEED, round_, orders(traders))
        number = 2 * round_ + 1
        started = perf_counter()
        market.execute([SubmitOrders(number, round_, batch), CloseRound(number + 1, round_)])
        market.end_round(round_)
        seconds.append(perf_counter() - started)
    market.close()
    # The first run starts the process.
    return [round(rounds * traders / sum(seconds[i : i + rounds]), 1) for i in range(rounds, len(seconds), rounds)]


def _fsync() -> Result:
    """Returns the time of an append of 64 KiB and its sync, in the folder where runs are written."""
    # In the working folder: a sync in memory, as /tmp often is, would cost nothing.
    seconds = []
    with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix=".bench-") as folder, Path(folder, "f").open("wb") as file:
        for _ in range(RUNS * 4):
            file.write(bytes(JOURNAL_BLOCK_BYTES))
            started = perf_counter()
            file.flush()
            os.fsync(file.fileno())
            seconds.append(perf_counter() - started)
    runs = [median(seconds[i::RUNS]) for i in range(RUNS)]
    return median_of("fsync_s", runs, "s", "lower", bound="the disk; one sync per round, so its cost is shared by all")
