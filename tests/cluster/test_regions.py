"""Several markets on one cluster come to the journals that they come to in one process, however they are sharded."""

from pathlib import Path

import pytest

from tests.cluster.conftest import Swarm, summary

pytestmark = pytest.mark.ray

CONFIG = Path(__file__).parent / "regions.yaml"
NAMES = ("dell", "lea", "weald")


@pytest.mark.parametrize(("traders_per_actor", "shards"), [(100, 3), (5, 9)])
def test_a_run_of_regions_is_the_same_on_a_cluster(
    swarm: Swarm, tmp_path: Path, head: str, traders_per_actor: int, shards: int
) -> None:
    local, ray = tmp_path / "local", tmp_path / "ray"
    done = swarm("run", CONFIG, "--local", "--out", local)
    assert done.returncode == 0, done.stderr
    override = f"runtime.traders_per_actor={traders_per_actor}"
    done = swarm("run", CONFIG, "--address", head, "--set", override, "--out", ray)
    assert done.returncode == 0, done.stderr
    layout = summary(ray)["layout"]
    assert (layout["regions"], layout["shards"], layout["deployments"]) == (3, shards, 2)
    for key in ("journal_sha256", "regions", "decision_errors", "tokens", "conservation", "wealth"):
        assert summary(local)[key] == summary(ray)[key]
    for name in NAMES:
        journal = Path("regions") / name / "journal.swarm"
        assert (local / journal).read_bytes() == (ray / journal).read_bytes()
    assert swarm("replay", ray).returncode == 0


SCHEDULE = "population=[{from_round: 1, traders: 18}, {from_round: 3, traders: 30}, {from_round: 5, traders: 12}]"


@pytest.mark.parametrize("changes", [("market.margin={}",), (SCHEDULE,), ("market.margin={}", SCHEDULE)])
def test_lending_regions_whose_traders_come_and_go_are_forked_alike_on_a_cluster(
    swarm: Swarm, tmp_path: Path, head: str, changes: tuple[str, ...]
) -> None:
    hashes = []
    for name, where in (("local", ("--local",)), ("ray", ("--address", head))):
        parent, child = tmp_path / name, tmp_path / f"{name}-fork"
        keys = [word for change in changes for word in ("--set", change)]
        done = swarm("run", CONFIG, *where, *keys, "--out", parent)
        assert done.returncode == 0, done.stderr
        done = swarm("fork", parent, "--at-round", "3", "--set", "seed=5", *where, "--out", child)
        assert done.returncode == 0, done.stderr
        hashes.append((summary(parent)["journal_sha256"], summary(child)["journal_sha256"]))
        assert swarm("replay", child).returncode == 0
    assert hashes[0] == hashes[1]
