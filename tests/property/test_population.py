"""Traders that come and go at random: nothing is lost, and who is absent has nothing, does nothing, hears nothing."""

from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from swarm.agents.baselines import BASELINES
from swarm.agents.observation import Int64, Observation
from swarm.config_file import resolve
from swarm.llm import engines
from swarm.planning import compose, composed
from swarm.runtime.play import play
from swarm.scenarios.protocol import Consequence, MarketState, Movement
from swarm.simulation.loop import RoundOutcome
from swarm.simulation.market import Market
from swarm.simulation.plan import RunPlan
from swarm.simulation.population import DEPARTED, among, turnover
from swarm.simulation.replay import replay
from swarm.simulation.traders import Gathered, LocalTraders

ROUNDS = 14
SHOCKS = [
    {"kind": "mania", "round": 2, "rounds": 2, "good": "acorns"},
    {"kind": "venture", "round": 3, "rounds": 4, "good": "honey", "size_permille": 400},
    {"kind": "run", "round": 5, "good": "firewood"},
    {"kind": "venture", "round": 7, "rounds": 3, "good": "berries"},
    {"kind": "run", "round": 9, "good": "honey"},
    {"kind": "blight", "round": 9, "rounds": 3, "good": "mushrooms"},
]
SCENARIOS: list[dict[str, Any]] = [
    {"name": "wood", "shocks": SHOCKS},
    {"name": "double_auction", "rounds_per_period": 4, "redraw": True},
]
MARKETS: list[dict[str, Any]] = [
    {},
    {"mechanism": "continuous", "rest_rounds": 4},
    {"mechanism": "continuous", "rest_rounds": 2, "band_permille": 300, "halt_permille": 250},
]
MODELS = [
    {"name": "value", "temperament": "value"},
    {"name": "panic", "temperament": "panic", "fault_rate": 0.2},
    {"name": "menu", "temperament": "maker", "form": "menu"},
]


@st.composite
def schedules(draw: st.DrawFn) -> list[dict[str, int]]:
    """Steps of 2 to 16 traders at some of the rounds."""
    later = draw(st.sets(st.integers(2, ROUNDS), min_size=1, max_size=6))
    return [{"from_round": round_, "traders": draw(st.integers(2, 16))} for round_ in (1, *sorted(later))]


class Watched(LocalTraders):
    """Traders who are looked at when they are asked."""

    def __init__(self, plan: RunPlan) -> None:
        super().__init__(plan.shard, {m.name: engines.in_process(m) for m in plan.models})
        self.plan = plan
        self.endowment = endowment(plan)
        self.came = 0

    def decide(self, seen: Observation) -> Gathered:
        """Who has just come has what it would have begun with, and who is absent is not there to be asked."""
        round_, private = seen.public.round, seen.private
        before, now = self.plan.present(round_ - 1), self.plan.present(round_)
        owned = np.column_stack([private.cash_cents, private.have])
        came = slice(before, now) if round_ > 1 else slice(0, now)
        assert owned[came].tolist() == self.endowment[came].tolist()
        self.came += max(now - before, 0)
        assert not owned[now:].any()
        assert not any(private.heard[now:])
        if now < self.plan.traders:
            assert private.assigned is not None
            assert (private.assigned.present == (private.trader < now)).all()
        if private.assigned is not None:
            thinks = np.array([mind not in BASELINES for mind in self.plan.minds])
            assert private.assigned.asked[came][thinks[came]].all(), "one who came is asleep"
        return super().decide(seen)


class Witness:
    """Holds every round against who was there in it."""

    def __init__(self, market: Market) -> None:
        self.market = market
        self.rounds: list[RoundOutcome] = []
        self.left: Int64 | None = None

    def started(self, plan: RunPlan, opening: MarketState, named: Int64) -> None:
        self.departed = plan.market.named_accounts.index(DEPARTED)
        assert not opening.balances[plan.present(0) :].any()
        assert opening.balances[: plan.present(0), 0].all()

    def round_done(self, outcome: RoundOutcome) -> None:
        present = outcome.plan.present(outcome.round)
        assert not outcome.state.balances[present:].any(), "who is absent owns something"
        assert not (outcome.state.balances.sum(axis=0) + outcome.named_balances.sum(axis=0)).any()
        left = outcome.named_balances[self.departed]
        assert self.left is None or (left >= self.left).all()
        self.left = left
        gathered, trades = outcome.gathered, outcome.cleared.trades
        for acting in (
            gathered.turns.trader,
            gathered.decisions.orders.trader,
            gathered.baseline_orders.trader,
            trades.buyer,
            trades.seller,
            outcome.said.sender,
            outcome.delivery.receiver,
            outcome.taken.rejected_trader,
        ):
            assert (acting < present).all(), "who is absent acts or hears"
        exchange = self.market.exchange.snapshot()
        assert (exchange["resting"][0] < present).all(), "an order of one who left rests on"
        assert not exchange["held"][present : outcome.plan.traders].any()
        assert outcome.staffed.asked + outcome.staffed.asleep + outcome.staffed.held_back <= present
        self.rounds.append(outcome)


