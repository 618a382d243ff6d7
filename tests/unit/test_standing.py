"""Standing orders and wake-ups: who is asked and why, what stands meanwhile, and that it follows from the record."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from swarm.agents.decision import DecisionError, Rules, read_reply
from swarm.config_file import resolve
from swarm.coordination.standing import Reason, Signs, Standing, Stands, covered
from swarm.llm import engines
from swarm.llm.protocol import ModelReply, ModelRequest
from swarm.market.orders import BUY, SELL, Orders
from swarm.planning import compose, composed
from swarm.runtime.play import play
from swarm.simulation.loop import RoundOutcome
from swarm.simulation.plan import Fork, RunPlan, WorldPlan
from swarm.simulation.record import Recorder
from swarm.simulation.replay import replay
from swarm.simulation.traders import RecordedTraders, ResumedTraders, TradersPort
from tests.playing import Outcomes, Phased, SplitTraders

RULES = Rules(("acorns", "berries"), 3, 100, 10, max_stand_rounds=4)
CONFIG: dict[str, Any] = {
    "seed": 5,
    "rounds": 14,
    "population": 43,
    "models": [
        {"name": "value", "temperament": "value"},
        {"name": "panic", "temperament": "panic", "fault_rate": 0.15},
        {"name": "menu", "temperament": "maker", "form": "menu"},
    ],
    "traders": {
        "minds": {"value": 2, "panic": 2, "menu": 2, "zip": 1},
        "hears": 4,
        "standing": {"max_rounds": 3, "wake": {"price_permille": 80, "fill": True, "message": True, "need": True}},
    },
    "scenario": {"name": "wood", "shocks": [{"kind": "blight", "round": 3, "good": "berries"}]},
}


def orders(*rows: tuple[int, int, int, int, int]) -> Orders:
    """Orders of (trader, good, side, limit, lots), each trader's in sequence."""
    seen: Counter[int] = Counter()
    full = []
    for trader, good, side, limit, lots in rows:
        full.append((trader, seen[trader], good, side, limit, lots, 0))
        seen[trader] += 1
    columns = np.array(full, dtype=np.int64).reshape(len(full), 7)
    return Orders(*(columns[:, c] for c in range(7)))


def signs(**changes: Any) -> Signs:
    nothing = np.zeros((3, 2), dtype=np.int64)
    nobody = np.zeros(3, dtype=np.bool_)
    found = {"reference_ticks": np.array([20, 50]), "have": nothing + 5, "need": nothing, "filled": nobody}
    return Signs(**{**found, "heard": nobody, **changes})


ALL = np.arange(3)


def decided(stand: tuple[int, int, int, int, int], *placed: tuple[int, int, int, int, int]) -> Standing:
    standing = Standing(3, 2)
    assert standing.reasons(1, signs()).tolist() == [Reason.FIRST] * 3
    standing.decide(1, ALL, ALL, Stands.of([stand] * 3), orders(*placed), signs())
    return standing


