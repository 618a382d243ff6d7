"""Shares of a population are right over all of it, and as even as can be within kinds, whatever the weights."""

from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from swarm.config_file import resolve
from swarm.planning import compose
from swarm.preflight import check_shares
from swarm.runtime.ports import RunsOn
from swarm.runtime.run import Session
from swarm.simulation.folder import RunFolder
from swarm.simulation.shares import assign_minds, largest_remainder

WEIGHTS = st.dictionaries(st.sampled_from("abcdefgh"), st.integers(1, 10**6) | st.integers(1, 9), min_size=1)
MARKETS = st.lists(st.lists(st.integers(-1, 5), min_size=1, max_size=40), min_size=1, max_size=4)


@given(weights=WEIGHTS, markets=MARKETS, seed=st.integers(0, 2**40))
def test_shares_are_right_over_all_and_rounded_within_each_kind(
    weights: dict[str, int], markets: list[list[int]], seed: int
) -> None:
    kinds = [np.array(market) for market in markets]
    minds = assign_minds([(seed + i, own) for i, own in enumerate(kinds)], weights)
    assert [len(own) for own in minds] == [len(own) for own in kinds]
    everybody = [mind for own in minds for mind in own]
    sum_, total = sum(weights.values()), len(everybody)
    counts = {name: everybody.count(name) for name in weights}
    # By largest remainder: no mind that was rounded down had more left over than one that was rounded up.
    up = [total * w % sum_ for name, w in weights.items() if counts[name] > total * w // sum_]
    down = [total * w % sum_ for name, w in weights.items() if counts[name] == total * w // sum_]
    assert len(up) + len(down) == len(weights)
    assert all(counts[name] <= total * w // sum_ + 1 for name, w in weights.items())
    assert not up or not down or min(up) >= max(down)
    # Within a kind of a market each has its share rounded up or down.
    for own, minds_of in zip(kinds, minds, strict=True):
        for kind in np.unique(own):
            members = [minds_of[i] for i in np.flatnonzero(own == kind)]
            for name, weight in weights.items():
                share = len(members) * weight
                assert share // sum_ <= members.count(name) <= -(-share // sum_), (kind, name)


def test_a_heavy_mind_does_not_take_all() -> None:
    makes = np.arange(16) % 5
    (minds,) = assign_minds([(0, makes)], {"smol": 8, "zi_c": 2, "tiny": 2, "scr": 2, "zip": 2})
    assert {name: minds.count(name) for name in minds} == {"smol": 8, "zi_c": 2, "tiny": 2, "scr": 2, "zip": 2}


def test_weights_beyond_all_memory_are_shares_like_others() -> None:
    (minds,) = assign_minds([(0, np.arange(10) % 3)], {"a": 10**12, "b": 3 * 10**12})
    assert (minds.count("a"), minds.count("b")) in ((2, 8), (3, 7))


def test_largest_remainders() -> None:
    assert largest_remainder(16, [3, 2]) == [10, 6]
    assert largest_remainder(10, [1, 1, 1]) == [4, 3, 3]
    assert largest_remainder(0, [1, 2]) == [0, 0]


def test_a_mind_that_gets_nobody_is_said(tmp_path: Path) -> None:
    config = resolve(
        {"population": 3, "rounds": 1, "traders": {"minds": {"zip": 9, "zi_c": 9, "truthful": 9, "value": 1}}}
        | {"models": [{"name": "value", "temperament": "value"}]}
    )
    plan = compose(config).run
    assert plan.idle_minds == ("value",)
    (line,) = check_shares(config, plan)
    assert line.startswith("traders.minds.value: it decides for nobody")
    result = Session(RunsOn(local=True), RunFolder(tmp_path / "run"), report=False).execute(config)
    assert result.record.summary["minds_of_nobody"] == ["value"]
    assert not compose(resolve({"population": 8, "traders": {"minds": {"zip": 1, "zi_c": 7}}})).run.idle_minds


class Quiet:
    def phase(self, text: str) -> None:
        pass
