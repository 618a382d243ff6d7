"""A sweep on a Ray cluster that is there comes to the runs that one without Ray comes to."""

import json
from pathlib import Path

import pytest

from tests.cluster.conftest import CONFIG, Swarm

pytestmark = pytest.mark.ray


def test_a_sweep_on_a_cluster_is_the_same_as_one_without(swarm: Swarm, head: str, tmp_path: Path) -> None:
    found = []
    for name, where in (("ray", ("--address", head)), ("here", ("--jobs", "1"))):
        arguments = ("--seeds", "1,2", "--set", "rounds=2", "--out", tmp_path / name, "--json")
        done = swarm("sweep", CONFIG, *arguments, *where, timeout_s=300)
        assert done.returncode == 0, done.stderr
        found.append(json.loads(done.stdout))
    for said in found:
        del said["folder"]
    assert found[0] == found[1]
    on_ray = [json.loads(path.read_text())["runs_on"] for path in (tmp_path / "ray").glob("runs/*/summary.json")]
    assert on_ray == [f"Ray at {head}"] * 2