class TestReasons:
    def test_a_decision_stands_for_its_rounds_and_no_longer(self) -> None:
        standing = decided((2, 0, 0, 0, 0))
        for round_, reason in ((2, Reason.ASLEEP), (3, Reason.ASLEEP), (4, Reason.OVER)):
            assert standing.reasons(round_, signs()).tolist() == [reason] * 3

    def test_a_decision_that_does_not_stand_is_over_at_once(self) -> None:
        assert decided((0, 100, 1, 1, 1)).reasons(2, signs()).tolist() == [Reason.OVER] * 3

    def test_a_price_wakes_those_who_have_orders_in_its_good_or_in_none(self) -> None:
        standing = decided((9, 100, 0, 0, 0), (0, 0, BUY, 20, 1), (1, 1, BUY, 20, 1))
        moved = signs(reference_ticks=np.array([22, 54]))
        assert standing.reasons(2, moved).tolist() == [Reason.PRICE, Reason.ASLEEP, Reason.PRICE]
        fallen = signs(reference_ticks=np.array([19, 45]))
        assert standing.reasons(2, fallen).tolist() == [Reason.ASLEEP, Reason.PRICE, Reason.PRICE]

    def test_a_price_of_nought_never_wakes(self) -> None:
        standing = decided((9, 0, 0, 0, 0))
        assert standing.reasons(2, signs(reference_ticks=np.array([900, 1]))).tolist() == [Reason.ASLEEP] * 3

    @pytest.mark.parametrize(("index", "name", "reason"), [(2, "filled", Reason.FILL), (3, "heard", Reason.MESSAGE)])
    def test_a_fill_or_a_message_wakes_whom_it_reaches_if_it_wants(self, index: int, name: str, reason: Reason) -> None:
        wants = tuple(9 if i == 0 else int(i == index) for i in range(5))
        reached = signs(**{name: np.array([True, False, True])})
        assert decided(wants).reasons(2, reached).tolist() == [reason, Reason.ASLEEP, reason]  # type: ignore[arg-type]
        assert decided((9, 0, 0, 0, 0)).reasons(2, reached).tolist() == [Reason.ASLEEP] * 3

    def test_running_out_of_a_need_wakes_but_having_been_out_does_not(self) -> None:
        short = np.array([[0, 5], [5, 5], [5, 5]])
        standing = Standing(3, 2)
        before = signs(have=short, need=5 - short)
        standing.decide(1, ALL, ALL, Stands.of([(9, 0, 0, 0, 1)] * 3), orders(), before)
        after = np.array([[0, 5], [5, 0], [0, 5]])
        need = np.array([[5, 0], [0, 5], [0, 0]])
        assert standing.reasons(2, signs(have=after, need=need)).tolist() == [Reason.ASLEEP, Reason.NEED, Reason.ASLEEP]

    def test_who_was_asked_and_did_not_decide_is_asked_again_and_its_orders_go_on(self) -> None:
        standing = decided((3, 0, 0, 0, 0), (0, 0, BUY, 20, 1), (1, 0, SELL, 20, 2))
        standing.decide(2, np.array([0]), np.array([], dtype=np.int64), Stands.of([]), orders(), signs())
        assert standing.reasons(3, signs()).tolist() == [Reason.UNDECIDED, Reason.ASLEEP, Reason.ASLEEP]
        assert standing.orders(3).trader.tolist() == [0, 1]


class TestOrders:
    def test_they_stand_in_the_rounds_after_their_own_and_give_way_to_a_new_decision(self) -> None:
        standing = decided((2, 0, 0, 0, 0), (0, 0, BUY, 20, 1), (0, 1, SELL, 30, 2), (2, 1, BUY, 40, 3))
        assert standing.orders(1).trader.tolist() == []
        assert standing.orders(2).limit_ticks.tolist() == [20, 30, 40]
        standing.decide(
            2, np.array([0]), np.array([0]), Stands.of([(0, 0, 0, 0, 0)]), orders((0, 0, BUY, 9, 1)), signs()
        )
        assert standing.orders(2).trader.tolist() == [2]
        assert standing.orders(3).trader.tolist() == [2]
        assert standing.orders(4).trader.tolist() == []

    def test_they_are_cut_in_sequence_to_what_their_trader_has(self) -> None:
        placed = orders(
            (0, 0, BUY, 10, 6), (0, 1, BUY, 10, 6), (1, 1, SELL, 5, 9), (1, 1, SELL, 4, 9), (2, 0, BUY, 7, 2)
        )
        cash, have = np.array([100, 0, 0]), np.array([[0, 0], [0, 11], [3, 3]])
        left, cut = covered(placed, cash, have)
        assert list(zip(left.trader.tolist(), left.quantity_lots.tolist(), strict=True)) == [
            (0, 6),
            (0, 4),
            (1, 9),
            (1, 2),
        ]
        assert cut == 2 + 7 + 2
        assert cash.tolist() == [100, 0, 0]
        assert have.tolist() == [[0, 0], [0, 11], [3, 3]]
        stepped, _ = covered(placed, cash, have, step_lots=4)
        assert stepped.quantity_lots.tolist() == [4, 4, 8]

    def test_a_hundred_thousand_traders_keep_their_orders_apart(self) -> None:
        n = 100_000
        everybody = np.arange(n)
        column = np.zeros(n, dtype=np.int64)
        placed = Orders(everybody, column, everybody % 5, column + BUY, column + 10, column + 1, column)
        stands = Stands(everybody % 4, column, column, column, column)
        quiet = Signs(
            np.full(5, 20), np.ones((n, 5), dtype=np.int64), np.zeros((n, 5), dtype=np.int64), column > 0, column > 0
        )
        standing = Standing(n, 5)
        standing.decide(1, everybody, everybody, stands, placed, quiet)
        for round_ in (2, 3, 4, 5):
            due = standing.reasons(round_, quiet) == Reason.OVER
            assert due.sum() == n * (round_ - 1) // 4
            assert standing.orders(round_).trader.tolist() == everybody[~due].tolist()


