"""The optimum of serial lines and the bound of trees, to the digits of the literature and of stockpyl 1.0.2."""

from collections.abc import Sequence

import pytest

from swarm.scenarios.supply_chain import shapes
from swarm.scenarios.supply_chain.bound import Normal, Poisson, serial_optimum, tree_bound
from swarm.scenarios.supply_chain.table import read_table

REGIONS = ("coast", "hills", "plains")


@pytest.mark.parametrize(
    ("holding", "leads", "backlog", "demand", "levels", "cost"),
    [
        # Snyder and Shen 2019: example 6.1, problems 6.1, 6.16 and 6.2 (a).
        ((3, 2, 2), (1, 1, 2), 37.12, Normal(5, 1), (6.484, 12.028, 22.72), 47.6654),
        ((1, 1), (1, 1), 15, Normal(100, 15), (123.939, 228.488), 166.2705),
        ((5, 2), (8, 3), 24, Normal(20, 4), (171.062, 232.113), 438.2396),
        ((2, 2, 1, 1, 1), (0.5,) * 5, 24, Normal(64, 8), (40.671, 74.345, 109.265, 142.003, 174.429), 451.7288),
        # Shang and Song 2003, table 1, rows 1, 9, 17 and 25.
        ((0.25,) * 4, (0.25,) * 4, 9, Poisson(16), (8, 13, 18, 22), 12.6869),
        ((0.25, 2.5, 2.5, 0.25), (0.25,) * 4, 9, Poisson(16), (9, 10, 13, 19), 53.0064),
        ((0.25,) * 4, (0.25,) * 4, 99, Poisson(16), (11, 17, 22, 27), 16.1979),
        ((0.25, 2.5, 2.5, 0.25), (0.25,) * 4, 99, Poisson(16), (11, 14, 18, 26), 74.5543),
    ],
)
def test_serial_lines_have_the_published_optimum(
    holding: Sequence[float],
    leads: Sequence[float],
    backlog: float,
    demand: Normal | Poisson,
    levels: Sequence[float],
    cost: float,
) -> None:
    found = serial_optimum(holding, leads, backlog, demand)
    assert round(found.cost, 4) == cost
    assert [round(level, 3) for level in found.levels] == [pytest.approx(level, abs=5e-4) for level in levels]


def test_no_policy_of_500_nodes_costs_less_than_the_bound() -> None:
    found = tree_bound(read_table(shapes.tree(20, 80, 400, REGIONS), 1_000))
    assert found is not None
    assert found.levels == (15, 154, 1_004)
    assert round(found.cost / 100, 2) == 24_738.28


def test_a_network_that_is_no_tree_of_alike_nodes_has_no_bound() -> None:
    assert tree_bound(read_table(shapes.beer_game(), 36)) is None
    two = "node,supplier,lead_time,holding,backlog,demand\na,outside,1,1,9,5\nb,outside,2,1,9,5"
    assert tree_bound(read_table(two, 36)) is None
