"""The standard induced-value market: buyers with private values, sellers with private costs, one good, several periods.

A period has several rounds of the call auction. Each trader deals in one unit after another: a buyer redeems what it
bought at its values, highest first, a seller pays its costs for what it sold, lowest first. The realised surplus over
the largest possible one is the market's efficiency (Smith 1962, "An experimental study of competitive market
behavior"; Gode and Sunder 1993).
"""

from collections.abc import Mapping
from typing import Literal

import numpy as np
from pydantic import Field, model_validator

from swarm.agents import forms
from swarm.agents.forms.protocol import FormPlugin
from swarm.agents.observation import Barter, Observation
from swarm.market import quality
from swarm.market.config import MarketConfig
from swarm.market.events import RoundCleared
from swarm.market.ledger import CASH, ISSUE
from swarm.scenarios.protocol import (
    Choices,
    Consequence,
    Int64,
    MarketState,
    Movement,
    Resolved,
    ScenarioPlugin,
    ShockMark,
    private_views,
    public_view,
)
from swarm.schema import StrictModel
from swarm.seeding import draw_between

KINDS = ("buyer", "seller")
BUYER, SELLER = 0, 1
REDEEMED, EXPIRED, COSTS = "redeemed", "expired", "costs"


class DoubleAuctionConfig(StrictModel):
    """The setting `double_auction`."""

    name: Literal["double_auction"] = "double_auction"
    """Which scenario this is."""

    good: str = Field(default="wheat", min_length=1, max_length=20, pattern=r"^[a-z]+$")
    """What is traded: one word in lower case."""

    rounds_per_period: int = Field(default=6, ge=1, le=1_000)
    """Rounds of the auction in a period; with the next, values and costs are whole again."""

    units: int = Field(default=3, ge=1, le=20)
    """How many units a trader can redeem or supply in a period."""

    lowest_ticks: int = Field(default=20, ge=1, le=100_000)
    """Lowest value or cost that is drawn, in ticks."""

    highest_ticks: int = Field(default=100, ge=1, le=100_000)
    """Highest value or cost that is drawn, in ticks."""

    redraw: bool = False
    """Whether each period draws new values and costs; otherwise they stay."""

    buyer_values_ticks: tuple[int, ...] = Field(default=(), max_length=20)
    """A schedule in place of drawn values: one buyer's units, the same for all buyers; empty: drawn."""

    seller_costs_ticks: tuple[int, ...] = Field(default=(), max_length=20)
    """A schedule in place of drawn costs: one seller's units, the same for all sellers; empty: drawn."""

    opening_price_ticks: int | None = Field(default=None, ge=1, le=100_000)
    """The first reference price; null: drawn from the middle half between lowest and highest."""

    start_cash_ticks: int = Field(default=500, ge=1, le=1_000_000)
    """What is in each purse at the start, in ticks."""

    @model_validator(mode="after")
    def _schedules_fit(self) -> "DoubleAuctionConfig":
        if self.lowest_ticks > self.highest_ticks:
            raise ValueError("lowest_ticks is above highest_ticks")
        for name in ("buyer_values_ticks", "seller_costs_ticks"):
            schedule = getattr(self, name)
            if schedule and len(schedule) != self.units:
                raise ValueError(f"{name} needs one entry for each of the {self.units} units")
            if schedule and min(schedule) < 1:
                raise ValueError(f"{name} needs amounts of 1 or more")
        return self


