"""The contact graph has a bounded degree on both sides, and lines travel over it to whom they should."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarm.coordination.gossip import contact_graph, deliver

seeds = st.integers(0, 2**63 - 1)


@given(seeds, st.integers(1, 60), st.integers(0, 60))
def test_degrees_are_bounded_and_nobody_hears_itself_or_anybody_twice(seed: int, traders: int, degree: int) -> None:
    graph = contact_graph(seed, traders, degree)
    expected = min(degree, traders - 1)
    assert graph.shape == (traders, expected)
    for trader, senders in enumerate(graph.tolist()):
        assert trader not in senders
        assert len(set(senders)) == expected
        assert all(0 <= sender < traders for sender in senders)
    heard_by = np.bincount(graph.ravel(), minlength=traders)
    assert heard_by.tolist() == [expected] * traders


def test_the_graph_is_drawn_from_the_seed_and_from_nothing_else() -> None:
    graphs = [contact_graph(seed, 50, 3).tolist() for seed in (1, 1, 2)]
    assert graphs[0] == graphs[1] != graphs[2]


def test_neighbours_are_spread_over_the_whole_population() -> None:
    graph = contact_graph(7, 1_000, 3)
    distance = np.abs(graph - np.arange(1_000)[:, None])
    assert 250 < distance.mean() < 420, "a third of the population, as between two drawn at random"


@pytest.mark.parametrize("seed", range(5))
def test_a_line_reaches_just_those_who_hear_its_speaker(seed: int) -> None:
    graph = contact_graph(seed, 12, 4)
    for speaker in range(12):
        lines = ["" if t != speaker else "the line" for t in range(12)]
        heard = deliver(graph, lines)
        assert [t for t, said in enumerate(heard) if said] == [t for t in range(12) if speaker in graph[t]]
        assert {said for said in heard if said} == {("the line",)}


def test_lines_come_in_the_order_of_the_graph_and_silence_is_not_delivered() -> None:
    graph = np.array([[2, 1], [0, 2], [1, 0]])
    assert deliver(graph, ["a", "b", "c"]) == [("c", "b"), ("a", "c"), ("b", "a")]
    assert deliver(graph, ["", "b", ""]) == [("b",), (), ("b",)]
    assert deliver(np.empty((2, 0), dtype=np.int64), ["a", "b"]) == [(), ()]


def test_what_a_shard_s_traders_hear_does_not_depend_on_the_shards() -> None:
    whole = contact_graph(3, 40, 3)
    lines = [f"line {t}" for t in range(40)]
    parts = [deliver(whole[first : first + 5], lines) for first in range(0, 40, 5)]
    assert [heard for part in parts for heard in part] == deliver(whole, lines)
