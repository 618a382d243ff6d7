"""Each example of docs/architecture.md runs for ten rounds, and its journal replays without a model."""

from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from swarm import trust
from swarm.agents import forms, minds
from swarm.agents.decision import DecisionError
from swarm.agents.mind import Seats
from swarm.agents.turns import Turns
from swarm.commands.setups import models_app
from swarm.config_file import resolve
from swarm.coordination import staffing
from swarm.errors import ConfigError, ModelError
from swarm.llm import engines
from swarm.llm.check import must_be_usable
from swarm.llm.engines.scripted import policy
from swarm.monitoring.hub import Hub
from swarm.planning import compose, composed
from swarm.plugins import VARIABLE
from swarm.report import deciders
from swarm.report.parts import Figure, Table
from swarm.report.sections import SECTIONS
from swarm.report.sections.cost import cost
from swarm.runtime.play import play
from swarm.simulation.facets import FACETS
from swarm.simulation.loop import RoundOutcome
from swarm.simulation.record import RunRecord
from swarm.simulation.replay import replay
from tests.examples.panel import Panel
from tests.playing import Outcomes

ROUNDS = 10
MODELS: list[dict[str, Any]] = [
    {"name": "cheap", "temperament": "value", "fault_rate": 0.5, "usd_per_million_prompt_tokens": 1.0},
    {"name": "strong", "temperament": "maker", "usd_per_million_prompt_tokens": 10.0},
    {"name": "third", "temperament": "value"},
]
PLUGINS = ("panel", "fallback", "guess", "offers", "parrot")


@pytest.fixture(autouse=True)
def _at_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, ",".join(f"tests.examples.{name}" for name in PLUGINS))


def played(config: dict[str, Any], folder: Path) -> tuple[list[RoundOutcome], RunRecord]:
    """Plays ten rounds, and replays them from the journal alone."""
    resolved = resolve({"seed": 4, "rounds": ROUNDS, "population": 12, "models": MODELS} | config)
    outcomes, hub = Outcomes(), Hub(compose(resolved).run, "process", folder)
    result = play(resolved, outcomes, hub, journals_in=folder)
    again = replay(folder / "journal.swarm", composed)
    assert again.holds, again.mismatch
    assert again.rounds == ROUNDS
    samples = [sample for family in hub.collect() for sample in family.samples]
    assert sum(s.value for s in samples if s.name == "swarm_turns_total") == ROUNDS * result.plan.run.traders
    return outcomes.rounds, result.record


def test_a_council_asks_all_of_its_models_and_is_billed_for_each(tmp_path: Path) -> None:
    define = {"wise": {"mind": "panel", "models": ["cheap", "strong", "third"]}}
    rounds, record = played({"traders": {"minds": {"wise": 1}, "define": define}}, tmp_path)
    for outcome in rounds:
        turns = outcome.gathered.turns
        assert np.bincount(turns.calls.turn).tolist() == [3] * 12
        assert turns.models == ("cheap", "strong", "third")
        assert not any(outcome.gathered.decisions.errors)
    assert record.summary["trades"] > 0
    assert record.summary["asks"] == {"wise": ["cheap", "strong", "third"]}
    assert deciders.nature(record.summary, "wise") == "scripted policy"
    assert "answered_by" not in record.summary
    usd = record.summary["tokens"]["usd"]
    assert usd["strong"] > 5 * usd["cheap"] > 0


def test_a_fallback_asks_the_strong_model_only_where_the_cheap_one_failed(tmp_path: Path) -> None:
    define = {"thrifty": {"mind": "fallback", "first": "cheap", "then": "strong"}}
    rounds, _ = played({"traders": {"minds": {"thrifty": 1}, "define": define}}, tmp_path)
    asked = np.concatenate([np.bincount(outcome.gathered.turns.calls.turn) for outcome in rounds])
    assert set(asked.tolist()) == {1, 2}
    assert not any(error for outcome in rounds for error in outcome.gathered.decisions.errors)


def test_a_turn_of_several_calls_has_no_bar_beside_the_budget_of_one(tmp_path: Path) -> None:
    define = {"wise": {"mind": "panel", "models": ["cheap", "strong"]}}
    _, record = played({"traders": {"minds": {"wise": 1, "third": 1}, "define": define}}, tmp_path)
    figure, *_ = (part for part in cost(record) if isinstance(part, Figure))
    (table,) = (part for part in cost(record) if isinstance(part, Table))
    assert {row["mind"] for row in figure.panels[0].data["rows"]} == {"third"}
    assert {row[0] for row in table.rows} == {"third", "wise"}


