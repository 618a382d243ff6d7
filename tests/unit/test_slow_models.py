"""No barrier: a model that is slow costs its own traders their round, and nobody else anything."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from swarm.agents.decision import DecisionError
from swarm.config_file import load, resolve
from swarm.errors import ConfigError
from swarm.preflight import check_budget, check_deadline
from swarm.report.sections import decisions
from swarm.runtime.play import play
from tests.patience import patience
from tests.playing import Outcomes
from tests.refusals import refused

CONFIGS = Path(__file__).parents[2] / "configs"
SLOW = CONFIGS / "slow-model.yaml"


def test_one_slow_model_of_five_is_late_in_each_round_and_the_others_trade() -> None:
    # A busy machine makes the quick ones wait, too: only the slow one takes longer than any deadline.
    quick = [f"models.{i}.latency_s=0.01" for i in range(4)]
    deadline = f"budget.round_deadline_s={patience(2.5)}"
    config = load(SLOW, (*quick, "models.4.latency_s=3600", deadline, "rounds=3", "population=20"))
    [warning] = check_deadline(config)
    assert "slow-maker" in warning
    assert "3600 s" in warning
    outcomes = Outcomes()
    played = play(config, outcomes)
    plan = played.plan.run
    minds = np.array(plan.minds)
    for outcome in outcomes.rounds:
        errors = np.array([str(e or "") for e in outcome.gathered.decisions.errors])
        late = outcome.gathered.turns.trader[errors == DecisionError.ENGINE_DEADLINE]
        assert late.tolist() == np.flatnonzero(minds == "slow-maker").tolist()
        assert len(outcome.gathered.decisions.orders) > 0
        # It closes: without the deadline the slow one would have been waited for.
        assert outcome.duration_s < 3600
    summary = played.summary
    assert summary["late_turns_by_mind"] == {"slow-maker": 3 * 4}
    assert summary["trades"] > 0


def config(**changes: Any) -> Any:
    models = [
        {"name": "a", "temperament": "value", "latency_s": 3.0},
        {"name": "b", "temperament": "maker", "latency_s": 5.0},
    ]
    return resolve({"rounds": 5, "population": 10, "models": models, **changes})


def test_a_deadline_that_no_model_can_keep_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"budget\.round_deadline_s: .*3\.3333"):
        check_deadline(config(budget={"round_deadline_s": 2.0}))
    assert check_deadline(config()) == []
    assert len(check_deadline(config(budget={"round_deadline_s": 4.0}))) == 1
    # Baselines are always in time.
    with_baseline = {"traders": {"minds": {"a": 1, "b": 1, "zip": 1}}}
    assert len(check_deadline(config(budget={"round_deadline_s": 2.0}, **with_baseline))) == 2


@pytest.mark.parametrize(
    ("budget", "priced", "key", "word"),
    [
        ({"tokens_per_turn": 400}, {}, "budget.tokens_per_turn", "715"),
        (
            {"run_tokens": 999},
            {},
            "budget.run_tokens",
            "1000",
        ),
        ({"run_tokens": 0}, {}, "budget.run_tokens", "1"),
        ({"run_usd": 1.0}, {}, "budget.run_usd", "price"),
        ({"run_usd": 1.0}, {"usd_per_million_prompt_tokens": None}, "budget.run_usd", "nobody"),
        (
            {"run_usd": 0.001},
            {"usd_per_million_prompt_tokens": 2.0},
            "budget.run_usd",
            "0.002",
        ),
        ({"seconds_per_round": 0}, {}, "budget.seconds_per_round", "0"),
    ],
)
def test_a_budget_that_lets_nobody_think_is_refused_in_one_line(
    budget: dict[str, Any], priced: dict[str, Any], key: str, word: str
) -> None:
    with refused(key, word):
        check_budget(config(budget=budget, models=[{"name": "a", "temperament": "value", **priced}]))


def test_a_run_of_baselines_needs_no_budget() -> None:
    check_budget(config(budget={"run_tokens": 1}, traders={"minds": {"zip": 1}}))


@pytest.mark.parametrize(("name", "asleep", "levels"), [("standing", True, {"all"}), ("frugal", True, {"shorter"})])
def test_the_shipped_configs_show_what_they_are_named_for(name: str, asleep: bool, levels: set[str]) -> None:
    found = load(CONFIGS / f"{name}.yaml", ("rounds=8", *(["budget.run_usd=0.08"] if name == "frugal" else [])))
    check_budget(found)
    assert check_deadline(found) == []
    record = play(found).record
    summary = record.summary
    titles = {part.title for part in decisions.decisions(record)}
    assert "Who was asked, and why" in titles
    assert ("What the run's budget did" in titles) is (name == "frugal")
    rounds = record.tables["rounds"]
    for column in ("asked", "asleep", "held_back", "standing_orders", "cut_lots", "refused_orders", "unheard"):
        assert rounds[column].sum() == summary["staffing"][column]
    assert rounds["spent_tokens"][-1] == summary["budget"]["spent_tokens"]
    assert (summary["staffing"]["asleep"] > 0) is asleep
    assert summary["budget"]["rounds_at_level"].keys() >= levels
    assert summary["trades"] > 0