class TestReading:
    def read(self, rules: Rules = RULES, **more: Any) -> Any:
        reply = {"thought": "", "orders": [], "gossip": ""}
        return read_reply(json.dumps(reply | more), False, rules, 0).outcome

    def test_a_reply_says_how_long_it_stands_and_what_wakes(self) -> None:
        assert self.read(stand=4, wake={"price": 50, "need": True}).stand == 4
        assert self.read().stand == 0

    @pytest.mark.parametrize(
        ("more", "error"),
        [
            ({"stand": 5}, DecisionError.BAD_NUMBER),
            ({"stand": -1}, DecisionError.BAD_NUMBER),
            ({"stand": 2, "wake": {"price": 10_001}}, DecisionError.BAD_NUMBER),
            ({"stand": 2, "wake": {"prices": 1}}, DecisionError.WRONG_SHAPE),
            ({"stand": "2"}, DecisionError.WRONG_SHAPE),
        ],
    )
    def test_what_does_not_fit_is_counted_by_kind(self, more: dict[str, Any], error: DecisionError) -> None:
        assert self.read(**more) is error

    def test_where_nothing_may_stand_a_reply_that_says_so_has_the_wrong_shape(self) -> None:
        off = replace(RULES, max_stand_rounds=0)
        assert self.read(off, stand=0) is DecisionError.WRONG_SHAPE
        assert "stand" not in off.schema()["properties"]
        assert RULES.schema()["properties"]["stand"]["maximum"] == 4


def run(config: dict[str, Any], folder: Path | None = None) -> tuple[str, list[RoundOutcome], dict[str, Any]]:
    outcomes = Outcomes()
    played = play(resolve(config), outcomes, journals_in=folder)
    return played.journal_sha256, outcomes.rounds, dict(played.summary)


Ran = tuple[Path, str, list[RoundOutcome], dict[str, Any]]


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    folder = tmp_path_factory.mktemp("ran")
    return folder / "journal.swarm", *run(CONFIG, folder)


def test_only_those_who_are_due_are_asked_and_everybody_is_counted(ran: Ran) -> None:
    _, _, rounds, summary = ran
    thinkers = sum(mind != "zip" for mind in compose(resolve(CONFIG)).run.minds)
    for outcome in rounds:
        staffed = outcome.staffed
        assert staffed.asked == len(outcome.gathered.turns) == sum(staffed.due.values())
        assert staffed.asked + staffed.asleep == thinkers
        assert staffed.held_back == 0
    found = summary["staffing"]
    assert set(found["due"]) == {"first", "undecided", "over", "fill", "need", "price", "message"}
    assert found["asleep"] > 0.1 * thinkers * CONFIG["rounds"]
    assert found["standing_orders"] > 50
    assert summary["decision_errors"], "some replies are garbled on purpose"
    assert all(flow["unexplained"] == 0 for flow in summary["conservation"].values())


def test_a_sleeper_with_standing_orders_trades(ran: Ran) -> None:
    _, _, rounds, _ = ran
    traded = 0
    for outcome in rounds:
        deciders = {*outcome.gathered.turns.trader.tolist(), *outcome.gathered.baseline_orders.trader.tolist()}
        trades = outcome.cleared.trades
        traded += sum(t not in deciders for t in (*trades.buyer.tolist(), *trades.seller.tolist()))
    assert traded > 20