def test_an_engine_of_others_answers_like_ours(tmp_path: Path) -> None:
    polly = {"name": "polly", "engine": "parrot", "says": "crackers", "price": 30}
    config = {"models": [polly, MODELS[1]], "traders": {"minds": {"polly": 1, "strong": 1}}}
    rounds, record = played(config, tmp_path)
    for outcome in rounds:
        by_mind = zip(outcome.gathered.turns.mind_names, outcome.gathered.decisions.errors, strict=True)
        assert {error for mind, error in by_mind if mind == "polly"} <= {None, DecisionError.OWN_GOOD}
    assert record.summary["engines"] == {"polly": "parrot", "strong": "scripted"}
    assert deciders.nature(record.summary, "polly") == "parrot"
    assert deciders.notice(record.summary)[0] == "Parrots and scripted policies, no language model"
    shown = CliRunner().invoke(models_app).stdout
    assert "engine: parrot" in shown
    assert trust.demands(resolve(config)) == []
    must_be_usable([engines.find("parrot").config.model_validate(polly)], 1_000)
    with pytest.raises(ModelError, match="swear"):
        must_be_usable([engines.find("parrot").config.model_validate(polly | {"says": "damn"})], 1_000)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"engine": "parrot", "price": 0}, r"models\.0\.price"),
        ({"engine": "parrot", "colour": "green"}, r"models\.0\.colour.*no such key"),
        ({"engine": "parot"}, r"models\.0\.engine.*embedded.*parrot.*did you mean parrot"),
    ],
)
def test_keys_of_an_engine_of_others_are_checked_like_ours(entry: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        resolve({"models": [{"name": "polly", **entry}]})


def test_minds_of_several_models_make_do_with_the_cheapest_where_money_is_short(tmp_path: Path) -> None:
    define = {
        "wise": {"mind": "panel", "models": ["cheap", "strong"]},
        "thrifty": {"mind": "fallback", "first": "cheap", "then": "strong"},
    }
    models = [model | {"usd_per_million_completion_tokens": 1.0} for model in MODELS[:2]]
    lean = {
        "models": models,
        "budget": {"run_usd": 0.1},
        "traders": {"minds": {"wise": 1, "thrifty": 1}, "define": define},
    }
    rounds, record = played(lean, tmp_path)
    assert record.summary["budget"]["spent_usd"] <= 0.1
    assert any(outcome.gathered.turns.models == ("cheap",) for outcome in rounds)


async def raises(council: Panel, seats: Seats, *_: Any) -> Turns:
    raise RuntimeError("out of its mind")


async def forgets(council: Panel, seats: Seats, *rest: Any) -> Turns:
    return (await decided(council, seats, *rest)).take(np.arange(1, len(seats)))


async def poses(council: Panel, seats: Seats, *rest: Any) -> Turns:
    return replace(await decided(council, seats, *rest), minds=("third",))


decided = Panel.decide


@pytest.mark.parametrize("decide", [raises, forgets, poses])
def test_a_mind_that_fails_costs_its_own_traders_and_not_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, decide: Any
) -> None:
    monkeypatch.setattr(Panel, "decide", decide)
    define = {"wise": {"mind": "panel", "models": ["cheap", "strong"]}}
    rounds, _ = played({"traders": {"minds": {"wise": 1, "third": 1}, "define": define}}, tmp_path)
    for outcome in rounds:
        turns, errors = outcome.gathered.turns, outcome.gathered.decisions.errors
        assert {*zip(turns.mind_names, errors, strict=True)} == {("wise", DecisionError.ENGINE), ("third", None)}


def test_a_scenario_without_a_market_decides_by_numbers(tmp_path: Path) -> None:
    rounds, _ = played({"scenario": {"name": "guess", "prize_cents": 250}}, tmp_path)
    for outcome in rounds:
        chosen = outcome.gathered.decisions.chosen
        assert len({*chosen}) > 1
        assert all(0 <= number <= 100 for number in chosen if number is not None)
    balances = rounds[-1].state.balances
    assert int(balances.sum()) == ROUNDS * 250


