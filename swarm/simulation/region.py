"""Puts guests into a scenario's setting: they have a seat in its market and live in another region.

The scenario knows nothing of guests. It is asked about those who live there, and guests are put behind them: they
neither eat nor harvest, and what a lot is worth to them is what it brings at home.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from swarm.agents.forms.protocol import FormPlugin
from swarm.agents.observation import Barter, Observation, PrivateViews
from swarm.market.events import RoundCleared
from swarm.market.ledger import CASH, ROAD
from swarm.scenarios.protocol import (
    Barters,
    BringsRules,
    Choices,
    Consequence,
    Int64,
    MarketState,
    PostsPrices,
    Resolved,
    Scenario,
    ShockMark,
    TakesShocks,
    fills_of,
    idle_sentences,
)
from swarm.simulation.parties.road import TOLL
from swarm.simulation.plan import RunPlan

TRAVELLER = "traveller"
"""The kind of guests."""

NEWS_FROM = "news from "
"""What the keys of neighbours' prices in a snapshot begin with."""

UNKNOWN = -1
"""What a column of the scenario's own says of a guest."""


@dataclass(frozen=True, slots=True)
class Guests:
    """The guests of a region: where each lives, in the order of their seats, and what binds them on the road."""

    homes: tuple[str, ...]
    fee_permille: int
    capacity_lots: int


