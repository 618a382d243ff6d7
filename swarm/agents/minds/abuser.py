"""The mind `abuser`: a scripted trader that abuses a market in one known way, to see whether anybody notices.

It is a rule and no language model, and does what it does as plainly or as covertly as its `evasion` says. What it is
stands in the config alone: nothing that traders, parties or public tables see names it.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Literal, NamedTuple

import numpy as np
from pydantic import Field

from swarm.agents.memory import Memory
from swarm.agents.mind import MindPlugin
from swarm.agents.observation import Observation
from swarm.agents.plan import ShardPlan
from swarm.market.orders import BUY, CANCEL, LIMIT, SELL, Int64, Orders
from swarm.schema import StrictModel
from swarm.seeding import draw_between

AbuseName = Literal["layering", "marking", "wash", "corner", "insider", "floor", "sybil", "spoof"]

SHARES_PERMILLE = (1_000, 500, 250)
"""How much of what it has an abuser stakes, by evasion."""

JITTERS_PERMILLE = (0, 300, 300)
"""By how much it varies its lots, by evasion."""


class AbuserConfig(StrictModel):
    """A trader that abuses the market."""

    abuse: AbuseName
    """How: idle orders that push a price, prices marked at closing rounds, trades among its own crew, a cornered good,
    positions before news, an unchanged bid that holds a price, several traders of one will, or bids that rest in a
    continuous book and are taken back in the next round."""

    evasion: int = Field(default=0, ge=0, le=2)
    """How covertly: 0 plain; 1 half the size, varied by 30%; 2 a quarter of it, varied, and in every other round."""

    good: str | None = None
    """The good that is meant, for `wash`, `corner`, `insider`, `floor` and `sybil`; null: the market's first."""

    first_round: int = Field(default=6, ge=1, le=100_000)
    """The round in which it begins; before that it does nothing."""

    closing_rounds: int = Field(default=5, ge=2, le=1_000)
    """For `marking`: each round whose number divides by this is a closing one."""

    price_ticks: int = Field(default=20, ge=1, le=100_000)
    """For `floor`: the price that it holds."""

    news_rounds: tuple[int, ...] = Field(default=(), max_length=50)
    """For `insider`: the rounds in which news that lifts the good's price will come."""


class Wish(NamedTuple):
    """An order as a tactic wishes it."""

    side: int
    good: int
    limit_ticks: int
    lots: int
    cancels_round: int = 0
    """The round in which an order was put in that this one takes back; 0: it takes none back."""


class Seat(NamedTuple):
    """What one abuser has and knows in a round; amounts in ticks and lots, already cut to what it stakes."""

    trader: int
    member: int
    crew: int
    round: int
    good: int
    price: list[int]
    purse: int
    have: list[int]
    makes: int
    vary: Callable[[int], int]


