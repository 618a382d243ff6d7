"""A run with a budget ends within it, at whatever seed and limit, and its record says what it gave up for that."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swarm.agents.memory import Memory
from swarm.agents.observation import Observation
from swarm.agents.shard import Shard
from swarm.config_file import resolve
from swarm.coordination.governor import FLOORS, Costs, Governor, Level, Limits, Pace
from swarm.llm import engines
from swarm.planning import composed
from swarm.preflight import check_budget
from swarm.runtime.play import play
from swarm.simulation.loop import RoundOutcome
from swarm.simulation.plan import RunPlan
from swarm.simulation.record import Recorder
from swarm.simulation.replay import replay
from swarm.simulation.traders import Gathered, LocalTraders, TradersPort, gather
from tests.playing import Outcomes

ROUNDS, TRADERS = 12, 20
DEAR = {"usd_per_million_prompt_tokens": 3.0, "usd_per_million_completion_tokens": 15.0}
CHEAP = {"usd_per_million_prompt_tokens": 0.1, "usd_per_million_completion_tokens": 0.5}
CONFIG: dict[str, Any] = {
    "rounds": ROUNDS,
    "population": TRADERS,
    "models": [
        {"name": "dear", "temperament": "value", **DEAR},
        {"name": "fair", "temperament": "hoarder", "usd_per_million_prompt_tokens": 1.0},
        {"name": "spare", "temperament": "maker", **CHEAP},
    ],
    "traders": {"minds": {"dear": 2, "fair": 1}, "hears": 4},
}
UNBOUNDED_TOKENS = 700 * ROUNDS * TRADERS
UNBOUNDED_USD = 0.6


class TimedTraders:
    """Traders whose decisions take `seconds_per_turn` each, by the clock that `now` is."""

    def __init__(self, seconds_per_turn: float) -> None:
        self.port: TradersPort | None = None
        self.seconds_per_turn, self.seconds = seconds_per_turn, 0.0

    def now(self) -> float:
        return self.seconds

    def asking(self, port: TradersPort) -> TradersPort:
        self.port = port
        return self

    def decide(self, seen: Observation) -> Gathered:
        assert self.port is not None
        gathered = self.port.decide(seen)
        self.seconds += self.seconds_per_turn * len(gathered.turns)
        return gathered


def run(
    budget: dict[str, Any], seed: int, folder: Path | None = None, seconds_per_turn: float = 0.0, **changes: Any
) -> tuple[dict[str, Any], list[RoundOutcome]]:
    config = resolve({**CONFIG, "seed": seed, "budget": budget, **changes})
    check_budget(config)
    timed, outcomes = TimedTraders(seconds_per_turn), Outcomes()
    played = play(config, outcomes, journals_in=folder, traders=lambda _, port: timed.asking(port), clock=timed.now)
    return dict(played.summary), outcomes.rounds


def spent(summary: dict[str, Any]) -> int:
    return int(summary["tokens"]["prompt"] + summary["tokens"]["completion"])


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**40), share=st.floats(0.005, 1.5), stand=st.integers(0, 4))
def test_no_run_spends_more_tokens_than_its_limit(seed: int, share: float, stand: int) -> None:
    limit = max(1_000, int(share * UNBOUNDED_TOKENS))
    traders = CONFIG["traders"] | {"standing": {"max_rounds": stand}}
    summary, rounds = run({"run_tokens": limit}, seed, traders=traders)
    assert spent(summary) == summary["budget"]["spent_tokens"] <= limit
    assert summary["rounds"] == ROUNDS
    assert sum(summary["budget"]["rounds_at_level"].values()) == ROUNDS
    assert all(flow["unexplained"] == 0 for flow in summary["conservation"].values())
    for outcome in rounds:
        assert outcome.staffed.asked + outcome.staffed.held_back == sum(outcome.staffed.due.values())


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**40), share=st.floats(0.03, 1.5))
def test_no_run_spends_more_dollars_than_its_limit(seed: int, share: float) -> None:
    limit = share * UNBOUNDED_USD
    summary, _ = run({"run_usd": limit}, seed)
    assert summary["budget"]["spent_usd"] <= limit
    assert sum(summary["tokens"]["usd"].values()) == pytest.approx(summary["budget"]["spent_usd"], abs=2e-6)


def test_a_limit_that_is_enough_changes_nothing_but_the_record_of_it() -> None:
    free, _ = run({}, 3)
    bound, rounds = run({"run_tokens": 2 * UNBOUNDED_TOKENS}, 3)
    assert {o.staffed.level for o in rounds} == {Level.ALL}
    for key in ("trades", "volume_lots", "wealth", "decision_errors"):
        assert bound[key] == free[key]
    assert bound["budget"]["spent_tokens"] == free["budget"]["spent_tokens"] == spent(free)


def test_what_is_given_up_comes_in_the_stated_order_and_most_of_the_limit_is_used() -> None:
    levels = []
    for share in (1.1, 0.7, 0.4, 0.2, 0.04):
        limit = int(share * spent(run({}, 3)[0]))
        summary, rounds = run({"run_tokens": limit}, 3)
        levels.append(rounds[0].staffed.level)
        assert share > 1 or limit - spent(summary) < 2_000 + 0.05 * limit, share
    assert levels == [Level.ALL, Level.FEWER, Level.SHORTER, Level.CHEAPER, Level.STANDING_ONLY]


def test_the_dear_model_gives_way_to_the_cheapest_of_its_form_which_need_be_no_traders_mind() -> None:
    free, _ = run({}, 3)
    assert set(free["tokens"]["usd"]) == {"dear", "fair"}
    summary, rounds = run({"run_usd": 0.12 * sum(free["tokens"]["usd"].values())}, 3)
    assert Level.CHEAPER in {o.staffed.level for o in rounds}
    assert summary["tokens"]["usd"]["spare"] > 0
    assert summary["trades"] > 0.3 * free["trades"]


def test_no_one_is_left_out_for_good() -> None:
    limit = int(0.3 * UNBOUNDED_TOKENS)
    _, rounds = run({"run_tokens": limit}, 3)
    asked = np.concatenate([o.gathered.turns.trader for o in rounds])
    assert set(asked.tolist()) == set(range(TRADERS))


def test_slow_rounds_have_fewer_traders_until_they_are_quick_enough(tmp_path: Path) -> None:
    path = tmp_path / "journal.swarm"
    summary, rounds = run({"seconds_per_round": 1.0}, 3, tmp_path, seconds_per_turn=0.125, rounds=30)
    asked = [o.staffed.asked for o in rounds]
    assert asked[0] == TRADERS
    assert all(n <= 10 for n in asked[1:])
    assert np.mean(asked[5:]) >= 5
    assert summary["budget"]["rounds_at_level"].keys() >= {"all", "shorter"}
    # The clock is not in the journal, what it led to is.
    recorder = Recorder()
    result = replay(path, composed, (recorder,))
    assert result.holds, result.mismatch
    again = recorder.finish(result.closing, {}).summary
    assert again["budget"] == summary["budget"]
    assert again["staffing"] == summary["staffing"]


def test_a_run_on_a_budget_replays(tmp_path: Path) -> None:
    path = tmp_path / "journal.swarm"
    summary, _ = run({"run_tokens": int(0.2 * UNBOUNDED_TOKENS)}, 4, tmp_path)
    recorder = Recorder()
    result = replay(path, composed, (recorder,))
    assert result.holds, result.mismatch
    again = recorder.finish(result.closing, {}).summary
    assert again["budget"] == summary["budget"]
    assert again["tokens"]["usd"] == summary["tokens"]["usd"]


def test_what_nobody_knows_the_cost_of_is_charged_at_its_worst(tmp_path: Path) -> None:
    config = resolve({**CONFIG, "seed": 2, "budget": {"run_tokens": 60_000}})
    late = np.arange(5)

    class Late(LocalTraders):
        """A shard with the first five traders never answers in time."""

        def decide(self, seen: Observation) -> Gathered:
            rest = np.arange(5, TRADERS)
            part = replace(self.shard.plan, first_trader=5, minds=self.shard.plan.minds[5:])
            shard = Shard(part, self.shard.clients)
            shown = Observation(seen.public, seen.private.take(rest))
            return gather([asyncio.run(shard.decide(shown, Memory.empty()))], late)

    def traders(plan: RunPlan, _: TradersPort) -> TradersPort:
        return Late(plan.shard, engines.all_in_process(plan.models))

    summary = dict(play(config, journals_in=tmp_path, traders=traders).summary)
    charged = summary["budget"]["spent_tokens"] - spent(summary)
    assert charged > 0
    assert charged % 1_000 == 0
    assert summary["budget"]["spent_tokens"] <= 60_000
    assert summary["staffing"]["due"]["undecided"] > 5
    assert replay(tmp_path / "journal.swarm", composed).holds


turns = st.lists(st.tuples(st.floats(1, 1e4), st.floats(1, 3), st.floats(0, 1)), min_size=0, max_size=40)


@settings(max_examples=200, deadline=None)
@given(
    tokens=st.floats(0, 1e6),
    seconds=st.floats(0.01, 10),
    rounds=st.lists(st.tuples(turns, st.floats(0, 20)), min_size=1, max_size=15),
)
def test_the_governor_never_lets_the_worst_case_past_a_limit(
    tokens: float, seconds: float, rounds: list[tuple[list[tuple[float, float, float]], float]]
) -> None:
    governor = Governor(Limits(tokens=tokens, seconds_per_round=seconds))
    before = Level.ALL
    for number, (due, took) in enumerate(rounds):
        worst = np.array([[a * b for a, b, _ in due], [0.0] * len(due)]).reshape(2, len(due))
        costs = Costs(np.array([[a for a, _, _ in due], [0.0] * len(due)]).reshape(2, len(due)), worst)
        pace = governor.choose(len(rounds) - number, costs, costs)
        assert 0 <= pace.count <= len(due)
        assert pace.level != Level.STANDING_ONLY or pace.count == 0
        if due and pace.level == Level.ALL:
            assert pace.count == len(due)
        assert pace.level >= before - 1, "it recovers by one level at a time"
        before = pace.level
        actual = sum(a * b * c for a, b, c in due[: pace.count])
        governor.keep(pace, actual, 0.0, took, pace.count)
        assert governor.spent[0] <= tokens * (1 + 1e-9)


def test_a_level_that_was_taken_holds_for_a_while() -> None:
    governor = Governor(Limits(tokens=14_000.0))
    levels = []
    for number in range(12):
        # From the second round on a turn is expected to cost next to nothing.
        each = 1.0 if number else 100.0
        costs = Costs(np.array([[each] * 10, [0.0] * 10]), np.array([[150.0] * 10, [0.0] * 10]))
        pace = governor.choose(20 - number, costs, costs)
        levels.append(pace.level)
        governor.keep(pace, pace.count * each, 0.0, 0.0, pace.count)
    assert levels == [Level.FEWER] * 5 + [Level.ALL] * 7


def test_the_floors_fall_with_the_levels() -> None:
    assert list(FLOORS) == sorted(FLOORS, reverse=True)
    assert len(FLOORS) == len(Level)
    assert Governor(Limits()).choose(5, *[Costs(np.empty((2, 0)), np.empty((2, 0)))] * 2) == Pace(Level.ALL, 0)
