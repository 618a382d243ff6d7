"""The road takes goods where they are dearer, evens out purses, charges its fee, and loses nothing on the way."""

import numpy as np
import pytest

from swarm.errors import LedgerError
from swarm.market.ledger import CASH, ROAD
from swarm.scenarios.protocol import Movement
from swarm.simulation.parties.road import ARRIVED, LEFT, TOLL, RegionState, Road, Travellers

GOODS = 2
TICK_CENTS = 10


def travellers(*rows: tuple[int, int, int, int]) -> Travellers:
    """Each row: home region, away region, home seat, away seat."""
    columns = np.array(rows, dtype=np.int64).reshape(len(rows), 2, 2)
    return Travellers(columns[:, 0], columns[:, 1])


def region_of(prices: tuple[int, ...], *balances: tuple[int, ...], keep: int = 0) -> RegionState:
    """A region with these prices, whose seats keep so many lots of each good for themselves."""
    owned = np.array(balances, dtype=np.int64)
    return RegionState(owned, np.array(prices), np.maximum(owned[:, 1:] - keep, 0))


def road(who: Travellers, fee: int = 20, capacity: int = 8, regions: int = 2) -> Road:
    return Road(who, regions, GOODS, fee, capacity, TICK_CENTS)


def moved(movements: list[Movement], cause: str) -> list[tuple[int, int, int]]:
    """(seat, asset, amount) of what was moved for a cause."""
    found = []
    for movement in movements:
        if movement.cause == cause:
            seats = movement.target if cause == ARRIVED else movement.source
            assert not isinstance(seats, str)
            other = movement.source if cause == ARRIVED else movement.target
            assert other == (TOLL if cause == TOLL else ROAD)
            found += list(zip(seats.tolist(), movement.asset.tolist(), movement.amount.tolist(), strict=True))
    return found


ONE = travellers((0, 1, 0, 0))


def test_goods_leave_the_cheaper_region_arrive_a_round_later_and_pay_the_fee_where_they_leave() -> None:
    way = road(ONE)
    cheap, dear = region_of((10, 50), (1_000, 5, 0)), region_of((20, 50), (1_000, 0, 0))
    first = way.move([cheap, dear])
    assert moved(first[0], LEFT) == [(0, 1, 5)]
    # 5 lots at 10 ticks of 10 cents are 500 cents, of which 20 in 1,000 are 10.
    assert moved(first[0], TOLL) == [(0, CASH, 10)]
    assert first[1] == []
    assert way.under_way.sums(GOODS + 1).tolist() == [0, 5, 0]
    second = way.move([region_of((10, 50), (1_000, 0, 0)), dear])
    assert moved(second[1], ARRIVED) == [(0, 1, 5)]
    assert moved(second[0], LEFT) == []
    assert way.under_way.sums(GOODS + 1).tolist() == [0, 0, 0]
    assert way.carried_lots.tolist() == [5, 0]
    assert way.toll_cents == 10


def test_goods_that_were_brought_go_back_if_it_is_dearer_at_home() -> None:
    sent = road(ONE).move([region_of((20, 50), (1_000, 0, 0)), region_of((10, 50), (1_000, 4, 0))])
    assert moved(sent[1], LEFT) == [(0, 1, 4)]
    assert moved(sent[0], LEFT) == []


@pytest.mark.parametrize(("dearer", "goes"), [(102, False), (103, True)])
def test_what_gains_no_more_than_the_fee_stays(dearer: int, goes: bool) -> None:
    sent = road(ONE).move([region_of((100, 1), (10_000, 3, 0)), region_of((dearer, 1), (10_000, 0, 0))])
    assert bool(moved(sent[0], LEFT)) == goes


def test_the_widest_gain_goes_first_as_far_as_one_can_carry() -> None:
    sent = road(ONE, capacity=6).move([region_of((10, 10), (1_000, 5, 5)), region_of((20, 30), (1_000, 0, 0))])
    assert sorted(moved(sent[0], LEFT)) == [(0, 1, 1), (0, 2, 5)]


def test_nobody_carries_more_than_its_purse_can_pay_the_fee_for() -> None:
    # A lot at 100 ticks of 10 cents costs 20 cents of fee.
    sent = road(ONE).move([region_of((100, 1), (59, 8, 0)), region_of((200, 1), (0, 0, 0))])
    assert moved(sent[0], LEFT)[0] == (0, 1, 2)
    assert moved(sent[0], TOLL) == [(0, CASH, 40)]


def test_what_a_traveller_needs_at_home_stays_there() -> None:
    sent = road(ONE).move([region_of((10, 1), (1_000, 5, 0), keep=3), region_of((20, 1), (1_000, 0, 0))])
    assert moved(sent[0], LEFT) == [(0, 1, 2)]


def test_purses_are_evened_out_and_what_is_on_its_way_counts() -> None:
    way, prices = road(ONE), (10, 10)
    assert moved(way.move([region_of(prices, (1_000, 0, 0)), region_of(prices, (0, 0, 0))])[0], LEFT) == [
        (0, CASH, 500)
    ]
    # The 500 arrive now: neither purse sends any more, although the balances before that are still uneven.
    assert moved(way.move([region_of(prices, (500, 0, 0)), region_of(prices, (0, 0, 0))])[0], LEFT) == []


def test_small_change_is_not_sent_to_and_fro() -> None:
    assert road(ONE).move([region_of((9, 9), (550, 0, 0)), region_of((9, 9), (450, 0, 0))]) == [[], []]


def test_in_the_last_round_all_arrives_and_nothing_leaves() -> None:
    way = road(ONE)
    regions = [region_of((10, 50), (1_000, 5, 0)), region_of((20, 50), (0, 0, 0))]
    way.move(regions)
    last = way.move([region_of((10, 50), (500, 3, 0)), regions[1]], last_round=True)
    assert moved(last[0], LEFT) == []
    assert {asset for _, asset, _ in moved(last[1], ARRIVED)} == {CASH, 1}
    assert not len(way.under_way.amount)


def test_a_road_that_does_not_add_up_stops_the_run() -> None:
    way = road(ONE)
    way.check([np.array([-5, 0, 0]), np.array([5, 0, 0])])
    with pytest.raises(LedgerError, match="road"):
        way.check([np.array([-5, 0, 0]), np.array([5, 0, -1])])
