"""Over any prices, positions and rounds, the road loses nothing: what all markets and it hold together stays."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from swarm.market.ledger import CASH, ROAD
from swarm.scenarios.protocol import Int64, Movement
from swarm.simulation.parties.road import LEFT, RegionState
from tests.unit.test_road import GOODS, moved, road, travellers


def ledger_after(place_: RegionState, movements: list[Movement]) -> tuple[Int64, Int64, int]:
    """Balances after the movements, in their order, what the road's account took, and the tolls; nobody below zero."""
    balances, account, toll = place_.balances.copy(), np.zeros(GOODS + 1, dtype=np.int64), 0
    for movement in movements:
        assert (movement.amount > 0).all()
        for side, sign in ((movement.source, -1), (movement.target, 1)):
            if not isinstance(side, str):
                np.add.at(balances, (side, movement.asset), sign * movement.amount)
            elif side == ROAD:
                np.add.at(account, movement.asset, sign * movement.amount)
            else:
                toll += int(movement.amount.sum())
        assert (balances >= 0).all()
    return balances, account, toll


lots = st.integers(0, 30)
prices = st.lists(st.integers(1, 400), min_size=GOODS, max_size=GOODS)


@given(st.data(), st.integers(2, 4), st.integers(0, 300), st.integers(1, 12))
def test_nothing_is_lost_on_any_road_over_any_rounds(
    data: st.DataObject, regions: int, fee: int, capacity: int
) -> None:
    seats, rows = [3] * regions, []
    for home in range(regions):
        for native in range(data.draw(st.integers(0, 2))):
            away = (home + data.draw(st.integers(1, regions - 1))) % regions
            rows.append((home, away, native, seats[away]))
            seats[away] += 1
    way = road(travellers(*rows), fee, capacity, regions)
    owned = [
        np.array(data.draw(st.lists(st.tuples(st.integers(0, 5_000), lots, lots), min_size=n, max_size=n)))
        for n in seats
    ]
    accounts = [np.zeros(GOODS + 1, dtype=np.int64) for _ in range(regions)]
    before, tolls = sum(b.sum(axis=0) for b in owned), 0
    rounds = data.draw(st.integers(1, 4))
    for round_ in range(1, rounds + 1):
        spare = [data.draw(st.integers(0, 1)) * b[:, 1:] for b in owned]
        states = [RegionState(b, np.array(data.draw(prices)), s) for b, s in zip(owned, spare, strict=True)]
        sent = way.move(states, last_round=round_ == rounds)
        for region, movements in enumerate(sent):
            owned[region], took, toll = ledger_after(states[region], movements)
            accounts[region] += took
            tolls += toll
        way.check(accounts)
        left = [amount for movements in sent for _, asset, amount in moved(movements, LEFT) if asset != CASH]
        assert sum(left) <= capacity * len(rows)
        for traveller in range(len(rows)):
            mine = (way.under_way.traveller == traveller) & (way.under_way.asset != CASH)
            assert way.under_way.amount[mine].sum() <= capacity
        total = sum(b.sum(axis=0) for b in owned) + way.under_way.sums(GOODS + 1)
        assert (total + np.array([tolls, 0, 0]) == before).all()
    assert way.toll_cents == tolls
    assert not len(way.under_way.amount)