def test_a_form_of_others_is_asked_and_read_like_ours(tmp_path: Path) -> None:
    models = [{"name": "numbers", "temperament": "value", "form": "offers"}, MODELS[2]]
    rounds, record = played({"models": models}, tmp_path)
    for outcome in rounds:
        assert not any(outcome.gathered.decisions.errors)
        turns = outcome.gathered.turns
        said = dict(zip(turns.mind_names, turns.text, strict=True))
        # The scripted policy that came with the form never passes, as a number that is drawn would.
        assert int(said["numbers"]) > 0
        assert not said["third"].isdigit()
    assert record.summary["trades"] > 0


def test_a_form_of_a_market_stays_out_of_other_scenarios(tmp_path: Path) -> None:
    models = [{"name": "numbers", "temperament": "value", "form": "offers"}]
    plan = compose(resolve({"models": models, "scenario": {"name": "guess"}})).run
    assert plan.shard.form_of == {"numbers": "number"}


@pytest.mark.parametrize(
    ("traders", "key"),
    [
        ({"define": {"wise": {"mind": "counsel", "models": ["cheap", "strong"]}}}, "traders"),
        ({"define": {"wise": {"mind": "panel", "models": ["cheap", "dear"]}}}, "traders.define.wise"),
        ({"define": {"wise": {"mind": "panel", "models": ["cheap"]}}}, "traders.define.wise.models: expected"),
        ({"define": {"wise": {"mind": "panel"}}}, "traders.define.wise.models: this key is missing"),
        ({"define": {"cheap": {"mind": "panel", "models": ["cheap", "strong"]}}}, "traders.define.cheap"),
        ({"define": {"wise": {"models": ["cheap", "strong"]}}}, "traders.define.wise"),
        ({"minds": {"wise": 1}}, "traders.minds.wise"),
    ],
)
def test_a_mind_that_cannot_be_made_is_refused_with_its_key(traders: dict[str, Any], key: str) -> None:
    with pytest.raises(ConfigError, match=key):
        compose(resolve({"models": MODELS, "traders": traders}))


def test_an_unknown_plugin_is_told_which_there_are() -> None:
    with pytest.raises(ConfigError, match=r"council.*desk.*model.*rule"):
        resolve({"models": MODELS, "traders": {"define": {"wise": {"mind": "counsel"}}}})
    with pytest.raises(ConfigError, match=r"double_auction.*guess.*wood"):
        resolve({"models": MODELS, "scenario": {"name": "gues"}})
    with pytest.raises(ConfigError, match=r"models\.0\.form.*did you mean offers.*menu.*offers.*orders"):
        compose(resolve({"models": [MODELS[0] | {"form": "offer"}]}))


def test_who_barters_nothing_is_decided_for_by_no_rule_of_barter() -> None:
    with pytest.raises(ConfigError, match=r"traders\.minds\.zip"):
        compose(resolve({"models": MODELS, "scenario": {"name": "guess"}, "traders": {"minds": {"zip": 1}}}))


@pytest.mark.parametrize(
    ("config", "key"),
    [
        ({"market": {"margin": {}}}, r"market\.margin"),
        ({"regions": {"names": ["a", "b"], "travellers": 2, "tilt_permille": 0}}, r"regions\.travellers"),
    ],
)
def test_what_needs_goods_is_refused_where_there_are_none(config: dict[str, Any], key: str) -> None:
    with pytest.raises(ConfigError, match=key):
        compose(resolve({"models": MODELS, "scenario": {"name": "guess"}} | config))


def test_no_config_can_name_a_module(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE)
    with pytest.raises(ConfigError, match=r"scenario\.name"):
        resolve({"models": MODELS, "scenario": {"name": "tests.examples.guess"}})
    monkeypatch.setenv(VARIABLE, "no_such_module")
    with pytest.raises(ConfigError, match="no_such_module"):
        resolve({"models": MODELS})


def test_no_file_of_ours_is_skipped_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    kinds = (minds.PLUGINS, forms.PLUGINS, SECTIONS, engines.PLUGINS, policy.PLUGINS, staffing.PLUGINS, FACETS)
    for own in kinds:
        # A copy looks at the folder anew, where others have looked before.
        fresh = copy(own)
        fresh._found = None
        assert fresh.names()
    assert not caplog.records