def _lots(seat: Seat, limit: int) -> int:
    return seat.vary(seat.purse // max(limit, 1))


def _own_good(seat: Seat) -> int:
    """Returns the good that an abuser of prices lives on: the one it makes, or has most of."""
    worth = [price * have for price, have in zip(seat.price, seat.have, strict=True)]
    return seat.makes if seat.makes >= 0 else worth.index(max(worth))


def _layering(seat: Seat, config: AbuserConfig) -> Iterator[Wish]:
    """Bids for its own good where nobody sells, and sells it at the price that this holds up."""
    good = _own_good(seat)
    price = seat.price[good]
    yield Wish(SELL, good, price, seat.have[good])
    yield Wish(BUY, good, price * 9 // 10, _lots(seat, price * 9 // 10))


def _marking(seat: Seat, config: AbuserConfig) -> Iterator[Wish]:
    """Sells its own good, and lifts the price of closing rounds with all it has."""
    good = _own_good(seat)
    price = seat.price[good]
    if seat.round % config.closing_rounds:
        yield Wish(SELL, good, price, seat.have[good] // 2)
    else:
        yield Wish(BUY, good, price * 13 // 10 + 1, _lots(seat, price * 13 // 10 + 1))


def _wash(seat: Seat, config: AbuserConfig) -> Iterator[Wish]:
    """Passes lots on around the crew: one sells to the next, who sells them in the round after."""
    price = seat.price[seat.good]
    turn = seat.round % seat.crew
    if seat.member == turn and seat.have[seat.good]:
        yield Wish(SELL, seat.good, max(price * 95 // 100, 1), seat.vary(seat.have[seat.good]))
    elif seat.member == (turn + 1) % seat.crew:
        yield Wish(BUY, seat.good, price * 105 // 100 + 1, _lots(seat, price * 105 // 100 + 1))


def _corner(seat: Seat, config: AbuserConfig) -> Iterator[Wish]:
    """Buys all that is offered of a good, and sells nothing of it."""
    limit = seat.price[seat.good] * 5 // 4 + 1
    yield Wish(BUY, seat.good, limit, _lots(seat, limit))


def _insider(seat: Seat, config: AbuserConfig) -> Iterator[Wish]:
    """Buys in the rounds before news, and sells in those after it."""
    price = seat.price[seat.good]
    ahead = [news - seat.round for news in config.news_rounds if news > seat.round]
    if ahead and min(ahead) <= 5:
        yield Wish(BUY, seat.good, price * 11 // 10 + 1, _lots(seat, price * 11 // 10 + 1) // min(ahead))
    elif seat.have[seat.good]:
        yield Wish(SELL, seat.good, price, seat.have[seat.good])


def _floor(seat: Seat, config: AbuserConfig) -> Iterator[Wish]:
    """Bids the same price in every round, whatever others do."""
    yield Wish(BUY, seat.good, config.price_ticks, _lots(seat, config.price_ticks))


def _sybil(seat: Seat, config: AbuserConfig) -> Iterator[Wish]:
    """Does what its crew does, which goes by what everybody knows."""
    price = seat.price[seat.good]
    yield Wish(BUY, seat.good, price * 102 // 100, seat.vary(3))
    if seat.have[seat.good]:
        yield Wish(SELL, seat.good, price * 104 // 100 + 1, min(seat.vary(2), seat.have[seat.good]))


def _spoof(seat: Seat, config: AbuserConfig) -> Iterator[Wish]:
    """Bids for much of its own good just below the price; in the next round it takes the bid back, and sells."""
    good = _own_good(seat)
    price = seat.price[good]
    if seat.round % 2:
        yield Wish(BUY, good, price * 95 // 100, _lots(seat, price * 95 // 100))
    else:
        yield Wish(BUY, good, price, 1, seat.round - 1)
        yield Wish(SELL, good, price, seat.have[good])


_TACTICS: dict[AbuseName, Callable[[Seat, AbuserConfig], Iterator[Wish]]] = {
    "layering": _layering,
    "marking": _marking,
    "wash": _wash,
    "corner": _corner,
    "insider": _insider,
    "floor": _floor,
    "sybil": _sybil,
    "spoof": _spoof,
}


class Abuser:
    """Traders who abuse the market alike; those of one mind are a crew."""

    learns = False

    def __init__(self, name: str, section: AbuserConfig, plan: ShardPlan) -> None:
        self.name, self.config = name, section
        self._plan = plan
        self._crew = plan.crews[name]
        self._good = plan.rules.goods.index(section.good) if section.good in plan.rules.goods else 0

    def orders(self, seen: Observation, memory: Memory) -> tuple[Orders, Memory]:
        """Returns the orders of all traders of this mind."""
        # Abusers are few, so they decide one by one; what exceeds the market's bounds is cut to them.
        rules, rows, cancels = self._plan.rules, [], []
        for row in range(len(seen.private)):
            seat = self._seat(seen, row)
            wishes = _TACTICS[self.config.abuse](seat, self.config) if self._acts(seat) else ()
            for sequence, wish in enumerate(wishes):
                lots, limit = min(wish.lots, rules.max_quantity_lots), min(wish.limit_ticks, rules.max_price_ticks)
                if lots > 0 and limit > 0:
                    rows.append((seat.trader, sequence, wish.good, wish.side, limit, lots, 0))
                    cancels.append(wish.cancels_round)
        return _with_cancels(Orders.of_rows(rows), np.array(cancels, dtype=np.int64)), Memory.empty()

    def _acts(self, seat: Seat) -> bool:
        """Says whether it does anything in a round; the whole crew rests at once."""
        if seat.round < self.config.first_round:
            return False
        marks = self.config.abuse == "marking" and seat.round % self.config.closing_rounds == 0
        # Who marks closing rounds has to be there in them.
        return self.config.evasion < 2 or marks or seat.round % 2 == 0

    def _seat(self, seen: Observation, row: int) -> Seat:
        config, private = self.config, seen.private
        trader, round_ = int(private.trader[row]), seen.public.round
        share = SHARES_PERMILLE[config.evasion]
        jitter = JITTERS_PERMILLE[config.evasion]
        # Drawn by trader and round, so that it is the same on any shard.
        drawn = int(draw_between(self._plan.seed, "abuser", -jitter, jitter, round_, trader)[0])

        def vary(lots: int) -> int:
            return lots * (1_000 + drawn) // 1_000 if lots < 2 else max(lots * (1_000 + drawn) // 1_000, 1)

        purse = int(private.cash_cents[row]) // self._plan.tick_cents
        return Seat(
            trader=trader,
            member=self._crew.index(trader),
            crew=len(self._crew),
            round=round_,
            good=self._good,
            price=seen.public.reference_ticks.tolist(),
            # What jitter adds must be affordable, too.
            purse=purse * share // 1_000 * 1_000 // (1_000 + jitter),
            have=(private.have[row] * share // 1_000 if share < 1_000 else private.have[row]).tolist(),
            makes=int(private.makes[row]),
            vary=vary,
        )


def _with_cancels(orders: Orders, of_round: Int64) -> Orders:
    """Returns the same orders, of which those that name a round take back the trader's first order of it."""
    if not of_round.any():
        return orders
    return replace(orders, kind=np.where(of_round > 0, CANCEL, LIMIT), target_round=of_round)


MIND = MindPlugin(
    name="abuser",
    summary="A scripted abuser of the market, to see who notices; it asks no model.",
    Config=AbuserConfig,
    build=Abuser,
    crew=True,
    orders=True,
    goods=lambda section: {"good": section.good} if section.good else {},
)
