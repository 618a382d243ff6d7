"""The mind `short_seller`: a rule that sells goods short once they have risen, and buys them back; it asks no model.

It needs a market with `market.margin`, which lends what it does not have; in any other its short sales are refused.
"""

import numpy as np
import numpy.typing as npt
from pydantic import Field

from swarm.agents.memory import Memory
from swarm.agents.mind import MindPlugin
from swarm.agents.observation import Int64, Observation
from swarm.agents.plan import ShardPlan
from swarm.market.orders import BUY, SELL, Orders
from swarm.schema import StrictModel
from swarm.seeding import draw_between

Float64 = npt.NDArray[np.float64]


class ShortSellerConfig(StrictModel):
    """A trader that sells short."""

    rises_permille: int = Field(default=100, ge=0, le=10_000)
    """How far the price must stand above its own mean, in 1/1000, for the good to be sold short; the seed draws each
    trader's from half of this to twice as much."""

    lots: int = Field(default=4, ge=1, le=1_000)
    """How much it sells short in a round."""

    most_lots: int = Field(default=12, ge=1, le=100_000)
    """How much of a good it owes at most."""

    fades_permille: int = Field(default=100, ge=1, le=1_000)
    """What the last price weighs in the mean, in 1/1000."""

    haste_permille: int = Field(default=100, ge=0, le=400)
    """How far below the price it sells short, and above it buys back, so as to be served, in 1/1000; the seed draws
    each trader's from half of this to twice as much."""


class ShortSeller:
    """Traders who sell what they make, and bet with borrowed goods that a price which has risen comes down again."""

    learns = True

    def __init__(self, name: str, section: ShortSellerConfig, plan: ShardPlan) -> None:
        self.name, self.config = name, section
        self._plan = plan

    def orders(self, seen: Observation, memory: Memory) -> tuple[Orders, Memory]:
        """Returns the orders of all traders of this mind, and their means of prices and debts by good."""
        mean, owes = self._recalled(seen, memory)
        # Traders of one rule differ, as those of the literature's do: nobody puts in another's orders by design.
        traders, seed, config = seen.private.trader, self._plan.seed, self.config
        rises, haste = (
            most * draw_between(seed, f"short seller's {name}", np.int64(500), np.int64(2_000), traders) // 1_000
            for name, most in (("rise", config.rises_permille), ("haste", config.haste_permille))
        )
        rules = self._plan.rules
        rows = [
            (trader, sequence, good, side, max(limit, 1), min(lots, rules.max_quantity_lots), 0)
            for row, trader in enumerate(traders.tolist())
            for sequence, (good, side, limit, lots) in enumerate(
                self._of(seen, row, mean[row], owes[row], int(rises[row]), int(haste[row]))
            )
            if lots > 0 and sequence < rules.max_orders
        ]
        return Orders.of_rows(rows), Memory(traders, np.stack([mean, owes.astype(np.float64)], axis=-1))

    def _of(
        self, seen: Observation, row: int, mean: Float64, owes: Int64, rises: int, haste: int
    ) -> list[tuple[int, int, int, int]]:
        """Returns what one trader wishes: good, side, limit in ticks and lots, the most urgent first."""
        config, barter, price = self.config, seen.private.bartering, seen.public.reference_ticks
        makes = int(barter.makes[row])
        orders = []
        # What it owes most of is bought back once the price has come down to its mean.
        debts = np.where(price <= mean, owes, 0)
        good = int(debts.argmax())
        orders.append((good, BUY, int(price[good]) * (1_000 + haste) // 1_000, int(debts[good])))
        # What stands highest above its mean is sold short: borrowed lots alone, so nothing of which it has some.
        over = np.where(seen.private.have[row] == 0, price / np.maximum(mean, 1.0), 0.0)
        over[owes >= config.most_lots] = 0.0
        good = int(over.argmax())
        if over[good] * 1_000 > 1_000 + rises and good != makes:
            lots = min(config.lots, config.most_lots - int(owes[good]))
            orders.append((good, SELL, int(price[good]) * (1_000 - haste) // 1_000, lots))
        if makes >= 0:
            orders.append((makes, SELL, int(barter.worth_ticks[row, makes]), int(barter.spare[row, makes])))
        return [order for order in orders if order[3] > 0]

    def _recalled(self, seen: Observation, memory: Memory) -> tuple[Float64, Int64]:
        """Returns each trader's mean of prices, and the lots that it owes by its own fills, [traders, goods]."""
        private, price = seen.private, seen.public.reference_ticks.astype(np.float64)
        mean = np.repeat(price[None, :], len(private), axis=0)
        owes = np.zeros(mean.shape, dtype=np.int64)
        _, own, known = np.intersect1d(private.trader, memory.trader, assume_unique=True, return_indices=True)
        if len(own):
            fade = self.config.fades_permille / 1_000.0
            mean[own] = (1.0 - fade) * memory.learned[known, :, 0] + fade * price
            owes[own] = memory.learned[known, :, 1].astype(np.int64)
        # Of what it does not make it sells borrowed lots alone, and what it buys pays them back.
        borrowed = np.arange(mean.shape[1])[None, :] != private.bartering.makes[:, None]
        owes = np.maximum(owes + np.where(borrowed, private.sold_lots - private.bought_lots, 0), 0)
        return mean, owes


MIND = MindPlugin(
    name="short_seller",
    summary="A rule that sells goods short once they have risen, and buys them back; it asks no model.",
    Config=ShortSellerConfig,
    build=ShortSeller,
    barters=True,
)