def endowment(plan: RunPlan) -> Int64:
    """[traders, assets]: what the scenario would give to all of them at the opening."""
    owned = np.zeros((plan.traders, len(plan.scenario.goods) + 1), dtype=np.int64)
    for movement in plan.scenario.opening():
        assert isinstance(movement, Movement)
        assert not isinstance(movement.target, str)
        np.add.at(owned, (movement.target, movement.asset), movement.amount)
    return owned


@settings(max_examples=40, deadline=None)
@given(
    population=schedules(),
    seed=st.integers(0, 2**40),
    scenario=st.sampled_from(SCENARIOS),
    market=st.sampled_from(MARKETS),
    stand=st.sampled_from([0, 3]),
    router=st.sampled_from([None, {}, {"offers": True, "message_tokens": 40}]),
)
def test_traders_come_and_go(
    population: list[dict[str, int]],
    seed: int,
    scenario: dict[str, Any],
    market: dict[str, Any],
    stand: int,
    router: dict[str, Any] | None,
) -> None:
    config: dict[str, Any] = {
        "seed": seed,
        "rounds": ROUNDS,
        "population": population,
        "models": MODELS,
        "traders": {
            "minds": {"value": 1, "panic": 1, "menu": 1, "zip": 1, "zi_c": 1},
            "standing": {"max_rounds": stand},
            "router": router,
        },
        "market": market,
        "scenario": scenario,
    }
    plan = compose(resolve(config)).run
    with TemporaryDirectory() as folder:
        journal = Path(folder) / "journal.swarm"
        exchange = Market(plan.market, journal)
        witness, traders = Witness(exchange), Watched(plan)
        played = play(resolve(config), witness, traders=lambda *_: traders, new_market=lambda *_: exchange)
        assert played.rounds == ROUNDS
        record = played.record
        result = replay(journal, composed)
        assert result.holds, result.mismatch
    present = [plan.present(round_) for round_ in range(ROUNDS + 1)]
    assert traders.came == sum(max(now - before, 0) for before, now in pairwise(present))
    assert record.tables["rounds"]["traders"].to_list() == present[1:]
    rows = record.tables["traders"].group_by("round").len().sort("round")
    assert rows["len"].to_list() == present
    assert not any(flow["unexplained"] for flow in record.summary["conservation"].values())
    if not stand:
        thinking = [sum(mind in {"value", "panic", "menu"} for mind in plan.minds[:n]) for n in present[1:]]
        assert [len(o.gathered.turns) for o in witness.rounds] == thinking


@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9), st.integers(0, 2), st.integers(0, 50)), max_size=30),
    st.integers(0, 9),
    st.integers(0, 9),
)
def test_what_is_left_of_consequences_touches_nobody_else(
    rows: list[tuple[int, int, int, int]], first: int, end: int
) -> None:
    source, target, asset, amount = np.array(rows, dtype=np.int64).reshape(len(rows), 4).T
    both: list[Consequence] = [Movement("gift", source, target, asset, amount)]
    there = (np.arange(10) >= first) & (np.arange(10) < end)
    [kept] = among(both, there)
    assert isinstance(kept, Movement)
    found = np.column_stack([kept.source, kept.target, kept.asset, kept.amount])
    assert [tuple(r) for r in found.tolist()] == [r for r in rows if first <= r[0] < end and first <= r[1] < end]
    [taken] = among([Movement("tax", source, "sink", asset, amount)], there)
    assert isinstance(taken, Movement)
    assert taken.target == "sink"
    assert taken.amount.tolist() == [r[3] for r in rows if first <= r[0] < end]


@given(st.integers(1, 9), st.integers(1, 9), st.lists(st.integers(0, 9), min_size=18, max_size=18))
def test_who_goes_leaves_all_it_has(before: int, now: int, amounts: list[int]) -> None:
    balances = np.array(amounts, dtype=np.int64).reshape(9, 2)
    everyone, ones = np.arange(9), np.ones(9, dtype=np.int64)
    opening: list[Consequence] = [
        Movement("endowment", "issue", everyone, 0 * ones, 7 * ones),
        Movement("capital", "issue", "bank", 0 * ones[:1], ones[:1]),
    ]
    market = MarketState(balances, np.ones(1, dtype=np.int64))
    moved = turnover(opening, everyone < before, everyone < now, market, 100)
    after = balances.copy()
    for movement in moved:
        assert isinstance(movement, Movement)
        for side, sign in ((movement.source, -1), (movement.target, 1)):
            if not isinstance(side, str):
                np.add.at(after, (side, movement.asset), sign * movement.amount)
    expected = balances.copy()
    expected[now:before] = 0
    expected[before:now, 0] += 7
    assert after.tolist() == expected.tolist()
    assert {m.cause for m in moved if isinstance(m, Movement)} == (
        {"arrival" if now > before else "departure"} if now != before else set()
    )
