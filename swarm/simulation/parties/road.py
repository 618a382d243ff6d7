"""Carries goods and cash between the markets of several regions, decided from prices and positions alone.

Goods go where the last price is dearer by more than the fee, cash evens out a traveller's two purses, and what leaves
at the end of a round arrives at the end of the next one. The road owns what is under way and nothing else: it returns
movements between travellers' seats and each market's account `ROAD`, which the round loops make commands of.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from swarm.errors import LedgerError
from swarm.market.ledger import CASH, ROAD
from swarm.scenarios.protocol import Int64, Movement
from swarm.simulation.party import Act, Move, Quote, RoundView

TOLL = "toll"
"""The account that fees are paid to, in the market that goods leave."""

ARRIVED, LEFT = "arrived by road", "left by road"

HOME, AWAY = 0, 1

UNEVEN_PERMILLE = 200
"""Cash is sent once a traveller's purses differ by more than this share of both, so that small change stays put."""


Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Travellers:
    """The traders that have seats in two regions: `region` and `seat` are [travellers, 2], the home first."""

    region: Int64
    seat: Int64

    @classmethod
    def nobody(cls) -> "Travellers":
        """Returns no travellers."""
        return cls(*(np.empty((0, 2), dtype=np.int64) for _ in range(2)))

    def __len__(self) -> int:
        return len(self.region)


@dataclass(frozen=True, slots=True, eq=False)
class RegionState:
    """A region as the road sees it after a round: [seats, assets], [goods], and [seats, goods] that may be taken.

    `free_cents` is [seats, 1], the cash that may be taken; all of it where there is none.
    """

    balances: Int64
    reference_ticks: Int64
    spare: Int64
    free_cents: Int64 | None = None

    @property
    def purse_cents(self) -> Int64:
        """The cash that may leave a seat, [seats, 1] cents."""
        return self.balances[:, [CASH]] if self.free_cents is None else self.free_cents


@dataclass(frozen=True, slots=True, eq=False)
class UnderWay:
    """The things that travel, row by row: whose each is, to which of its two seats, and how much of what."""

    traveller: Int64
    side: Int64
    asset: Int64
    amount: Int64

    @classmethod
    def nothing(cls) -> "UnderWay":
        """Returns an empty road."""
        return cls(*(np.empty(0, dtype=np.int64) for _ in range(4)))

    def sums(self, assets: int) -> Int64:
        """Returns how much of each asset is under way."""
        total = np.zeros(assets, dtype=np.int64)
        np.add.at(total, self.asset, self.amount)
        return total


@dataclass(frozen=True, slots=True, eq=False)
class RoadRound:
    """The traffic of a round, [assets] each; what was carried, [goods], and paid are the run's so far."""

    left: Int64
    arrived: Int64
    toll: Int64
    under_way: Int64
    carried_lots: Int64
    toll_cents: int


