"""Surveillance: what each statistic sees in traces made by hand, exact effects of orders, and who is accused."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
import pytest

from swarm.market.calibration import Calibration, accused, calibrated
from swarm.market.config import MarketConfig
from swarm.market.events import OrdersTaken, Trades
from swarm.market.evidence import Round, Traces, traces
from swarm.market.orders import BUY, SELL, Orders
from swarm.market.surveillance import ABUSES, LEAST, Abuse, Surveillance

TRADERS, GOODS = 4, 2
NOBODY = np.empty(0, dtype=np.int64)


def quiet(round_: int) -> Traces:
    """A round in which nothing happens."""
    lots = np.zeros((TRADERS, GOODS), dtype=np.int64)
    none = np.zeros((TRADERS, GOODS))
    return Traces(
        round=round_,
        bought=lots.copy(),
        sold=lots.copy(),
        idle=none.copy(),
        moved=none.copy(),
        pushed=none.copy(),
        bid_ticks=lots.copy(),
        bid_share=none.copy(),
        beyond=np.zeros(TRADERS),
        tipped=lots.copy(),
        have=lots + 10,
        signature=np.zeros(TRADERS, dtype=np.int64),
        volume_lots=np.full(GOODS, 20),
        concerted=np.zeros(TRADERS, dtype=np.int64),
        news=np.empty((0, 2), dtype=np.int64),
    )


def traced(abuse: Abuse, round_: int) -> Traces:
    """A round in which trader 0 does what an abuse looks like, in good 1, and trader 1 trades as anybody."""
    made = quiet(round_)
    made.bought[1, 1] = made.sold[2, 1] = 3
    match abuse:
        case "layering":
            made.idle[0, 1], made.pushed[0, 1], made.sold[0, 1] = 0.5, 20.0, 5
        case "marking":
            made.moved[0, 1] = 120.0 if round_ % 5 == 0 else 0.0
        case "wash":
            made.bought[0, 1] = 5 if round_ % 2 else 0
            made.sold[0, 1] = 0 if round_ % 2 else 5
        case "corner":
            made.bought[0, 1] = 12
            made.have[0, 1] = 10 + 12 * round_
            made.bid_share[0, 1], made.beyond[0] = 0.5, 250.0
        case "pump":
            made.tipped[0, 1] = int(round_ in (6, 7, 15))
            made.sold[0, 1] = 12 * (round_ in (7, 8, 9, 16, 17, 18))
        case "insider":
            made.bought[0, 1] = 6 * (10 <= round_ < 15)
            made = replace(made, news=np.array([[1, 1]])) if round_ == 15 else made
        case "floor":
            made.bid_ticks[0, 1], made.bid_share[0, 1] = 24, 0.5
        case "sybil":
            made.signature[[0, 3]] = 77
        case "turned":
            made.beyond[0] = 600.0 if round_ > 10 else 10.0
        case "collusion":
            made.concerted[[0, 3]] = 0 if round_ % 5 == 0 else 800
    return made


@pytest.mark.parametrize("abuse", ABUSES)
def test_each_statistic_sees_its_own_abuse_and_nobody_else(abuse: Abuse) -> None:
    found = Surveillance()
    for round_ in range(1, 21):
        found.see(traced(abuse, round_))
    highest = found.scores(abuse).max(axis=0)
    guilty = [0, 3] if abuse in ("sybil", "collusion") else [0]
    assert (highest[guilty] >= LEAST[abuse]).all(), highest
    assert (np.delete(highest, guilty) < LEAST[abuse]).all(), highest
    # What honest rounds look like accuses nobody.
    still = Surveillance()
    for round_ in range(1, 21):
        still.see(quiet(round_))
    assert not any(still.scores(one).any() for one in ABUSES)


def watched(rounds: Iterable[Traces]) -> Surveillance:
    found = Surveillance()
    for one in rounds:
        found.see(one)
    return found


def test_a_cornered_good_counts_as_it_stood_highest_though_it_has_been_eaten_since() -> None:
    rounds = [traced("corner", round_) for round_ in range(1, 6)]
    rounds += [quiet(round_) for round_ in range(6, 11)]
    assert watched(rounds[:5]).scores("corner").max() >= LEAST["corner"]
    # In the last round it is back at what it had: over all ten, the most that it held is what counts.
    assert watched(rounds).now("corner")[1, 0] > 0.0


def test_an_insider_lets_go_in_the_round_of_the_news_which_counts_as_after_it() -> None:
    def dealt(sells_in: int) -> list[Traces]:
        for one in (rounds := [traced("insider", round_) for round_ in range(1, 21)]):
            one.sold[0, 1] = 30 * (one.round == sells_in)
        return rounds

    at_news, long_before = (watched(dealt(sells_in)).now("insider")[2, 0] for sells_in in (15, 5))
    assert at_news > long_before


def test_a_bid_that_stands_for_a_few_rounds_is_no_floor() -> None:
    few = [traced("floor", round_) if round_ < 5 else quiet(round_) for round_ in range(1, 21)]
    assert watched(few).scores("floor").max() < LEAST["floor"]
    # Nor is one that stands for long and is hardly any of all bids.
    long = [traced("floor", round_) for round_ in range(1, 21)]
    for one in long:
        one.bid_share[0, 1] = 0.05
    assert watched(long).scores("floor").max() < LEAST["floor"]


@pytest.mark.parametrize("since", range(11, 21))
def test_who_is_turned_between_two_looks_is_not_held_against_itself(since: int) -> None:
    def of(round_: int) -> Traces:
        made = quiet(round_)
        # As an honest trader, it gives away now more and now less.
        made.beyond[0] = 600.0 if round_ >= since else 20.0 * (round_ % 3)
        return made

    highest = watched(of(round_) for round_ in range(1, 31)).scores("turned").max(axis=0)
    assert highest[0] >= LEAST["turned"], highest
    assert not highest[1:].any()


def test_what_came_after_a_round_is_scored_by_itself() -> None:
    rounds = [traced("floor", round_) if round_ <= 12 else quiet(round_) for round_ in range(1, 26)]
    found = watched(rounds)
    assert found.now("floor")[:, 0].max() >= LEAST["floor"]
    assert not found.since(12)["floor"].any()
    assert not found.since(99)["floor"].any()
    assert (found.since(0)["floor"] == found.now("floor")).all()


def market(rows: Sequence[tuple[int, ...]]) -> Traces:
    orders = Orders.of_rows([(*row, 0) for row in rows])
    taken = OrdersTaken(1, len(rows), NOBODY, NOBODY, ())
    nothing = Trades(*(NOBODY,) * 5)
    have = np.full((TRADERS, GOODS), 10)
    seen = Round(1, orders, taken, nothing, np.array([20, 20]), have)
    return traces(seen, ("call", "call"), MarketConfig())


def test_what_an_order_does_to_a_price_is_what_the_round_comes_to_without_it() -> None:
    # Trader 0 buys at 30 what 1 asks 18 for and 2 asks 28; without it, 3 would pay 20.
    found = market([(0, 0, 1, BUY, 30, 8), (1, 0, 1, SELL, 18, 4), (2, 0, 1, SELL, 28, 4), (3, 0, 1, BUY, 20, 2)])
    assert found.moved[0, 1] == pytest.approx(1_000.0 * (28 - 20) / 20)
    assert not found.moved[:, 0].any()


def test_idle_bids_hold_up_the_next_reference_price() -> None:
    rows = [(0, 0, 1, SELL, 18, 4), (1, 0, 1, BUY, 22, 2), (2, 0, 1, BUY, 10, 40)]
    found = market(rows)
    # 2 trades with nobody, and without its bids the ask that is left over would have brought the price down.
    assert found.idle[2, 1] > 0.9
    assert found.pushed[2, 1] > 0.0
    assert found.moved[2, 1] == 0.0
    assert found.idle[0, 1] < 0.0


def test_a_calibration_accuses_only_beyond_the_honest_and_beyond_the_least() -> None:
    honest = np.sort(np.random.default_rng(1).exponential(0.01, (3, 500)), axis=1)
    calibration = Calibration({"wash": honest[:, -64:]}, {"wash": 500})
    scores = np.array([[0.0, 0.02, 0.039, 0.9]] * 3)
    p_values = calibration.p_values("wash", scores)
    assert p_values[:3].tolist() == [1.0, 1.0, 1.0]
    assert p_values[3] < 1e-6
    assert accused(p_values, 0.05).tolist() == [False, False, False, True]


def test_benjamini_and_hochberg_accuse_all_up_to_the_last_below_its_bound() -> None:
    assert accused(np.array([0.01, 0.04, 0.03, 0.9]), 0.05).tolist() == [True, False, False, False]
    assert accused(np.array([0.01, 0.03, 0.036, 0.9]), 0.05).tolist() == [True, True, True, False]
    assert not accused(np.array([0.2, 0.9]), 0.05).any()


def test_runs_calibrate_together() -> None:
    runs = []
    for shift in range(3):
        run = Surveillance()
        for round_ in range(1, 11):
            run.see(traced("wash", round_ + shift))
        runs.append(run)
    found = calibrated(runs)
    assert set(found.traders.values()) == {3 * TRADERS}
    assert found.honest["wash"].shape == (3, 12)
    assert (np.diff(found.honest["wash"], axis=1) >= 0).all()


def test_a_bid_at_one_limit_has_its_share_of_all_that_is_bid_for() -> None:
    rows = [(0, 0, 1, BUY, 20, 6), (0, 1, 1, BUY, 18, 2), (1, 0, 1, BUY, 22, 2), (2, 0, 1, SELL, 30, 4)]
    found = market(rows)
    # Of ten lots bid for, six stand at the highest limit of trader 0.
    assert found.bid_ticks[:3, 1].tolist() == [20, 22, 0]
    assert found.bid_share[:3, 1].tolist() == pytest.approx([0.6, 0.2, 0.0])


def test_one_large_move_is_no_habit_of_marking() -> None:
    often, once = Surveillance(), Surveillance()
    for round_ in range(1, 26):
        often.see(traced("marking", round_))
        made = quiet(round_)
        made.moved[0, 1] = 900.0 if round_ == 20 else 0.0
        once.see(made)
    assert often.scores("marking")[1][0] >= LEAST["marking"]
    assert once.scores("marking").max() == 0.0
