"""Processes of a run are killed while it goes on: nothing is lost, nothing happens twice, and it goes on by itself.

The measure is the strictest one: the journal's hash is that of a run that nobody disturbed.
"""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cluster.conftest import SWARM, end_tree, summary
from tests.cluster_faults.conftest import Nodes, Swarm, size, wait_until

pytestmark = [pytest.mark.ray, pytest.mark.faults, pytest.mark.timeout(400)]

CONFIG = Path(__file__).parent / "wood.yaml"
RESTART_S = 10.0
"""How long the market may be away in all: Ray needs about two seconds to restart an actor, more on a busy machine."""

Start = Callable[[int], Nodes]


@pytest.fixture(scope="module")
def undisturbed(swarm: Swarm, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The hash of the run that nobody disturbs."""
    folder = tmp_path_factory.mktemp("undisturbed") / "run"
    done = swarm("run", CONFIG, "--local", "--quiet", "--out", folder)
    assert done.returncode == 0, done.stderr
    return str(summary(folder)["journal_sha256"])


def start_run(nodes: Nodes, folder: Path, *arguments: str) -> subprocess.Popen[bytes]:
    command = [*SWARM, "run", *arguments, "--quiet", "--address", nodes.address]
    if "--resume" not in arguments:
        command += ["--out", str(folder)]
    with log(folder).open("ab") as output:
        return subprocess.Popen(command, env=nodes.environment, stdout=output, stderr=output)


def log(folder: Path) -> Path:
    return folder.with_suffix(".log")


def get_going(process: subprocess.Popen[bytes], folder: Path, grown: int = 20_000) -> None:
    """Wait until the journal has grown by so many bytes."""
    journal = folder / "journal.swarm"
    before = size(journal)

    def has_grown() -> bool:
        assert process.poll() is None, log(folder).read_text()
        return size(journal) > before + grown

    wait_until(has_grown, 120, "the run did not get going")


def finish(process: subprocess.Popen[bytes], folder: Path) -> None:
    assert process.wait(timeout=240) == 0, log(folder).read_text()


def kill_one(nodes: Nodes, actor: str) -> None:
    wait_until(lambda: nodes.actors(actor), 30, f"no {actor} is there to be killed")[0].kill()


def test_market_and_shards_killed_in_turn_and_together_change_nothing(
    nodes: Start, undisturbed: str, tmp_path: Path
) -> None:
    cluster, folder = nodes(1), tmp_path / "run"
    process = start_run(cluster, folder, str(CONFIG))
    try:
        get_going(process, folder)
        for victims in (["MarketActor"], ["ShardActor"], ["MarketActor", "ShardActor"], ["MarketActor"]):
            for victim in victims:
                kill_one(cluster, victim)
            get_going(process, folder)
        finish(process, folder)
    finally:
        end_tree(process)
    done = summary(folder)
    assert done["journal_sha256"] == undisturbed, done["lost"]
    # A message that is sent while Ray restarts the market waits for it and is not lost, so not every kill is noticed.
    assert done["market_outages_s"]
    # The last market went on from a snapshot, and no kill left one that could not be read.
    assert done["journal"]["market_began_after_round"] > 0
    assert "snapshots_passed_over" not in done["lost"]
    assert max(done["market_outages_s"]) < RESTART_S


def test_a_worker_node_killed_with_its_shards_and_the_market_too_changes_nothing(
    nodes: Start, undisturbed: str, tmp_path: Path
) -> None:
    cluster, folder = nodes(2), tmp_path / "run"
    process = start_run(cluster, folder, str(CONFIG))
    try:
        get_going(process, folder)
        with_shards = [n for n in cluster.workers if cluster.actors("ShardActor", n)]
        assert with_shards, "no shard lives on a worker node"
        cluster.kill(with_shards[0])
        kill_one(cluster, "MarketActor")
        get_going(process, folder, 1_000)
        finish(process, folder)
    finally:
        end_tree(process)
    done = summary(folder)
    assert done["journal_sha256"] == undisturbed, done["lost"]


def test_a_run_whose_head_is_killed_goes_on_with_resume_on_another_cluster(
    nodes: Start, swarm: Swarm, undisturbed: str, tmp_path: Path
) -> None:
    cluster, folder = nodes(1), tmp_path / "run"
    process = start_run(cluster, folder, str(CONFIG))
    try:
        get_going(process, folder)
        cluster.kill(cluster.head)
        assert process.wait(timeout=120) != 0
    finally:
        end_tree(process)
        cluster.end()
    second = nodes(0)
    process = start_run(second, folder, "--resume", str(folder))
    try:
        get_going(process, folder)
        # The driver itself is killed this time, and the run comes to its end without any cluster.
        process.kill()
        process.wait()
    finally:
        end_tree(process)
    done = swarm("run", "--resume", folder, "--local", "--quiet")
    assert done.returncode == 0, done.stderr
    assert summary(folder)["journal_sha256"] == undisturbed
    assert swarm("replay", folder).returncode == 0
