"""Says why one trader did what it did in one round: what it saw, said and ordered, and what else it might have had.

It looks on while a run is replayed, and all that it tells follows from the journal. With the orders of all others as
they were, the round is cleared again with each action of the trader's menu; orders that rest in the book and debts of
earlier rounds are left out of that.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from swarm.agents.forms.menu import MenuForm
from swarm.agents.forms.menus import LETTERS
from swarm.agents.forms.protocol import FormTerms
from swarm.agents.mind import Seats
from swarm.agents.minds import asking, guests_of
from swarm.agents.recall import Recalled, recalled
from swarm.errors import ConfigError, ReplayMismatch, called
from swarm.market.events import Trades
from swarm.market.orders import Int64, Orders, side_name
from swarm.scenarios.protocol import MarketState
from swarm.simulation.basis import RoundBasis
from swarm.simulation.gains import gain_of, orders_of, realised_ticks
from swarm.simulation.history import Compose
from swarm.simulation.joint import JointSetting
from swarm.simulation.loop import RoundOutcome
from swarm.simulation.plan import RunPlan
from swarm.simulation.replay import replay

NOT_BARTERING = "traders of this scenario do not barter, so nothing says what a fill is worth to them"
RESTING = "orders that rest in the book and debts of earlier rounds are left out of what is cleared again"


@dataclass(frozen=True, slots=True)
class Placed:
    """One order as the market had it; `refused` is the reason why it was not taken, or empty."""

    side: str
    good: str
    limit_ticks: int
    quantity_lots: int
    refused: str = ""


@dataclass(frozen=True, slots=True)
class Fill:
    """One trade of the trader's; `other` is the number in the run of whoever was on the other side."""

    side: str
    good: str
    price_ticks: int
    quantity_lots: int
    other: int


@dataclass(frozen=True, slots=True)
class Alternative:
    """One action of the menu, and what it would have brought; `taken` where it is what the trader ordered."""

    letter: str
    orders: str
    expected_ticks: int
    gain_ticks: int
    taken: bool


@dataclass(frozen=True, slots=True)
class Explained:
    """One trader's round in one market; `missing` has a line for each thing that cannot be told.

    `trader` is its number in the run and `seat` that in the market, which is another where there are several regions.
    `asked` says whether models were asked, and `why_not` why not. `brought_ticks` is what the fills were worth to the
    trader by what it was told, less their price; None where nobody knows.
    """

    trader: int
    seat: int
    region: str
    round: int
    rounds: int
    kind: str
    mind: str
    asked: bool
    why_not: str
    calls: tuple[Recalled, ...]
    told: str
    error: str
    repairs: tuple[str, ...]
    faults: tuple[str, ...]
    gossip: str
    orders: tuple[Placed, ...]
    fills: tuple[Fill, ...]
    brought_ticks: int | None
    alternatives: tuple[Alternative, ...]
    missing: tuple[str, ...] = field(default=())

    def record(self) -> dict[str, Any]:
        """Returns plain values, as JSON has them."""
        return asdict(self)


class Why:
    """A watcher that explains one trader's round; `found` has one of each market that it had a seat in."""

    def __init__(self, trader: int, round_: int) -> None:
        self.found: list[Explained] = []
        self._trader, self._round = trader, round_

    def started(self, plan: RunPlan, opening: MarketState, named: Int64) -> None:
        """Raises ConfigError where the run has no such trader or round."""
        if not 0 <= self._trader < plan.traders:
            key = called("--trader", "trader")
            raise ConfigError(key, f"expected a trader from 0 to {plan.traders - 1}, got {self._trader}")
        if not 1 <= self._round <= plan.last.rounds:
            raise ConfigError(
                called("--round", "round"), f"expected a round from 1 to {plan.last.rounds}, got {self._round}"
            )

    def round_done(self, outcome: RoundOutcome) -> None:
        """Explains the round if it is the one that was asked for."""
        if outcome.round != self._round:
            return
        setting = outcome.plan.scenario
        if not isinstance(setting, JointSetting):
            everybody = np.arange(outcome.plan.traders)
            self.found.append(explained(outcome, self._trader, everybody))
            return
        # A traveller sits in two markets, and decides in each.
        for market, seat in setting.seats_of(self._trader):
            name = setting.config.all_names[market]
            self.found.append(explained(outcome.of[market], seat, setting.number_of[market], name))


def explained(outcome: RoundOutcome, seat: int, number_of: Int64, region: str = "") -> Explained:
    """Returns what one seat of one market did in a round, and why; `number_of` has the run's numbers by seat."""
    plan, basis, gathered = outcome.plan, outcome.basis, outcome.gathered
    if basis is None:
        raise ValueError(f"round {outcome.round} has no basis, as that of one market has")
    setting, turns, decisions = plan.scenario, gathered.turns, gathered.decisions
    calls: tuple[Recalled, ...] = ()
    told = error = gossip = ""
    repairs: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()
    # At most one turn: whoever was not asked has none.
    found = np.flatnonzero(turns.trader == seat).tolist()
    for turn in found:
        seats = Seats.at(basis.seen, np.array([_row(basis, seat)], dtype=np.int64))
        calls, told = recalled(plan.shard, asking(plan.shard)[turns.mind_names[turn]], turns, turn, seats)
        error, gossip = str(decisions.errors[turn] or ""), decisions.gossip[turn]
        repairs, faults = tuple(map(str, decisions.repairs[turn])), tuple(map(str, decisions.faults[turn]))
    orders = basis.orders.take(basis.orders.trader == seat)
    trades = outcome.cleared.trades
    own = trades.take((trades.buyer == seat) | (trades.seller == seat))
    alternatives, brought, missing = _compared(plan, basis, seat, orders, own)
    return Explained(
        trader=int(number_of[seat]),
        seat=seat,
        region=region,
        round=outcome.round,
        rounds=plan.last.rounds,
        kind=setting.kinds[int(setting.trader_kind[seat])],
        mind=plan.minds[seat],
        asked=bool(found),
        why_not="" if found else _why_not(outcome, seat, len(orders)),
        calls=calls,
        told=told,
        error=error,
        repairs=repairs,
        faults=faults,
        gossip=gossip,
        orders=_placed(outcome, seat, orders),
        fills=_fills(own, seat, setting.goods, number_of),
        brought_ticks=brought,
        alternatives=alternatives,
        missing=missing,
    )