class DoubleAuction:
    """The traders' values and costs, what they have dealt in this period, and the surplus so far."""

    def __init__(self, config: DoubleAuctionConfig, seed: int, traders: int, rounds: int, market: MarketConfig) -> None:
        self.config = config
        self.seed = seed
        self.rounds = rounds
        self.market = market
        self.goods: tuple[str, ...] = (config.good,)
        self.kinds: tuple[str, ...] = KINDS
        self.named_accounts: tuple[str, ...] = (ISSUE, REDEEMED, EXPIRED, COSTS)
        self.shocks: tuple[ShockMark, ...] = ()
        self.trader = np.arange(traders)
        # Every other trader sells, so that both sides are equally many.
        self.trader_kind = self.trader % 2
        self.makes = np.where(self.trader_kind == SELLER, 0, -1)
        span = config.highest_ticks - config.lowest_ticks
        opening = config.opening_price_ticks or int(
            draw_between(
                seed, "opening price", config.lowest_ticks + span // 4, config.highest_ticks - span // 4, 0
            ).item()
        )
        self.opening_reference_ticks = np.array([min(max(opening, 1), market.max_price_ticks)])
        # [traders]: units dealt in this period, surplus of this period in ticks, and of all periods.
        self.dealt = np.zeros(traders, dtype=np.int64)
        self.period_surplus = np.zeros(traders, dtype=np.int64)
        self.surplus_ticks = np.zeros(traders, dtype=np.int64)
        # The largest surplus that all periods begun so far could have had, in ticks.
        self.possible_ticks = 0
        # [traders, units] ticks: a buyer's values or a seller's costs, best unit first.
        self.schedule: Int64 = np.zeros((traders, config.units), dtype=np.int64)
        self._begin_period(1)

    @property
    def efficiency(self) -> float:
        """The realised surplus over the largest possible one, of all periods begun so far."""
        return quality.efficiency(float(self.surplus_ticks.sum()), float(self.possible_ticks))

    def rules_text(self) -> str:
        """Returns the setting in a few sentences."""
        return (
            f"You trade {self.config.good}. A buyer earns WORTH less the price for a unit, a seller the price less "
            "WORTH, which is what the unit costs it.\n"
            "Each round, all orders meet at one price: bids at or above it buy, asks at or below sell.\n"
            f"A period has {self.config.rounds_per_period} rounds; what is not dealt by then is worth nothing."
        )

    def forms(self) -> Mapping[str, FormPlugin]:
        """Returns the forms of a market."""
        return forms.of_markets()

    def resolve(self, round_: int, choices: Choices, market: MarketState) -> Resolved:
        """Returns the orders, which are for the market to clear."""
        return Resolved(choices.orders)

    def opening(self) -> list[Consequence]:
        """Returns every purse, and the sellers' first units."""
        everyone = np.ones_like(self.trader)
        cash = self.config.start_cash_ticks * self.market.tick_cents
        return [Movement("endowment", ISSUE, self.trader, CASH * everyone, cash * everyone), self._supply()]

    def observe(self, round_: int, market: MarketState, last: RoundCleared | None) -> Observation:
        """Returns prices for all, and for each trader the value or the cost of its next unit."""
        traders = len(self.trader)
        period, within = self._period(round_)
        public = public_view(
            round_,
            self.rounds,
            f"period {period} round {within + 1} of {self.config.rounds_per_period}",
            (),
            market,
            last,
        )
        buyer = self.trader_kind == BUYER
        # One unit at a time, since the next one has another worth.
        open_ = (self.dealt < self.config.units).astype(np.int64)
        # Who has dealt in all of its units has a worth at which nobody would deal again.
        worth = np.where(open_ > 0, self._next_worth(), np.where(buyer, 1, self.market.max_price_ticks))
        private = private_views(
            market,
            last,
            tuple(f"YOU are a {KINDS[k]}" for k in self.trader_kind.tolist()),
            barter=Barter(
                makes=self.makes,
                need=np.where(buyer, open_, 0)[:, None],
                spare=np.where(buyer, 0, np.minimum(open_, market.balances[:, 1]))[:, None],
                worth_ticks=worth[:, None],
                mood=np.full(traders, 50, dtype=np.int64),
            ),
        )
        return Observation(public, private)

    def after_clearing(self, round_: int, market: MarketState, cleared: RoundCleared) -> list[Consequence]:
        """Counts the surplus; at a period's end it redeems, takes costs, clears the stores and supplies anew."""
        trades = cleared.trades
        # One unit after another, since each takes the next entry of its trader's schedule.
        for i in np.repeat(np.arange(len(trades.good)), trades.quantity_lots).tolist():
            self._count(int(trades.buyer[i]), BUYER)
            self._count(int(trades.seller[i]), SELLER)
        _, within = self._period(round_)
        if within + 1 < self.config.rounds_per_period:
            return []
        consequences = self._settle_period(market)
        self.dealt[:] = 0
        self.period_surplus[:] = 0
        if round_ < self.rounds:
            self._begin_period(self._period(round_ + 1)[0])
            consequences.append(self._supply())
        return consequences

    def snapshot(self) -> dict[str, Int64]:
        """Returns the period's schedules and what was dealt and earned, as they stand."""
        return {
            "dealt": self.dealt.copy(),
            "period_surplus": self.period_surplus.copy(),
            "surplus_ticks": self.surplus_ticks.copy(),
            "possible_ticks": np.array([self.possible_ticks]),
            "schedule": self.schedule.copy(),
        }

    def restore(self, snapshot: dict[str, Int64]) -> None:
        """Goes on within the period; another number of units holds from the next one on."""
        self.dealt = snapshot["dealt"].copy()
        self.period_surplus = snapshot["period_surplus"].copy()
        self.surplus_ticks = snapshot["surplus_ticks"].copy()
        self.possible_ticks = int(snapshot["possible_ticks"][0])
        # A fork may have changed the number of units; then the new schedule stays.
        if snapshot["schedule"].shape == self.schedule.shape:
            self.schedule = snapshot["schedule"].copy()

    def trader_columns(self) -> dict[str, Int64]:
        """Returns each trader's surplus so far in ticks: values redeemed less costs paid, without prices."""
        return {"surplus_ticks": self.surplus_ticks}

    def _period(self, round_: int) -> tuple[int, int]:
        """Returns the period that a round lies in, from 1, and the round's index in it, from 0."""
        period, within = divmod(round_ - 1, self.config.rounds_per_period)
        return period + 1, within

    def _begin_period(self, period: int) -> None:
        """Draws the schedules, [traders, units]: values falling, costs rising."""
        config, shape = self.config, (len(self.trader), self.config.units)
        drawn = draw_between(
            self.seed,
            "values and costs",
            np.int64(config.lowest_ticks),
            np.int64(config.highest_ticks),
            # The same draw in every period, unless values and costs are to be new.
            period if config.redraw else 1,
            self.trader[:, None],
            np.arange(config.units)[None, :],
        )
        values = (
            np.broadcast_to(np.array(config.buyer_values_ticks, dtype=np.int64), shape)
            if (config.buyer_values_ticks)
            else drawn
        )
        costs = (
            np.broadcast_to(np.array(config.seller_costs_ticks, dtype=np.int64), shape)
            if (config.seller_costs_ticks)
            else drawn
        )
        buyer = (self.trader_kind == BUYER)[:, None]
        self.schedule = np.where(buyer, -np.sort(-values, axis=1), np.sort(costs, axis=1))
        # The best value meets the least cost, and so on while both gain: no other pairing gains more.
        demand = -np.sort(-self.schedule[self.trader_kind == BUYER].ravel())
        supply = np.sort(self.schedule[self.trader_kind == SELLER].ravel())
        n = min(len(demand), len(supply))
        self.possible_ticks += int(np.maximum(demand[:n] - supply[:n], 0).sum())

    def _next_worth(self) -> Int64:
        index = np.minimum(self.dealt, self.config.units - 1)
        worth: Int64 = self.schedule[self.trader, index]
        return worth

    def _count(self, trader: int, side: int) -> None:
        """Counts one more unit that a trader dealt in; a unit beyond the schedule is worth nothing to a buyer."""
        # A guest from another region has no schedule here.
        if trader >= len(self.trader):
            return
        index = int(self.dealt[trader])
        amount = int(self.schedule[trader, index]) if index < self.config.units else 0
        earned = amount if side == BUYER else -amount
        self.dealt[trader] += 1
        self.period_surplus[trader] += earned
        self.surplus_ticks[trader] += earned

    def _supply(self) -> Movement:
        sellers = np.flatnonzero(self.trader_kind == SELLER)
        ones = np.ones_like(sellers)
        return Movement("supply", ISSUE, sellers, ones, self.config.units * ones)

    def _settle_period(self, market: MarketState) -> list[Consequence]:
        """Pays buyers the values of what they bought, and takes sellers' costs as far as their purse goes."""
        buyer = self.trader_kind == BUYER
        units = market.balances[:, 1]
        asset, cash = np.ones_like(self.trader), np.full_like(self.trader, CASH)
        value = np.where(buyer, self.period_surplus, 0) * self.market.tick_cents
        cost = np.where(buyer, 0, -self.period_surplus) * self.market.tick_cents
        return [
            Movement("units redeemed", self.trader, REDEEMED, asset, np.where(buyer, units, 0)),
            Movement("redemption", ISSUE, self.trader, cash, value),
            Movement("units expired", self.trader, EXPIRED, asset, np.where(buyer, 0, units)),
            Movement("costs", self.trader, COSTS, cash, np.minimum(cost, market.balances[:, CASH])),
        ]


def tilted(config: DoubleAuctionConfig, seed: int, permille: int) -> DoubleAuctionConfig:
    """Returns a region's market, where all values, costs and the first price are higher or lower by one share."""
    share = 1_000 + int(draw_between(seed, "tilt", -permille, permille, 0).item())

    def moved(ticks: int) -> int:
        return min(max(ticks * share // 1_000, 1), 100_000)

    opening = config.opening_price_ticks
    return config.model_copy(
        update={
            "lowest_ticks": moved(config.lowest_ticks),
            "highest_ticks": moved(config.highest_ticks),
            "buyer_values_ticks": tuple(map(moved, config.buyer_values_ticks)),
            "seller_costs_ticks": tuple(map(moved, config.seller_costs_ticks)),
            "opening_price_ticks": None if opening is None else moved(opening),
        }
    )


SCENARIO = ScenarioPlugin(
    name="double_auction",
    summary="The standard induced-value market: one good, private values and costs, periods, measurable efficiency.",
    Config=DoubleAuctionConfig,
    build=DoubleAuction,
    tilted=tilted,
)
