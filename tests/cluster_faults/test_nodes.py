"""A head and two workers on addresses of their own, with a token: a worker is lost, another joins, nothing changes."""

import re
import subprocess
import urllib.request
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from swarm.simulation.folder import RunFolder
from tests.cluster.conftest import Swarm, summary
from tests.cluster_faults.conftest import (
    Nodes,
    Start,
    finish,
    get_going,
    local_sha256,
    log,
    running,
    wait_until,
    while_running,
)
from tests.patience import patience
from tests.processes import free_port

pytestmark = [pytest.mark.ray, pytest.mark.faults, pytest.mark.timeout(600)]

CONFIG = Path(__file__).parents[2] / "configs" / "nodes.yaml"
# Long enough for a node to be missed, another to start and shards to move there, on a busy machine, too.
CHANGES = ("--set", "rounds=600", "--set", "models.0.latency_s=0.07", "--set", "runtime.traders_per_actor=20")
SHARDS = 6


def test_a_worker_is_lost_and_another_joins_in_the_middle_of_a_run(nodes: Start, swarm: Swarm, tmp_path: Path) -> None:
    cluster, folder = nodes(2, loopback=True), tmp_path / "run"
    port = free_port()
    hub = f"http://127.0.0.1:{port}/metrics"
    with running(cluster, folder, str(CONFIG), *CHANGES, "--set", f"runtime.metrics_port={port}") as process:
        get_going(process, folder)
        first, second = cluster.workers
        assert [hosted(cluster, node) for node in (cluster.head, first, second)] == [2, 2, 2]
        rounds = metric(hub, "swarm_rounds_total")
        assert rounds > 0
        cluster.kill(first)
        while_running(process, folder, lambda: hosted(cluster) == SHARDS, "a lost node's shards did not come back")
        cluster.add_worker()
        third = cluster.workers[-1]
        while_running(process, folder, lambda: hosted(cluster, third) == 2, "the new node did not get its shards")
        # What Ray itself measures is there for each living node, under the node's own address.
        for number in (0, 2, 3):
            address = cluster.metrics[number]
            own = f'NodeAddress="{address.partition(":")[0]}"'
            wait_until(partial(serves, address, own), 60, f"{address} serves no metrics of its own node")
        assert metric(hub, "swarm_rounds_total") > rounds
        assert metric(hub, "swarm_shards") == SHARDS
        finish(process, folder)
    done = summary(folder)
    assert done["journal_sha256"] == local_sha256(swarm, tmp_path / "local", CONFIG, *CHANGES), done["lost"]
    layout = done["layout"]
    assert (layout["nodes_joined"], layout["nodes_left"]) == (1, 1)
    assert layout["shards_moved"] >= 2
    assert layout["shards_by_node"] == {"127.0.0.2": 2, "127.0.0.4": 2, "127.0.0.5": 2}
    assert done["late_turns"] == 0
    assert all(asset["unexplained"] == 0 for asset in done["conservation"].values())
    assert "1 node joined and 1 node left on the way" in RunFolder(folder).report.read_text()
    assert swarm("replay", folder).returncode == 0


def hosted(cluster: Nodes, node: subprocess.Popen[Any] | None = None) -> int:
    """How many shards live on a node, or on all."""
    return len(cluster.actors("ShardActor", node))


def metric(address: str, name: str) -> float:
    """The sum of all series of a metric."""
    with urllib.request.urlopen(address, timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if re.match(rf"{name}[{{ ]", line))


def serves(address: str, text: str) -> bool:
    """Whether Ray's own metrics at this address hold a text; false while nobody answers there."""
    try:
        with urllib.request.urlopen(f"http://{address}/metrics", timeout=10) as answer:
            return text in answer.read().decode()
    except OSError:
        return False


def test_shards_keep_to_nodes_with_a_label_which_some_node_must_have(nodes: Start, tmp_path: Path) -> None:
    cluster, folder = nodes(0, loopback=True), tmp_path / "run"
    cluster.add_worker("--labels=zone=east")
    placed = ("--set", "rounds=3", "--set")
    with running(cluster, folder, str(CONFIG), *placed, "runtime.placement=zone=east") as process:
        finish(process, folder)
    assert summary(folder)["layout"]["shards_by_node"] == {"127.0.0.3": 12}
    nowhere = tmp_path / "nowhere"
    with running(cluster, nowhere, str(CONFIG), *placed, "runtime.placement=zone=west") as process:
        assert process.wait(timeout=patience(110)) == 2
    said = log(nowhere).read_text().strip().splitlines()
    assert len(said) == 1, said
    assert "runtime.placement: none of the cluster's 2 nodes has zone=west; their labels are: zone=east" in said[0]
    assert not nowhere.exists()


def test_a_token_that_is_missing_or_wrong_is_one_line(nodes: Start, tmp_path: Path) -> None:
    cluster, folder = nodes(0, loopback=True), tmp_path / "run"
    # A home of its own, where no token lies that Ray might find by itself.
    kept = {k: v for k, v in cluster.environment.items() if not k.startswith("RAY_AUTH")} | {"HOME": str(tmp_path)}
    path = cluster.environment["RAY_AUTH_TOKEN_PATH"]
    for settings, reason in (
        ({"RAY_AUTH_TOKEN": "of-another-cluster"}, "does not accept the token here"),
        ({}, "asks for a token, and there is none here"),
        ({"RAY_AUTH_MODE": "token"}, "asks for a token, and there is none here"),
        ({"RAY_AUTH_MODE": "disabled", "RAY_AUTH_TOKEN_PATH": path}, "asks for a token, and RAY_AUTH_MODE is disabled"),
        ({"RAY_AUTH_TOKEN_PATH": "/nowhere"}, "asks for a token, which cannot be read (RAY_AUTH_TOKEN_PATH is set"),
    ):
        cluster.environment = kept | settings
        log(folder).unlink(missing_ok=True)
        with running(cluster, folder, str(CONFIG)) as process:
            assert process.wait(timeout=patience(110)) == 2
        said = log(folder).read_text().strip().splitlines()
        assert len(said) == 1, said
        assert reason in said[0]
        assert "set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN_PATH" in said[0]
    # The path alone is enough: the mode follows from what the cluster asks for.
    cluster.environment = kept | {"RAY_AUTH_TOKEN_PATH": path}
    with running(cluster, folder, str(CONFIG), "--set", "rounds=2") as process:
        finish(process, folder)
