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
