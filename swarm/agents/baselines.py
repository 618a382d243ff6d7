"""Rule-based traders that need no text: zero-intelligence constrained, ZIP, truthful, arbitrage.

They decide on columns, for all their traders at once. All quote for the same lots, what a trader needs and what it can
spare, and differ only in the price, so that what one earns more than another is the merit of its pricing.

Sources: ZI-C: Gode and Sunder 1993, "Allocative efficiency of markets with zero-intelligence traders". ZIP: Cliff 1997,
"Minimal-intelligence agents for bargaining behaviors in market-based environments", HPL-97-91.
"""

from typing import Literal, Protocol, get_args, runtime_checkable

import numpy as np
import numpy.typing as npt

from swarm.agents.memory import Memory
from swarm.agents.observation import Int64, Observation, PrivateViews
from swarm.market.orders import BUY, SELL, Orders
from swarm.seeding import draw_between, draw_unit

Float64 = npt.NDArray[np.float64]
BaselineName = Literal["zi_c", "zip", "truthful", "arbitrage"]
BASELINES: tuple[BaselineName, ...] = get_args(BaselineName)
BASELINE_SUMMARIES: dict[BaselineName, str] = {
    "zi_c": "zero intelligence, constrained: random prices, never at a loss (Gode and Sunder 1993)",
    "zip": "zero intelligence plus: a profit margin that learns from each clearing price (Cliff 1997)",
    "truthful": "quotes what a lot is worth to it",
    "arbitrage": "decides for travellers away from home: what a lot brings there, less the road and a tick of gain",
}
ARBITRAGE: BaselineName = "arbitrage"
"""The rule that sits where a traveller is a guest, and nowhere else."""


class Pricing(Protocol):
    """A rule that turns private values into limits: [n, goods] in, [n, goods] out."""

    def limits(self, seen: Observation) -> tuple[Int64, Int64]:
        """Returns the limits in ticks for bids and for asks."""
        ...


@runtime_checkable
class Learner(Pricing, Protocol):
    """A pricing rule whose limits depend on the rounds before."""

    def recall(self, memory: Memory) -> None:
        """Takes up what is in `memory`, and forgets all else."""
        ...

    def learned(self) -> Memory:
        """Returns all that later rounds depend on."""
        ...


class Truthful:
    """Quotes its private value."""

    def limits(self, seen: Observation) -> tuple[Int64, Int64]:
        """Returns the worth of a lot on both sides."""
        worth = seen.private.bartering.worth_ticks
        return worth, worth


class Arbitrage:
    """Buys for a tick less than a lot brings in the other region, and sells for no less than that.

    The worth of a lot to a guest is its price at the guest's home less the fee of the road.
    """

    def limits(self, seen: Observation) -> tuple[Int64, Int64]:
        """Returns bids below worth, so that a lot is carried for a gain only, and asks at worth."""
        worth = seen.private.bartering.worth_ticks
        return np.maximum(worth - 1, 1), worth


class ZeroIntelligenceConstrained:
    """Quotes at random, but never at a loss: bids uniform in 1..worth, asks uniform in worth..ceiling."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def limits(self, seen: Observation) -> tuple[Int64, Int64]:
        """Returns fresh draws each round; the ceiling of asks is twice the larger of worth and reference price."""
        worth = seen.private.bartering.worth_ticks
        keys = (seen.public.round, seen.private.trader[:, None], np.arange(worth.shape[1])[None, :])
        ceiling = 2 * np.maximum(worth, seen.public.reference_ticks[None, :])
        return (
            draw_between(self.seed, "zi_c bid", np.int64(1), worth, *keys),
            draw_between(self.seed, "zi_c ask", worth, ceiling, *keys),
        )


class ZeroIntelligencePlus:
    """Keeps a profit margin per good and moves it towards what the last clearing price would have allowed."""

    def __init__(self, seed: int, traders: Int64, goods: int) -> None:
        keys = (traders[:, None], np.arange(goods)[None, :])
        self.seed = seed
        self.traders = traders
        # Each trader has parameters of its own for each good: three arrays [traders, goods], from 0 to 1.
        unit = [draw_unit(seed, stream, *keys) for stream in ("zip margin", "zip rate", "zip momentum")]
        self._first_margin: Float64 = 0.05 + 0.30 * unit[0]
        self.rate: Float64 = 0.1 + 0.4 * unit[1]
        self.momentum: Float64 = 0.1 * unit[2]
        self.recall(Memory.empty())

    def recall(self, memory: Memory) -> None:
        """Takes margins, last changes, quotes and sides from `memory`; who is not in it begins anew."""
        self.margin: Float64 = self._first_margin.copy()
        self.change: Float64 = np.zeros_like(self.margin)
        self.quote: Float64 = np.zeros_like(self.margin)
        self.side: Int64 = np.zeros(self.margin.shape, dtype=np.int64)
        # Traders may have moved between regions since: only those that sit here and are remembered are filled in.
        _, own, known = np.intersect1d(self.traders, memory.trader, assume_unique=True, return_indices=True)
        if len(own):
            for n, column in enumerate((self.margin, self.change, self.quote, self.side)):
                column[own] = memory.learned[known, :, n]

    def learned(self) -> Memory:
        """Returns margins, last changes, quotes and sides."""
        return Memory(self.traders, np.stack([self.margin, self.change, self.quote, self.side], axis=-1))

    def limits(self, seen: Observation) -> tuple[Int64, Int64]:
        """Learns from the last round's prices and own fills, then quotes worth x (1 -+ margin)."""
        if seen.public.round > 1:
            self._learn(seen)
        barter = seen.private.bartering
        worth = barter.worth_ticks.astype(np.float64)
        # One side a good: what is needed is bought, and only what is not needed is sold.
        self.side = np.where(barter.need > 0, BUY, np.where(barter.spare > 0, SELL, 0))
        self.quote = np.maximum(worth * (1 - self.side * self.margin), 1.0)
        limit = np.rint(self.quote).astype(np.int64)
        return limit, limit

    def _learn(self, seen: Observation) -> None:
        private = seen.private
        price = seen.public.clearing_ticks[None, :].astype(np.float64)
        # Its own fill tells a trader whether its quote was good enough.
        filled = np.where(self.side == BUY, private.bought_lots, private.sold_lots) > 0
        traded = (price > 0) & (self.side != 0)
        keys = (seen.public.round, self.traders[:, None], np.arange(self.margin.shape[1])[None, :])
        relative = 0.05 * draw_unit(self.seed, "zip relative", *keys)
        absolute = 0.5 * draw_unit(self.seed, "zip absolute", *keys)
        # Where the price left room, the margin is raised towards it; where the quote failed, it is given away.
        greedier = traded & filled
        direction = np.where(greedier, -self.side, self.side)
        base = np.where(traded, price, self.quote)
        target = base * (1 + direction * relative) + direction * absolute
        # Widrow-Hoff with momentum, as in Cliff's paper: a part of the way from the quote to the target.
        self.change = self.momentum * self.change + (1 - self.momentum) * self.rate * (target - self.quote)
        worth = np.maximum(private.bartering.worth_ticks, 1)
        # The margin that the moved quote has from worth: never a loss, and never more than 95%.
        margin = np.clip(self.side * (1 - (self.quote + self.change) / worth), 0.0, 0.95)
        self.margin = np.where(self.side != 0, margin, self.margin)


