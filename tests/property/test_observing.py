"""Looking at a scenario changes nothing: it may be observed any number of times between any two rounds."""

import json
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swarm.agents.observation import Observation
from swarm.config_file import resolve
from swarm.market.events import RoundCleared
from swarm.planning import compose
from swarm.plugins import VARIABLE
from swarm.runtime.play import play
from swarm.scenarios.protocol import MarketState
from swarm.simulation.plan import WorldPlan

ROUNDS = 8
CONFIGS: dict[str, dict[str, Any]] = {
    "wood": {
        "scenario": {
            "name": "wood",
            "shocks": [
                {"kind": "blight", "round": 2, "rounds": 2, "good": "berries"},
                {"kind": "venture", "round": 3, "rounds": 3, "good": "honey"},
            ],
        }
    },
    "double_auction": {"scenario": {"name": "double_auction", "rounds_per_period": 3, "redraw": True}},
    "guess": {"scenario": {"name": "guess"}, "traders": {}},
}


def same(one: Any, other: Any) -> bool:
    if is_dataclass(one):
        return all(same(getattr(one, f.name), getattr(other, f.name)) for f in fields(one))
    return bool(np.array_equal(one, other)) if isinstance(one, np.ndarray) else bool(one == other)


class Watched:
    """A scenario that is looked at as often as `looks` says each time it is observed, and afterwards."""

    def __init__(self, scenario: Any, looks: list[int]) -> None:
        self._scenario, self._looks = scenario, looks
        self._past: list[Any] = []
        self.__dict__.update({k: v for k, v in vars(scenario).items() if not k.startswith("_")})

    def __getattr__(self, name: str) -> Any:
        return getattr(self._scenario, name)

    def observe(self, round_: int, market: MarketState, last: RoundCleared | None) -> Observation:
        seen: Observation = self._scenario.observe(round_, market, last)
        self._past.append((round_, market, last))
        for look in range(self._looks[round_ % len(self._looks)]):
            # Other rounds, the past and the future, may be looked at in any order.
            self._scenario.observe(*self._past[(look * 7) % len(self._past)])
            self._scenario.observe(round_ + look, market, last)
        assert same(seen, self._scenario.observe(round_, market, last))
        return seen

    def after_clearing(self, round_: int, market: MarketState, cleared: RoundCleared) -> Any:
        happens = self._scenario.after_clearing(round_, market, cleared)
        for _ in range(self._looks[round_ % len(self._looks)]):
            self._scenario.observe(round_ + 1, market, cleared)
        return happens


def sha256(name: str, looks: list[int] | None) -> str:
    shared = {
        "seed": 6,
        "rounds": ROUNDS,
        "population": 10,
        "models": [{"name": "m", "temperament": "maker"}],
        "traders": {"minds": {"m": 1, "zip": 1}},
    }
    config = resolve(json.loads(json.dumps(shared | CONFIGS[name])))
    plan = compose(config).run
    if looks is not None:
        object.__setattr__(plan, "scenario", Watched(plan.scenario, looks))
    return play(config, plan=WorldPlan.of(plan)).journal_sha256


@pytest.mark.parametrize("name", CONFIGS)
@settings(max_examples=8, deadline=None)
@given(looks=st.lists(st.integers(0, 4), min_size=1, max_size=ROUNDS))
def test_a_run_comes_to_the_same_however_often_it_is_looked_at(name: str, looks: list[int]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(VARIABLE, "tests.examples.guess")
        assert sha256(name, looks) == sha256(name, None)