def _row(basis: RoundBasis, seat: int) -> int:
    return int(np.flatnonzero(basis.seen.private.trader == seat)[0])


def _why_not(outcome: RoundOutcome, seat: int, orders: int) -> str:
    """Returns why no model was asked for a trader in a round."""
    plan = outcome.plan
    if not plan.there(outcome.round)[seat]:
        return "it was not there in this round"
    if seat in outcome.gathered.late:
        who = f"the guest {plan.minds[seat]}" if plan.minds[seat] in guests_of(plan.shard) else "its shard"
        return f"{who} did not answer in time"
    if plan.minds[seat] not in asking(plan.shard):
        return f"{plan.minds[seat]} is a rule, and asks no model"
    return f"it was not asked in this round; {'what it decided before stands' if orders else 'nothing of it stands'}"


def _placed(outcome: RoundOutcome, seat: int, orders: Orders) -> tuple[Placed, ...]:
    refused, goods = outcome.taken.reasons, outcome.plan.scenario.goods
    columns = (orders.side, orders.good, orders.limit_ticks, orders.quantity_lots, orders.sequence)
    return tuple(
        Placed(side_name(side), goods[good], limit, lots, refused.get((seat, sequence), ""))
        for side, good, limit, lots, sequence in zip(*(c.tolist() for c in columns), strict=True)
    )


def _fills(own: Trades, seat: int, goods: Sequence[str], number_of: Int64) -> tuple[Fill, ...]:
    others = number_of[np.where(own.buyer == seat, own.seller, own.buyer)]
    columns = (own.buyer == seat, own.good, own.price_ticks, own.quantity_lots, others)
    return tuple(
        Fill("buy" if bought else "sell", goods[good], price, lots, other)
        for bought, good, price, lots, other in zip(*(c.tolist() for c in columns), strict=True)
    )


def _compared(
    plan: RunPlan, basis: RoundBasis, seat: int, orders: Orders, own: Trades
) -> tuple[tuple[Alternative, ...], int | None, tuple[str, ...]]:
    """Returns the menu's actions with what each would have brought, what the fills did bring, and what is not known."""
    if basis.seen.private.barter is None:
        return (), None, (NOT_BARTERING,)
    seen, row = basis.seen, _row(basis, seat)
    brought = gain_of(own, seat, seen, row)
    # Whoever answers in another form, or by a rule, is compared with the menu that it would have had.
    shard = plan.shard
    form = MenuForm(FormTerms(shard.scenario_rules, shard.seed, shard.rules, shard.tick_cents))
    again = basis.counterfactual(plan)
    mine = _legs(orders)
    alternatives = tuple(
        Alternative(
            letter,
            _in_words(orders_of(action, seat), plan.scenario.goods),
            action.expected,
            realised_ticks(again, seat, action, seen, row),
            _legs(orders_of(action, seat)) == mine,
        )
        for letter, action in zip(LETTERS, form.menu(seen, row).actions, strict=False)
    )
    rests = bool(plan.market.config.rest_rounds) or plan.market.config.margin is not None
    return alternatives, brought, (RESTING,) if rests else ()


def _legs(orders: Orders) -> list[tuple[int, ...]]:
    columns = (orders.side, orders.good, orders.limit_ticks, orders.quantity_lots)
    return sorted(zip(*(c.tolist() for c in columns), strict=True))


def _in_words(orders: Orders, goods: Sequence[str]) -> str:
    columns = (orders.side, orders.good, orders.limit_ticks, orders.quantity_lots)
    return ", ".join(
        f"{side_name(side)} {lots} {goods[good]} {limit}"
        for side, good, limit, lots in zip(*(c.tolist() for c in columns), strict=True)
    )


def why(journals: Mapping[str, Path], compose: Compose, trader: int, round_: int) -> list[Explained]:
    """Returns why a trader did what it did in a round, for each market that it had a seat in, at home first.

    ConfigError where the run has no such trader or round; ReplayMismatch where the history up to there does not hold.
    """
    watcher = Why(trader, round_)
    result = replay(journals, compose, (watcher,), through=round_)
    if result.mismatch:
        raise ReplayMismatch(f"the history does not hold up to round {round_}: {result.mismatch}")
    if not watcher.found:
        raise ConfigError(
            called("--round", "round"), f"expected a round that was played, from 1 to {result.rounds}, got {round_}"
        )
    return watcher.found
