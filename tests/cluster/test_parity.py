"""The same seed gives the same journal in one process, on a cluster of the run's own and on one that is there."""

from pathlib import Path

import pytest

from tests.cluster.conftest import CONFIG, Swarm, summary

pytestmark = pytest.mark.ray


@pytest.fixture(scope="module")
def local(swarm: Swarm, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run in one process that all others are held against."""
    folder = tmp_path_factory.mktemp("local") / "run"
    done = swarm("run", CONFIG, "--local", "--out", folder)
    assert done.returncode == 0, done.stderr
    return folder


def same_history(one: Path, other: Path) -> None:
    """Both journals are equal to the byte, and so is what was counted."""
    assert summary(one)["journal_sha256"] == summary(other)["journal_sha256"]
    assert (one / "journal.swarm").read_bytes() == (other / "journal.swarm").read_bytes()
    for key in ("fills", "volume_lots", "decision_errors", "tokens", "conservation", "wealth"):
        assert summary(one)[key] == summary(other)[key]


def test_another_seed_gives_another_history(swarm: Swarm, local: Path, tmp_path: Path) -> None:
    swarm("run", CONFIG, "--local", "--seed", "12", "--out", tmp_path / "other")
    assert summary(local)["journal_sha256"] != summary(tmp_path / "other")["journal_sha256"]


def test_a_cluster_of_its_own_with_one_shard(swarm: Swarm, local: Path, tmp_path: Path) -> None:
    done = swarm("run", CONFIG, "--set", "runtime.traders_per_actor=32", "--out", tmp_path / "ray")
    assert done.returncode == 0, done.stderr
    layout = summary(tmp_path / "ray")["layout"]
    assert list(layout.pop("shards_by_node").values()) == [1]
    assert layout == {
        "shards": 1,
        "traders_per_shard": 32,
        "deployments": 2,
        "nodes_joined": 0,
        "nodes_left": 0,
        "shards_moved": 0,
    }
    same_history(local, tmp_path / "ray")


@pytest.mark.parametrize(("traders_per_actor", "shards"), [(4, 8), (1, 32)])
def test_a_cluster_that_is_there(
    swarm: Swarm, local: Path, tmp_path: Path, head: str, traders_per_actor: int, shards: int
) -> None:
    override = f"runtime.traders_per_actor={traders_per_actor}"
    done = swarm("run", CONFIG, "--address", head, "--set", override, "--out", tmp_path / "ray")
    assert done.returncode == 0, done.stderr
    assert summary(tmp_path / "ray")["layout"]["shards"] == shards
    same_history(local, tmp_path / "ray")


def test_garbled_replies_were_among_it(local: Path) -> None:
    assert sum(summary(local)["decision_errors"].values()) > 0


def test_standing_orders_and_a_budget_are_the_same_over_shards(swarm: Swarm, tmp_path: Path, head: str) -> None:
    keys = ("--set", "traders.standing.max_rounds=3", "--set", "budget.run_tokens=130000", "--set", "rounds=10")
    done = swarm("run", CONFIG, "--local", *keys, "--out", tmp_path / "local")
    assert done.returncode == 0, done.stderr
    done = swarm(
        "run", CONFIG, "--address", head, *keys, "--set", "runtime.traders_per_actor=5", "--out", tmp_path / "ray"
    )
    assert done.returncode == 0, done.stderr
    same_history(tmp_path / "local", tmp_path / "ray")
    found = summary(tmp_path / "ray")
    assert found["staffing"] == summary(tmp_path / "local")["staffing"]
    assert found["staffing"]["asleep"] > 0
    assert found["staffing"]["held_back"] > 0
    assert found["budget"]["spent_tokens"] <= 130_000


def test_traders_that_come_and_go_are_the_same_over_shards(swarm: Swarm, tmp_path: Path, head: str) -> None:
    steps = "[{from_round: 1, traders: 12}, {from_round: 3, traders: 32}, {from_round: 5, traders: 20}]"
    keys = ("--set", f"population={steps}", "--set", "rounds=6")
    done = swarm("run", CONFIG, "--local", *keys, "--out", tmp_path / "local")
    assert done.returncode == 0, done.stderr
    done = swarm(
        "run", CONFIG, "--address", head, *keys, "--set", "runtime.traders_per_actor=8", "--out", tmp_path / "ray"
    )
    assert done.returncode == 0, done.stderr
    same_history(tmp_path / "local", tmp_path / "ray")
    assert summary(tmp_path / "ray")["layout"]["shards"] == 4
    assert summary(tmp_path / "ray")["population"] == summary(tmp_path / "local")["population"]
