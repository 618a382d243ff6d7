"""The contact graph has a bounded degree on both sides and is drawn from the seed."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from swarm.coordination.gossip import contact_graph

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
