"""Minds that are measured on the same seeds; no real model is needed."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from swarm.bench.minds_played import Market, OfMind, Size
from swarm.bench.minds_real import FIVE, at_hand, measure, served
from swarm.errors import ConfigError
from swarm.runtime.run import SILENT
from swarm.training.evaluate import BY_LOT

SMALL = Size(seeds=1, rounds=2, traders=4)


def figures(*minds: str) -> dict[str, Any]:
    return {result.name: result for result in measure(at_hand(), minds, SMALL, SILENT)}


def test_each_mind_has_its_figures_and_the_same_seeds_give_them_again() -> None:
    found = figures("zi_c", BY_LOT, "tiny-value")
    assert "over ZI-C" in found[f"minds_real_{BY_LOT}_efficiency"].bound
    assert "over ZI-C" not in found["minds_real_zi_c_efficiency"].bound
    assert found["minds_real_tiny-value_valid"].value == 1
    assert found["minds_real_tiny-value_regret"].value >= 0
    # Chance is no model: it has no replies to be valid, and costs nothing.
    assert f"minds_real_{BY_LOT}_valid" not in found
    again = figures(BY_LOT)
    for name in (f"minds_real_{BY_LOT}_efficiency", f"minds_real_{BY_LOT}_profit_over_zi_c"):
        assert again[name].runs == found[name].runs


def test_the_five_labs_have_rows_without_a_figure() -> None:
    found = figures("zi_c")
    for lab in FIVE:
        assert found[f"minds_real_{lab}_efficiency"].value is None
        assert "not measured" in found[f"minds_real_{lab}_efficiency"].note


def test_what_cannot_be_measured_is_named() -> None:
    with pytest.raises(ConfigError, match="nobody"):
        figures("nobody")
    with pytest.raises(ConfigError, match="--model"):
        served("http://127.0.0.1:1/v1", [])


def test_an_endpoint_s_model_is_asked_in_both_forms() -> None:
    assert [mind.model["form"] for mind in served("http://127.0.0.1:1/v1", ["mine"])] == ["menu", "orders", "judge"]


def test_a_market_is_the_same_after_it_was_kept() -> None:
    of = OfMind(profit=[1], errors=Counter({"self_buy": 2, "truncated": 1}))
    market = Market(0.5, {"mine": of}, 1.5)
    kept = Market.from_json(json.loads(json.dumps(market.to_json())))
    assert kept.to_json() == market.to_json()
    assert kept.of["mine"].errors == of.errors


def test_what_was_kept_is_not_played_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keep, own = tmp_path / "kept.jsonl", Size(seeds=1, rounds=2, traders=4, mixed=False)
    before = measure(at_hand(), ["tiny-value"], own, SILENT, keep)
    assert not [result.name for result in before if "profit_over" in result.name], "no mixed markets"
    monkeypatch.setattr("swarm.bench.minds_real.play_market", lambda *_: pytest.fail("played again"))
    assert measure(at_hand(), ["tiny-value"], own, SILENT, keep) == before
