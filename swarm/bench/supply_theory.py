"""What is published of supply chains, computed anew: optima of serial lines and of guaranteed service, a best board.

The instances are those of Snyder and Shen 2019 and of Shang and Song 2003; the figures are stockpyl 1.0.2's.
"""

from swarm.bench.form import Result
from swarm.scenarios.supply_chain import series, shapes
from swarm.scenarios.supply_chain.bound import Normal, Optimum, Poisson, serial_optimum
from swarm.scenarios.supply_chain.chain import CENTS
from swarm.scenarios.supply_chain.demand import Demand
from swarm.scenarios.supply_chain.guaranteed import Guaranteed, Stage
from swarm.scenarios.supply_chain.planning import PlanConfig
from swarm.scenarios.supply_chain.simulate import simulate
from swarm.scenarios.supply_chain.table import read_table

Line = tuple[tuple[float, ...], tuple[float, ...], float, Normal | Poisson]

_EVEN, _UNEVEN = (0.25,) * 4, (0.25, 2.5, 2.5, 0.25)
LINES: dict[str, tuple[Line, tuple[float, ...], float]] = {
    "example_6_1": (((3, 2, 2), (1, 1, 2), 37.12, Normal(5, 1)), (6.484, 12.028, 22.72), 47.6654),
    "problem_6_1": (((1, 1), (1, 1), 15, Normal(100, 15)), (123.939, 228.488), 166.2705),
    "problem_6_16": (((5, 2), (8, 3), 24, Normal(20, 4)), (171.062, 232.113), 438.2396),
    "problem_6_2a": (
        ((2, 2, 1, 1, 1), (0.5,) * 5, 24, Normal(64, 8)),
        (40.671, 74.345, 109.265, 142.003, 174.429),
        451.7288,
    ),
    "shang_song_1": ((_EVEN, _EVEN, 9, Poisson(16)), (8, 13, 18, 22), 12.6869),
    "shang_song_9": ((_UNEVEN, _EVEN, 9, Poisson(16)), (9, 10, 13, 19), 53.0064),
    "shang_song_17": ((_EVEN, _EVEN, 99, Poisson(16)), (11, 17, 22, 27), 16.1979),
    "shang_song_25": ((_UNEVEN, _EVEN, 99, Poisson(16)), (11, 14, 18, 26), 74.5543),
}
"""Serial lines, their optimal echelon levels from the customers up, and what they cost a round."""

_Z = 1.6448536269514722
_YEAR = 365
TREES: dict[str, tuple[tuple[Stage, ...], float]] = {
    "example_6_3": ((Stage(2, 1, (1,), waits=1), Stage(4, 0, (2,)), Stage(7, 1, promises=1, deviation=1)), 2.8284),
    "example_6_5": (
        (
            Stage(1, 2, (1,), waits=1),
            Stage(2, 1, (2, 3)),
            Stage(3, 1, promises=0, deviation=1),
            Stage(3, 1, promises=1, deviation=1),
        ),
        8.2779,
    ),
    "problem_6_9": (
        (
            Stage(44 / _YEAR, 7, promises=3, deviation=4.1, safety=4),
            Stage(28 / _YEAR, 7, promises=3, deviation=6.2, safety=4),
            Stage(18 / _YEAR, 21, (0, 1), safety=4),
            Stage(1 / _YEAR, 3, (2,), safety=4),
            Stage(4 / _YEAR, 8, (2,), safety=4),
            Stage(1.5 / _YEAR, 2, (4,), safety=4),
        ),
        15.6495,
    ),
    "figure_6_14": (
        (
            Stage(0.01, 2, (1,), safety=_Z),
            Stage(0.03, 3, (2,), safety=_Z),
            Stage(0.04, 2, (4,), safety=_Z),
            Stage(0.06, 4, (4,), safety=_Z),
            Stage(0.12, 2, (5,), safety=_Z),
            Stage(0.13, 3, (9,), safety=_Z),
            Stage(0.2, 6, (9,), safety=_Z),
            Stage(0.08, 4, (9,), safety=_Z),
            Stage(0.04, 3, (9,), safety=_Z),
            Stage(0.5, 2, promises=2, deviation=10, safety=_Z),
        ),
        18.824,
    ),
}
"""Trees of guaranteed service, and what their safety stock costs a round."""


def theory(bound: Optimum) -> list[Result]:
    """Returns the published optima, the bound of the tree of 500 nodes, and the beer game by its best board."""
    results = []
    for name, (line, _, published) in LINES.items():
        found = serial_optimum(*line)
        levels = ", ".join(f"{level:.3f}" for level in found.levels)
        called = f"supply_serial_{name}"
        results.append(Result(called, round(found.cost, 4), "a round", "lower", published, bound=f"levels {levels}"))
    for name, (stages, published) in TREES.items():
        cost = round(Guaranteed(stages).cost(), 4)
        told = "safety stock of guaranteed service"
        results.append(Result(f"supply_guaranteed_{name}", cost, "a round", "lower", published, bound=told))
    board = read_table(shapes.beer_game(), 36)
    plan = PlanConfig(rule="levels", levels=(32, 32, 32, 24))
    beer = simulate(board, plan, Demand(board, 1, (), series.classic(board)), 36)
    told = "targets 28, 28, 28, 20; the published 204 is on another order of events"
    return [
        *results,
        Result("supply_bound_500", round(bound.cost / CENTS, 2), "a round", "lower", bound="no policy costs less"),
        Result("supply_beer_game", beer.total * 36 / CENTS, "$", "lower", 180, bound=told),
    ]