class Road:
    """The road: what is under way, and the rule by which travellers send more."""

    def __init__(
        self, travellers: Travellers, regions: int, goods: int, fee_permille: int, capacity_lots: int, tick_cents: int
    ) -> None:
        self.travellers = travellers
        self.regions = regions
        self.goods = goods
        self.fee_permille = fee_permille
        self.capacity_lots = capacity_lots
        self.tick_cents = tick_cents
        self.under_way = UnderWay.nothing()
        self.carried_lots = np.zeros(goods, dtype=np.int64)
        self.toll_cents = 0

    def move(
        self, regions: Sequence[RegionState], last_round: bool = False, staying: Mask | None = None
    ) -> list[list[Movement]]:
        """Returns by region what arrives, what is paid and what leaves; in the last round nothing leaves any more.

        What arrives is not looked at before the next round, so everything stays at least one round where it came to.
        `staying` is [travellers]: who is still there in the next round; the others send nothing.
        """
        # What was under way arrives first; what is sent now is under way for a round.
        arrived, self.under_way = self.under_way, UnderWay.nothing()
        movements = [self._by_region(arrived, region, ARRIVED) for region in range(self.regions)]
        if last_round or not len(self.travellers):
            return movements
        stays = np.ones(len(self.travellers), dtype=np.bool_) if staying is None else staying
        goods, toll = self._goods(regions, stays)
        # Tolls are paid before cash is evened out, from the purse at the seat that goods leave.
        cash = self._cash(regions, toll, arrived, stays)
        self.under_way = UnderWay(*(np.concatenate(c) for c in zip(_columns(goods), _columns(cash), strict=True)))
        self.carried_lots += goods.sums(self.goods + 1)[1:]
        self.toll_cents += int(toll.sum())
        everyone = np.arange(len(self.travellers))
        for side in (HOME, AWAY):
            paid = UnderWay(everyone, np.full_like(everyone, side), np.full_like(everyone, CASH), toll[:, side])
            for region in range(self.regions):
                movements[region] += self._by_region(paid, region, TOLL)
        for region in range(self.regions):
            movements[region] += self._by_region(self.under_way, region, LEFT)
        return movements

    def under(self, fee_permille: int, capacity_lots: int) -> None:
        """Goes by these from now on."""
        self.fee_permille, self.capacity_lots = fee_permille, capacity_lots

    def told(self, movements: Sequence[Movement]) -> RoadRound:
        """Returns what a round came to in which these took place, in all regions together."""
        sums = {cause: np.zeros(self.goods + 1, dtype=np.int64) for cause in (LEFT, ARRIVED, TOLL)}
        for movement in movements:
            np.add.at(sums[movement.cause], movement.asset, movement.amount)
        under_way = self.under_way.sums(self.goods + 1)
        return RoadRound(sums[LEFT], sums[ARRIVED], sums[TOLL], under_way, self.carried_lots.copy(), self.toll_cents)

    def check(self, road_balances: Sequence[Int64]) -> None:
        """Raises LedgerError unless all markets' accounts ROAD together have what is under way, of every asset."""
        held, sent = np.sum(road_balances, axis=0), self.under_way.sums(self.goods + 1)
        if (held != sent).any():
            raise LedgerError(f"road: the markets' accounts have {held.tolist()} and {sent.tolist()} is under way")

    def _goods(self, regions: Sequence[RegionState], stays: Mask) -> tuple[UnderWay, Int64]:
        """Returns the goods that leave, and [travellers, 2] what is paid for them at either seat, in cents.

        Of what its seats can spare, a traveller takes the goods with the widest gain first, as far as it can carry them
        and the purse that they leave from can pay for.
        """
        everyone = np.arange(len(self.travellers))
        price, spare = self._at_seats(regions, "reference_ticks"), self._at_seats(regions, "spare")
        cash = self._at_seats(regions, "purse_cents")[:, :, 0]
        left = np.where(stays, self.capacity_lots, 0)
        toll = np.zeros_like(cash)
        # For each good there is at most one way on which it gains: from the cheaper seat to the dearer one.
        source = (price[:, HOME] > price[:, AWAY]).astype(np.int64)
        cheap, dear = price.min(axis=1), price.max(axis=1)
        # [travellers, goods], in thousandths of a tick a lot, the fee taken off.
        gain = dear * 1_000 - cheap * (1_000 + self.fee_permille)
        sent: list[UnderWay] = []
        for good in np.argsort(-gain, axis=1, kind="stable").T:
            side = source[everyone, good]
            lots = np.minimum(spare[everyone, side, good], left)
            lots = np.where(gain[everyone, good] > 0, np.maximum(lots, 0), 0)
            permille_cents = cheap[everyone, good] * self.tick_cents * self.fee_permille
            if self.fee_permille:
                # No more than the purse there can pay the toll for.
                lots = np.minimum(lots, (cash - toll)[everyone, side] * 1_000 // permille_cents)
            left -= lots
            # Rounded up, so that no trip is free of the fee.
            toll[everyone, side] += -(-permille_cents * lots // 1_000)
            rows = np.flatnonzero(lots)
            sent.append(UnderWay(everyone[rows], 1 - side[rows], good[rows] + 1, lots[rows]))
        return UnderWay(*(np.concatenate(c) for c in zip(*map(_columns, sent), strict=True))), toll

    def _cash(self, regions: Sequence[RegionState], toll: Int64, arrived: UnderWay, stays: Mask) -> UnderWay:
        """Returns the cash that leaves: half of what one purse has more than the other, arrivals included."""
        cash = self._at_seats(regions, "balances")[:, :, CASH] - toll
        purses = cash.copy()
        came = arrived.asset == CASH
        np.add.at(purses, (arrived.traveller[came], arrived.side[came]), arrived.amount[came])
        more = np.abs(purses[:, HOME] - purses[:, AWAY])
        source = np.where(purses[:, HOME] >= purses[:, AWAY], HOME, AWAY)
        free = self._at_seats(regions, "purse_cents")[:, :, 0] - toll
        amount = np.minimum(more // 2, free[np.arange(len(free)), source])
        uneven = more * 1_000 > purses.sum(axis=1) * UNEVEN_PERMILLE
        rows = np.flatnonzero(uneven & (amount > 0) & stays)
        return UnderWay(rows, 1 - source[rows], np.full_like(rows, CASH), amount[rows])

    def _at_seats(self, regions: Sequence[RegionState], column: str) -> Int64:
        """Returns a column of the regions at every traveller's two seats, [travellers, 2, ...]."""
        region, seat = self.travellers.region, self.travellers.seat
        columns = [getattr(state, column) for state in regions]
        found = np.zeros((*region.shape, columns[0].shape[-1]), dtype=np.int64)
        # Columns by good are the same at all seats of a region; others have a row for each seat.
        for number, values in enumerate(columns):
            here = region == number
            found[here] = values if values.ndim == 1 else values[seat[here]]
        return found

    def _by_region(self, moved: UnderWay, region: int, cause: str) -> list[Movement]:
        """Returns the movements of these rows in one region: arrivals come to a side, all else leaves one."""
        side = 1 - moved.side if cause == LEFT else moved.side
        rows = np.flatnonzero((self.travellers.region[moved.traveller, side] == region) & (moved.amount > 0))
        if not len(rows):
            return []
        seats = self.travellers.seat[moved.traveller, side][rows]
        source: Int64 | str = seats
        target: Int64 | str = TOLL if cause == TOLL else ROAD
        if cause == ARRIVED:
            source, target = ROAD, seats
        return [Movement(cause, source, target, moved.asset[rows], moved.amount[rows])]


def _columns(moved: UnderWay) -> tuple[Int64, Int64, Int64, Int64]:
    return moved.traveller, moved.side, moved.asset, moved.amount


class RoadParty:
    """The road as a `Party`: it tells each market its neighbours' prices, and moves what travellers carry."""

    name = ROAD

    def __init__(self, road: Road, neighbours: Sequence[Sequence[int]]) -> None:
        """`neighbours` has, by market, the indices of those that a road leads to."""
        self.road = road
        self._neighbours = neighbours
        self.last: RoadRound | None = None

    def act(self, view: RoundView) -> Sequence[Act]:
        """Returns quotes and moves by market; `last` is then what the round came to on the road."""
        seen = [
            RegionState(m.state.balances, m.state.reference_ticks, m.movable_lots, m.movable_cents[:, None])
            for m in view.markets
        ]
        who = self.road.travellers
        homes = zip(who.region[:, HOME].tolist(), who.seat[:, HOME].tolist(), strict=True)
        staying = np.array([view.markets[region].staying[seat] for region, seat in homes], dtype=np.bool_)
        moved = self.road.move(seen, view.is_last, staying)
        self.last = self.road.told([movement for movements in moved for movement in movements])
        acts: list[Act] = []
        for number, (near, movements) in enumerate(zip(self._neighbours, moved, strict=True)):
            acts += [Quote(view.markets[n].name, seen[n].reference_ticks, number) for n in near]
            acts += [Move(m.cause, m.source, m.target, m.asset, m.amount, number) for m in movements]
        return acts
