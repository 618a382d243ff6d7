"""Shards are spread by the nodes' cores, and as few as possible move when nodes come or go."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarm.config import RunConfig
from swarm.config_file import resolve
from swarm.errors import ConfigError
from swarm.runtime.placement import Node, moves, shares


def node(name: str, cpus: float = 2.0, **labels: str) -> Node:
    return Node(name, name, cpus, labels)


def moved(homes: list[str | None], nodes: list[Node]) -> list[str | None]:
    chosen = moves(homes, nodes)
    return [chosen.get(i, home) for i, home in enumerate(homes)]


nodes_of = st.lists(st.integers(0, 64), min_size=1, max_size=8).map(
    lambda cpus: [node(f"n{i}", float(c)) for i, c in enumerate(cpus)]
)
layouts = nodes_of.flatmap(
    lambda nodes: st.tuples(
        st.just(nodes), st.lists(st.sampled_from([None, "gone", *(n.id for n in nodes)]), max_size=60)
    )
)


@given(layouts)
def test_every_node_ends_with_its_share_rounded_down_or_up(layout: tuple[list[Node], list[str | None]]) -> None:
    nodes, homes = layout
    hosted = Counter(moved(homes, nodes))
    assert sum(hosted.values()) == sum(hosted[n.id] for n in nodes) == len(homes)
    cores = sum(n.cpus for n in nodes)
    for n in nodes:
        share = len(homes) * n.cpus / cores if cores else len(homes) / len(nodes)
        assert share - 1 < hosted[n.id] < share + 1
        assert hosted[n.id] == 0 or n.cpus or not cores


@given(layouts)
def test_no_layout_with_the_same_counts_would_have_taken_fewer_moves(
    layout: tuple[list[Node], list[str | None]],
) -> None:
    nodes, homes = layout
    before, after = Counter(homes), Counter(moved(homes, nodes))
    homeless = before[None] + before["gone"]
    too_many = sum(max(0, before[n.id] - after[n.id]) for n in nodes)
    assert len(moves(homes, nodes)) == homeless + too_many


@given(layouts)
def test_what_is_spread_stays_where_it_is(layout: tuple[list[Node], list[str | None]]) -> None:
    nodes, homes = layout
    assert moves(moved(homes, nodes), nodes) == {}


def test_a_node_that_joins_gets_shards_and_one_that_leaves_gives_them_up() -> None:
    two = [node("a"), node("b")]
    homes = moved([None] * 6, two)
    assert Counter(homes) == {"a": 3, "b": 3}
    joined = moved(homes, [*two, node("c")])
    assert Counter(joined) == {"a": 2, "b": 2, "c": 2}
    left = moved(joined, [node("a"), node("c")])
    assert Counter(left) == {"a": 3, "c": 3}
    assert sum(one != other for one, other in zip(joined, left, strict=True)) == 2


def test_a_head_without_cores_hosts_none_unless_there_is_nothing_else() -> None:
    head = node("head", 0.0)
    assert shares(4, [head, node("a"), node("b", 6.0)], {}) == {"head": 0, "a": 1, "b": 3}
    assert shares(4, [head], {}) == {"head": 4}
    assert moves([None], []) == {}


def test_a_node_has_labels() -> None:
    east = node("a", zone="east", disk="ssd")
    assert east.has({})
    assert east.has({"zone": "east", "disk": "ssd"})
    assert not east.has({"zone": "west"})
    assert not node("b").has({"zone": "east"})


@pytest.mark.parametrize(
    ("placement", "labels"),
    [
        ("spread", {}),
        ("zone=east", {"zone": "east"}),
        ("ray.io/node-group=small,disk=ssd", {"ray.io/node-group": "small", "disk": "ssd"}),
    ],
)
def test_a_placement_names_labels(placement: str, labels: dict[str, str]) -> None:
    assert config(placement).runtime.labels == labels


@pytest.mark.parametrize("placement", ["", "east", "zone=", "=east", "zone=east,", "zone=east zone", "zone=a,zone=b"])
def test_a_placement_that_names_no_labels_is_refused(placement: str) -> None:
    with pytest.raises(ConfigError, match=r"^runtime\.placement: expected "):
        config(placement)


def config(placement: str) -> RunConfig:
    return resolve({"traders": {"minds": {"zip": 1}}, "runtime": {"placement": placement}})


def test_where_shards_live_is_no_part_of_the_history() -> None:
    assert config("spread").sha256() == config("zone=east").sha256()