def test_without_the_key_nothing_of_a_run_changes() -> None:
    off = CONFIG | {"traders": CONFIG["traders"] | {"standing": {"max_rounds": 0}}}
    _, rounds, summary = run(off)
    assert {len(o.gathered.turns) for o in rounds} == {sum(mind != "zip" for mind in rounds[0].plan.minds)}
    assert "stand" not in rounds[0].plan.shard.rules.schema()["properties"]
    assert not any('"stand"' in text for o in rounds for text in o.gathered.turns.text)
    assert summary["staffing"]["due"] == {}


@pytest.mark.parametrize("shards", [43, 3])
def test_it_does_not_depend_on_how_traders_are_spread(shards: int, ran: Ran) -> None:
    def split(plan: RunPlan, _: TradersPort) -> SplitTraders:
        return SplitTraders(plan.shard, engines.all_in_process(plan.models), shards)

    assert play(resolve(CONFIG), traders=split).journal_sha256 == ran[1]


def test_it_replays_and_goes_on_from_the_record(ran: Ran) -> None:
    journal, sha256, rounds, summary = ran
    recorder = Recorder()
    result = replay(journal, composed, (recorder,))
    assert result.holds, result.mismatch
    assert result.replayed_sha256 == sha256
    again = recorder.finish(result.closing, {}).summary
    for key in ("staffing", "budget", "decision_errors", "order_rejections", "wealth"):
        assert again[key] == summary[key], key

    recorded = {o.round: o.gathered.entry(o.round) for o in rounds[:6]}
    went_on = play(
        resolve(CONFIG),
        traders=lambda plan, port: ResumedTraders(RecordedTraders({1: plan.shard}, recorded), port),
    )
    assert went_on.journal_sha256 == sha256


def test_a_fork_may_turn_it_on_and_off(tmp_path: Path) -> None:
    off = {"traders": CONFIG["traders"] | {"standing": {"max_rounds": 0}}}
    for before, after in ((CONFIG, CONFIG | off), (CONFIG | off, CONFIG)):
        folder = tmp_path / str(before["traders"]["standing"]["max_rounds"])
        plan = replace(compose(resolve(before)).run, fork=Fork(5, "0" * 64, (), compose(resolve(after)).run))
        outcomes = Outcomes()
        sha256 = play(
            resolve(before),
            outcomes,
            plan=WorldPlan.of(plan),
            journals_in=folder,
            traders=lambda plan, _: Phased(plan),
        ).journal_sha256
        asleep = [o.staffed.asleep > 0 for o in outcomes.rounds]
        assert any(asleep[:5]) == bool(before["traders"]["standing"]["max_rounds"])
        assert any(asleep[5:]) == bool(after["traders"]["standing"]["max_rounds"])
        assert replay(folder / "journal.swarm", composed).replayed_sha256 == sha256


def test_a_model_that_dies_and_stays_dead_costs_its_traders_and_their_orders_go_on() -> None:
    config = resolve(CONFIG)

    class Mortal:
        """Answers for three rounds, and then fails everything."""

        def __init__(self) -> None:
            self.engine = engines.in_process(config.models[0])
            self.batches = 0

        async def complete(self, requests: Sequence[ModelRequest], deadline_s: float) -> list[ModelReply]:
            self.batches += 1
            replies = await self.engine.complete(requests, deadline_s)
            return (
                replies if self.batches <= 3 else [replace(r, text="gone", finish_reason="connection") for r in replies]
            )

    outcomes = Outcomes()
    played = play(config, outcomes, clients=engines.all_in_process(config.models) | {"value": Mortal()})
    dead = [o for o in outcomes.rounds if DecisionError.ENGINE_CONNECTION in o.gathered.decisions.errors]
    # In a round or two after its death none of its traders may be due.
    assert 4 <= dead[0].round <= 6
    assert [o.round for o in dead[4:]] == list(range(dead[4].round, 15))
    theirs = np.flatnonzero(np.array(played.plan.run.minds) == "value")
    for outcome in dead[4:]:
        # What stood has stood out its time by now, so all of them are asked in vain.
        assert np.isin(theirs, outcome.gathered.turns.trader).all()
    assert dead[0].staffed.standing_orders > 0
    summary = played.summary
    assert summary["decision_errors"]["engine_connection"] >= 5 * len(theirs)
    assert summary["staffing"]["due"]["undecided"] >= 5 * len(theirs)
    assert all(flow["unexplained"] == 0 for flow in summary["conservation"].values())
