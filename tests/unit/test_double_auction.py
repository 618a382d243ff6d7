"""The induced-value market: schedules, surplus, and the order of efficiencies that the literature reports."""

import numpy as np
import pytest

from swarm.config_file import resolve
from swarm.errors import ConfigError
from swarm.runtime.play import play
from swarm.scenarios.double_auction import DoubleAuction


def run(mind: str, seed: int = 3, **settings: object) -> DoubleAuction:
    scenario = {"name": "double_auction", **settings}
    config = {"seed": seed, "rounds": 18, "population": 40, "scenario": scenario, "traders": {"minds": {mind: 1}}}
    auction = play(resolve(config)).plan.run.scenario
    assert isinstance(auction, DoubleAuction)
    return auction


def test_truthful_traders_leave_nothing_and_random_ones_something() -> None:
    truthful, random = run("truthful").efficiency, run("zi_c").efficiency
    assert truthful > 0.98
    assert 0.5 < random < truthful


def test_a_schedule_gives_the_surplus_that_one_can_add_up() -> None:
    market = run("truthful", units=2, buyer_values_ticks=(90, 40), seller_costs_ticks=(30, 60), rounds_per_period=6)
    # Twenty first units are dealt in each of three periods; no second one is worth its cost.
    assert market.possible_ticks == 3 * 20 * (90 - 30)
    assert market.surplus_ticks.sum() == market.possible_ticks


@pytest.mark.parametrize("redraw", [True, False])
def test_values_stay_unless_they_are_to_be_redrawn(redraw: bool) -> None:
    market = run("truthful", redraw=redraw)
    later = market.schedule.copy()
    market._begin_period(1)
    assert np.array_equal(later, market.schedule) is not redraw


def test_a_schedule_of_the_wrong_length_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"buyer_values_ticks .*3"):
        run("zi_c", buyer_values_ticks=[50])
