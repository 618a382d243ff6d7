"""The benchmark of supply chains: answers are kept one by one, and reading is paired with the best plan."""

from pathlib import Path

import pytest

from swarm.bench import supply_reading
from swarm.bench.kept import Kept
from swarm.bench.supply_minds import _beside_the_deaf, filled, whipped
from swarm.bench.supply_reading import TINY, questions
from swarm.bench.supply_runs import Ran
from swarm.config_file import resolve


def test_an_answer_that_is_kept_is_not_asked_for_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entry, asked = resolve({"models": [TINY]}).models[0], questions()[:3]
    said, cost = supply_reading._answers(entry, asked, "", Kept(tmp_path / "kept"), supply_reading._asked)
    assert set(said) <= set("ABCDEFG")
    assert cost.value is not None

    def opened(_: object) -> None:
        raise AssertionError("a model was opened for answers that are kept")

    monkeypatch.setattr("swarm.llm.engines.in_process", opened)
    assert supply_reading._answers(entry, asked, "", Kept(tmp_path / "kept"), supply_reading._asked)[0] == said
    # Another question is another key.
    with pytest.raises(AssertionError, match="opened"):
        supply_reading._answers(entry, questions()[:4], "", Kept(tmp_path / "kept"), supply_reading._asked)


def test_reading_is_paired_with_the_best_plan_and_a_lie_with_its_own() -> None:
    def ran(total: float) -> list[Ran]:
        return [Ran(total + seed, 0.97, (1.0, 1.5, 2.0), 0.1) for seed in range(3)]

    found = {
        ("smoothing", "shift", "deaf"): ran(300.0),
        ("base_stock", "shift", "deaf"): ran(400.0),
        ("base_stock", "shift", "tiny"): ran(290.0),
        ("base_stock", "stationary", "deaf"): ran(200.0),
        ("base_stock", "lie", "tiny"): ran(270.0),
    }
    values = {one.name: one.value for one in _beside_the_deaf(found)}
    assert values == {"supply_base_stock_shift_worth_tiny": 10.0, "supply_base_stock_lie_costs_tiny": 70.0}


def test_fill_and_bullwhip_stand_beside_a_total_with_the_aims_of_who_reads() -> None:
    fill = filled("x", [0.95, 0.96], True)
    assert (fill.name, fill.aim, fill.reached) == ("x_fill", 0.96, False)
    tiers = whipped("x", [(1.2, 1.9, 2.5), (1.2, 1.9, 2.5)], True)
    assert [(one.name, one.reached) for one in tiers] == [
        ("x_bullwhip_retailer", True),
        ("x_bullwhip_warehouse", False),
        ("x_bullwhip_supplier", True),
    ]
    assert filled("x", [0.5]).aim is None
