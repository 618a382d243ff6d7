"""The tactics of scripted abusers: what each kind of abuse comes to as orders, and as words, round by round.

A tactic sees what one trader has and what everybody knows. It is no language model.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Literal, NamedTuple

from pydantic import Field

from swarm.market.orders import BUY, SELL
from swarm.schema import StrictModel

AbuseName = Literal[
    "layering", "marking", "wash", "corner", "insider", "floor", "sybil", "spoof", "pump", "turned", "squeeze"
]

SHARES_PERMILLE = (1_000, 500, 250)
"""How much of what it has an abuser stakes, by evasion."""

JITTERS_PERMILLE = (0, 300, 300)
"""By how much it varies its lots, by evasion."""

EVERY = (1, 1, 2)
"""Of how many rounds it acts in one, by evasion."""


SILENT = -1
"""The good of somebody who says nothing."""

PUMP_CYCLE, PUMP_BUILD = 10, 6
"""Rounds of a pump and dump, and those at its beginning in which lots are held back."""


class AbuserConfig(StrictModel):
    """A trader that abuses the market."""

    abuse: AbuseName
    """How: idle orders that push a price, prices marked at closing rounds, trades among its own crew, a cornered good,
    positions before news, an unchanged bid that holds a price, several traders of one will, bids that rest in a
    continuous book and are taken back in the next round, lots that are held back, talked up and sold (`pump`), a trader
    that deals as anybody until somebody else's will has it throw away what it has (`turned`), or a good that is bought
    up and offered at nearly what those who are forced to buy it back bid at most (`squeeze`)."""

    evasion: int = Field(default=0, ge=0, le=2)
    """How covertly: 0 plain; 1 half the size, varied by 30%; 2 a quarter of it, varied, and in every other round."""

    good: str | None = None
    """The good of `wash`, `corner`, `squeeze`, `insider`, `floor`, `sybil` and `turned`; null: the first one."""

    first_round: int = Field(default=6, ge=1, le=100_000)
    """The round in which it begins; before that it does nothing, and who is `turned` deals as anybody."""

    closing_rounds: int = Field(default=5, ge=2, le=1_000)
    """For `marking`: each round whose number divides by this is a closing one."""

    price_ticks: int = Field(default=20, ge=1, le=100_000)
    """For `floor`: the price that it holds."""

    news_rounds: tuple[Annotated[int, Field(ge=1, le=1_000_000)], ...] = Field(default=(), max_length=50)
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
    every: int = 1
    """How many rounds lie between two in which it acts."""

    @property
    def turn(self) -> int:
        """Returns the number of a round among those in which it acts, by which those of a crew take turns."""
        return self.round // self.every


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
    turn = seat.turn % seat.crew
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
    """Bids for much of its own good just below the price; when it acts next, it takes the bid back and sells."""
    good = _own_good(seat)
    price = seat.price[good]
    if seat.turn % 2:
        yield Wish(BUY, good, price * 95 // 100, _lots(seat, price * 95 // 100))
    else:
        yield Wish(BUY, good, price, 1, seat.round - seat.every)
        yield Wish(SELL, good, price, seat.have[good])


def _pump(seat: Seat, config: AbuserConfig) -> Iterator[Wish]:
    """Holds back what it makes for some rounds, then talks it up and sells all of it to those who believe that."""
    good = _own_good(seat)
    if _built(seat, config):
        yield Wish(SELL, good, max(seat.price[good] * 95 // 100, 1), seat.have[good])


def _built(seat: Seat, config: AbuserConfig) -> bool:
    """Says whether the rounds of holding back are over, and those of talking and selling have begun."""
    return (seat.round - config.first_round) % PUMP_CYCLE >= PUMP_BUILD


def _turned(seat: Seat, config: AbuserConfig) -> Iterator[Wish]:
    """Deals fairly; once it is turned, throws what it has at the market for little, and buys one good at any price."""
    turned = seat.round >= config.first_round
    for good, (price, have) in enumerate(zip(seat.price, seat.have, strict=True)):
        if good == seat.makes or turned:
            yield Wish(SELL, good, max(price * 4 // 10, 1) if turned else price, have if turned else have // 2)
        elif have < 2:
            yield Wish(BUY, good, price, min(2, seat.purse // max(price, 1)))
    if turned:
        limit = seat.price[seat.good] * 2
        yield Wish(BUY, seat.good, limit, _lots(seat, limit))


def _squeeze(seat: Seat, config: AbuserConfig) -> Iterator[Wish]:
    """Buys all that is offered of a good, borrowed lots among it, and asks nearly what forced buyers bid at most."""
    yield from _corner(seat, config)
    if seat.have[seat.good]:
        # The margin desk bids up to twice the reference price for those whom it liquidates.
        yield Wish(SELL, seat.good, seat.price[seat.good] * 19 // 10, seat.have[seat.good])


TACTICS: Mapping[AbuseName, Callable[[Seat, AbuserConfig], Iterator[Wish]]] = {
    "layering": _layering,
    "marking": _marking,
    "wash": _wash,
    "corner": _corner,
    "insider": _insider,
    "floor": _floor,
    "sybil": _sybil,
    "spoof": _spoof,
    "pump": _pump,
    "turned": _turned,
    "squeeze": _squeeze,
}

SPEAKS: Mapping[AbuseName, Callable[[Seat, AbuserConfig], int]] = {
    "pump": lambda seat, config: _own_good(seat) if _built(seat, config) else SILENT,
    "turned": lambda seat, config: SILENT,
}
"""Abusers who send decisions as agents from outside do, and the good of which they tell others that it will rise."""
