"""Short sellers and who would squeeze them: what they put in, owe and buy back, and what a squeeze comes to."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from swarm.agents.memory import Memory
from swarm.agents.minds.short_seller import ShortSeller, ShortSellerConfig
from swarm.agents.tactics import TACTICS, AbuserConfig, Seat
from swarm.bench import abuse_squeeze
from swarm.bench.abuse_kept import Kept
from swarm.bench.abuse_runs import NAME
from swarm.config_file import load, resolve
from swarm.market.orders import BUY, SELL
from swarm.planning import compose, composed
from swarm.runtime.play import Shown, play
from swarm.runtime.run import SILENT
from swarm.simulation.replay import replay
from tests.playing import Outcomes

CONFIG: dict[str, Any] = {
    "seed": 3,
    "rounds": 30,
    "population": 20,
    "models": [],
    "market": {"margin": {}},
    "traders": {
        "hears": 0,
        "define": {"bear": {"mind": "short_seller"}, NAME: {"mind": "abuser", "abuse": "corner", "good": "honey"}},
        # ZIP learns, too, and keeps other values than they do.
        "minds": {"zi_c": 4, "zip": 5, "truthful": 5, "bear": 5, NAME: 1},
    },
}


def test_what_is_sold_short_is_owed_and_bought_back_and_the_run_replays(tmp_path: Path) -> None:
    outcomes = Outcomes()
    played = play(resolve(CONFIG), outcomes, journals_in=tmp_path)
    bears = [n for n, mind in enumerate(played.plan.run.shard.minds) if mind == "bear"]
    owed = np.stack([o.state.owed[:, 1:].sum(axis=1) for o in outcomes.rounds if o.state.owed is not None])
    # Nobody else sells what it has not; some of what was owed has been paid back since.
    assert owed.shape == (30, 20)
    assert owed[:, bears].sum(axis=1).max() > 0
    assert not np.delete(owed, bears, axis=1).any()
    assert (np.diff(owed[:, bears], axis=0) < 0).any()
    assert replay(tmp_path / "journal.swarm", composed).replayed_sha256 == played.journal_sha256


def test_a_market_that_lends_nothing_refuses_short_sales_by_name() -> None:
    outcomes = Outcomes()
    played = play(resolve({**CONFIG, "market": {}}), outcomes)
    bears = [n for n, mind in enumerate(played.plan.run.shard.minds) if mind == "bear"]
    refused = {
        reason
        for o in outcomes.rounds
        for trader, reason in zip(o.taken.rejected_trader.tolist(), o.taken.rejected_reason, strict=True)
        if trader in bears
    }
    assert refused == {"insufficient_goods"}


def decided(config: dict[str, Any], mean: float, owes: float) -> tuple[list[tuple[int, int, int, int]], int, int]:
    """Orders for honey of a bear that has none and remembers so much of it, with the price and number of honey."""
    shown = Shown()
    play(resolve({**config, "rounds": 1}), traders=shown.asking)
    shard = compose(resolve(config)).run.shard
    seen = next(one for one in shown.seen if len(one.private))
    honey = shard.rules.goods.index("honey")
    price = seen.public.reference_ticks
    bears = [row for row, trader in enumerate(seen.private.trader.tolist()) if shard.minds[trader] == "bear"]
    row = next(row for row in bears if not seen.private.have[row, honey])
    learned = np.repeat(np.stack([price, np.zeros_like(price)], axis=-1)[None].astype(float), len(seen.private), axis=0)
    learned[:, honey] = mean, owes
    mind = ShortSeller("bear", ShortSellerConfig(), shard)
    orders, kept = mind.orders(seen, Memory(seen.private.trader, learned))
    assert kept.learned[row, honey, 1] == owes
    own = orders.take((orders.trader == seen.private.trader[row]) & (orders.good == honey))
    columns = (own.good, own.side, own.limit_ticks, own.quantity_lots)
    return (
        [tuple(order) for order in zip(*(column.tolist() for column in columns), strict=True)],
        int(price[honey]),
        honey,
    )


def test_it_sells_short_what_has_risen_and_buys_back_what_has_come_down() -> None:
    ((good, side, limit, lots),), price, honey = decided(CONFIG, mean=1.0, owes=10.0)
    assert (good, side, lots) == (honey, SELL, 2)
    assert price // 2 < limit < price
    ((good, side, limit, lots),), price, honey = decided(CONFIG, mean=500.0, owes=10.0)
    assert (good, side, lots) == (honey, BUY, 10)
    assert price <= limit < 2 * price
    # At its mean, and with nothing owed, it has no reason for either.
    assert decided(CONFIG, mean=float(price), owes=0.0)[0] == []


def test_rules_that_keep_different_values_are_remembered_together() -> None:
    two, four = (Memory(np.array([n]), np.full((1, 3, n), 7.0)) for n in (2, 4))
    for first, second in ((two, four), (four, two)):
        both = first.updated(second)
        assert both.trader.tolist() == [2, 4]
        assert both.learned.shape == (2, 3, 4)
        assert both.learned[0].tolist() == [[7.0, 7.0, 0.0, 0.0]] * 3
        assert (both.of(np.array([4])).learned == 7.0).all()


def test_a_squeeze_buys_all_and_asks_nearly_what_is_bid_by_force() -> None:
    seat = Seat(0, 0, 1, 9, 1, [10, 20], 500, [0, 7], 0, lambda lots: lots)
    wishes = [*TACTICS["squeeze"](seat, AbuserConfig(abuse="squeeze"))]
    assert [(one.side, one.good, one.limit_ticks, one.lots) for one in wishes] == [(BUY, 1, 26, 19), (SELL, 1, 38, 7)]


def test_the_bench_tells_what_a_squeeze_comes_to_beside_truthful_rules(tmp_path: Path) -> None:
    found = {one.name: one for one in abuse_squeeze.measure(2, Kept(tmp_path), SILENT)}
    assert set(found) == {f"abuse_squeeze_{name}" for name in ("gain", "shorts", "called", "found", "false")}
    assert len(found["abuse_squeeze_gain"].runs) == 2
    # What is kept is told alike, and without time nothing is told.
    again = {one.name: one for one in abuse_squeeze.measure(2, Kept(tmp_path, seconds=-1.0), SILENT)}
    assert again == found
    assert abuse_squeeze.measure(2, Kept(seconds=-1.0), SILENT) == []


def test_the_config_is_the_run_that_the_bench_measures() -> None:
    shipped, played = load(Path("configs/abuse/squeeze.yaml")).record(), resolve(abuse_squeeze.config(7, True)).record()
    assert shipped["market"] == played["market"]
    assert shipped["traders"]["minds"] == played["traders"]["minds"]
    assert shipped["traders"]["define"]["bear"] == played["traders"]["define"]["bear"]


@pytest.mark.parametrize("key", ["lots", "most_lots", "fades_permille"])
def test_its_bounds_are_said(key: str) -> None:
    with pytest.raises(ValueError, match=key):
        ShortSellerConfig.model_validate({key: 0})
