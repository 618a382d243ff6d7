"""Traders that come and go: what a config may say, who is counted, and that the history is one wherever it is made."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from swarm.agents.memory import Memory
from swarm.agents.observation import Observation
from swarm.agents.shard import Shard
from swarm.config_file import load, resolve
from swarm.coordination.assignment import Assignment
from swarm.coordination.standing import Reason, Signs, Standing, Stands
from swarm.errors import ConfigError
from swarm.explain import explain
from swarm.llm import engines
from swarm.market.orders import BUY, Orders
from swarm.market.quality import gini
from swarm.planning import compose
from swarm.report import aggregates, wording
from swarm.report.page import render
from swarm.runtime.fork import fork
from swarm.runtime.play import Shown, play
from swarm.runtime.ports import RunsOn
from swarm.runtime.run import Session
from swarm.simulation.facets.traders import wealth_cents
from swarm.simulation.folder import RunFolder
from swarm.simulation.journal import JournalReader
from swarm.simulation.loop import RoundOutcome
from swarm.simulation.market import Market
from swarm.simulation.plan import RunPlan
from swarm.simulation.population import DEPARTED, PopulationStage, population_in
from swarm.simulation.record import RunRecord
from swarm.simulation.traders import Gathered, TradersPort
from tests.playing import Outcomes, SplitTraders
from tests.refusals import refused

STAGES = [
    {"from_round": 1, "traders": 12},
    {"from_round": 3, "traders": 20},
    {"from_round": 6, "traders": 8},
    {"from_round": 8, "traders": 17},
]
CONFIG: dict[str, Any] = {
    "name": "passing",
    "seed": 4,
    "rounds": 10,
    "population": STAGES,
    "models": [{"name": "a", "temperament": "value"}, {"name": "b", "temperament": "maker", "fault_rate": 0.2}],
    "traders": {"minds": {"a": 2, "b": 1, "zip": 3, "zi_c": 1}},
    "scenario": {"name": "wood", "shocks": [{"kind": "venture", "round": 4, "rounds": 3, "good": "honey"}]},
}
TURNS = ("arrival", "departure")
PRESENT = [12, 12, 20, 20, 20, 8, 8, 17, 17, 17]


def recorded(config: dict[str, Any], *watchers: Any) -> tuple[RunPlan, RunRecord]:
    played = play(resolve(config), *watchers)
    return played.plan.run, played.record


@pytest.fixture(scope="module")
def record() -> RunRecord:
    return recorded(CONFIG)[1]


@pytest.mark.parametrize(
    ("changes", "key", "word"),
    [
        ({"population": 0}, "population", "2"),
        ({"population": 3_000_000}, "population", "2000000"),
        (
            {"population": "many"},
            "population",
            "stages",
        ),
        ({"population": None}, "population", "stages"),
        ({"population": True}, "population", "stages"),
        ({"population": []}, "population", "stages"),
        (
            {"population": STAGES[1:]},
            "population.0.from_round",
            "opening",
        ),
        (
            {"population": [*STAGES, STAGES[3]]},
            "population.4.from_round",
            "8",
        ),
        (
            {"population": [STAGES[0], {"from_round": 2, "traders": 0}]},
            "population.1.traders",
            "2",
        ),
        (
            {"population": [{"from_round": 1, "traders": 3_000_000}]},
            "population.0.traders",
            "2000000",
        ),
        ({"population": [{"from_round": 0, "traders": 2}]}, "population.0.from_round", "greater"),
        ({"population": [{"from_round": 1}]}, "population.0.traders", "missing"),
        (
            {"population": [{"from_round": 1, "traders": 5, "trader": 5}]},
            "population.0.trader",
            "traders?",
        ),
        ({"rounds": 7}, "population.3.from_round", "7"),
        ({"traders": {"hears": 20}}, "traders.hears", "19"),
    ],
)
def test_a_schedule_that_cannot_be_is_one_clear_line(changes: dict[str, Any], key: str, word: str) -> None:
    with refused(key, word):
        resolve(CONFIG | changes)


def test_a_number_of_traders_is_kept_and_journalled_as_before() -> None:
    config = resolve(CONFIG | {"population": 20})
    plan = compose(config).run
    assert config.history_record()["population"] == config.most_traders == 20
    assert plan.population == ()
    assert {plan.present(round_) for round_ in range(11)} == {20}
    assert DEPARTED not in plan.market.named_accounts


def test_a_schedule_makes_a_plan_for_the_most_that_are_there() -> None:
    config = resolve(CONFIG)
    plan = compose(config).run
    assert (config.most_traders, plan.traders, len(plan.minds)) == (20, 20, 20)
    assert [plan.present(round_) for round_ in range(11)] == [12, *PRESENT]
    assert plan.market.named_accounts[-1] == DEPARTED
    assert config.history_record()["population"] == STAGES
    assert compose(resolve(config.record())).run.config_sha256 == plan.config_sha256


def test_a_stage_holds_from_its_round_on() -> None:
    stages = [PopulationStage(from_round=1, traders=5), PopulationStage(from_round=4, traders=9)]
    assert [population_in(stages, round_) for round_ in (0, 1, 3, 4, 100)] == [5, 5, 5, 9, 9]


def test_both_forms_of_the_key_are_explained() -> None:
    keys = {key.key: (key.kind, key.default) for key in explain("wood")}
    assert keys["population"] == ("integer 2 to 2,000,000 or list of sections", "40")
    assert keys["population[].from_round"][0] == "integer 1 to 1,000,000, required"
    assert keys["population[].traders"][0] == "integer 2 to 2,000,000, required"


def test_only_those_who_are_there_are_counted() -> None:
    wealth: list[float] = []

    class Watch:
        def started(self, plan: RunPlan, opening: Any, named: Any) -> None:
            wealth.append(gini(wealth_cents(plan, opening)[:12]))

        def round_done(self, outcome: RoundOutcome) -> None:
            wealth.append(gini(wealth_cents(outcome.plan, outcome.state)[: PRESENT[outcome.round - 1]]))

    _, record = recorded(CONFIG, Watch())
    summary = record.summary
    assert summary["population"] == {
        "schedule": [[1, 12], [3, 20], [6, 8], [8, 17]],
        "present": 17,
        "stayed": 8,
    }
    assert summary["wealth"] == {"gini_start": round(wealth[0], 6), "gini_end": round(wealth[-1], 6)}
    assert summary["quality"]["gini_of_wealth"]["market"] == round(wealth[-1], 6)
    assert record.tables["rounds"]["traders"].to_list() == PRESENT
    for round_, present in enumerate([12, *PRESENT]):
        rows = record.tables["traders"].filter(record.tables["traders"]["round"] == round_)
        assert rows["trader"].to_list() == list(range(present))
        assert (rows["wealth_cents"] > 0).all()
    assert not any(flow["unexplained"] for flow in summary["conservation"].values())
    cash = summary["conservation"]["cash"]
    purses = 12 + (20 - 12) + (17 - 8)
    assert cash["start"] + cash["issued"] == purses * 40_000
    assert cash["in_other_accounts"][DEPARTED] > 0


def test_the_report_says_who_was_there_and_gives_the_profits_of_those_who_stayed(record: RunRecord) -> None:
    sentence = wording.coming_and_going(record.summary)
    assert sentence == (
        "12 traders at the opening, 20 from round 3 on, 8 from round 6 on, 17 from round 8 on. "
        "Figures are of those who were there; profits are of the 8 who never left."
    )
    assert sentence in render(record)
    assert aggregates.profits(record)["trader"].to_list() == list(range(8))
    assert "Coming and going" not in render(recorded(CONFIG | {"population": 8})[1])


def test_gains_that_nobody_present_could_make_are_not_held_against_a_market() -> None:
    auction = {"scenario": {"name": "double_auction"}}
    assert recorded(CONFIG | auction)[1].summary["quality"]["efficiency"]["market"] is None
    assert recorded(CONFIG | auction | {"population": 20})[1].summary["quality"]["efficiency"]["market"] > 0


def test_rules_do_not_act_for_the_absent_who_begin_anew_when_they_are_back() -> None:
    config = resolve(CONFIG | {"population": 10, "traders": {"minds": {"zip": 1, "zi_c": 1}}})
    plan = compose(config).run
    shown = Shown()
    play(config, traders=shown.asking)
    seen = shown.seen
    shard, memory = Shard(plan.shard, {}), Memory.empty()
    for each in seen[:5]:
        memory = memory.updated(shard.baselines(each, memory)[1])
    learners = memory.trader.tolist()
    left = [t for t in learners if t >= 6]
    assert left
    everybody, _ = shard.baselines(seen[5], memory)
    assert (everybody.trader >= 6).any()
    gone = Assignment.everybody(np.arange(10) < 6)
    orders, learned = shard.baselines(Observation(seen[5].public, replace(seen[5].private, assigned=gone)), memory)
    # Those who stay do as if all were there.
    assert orders.stacked().tolist() == everybody.take(everybody.trader < 6).stacked().tolist()
    after = memory.updated(learned)
    back, _ = shard.baselines(seen[6], after)
    anew, _ = shard.baselines(seen[6], after.without(np.array(left)))
    old, _ = shard.baselines(seen[6], memory)
    assert back.stacked().tolist() == anew.stacked().tolist()
    returned = np.array(left)
    assert back.take(np.isin(back.trader, returned)).stacked().tolist() != (
        old.take(np.isin(old.trader, returned)).stacked().tolist()
    )


def test_what_stood_of_those_who_left_is_forgotten() -> None:
    standing, zeros = Standing(3, 1), np.zeros((3, 1), dtype=np.int64)
    signs = Signs(np.array([10]), zeros, zeros, np.zeros(3, dtype=np.bool_), np.zeros(3, dtype=np.bool_))
    everybody, nothing = np.arange(3), np.zeros(3, dtype=np.int64)
    orders = Orders(everybody, nothing, nothing, nothing + BUY, nothing + 5, nothing + 1, nothing)
    standing.decide(1, everybody, everybody, Stands.of([(5, 0, 0, 0, 0)] * 3), orders, signs)
    standing.forget(np.array([1]))
    assert standing.orders(2).trader.tolist() == [0, 2]
    assert standing.reasons(2, signs).tolist() == [Reason.ASLEEP, Reason.FIRST, Reason.ASLEEP]
    assert standing.last_decided.tolist() == [1, 0, 1]


def test_who_comes_back_is_asked_whatever_stood_when_it_left() -> None:
    stages = [{"from_round": r, "traders": n} for r, n in ((1, 12), (3, 8), (4, 12))]
    wake = {"price_permille": 0, "need": False, "fill": False, "message": False}
    config = CONFIG | {
        "population": stages,
        "rounds": 7,
        "models": [{"name": "menu", "temperament": "maker", "form": "menu"}],
        "traders": {"standing": {"max_rounds": 5, "wake": wake}},
    }
    outcomes = Outcomes()
    recorded(config, outcomes)
    asked = {outcome.round: outcome.gathered.turns.trader.tolist() for outcome in outcomes.rounds}
    asleep = {outcome.round: outcome.staffed.asleep for outcome in outcomes.rounds}
    assert asked == {1: [*range(12)], 2: [], 3: [], 4: [8, 9, 10, 11], 5: [], 6: [], 7: [*range(8)]}
    assert asleep == {1: 0, 2: 12, 3: 8, 4: 8, 5: 12, 6: 12, 7: 4}


def test_orders_that_rest_leave_the_book_with_their_owner() -> None:
    market: dict[str, Any] = {"mechanism": "continuous", "rest_rounds": 8}
    found: list[tuple[int, list[int], int]] = []
    config = CONFIG | {"market": market, "traders": {"minds": {"zi_c": 1}}}
    plan = compose(resolve(config)).run
    exchange = Market(plan.market, None)

    class Watch(Outcomes):
        def round_done(self, outcome: RoundOutcome) -> None:
            resting = exchange.exchange.snapshot()["resting"][0].tolist()
            report = outcome.cleared.resting
            found.append((outcome.round, resting, report.uncovered if report else 0))

    play(resolve(config), Watch(), new_market=lambda *_: exchange)
    by_round = {round_: (resting, uncovered) for round_, resting, uncovered in found}
    leaving = [trader for trader in by_round[5][0] if trader >= 8]
    assert len(leaving) > 3
    assert by_round[6][1] >= len(leaving)
    assert max(by_round[6][0]) < 8


@pytest.mark.parametrize("shards", [3, 20])
def test_the_history_does_not_depend_on_how_traders_are_spread(shards: int, record: RunRecord) -> None:
    def split(plan: RunPlan, _: TradersPort) -> SplitTraders:
        return SplitTraders(plan.shard, engines.all_in_process(plan.models), shards, backwards=True)

    assert play(resolve(CONFIG), traders=split).journal_sha256 == record.summary["journal_sha256"]


def test_a_shard_that_is_late_has_nobody_late_who_was_not_there() -> None:
    class Late:
        def __init__(self, port: TradersPort) -> None:
            self.port = port

        def decide(self, seen: Observation) -> Gathered:
            gathered = self.port.decide(seen)
            return replace(gathered, late=np.arange(10, 20)) if seen.public.round in (2, 6) else gathered

    # In round 2 those from 12 on have not come, and in round 6 all from 8 on have left.
    assert play(resolve(CONFIG), traders=lambda _, port: Late(port)).summary["late_turns"] == 2


def written(path: Path, **changes: Any) -> Path:
    path.write_text(yaml.safe_dump(CONFIG | changes))
    return path


def test_a_run_goes_on_from_wherever_it_was_cut_off(tmp_path: Path) -> None:
    config = written(tmp_path / "config.yaml", traders={**CONFIG["traders"], "standing": {"max_rounds": 2}})
    Session(RunsOn(local=True), RunFolder(tmp_path / "run"), report=False).execute(load(config))
    journal, head = tmp_path / "run" / "journal.swarm", tmp_path / "run" / "journal.head"
    complete = journal.read_bytes()
    reader = JournalReader(journal)
    records = [(offset, reader.unpacked(offset, payload)) for offset, payload in reader.payloads()]
    turns = [i for i, (_, record) in enumerate(records) if record[0] == "Transfer" and record[2] in TURNS]
    causes = {records[i][1][2] for i in turns}
    assert causes == set(TURNS)
    # Before what a coming or a departure moves, within it, and right behind it.
    for cut in sorted({records[i + step][0] for i in turns for step in (0, 1)}):
        journal.write_bytes(complete[:cut])
        head.unlink(missing_ok=True)
        result = Session(RunsOn(local=True), RunFolder(tmp_path / "run"), report=False).resume()
        assert result.finished
        assert journal.read_bytes() == complete, cut
        assert result.record.tables["rounds"]["traders"].to_list() == PRESENT


def test_a_fork_keeps_the_schedule(tmp_path: Path) -> None:
    parent, child = RunFolder(tmp_path / "run"), RunFolder(tmp_path / "fork")
    Session(RunsOn(local=True), parent, report=False).execute(load(written(tmp_path / "config.yaml")))
    for change in ("population=20", "population.2.traders=9"):
        with pytest.raises(ConfigError, match=r"^population: expected \[\{'from_round': 1, .* as in the past of this"):
            fork(parent, 5, (change,), child)
    fork(parent, 5, ("seed=9", "traders.minds={a: 1, zip: 1}"), child)
    result = Session(RunsOn(local=True), child, report=False).resume()
    assert result.finished
    assert result.record.tables["rounds"]["traders"].to_list() == PRESENT
    assert not any(flow["unexplained"] for flow in result.record.summary["conservation"].values())
    assert result.record.summary["journal_sha256"] != parent.recorded_sha256()