class Region:
    """A `Scenario` around another one; `elsewhere` has the neighbours' prices as the road last told them."""

    def __init__(self, scenario: Scenario, guests: Guests) -> None:
        self.scenario = scenario
        self.guests = guests
        self.natives = len(scenario.trader_kind)
        self.elsewhere: tuple[tuple[str, tuple[int, ...]], ...] = ()
        # Guests are a kind of their own, behind the scenario's kinds.
        some = len(guests.homes)
        self.goods: tuple[str, ...] = scenario.goods
        self.kinds: tuple[str, ...] = scenario.kinds + ((TRAVELLER,) if some else ())
        self.trader_kind: Int64 = np.append(scenario.trader_kind, np.full(some, len(scenario.kinds)))
        if isinstance(scenario, Barters):
            self.makes: Int64 = np.append(scenario.makes, np.full(some, -1))
        if isinstance(scenario, BringsRules):
            self.own_rules = scenario.own_rules
        # Nobody travels where prices are posted, so that a region's traders are the scenario's.
        if isinstance(scenario, PostsPrices):
            self.concerted_permille = scenario.concerted_permille
        self.idle_sentences: Mapping[str, str] = idle_sentences(scenario)
        self.named_accounts: tuple[str, ...] = (*scenario.named_accounts, ROAD, TOLL)
        self.opening_reference_ticks: Int64 = scenario.opening_reference_ticks
        self.shocks: tuple[ShockMark, ...] = scenario.shocks

    @property
    def shock_kinds(self) -> tuple[str, ...]:
        """The kinds of shocks that the scenario knows; none where it takes none."""
        return self.scenario.shock_kinds if isinstance(self.scenario, TakesShocks) else ()

    def shock_refusal(self, kind: str, good: int, rounds: int, size_permille: int) -> str:
        """Returns why there can be no such shock; empty where there can."""
        if not isinstance(self.scenario, TakesShocks):
            return "this scenario has no shocks"
        return self.scenario.shock_refusal(kind, good, rounds, size_permille)

    def strike(self, round_: int, kind: str, good: int, rounds: int, size_permille: int) -> None:
        """Lets a shock befall those who live here."""
        if isinstance(self.scenario, TakesShocks):
            self.scenario.strike(round_, kind, good, rounds, size_permille)
            self.shocks = self.scenario.shocks

    def rules_text(self) -> str:
        """Returns the setting in a few sentences."""
        return self.scenario.rules_text()

    def forms(self) -> Mapping[str, FormPlugin]:
        """Returns the scenario's forms."""
        return self.scenario.forms()

    def resolve(self, round_: int, choices: Choices, market: MarketState) -> Resolved:
        """Returns what the scenario makes of the choices of those who live here and of guests."""
        return self.scenario.resolve(round_, choices, self._native(market))

    def opening(self) -> list[Consequence]:
        """Returns what those begin with who live here; guests bring what they have."""
        return self.scenario.opening()

    def observe(self, round_: int, market: MarketState, last: RoundCleared | None) -> Observation:
        """Returns what the scenario shows, the neighbours' prices, and a row for each guest."""
        seen = self.scenario.observe(round_, self._native(market), last)
        private = _joined(seen.private, self._guest_views(market, last)) if self.guests.homes else seen.private
        return Observation(replace(seen.public, elsewhere=self.elsewhere), private)

    def after_clearing(self, round_: int, market: MarketState, cleared: RoundCleared) -> list[Consequence]:
        """Returns what happens to those who live here."""
        return self.scenario.after_clearing(round_, self._native(market), cleared)

    def may_be_taken(self, seen: Observation, market: MarketState, cleared: RoundCleared | None) -> Int64:
        """Returns [seats, goods], what travellers may take along after a round in which they were shown `seen`.

        From home that is what was spare before the round and has not been sold in it, abroad all that they have.
        """
        # [seats, goods]; the first column of balances is cash.
        have = market.balances[:, 1:]
        _, sold = fills_of(cleared, len(have), len(self.goods))
        barter = seen.private.barter
        spare = np.zeros_like(have) if barter is None else np.minimum(np.maximum(barter.spare - sold, 0), have)
        # A guest keeps nothing here: all that it has bought may go home.
        spare[self.natives :] = have[self.natives :]
        return spare

    def snapshot(self) -> dict[str, Int64]:
        """Returns the creatures' own state between rounds, and the news from each neighbour."""
        # What a neighbour's price was is part of the state, since prompts show it.
        news = {NEWS_FROM + name: np.array(prices, dtype=np.int64) for name, prices in self.elsewhere}
        return {**self.scenario.snapshot(), **news}

    def restore(self, snapshot: dict[str, Int64]) -> None:
        """Goes on from a snapshot of the same creatures."""
        self.scenario.restore({key: column for key, column in snapshot.items() if not key.startswith(NEWS_FROM)})
        self.shocks = self.scenario.shocks
        self.elsewhere = tuple(
            (key.removeprefix(NEWS_FROM), tuple(column.tolist()))
            for key, column in snapshot.items()
            if key.startswith(NEWS_FROM)
        )

    def trader_columns(self) -> dict[str, Int64]:
        """Returns the scenario's columns, in which a guest is unknown."""
        unknown = np.full(len(self.guests.homes), UNKNOWN)
        return {name: np.append(column, unknown) for name, column in self.scenario.trader_columns().items()}

    def _native(self, market: MarketState) -> MarketState:
        owed = None if market.owed is None else market.owed[: self.natives]
        frozen = None if market.frozen_through_round is None else market.frozen_through_round[: self.natives]
        return MarketState(
            market.balances[: self.natives],
            market.reference_ticks,
            owed,
            market.previous_ticks,
            frozen_through_round=frozen,
        )

    def _guest_views(self, market: MarketState, last: RoundCleared | None) -> PrivateViews:
        """Returns what guests know, by what goods bring them at home.

        A lot is worth its price at home less the fee. Where that is more than it costs here, they need as many as they
        can carry; the rest of what they have is spare.
        """
        guests, goods = len(self.guests.homes), len(self.goods)
        seats = np.arange(self.natives, self.natives + guests)
        have = market.balances[self.natives :, 1:]
        here, at_home = market.reference_ticks[None, :], self._prices_at_home(market.reference_ticks)
        worth = np.maximum(at_home * 1_000 // (1_000 + self.guests.fee_permille), 1)
        gains = worth > here
        # What they can carry is shared among the goods that are worth it, so that it is not all bet on one.
        room = np.maximum(self.guests.capacity_lots - have.sum(axis=1), 0)[:, None]
        need = np.where(gains, -(-room // np.maximum(gains.sum(axis=1), 1)[:, None]), 0)
        bought, sold = (fills[self.natives :] for fills in fills_of(last, self.natives + guests, goods))
        return PrivateViews(
            trader=seats,
            cash_cents=market.balances[self.natives :, CASH],
            have=have,
            bought_lots=bought,
            sold_lots=sold,
            facts=tuple(
                f"YOU are a traveller from {home}; WORTH is what a lot brings there" for home in self.guests.homes
            ),
            heard=((),) * guests,
            barter=Barter(
                makes=np.full(guests, -1),
                need=need,
                spare=np.where(gains, 0, have),
                worth_ticks=worth,
                mood=np.full(guests, 50),
            ),
        )

    def _prices_at_home(self, here: Int64) -> Int64:
        """Returns [guests, goods] ticks; before the first news from home, a lot is taken to cost the same there."""
        known = dict(self.elsewhere)
        prices: Int64 = np.array([known.get(home, tuple(here.tolist())) for home in self.guests.homes], dtype=np.int64)
        return prices


def _joined(natives: PrivateViews, guests: PrivateViews) -> PrivateViews:
    """Returns the views of both, guests last; where natives do not barter, guests do not either."""
    columns: dict[str, Any] = {"barter": None}
    for f in fields(PrivateViews):
        one, other = getattr(natives, f.name), getattr(guests, f.name)
        # Columns within a column are joined one by one.
        if isinstance(one, Barter):
            columns[f.name] = Barter(
                *(np.concatenate([getattr(one, c.name), getattr(other, c.name)]) for c in fields(Barter))
            )
        elif isinstance(one, Mapping):
            # No rule of the scenario's own decides for a guest, so its row is never looked at.
            columns[f.name] = {
                name: np.pad(own, [(0, len(guests)), *[(0, 0)] * (own.ndim - 1)]) for name, own in one.items()
            }
        elif one is not None:
            columns[f.name] = one + other if isinstance(one, tuple) else np.concatenate([one, other])
    return PrivateViews(**columns)


def region_of(plan: RunPlan) -> Region:
    """Returns the region that a plan is of."""
    if not isinstance(plan.scenario, Region):
        raise TypeError(f"{plan.name} is no region of a run")
    return plan.scenario
