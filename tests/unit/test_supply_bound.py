"""Optima of serial lines and of guaranteed service, and the bound of trees, to the digits of the literature."""

from dataclasses import replace

import pytest

from swarm.bench.supply_theory import LINES, TREES
from swarm.scenarios.supply_chain import shapes
from swarm.scenarios.supply_chain.bound import serial_optimum, tree_bound
from swarm.scenarios.supply_chain.guaranteed import Guaranteed, Stage
from swarm.scenarios.supply_chain.table import read_table

REGIONS = ("coast", "hills", "plains")


@pytest.mark.parametrize("name", LINES)
def test_serial_lines_have_the_published_optimum(name: str) -> None:
    line, levels, cost = LINES[name]
    found = serial_optimum(*line)
    assert round(found.cost, 4) == cost
    assert [round(level, 3) for level in found.levels] == [pytest.approx(level, abs=5e-4) for level in levels]


@pytest.mark.parametrize("name", TREES)
def test_trees_of_guaranteed_service_have_the_published_optimum(name: str) -> None:
    stages, cost = TREES[name]
    assert round(Guaranteed(stages).cost(), 4) == cost


def test_safety_stock_of_two_stages_is_the_best_of_all_promises() -> None:
    # The upper stage may promise 0 to 3 rounds, the lower waits as long, and customers for none.
    upper, lower = Stage(1, 3, (1,)), Stage(2, 2, promises=0, deviation=4, safety=2)
    every = [2 * 4 * (0 * (3 - s) ** 0.5 + 2 * (s + 2) ** 0.5) for s in range(4)]
    assert Guaranteed((replace(upper, safety=0.0), lower)).cost() == pytest.approx(min(every))
    every = [2 * 4 * (1 * (3 - s) ** 0.5 + 2 * (s + 2) ** 0.5) for s in range(4)]
    assert Guaranteed((replace(upper, safety=2.0), lower)).cost() == pytest.approx(min(every))


def test_no_policy_of_500_nodes_costs_less_than_the_bound() -> None:
    found = tree_bound(read_table(shapes.tree(20, 80, 400, REGIONS), 1_000))
    assert found is not None
    assert found.levels == (15, 154, 1_004)
    assert round(found.cost / 100, 2) == 24_738.28


def test_a_network_that_is_no_tree_of_alike_nodes_has_no_bound() -> None:
    assert tree_bound(read_table(shapes.beer_game(), 36)) is None
    two = "node,supplier,lead_time,holding,backlog,demand\na,outside,1,1,9,5\nb,outside,2,1,9,5"
    assert tree_bound(read_table(two, 36)) is None