def pricing(name: BaselineName, seed: int, traders: Int64, goods: int) -> Pricing:
    """Returns the pricing rule called `name` for these traders."""
    match name:
        case "truthful":
            return Truthful()
        case "arbitrage":
            return Arbitrage()
        case "zi_c":
            return ZeroIntelligenceConstrained(seed)
        case "zip":
            return ZeroIntelligencePlus(seed, traders, goods)


def orders_of(
    rule: Pricing, seen: Observation, max_orders: int, max_price: int, max_quantity: int, tick_cents: int
) -> Orders:
    """Returns one ask at most, for the good whose spare lots bring most, then bids for the needs of widest gain."""
    private, barter, n = seen.private, seen.private.bartering, len(seen.private)
    # A worth never lies above `max_price`, so that an ask which is brought down to it is still no loss.
    bid_ticks, ask_ticks = (np.minimum(limit, max_price) for limit in rule.limits(seen))
    everyone = np.arange(n)
    # Each bid is paid for out of what the ones before it left, so that all can be filled together.
    purse: Int64 = private.cash_cents // tick_cents
    batches: list[Orders] = []
    best_sale = np.argmax(barter.spare * seen.public.reference_ticks[None, :], axis=1)
    spare = np.minimum(barter.spare[everyone, best_sale], max_quantity)
    batches.append(_batch(private, everyone, 0, best_sale, SELL, ask_ticks[everyone, best_sale], spare))
    # [traders, goods] ticks a lot; the lowest number stands for what is never bought, unneeded or of its own make.
    gain = np.where(
        (barter.need > 0) & (np.arange(barter.need.shape[1])[None, :] != barter.makes[:, None]),
        barter.worth_ticks - seen.public.reference_ticks[None, :],
        np.iinfo(np.int64).min,
    )
    ranked = np.argsort(-gain.astype(np.float64), axis=1, kind="stable")  # [traders, goods]: best first
    for rank in range(min(max_orders - 1, ranked.shape[1])):
        good = ranked[:, rank]
        limit = bid_ticks[everyone, good]
        lots: Int64 = np.where(gain[everyone, good] > np.iinfo(np.int64).min, barter.need[everyone, good], 0)
        lots = np.minimum(np.minimum(lots, max_quantity), purse // np.maximum(limit, 1))
        purse = purse - lots * limit
        batches.append(_batch(private, everyone, rank + 1, good, BUY, limit, lots))
    return Orders.concatenate(batches)


def _batch(
    private: PrivateViews, rows: Int64, sequence: int, good: Int64, side: int, limit: Int64, lots: Int64
) -> Orders:
    rows = rows[lots > 0]
    return Orders(
        trader=private.trader[rows],
        sequence=np.full(len(rows), sequence, dtype=np.int64),
        good=good[rows],
        side=np.full(len(rows), side, dtype=np.int64),
        limit_ticks=limit[rows],
        quantity_lots=lots[rows],
        priority=np.zeros(len(rows), dtype=np.int64),
    )
