"""Processes of a run are killed while it goes on: nothing is lost, nothing happens twice, and it goes on by itself.

The measure is the strictest one: the journal's hash is that of a run that nobody disturbed.
"""

import os
from pathlib import Path

import pytest

from tests.cluster.conftest import summary
from tests.cluster_faults.conftest import Start, Swarm, finish, get_going, kill_one, local_sha256, running
from tests.patience import patience

pytestmark = [pytest.mark.ray, pytest.mark.faults, pytest.mark.timeout(400)]

CONFIG = Path(__file__).parent / "wood.yaml"
WITH_MODELS = Path(__file__).parent / "models.yaml"
RESTART_S = 10.0
"""How long the market may be away in all: Ray needs about two seconds to restart an actor, and longer on a machine with
more to do than it has cores."""


@pytest.fixture(scope="module")
def undisturbed(swarm: Swarm, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The hash of the run that nobody disturbs."""
    return local_sha256(swarm, tmp_path_factory.mktemp("undisturbed") / "run", CONFIG)


def test_market_and_shards_killed_in_turn_and_together_change_nothing(
    nodes: Start, undisturbed: str, tmp_path: Path
) -> None:
    cluster, folder = nodes(1), tmp_path / "run"
    with running(cluster, folder, str(CONFIG)) as process:
        get_going(process, folder)
        for victims in (["MarketActor"], ["ShardActor"], ["MarketActor", "ShardActor"], ["MarketActor"]):
            for victim in victims:
                kill_one(cluster, victim)
            get_going(process, folder)
        finish(process, folder)
    done = summary(folder)
    assert done["journal_sha256"] == undisturbed, done["lost"]
    # A message that is sent while Ray restarts the market waits for it and is not lost, so not every kill is noticed.
    assert done["market_outages_s"]
    # The last market went on from a snapshot, and no kill left one that could not be read.
    assert done["journal"]["market_began_after_round"] > 0
    assert "snapshots_passed_over" not in done["lost"]
    overload = max(1.0, *(load / (os.cpu_count() or 1) for load in os.getloadavg()))
    assert max(done["market_outages_s"]) < RESTART_S * overload


def test_a_worker_node_killed_with_its_shards_and_the_market_too_changes_nothing(
    nodes: Start, undisturbed: str, tmp_path: Path
) -> None:
    cluster, folder = nodes(2), tmp_path / "run"
    with running(cluster, folder, str(CONFIG)) as process:
        get_going(process, folder)
        with_shards = [n for n in cluster.workers if cluster.actors("ShardActor", n)]
        assert with_shards, "no shard lives on a worker node"
        cluster.kill(with_shards[0])
        kill_one(cluster, "MarketActor")
        get_going(process, folder, 1_000)
        finish(process, folder)
    done = summary(folder)
    assert done["journal_sha256"] == undisturbed, done["lost"]


@pytest.mark.timeout(1_200)
def test_a_node_lost_in_a_round_of_a_hundred_thousand_traders_changes_nothing(
    nodes: Start, swarm: Swarm, tmp_path: Path
) -> None:
    many = ["population=100000", "rounds=8", "scenario.shocks=[]", "runtime.traders_per_actor=34000"]
    many += ["budget.round_deadline_s=300", "runtime.start_timeout_s=600"]
    changes = [argument for change in many for argument in ("--set", change)]
    cluster, folder = nodes(2), tmp_path / "run"
    with running(cluster, folder, str(CONFIG), *changes) as process:
        # A round is seconds of deciding, so the node goes in the middle of one; plans and observations are megabytes.
        get_going(process, folder, 1_000_000)
        with_shards = [n for n in cluster.workers if cluster.actors("ShardActor", n)]
        cluster.kill(with_shards[0])
        finish(process, folder)
    done = summary(folder)
    assert done["lost"]["shard_answers"] > 0
    assert done["late_turns"] == 0
    assert done["journal_sha256"] == local_sha256(swarm, tmp_path / "local", CONFIG, *changes), done["lost"]


def test_a_run_whose_head_is_killed_goes_on_with_resume_on_another_cluster(
    nodes: Start, swarm: Swarm, undisturbed: str, tmp_path: Path
) -> None:
    cluster, folder = nodes(1), tmp_path / "run"
    with running(cluster, folder, str(CONFIG)) as process:
        get_going(process, folder)
        cluster.kill(cluster.head)
        assert process.wait(timeout=patience(120)) != 0
    cluster.end()
    second = nodes(0)
    with running(second, folder, "--resume", str(folder)) as process:
        get_going(process, folder)
        # The driver itself is killed this time, and the run comes to its end without any cluster.
        process.kill()
        process.wait()
    done = swarm("run", "--resume", folder, "--local", "--quiet")
    assert done.returncode == 0, done.stderr
    assert summary(folder)["journal_sha256"] == undisturbed
    assert swarm("replay", folder).returncode == 0


@pytest.mark.parametrize("victims", [["MarketActor"], ["ShardActor", "worker"]], ids=["market", "shard-and-worker"])
def test_a_head_killed_together_with_others_leaves_a_run_that_goes_on_with_resume(
    nodes: Start, swarm: Swarm, undisturbed: str, tmp_path: Path, victims: list[str]
) -> None:
    cluster, folder = nodes(1), tmp_path / "run"
    with running(cluster, folder, str(CONFIG)) as process:
        get_going(process, folder)
        # One after the other at once, so that nobody has the time to come back.
        for victim in victims:
            if victim == "worker":
                cluster.kill(cluster.workers[0])
            else:
                kill_one(cluster, victim)
        cluster.kill(cluster.head)
        assert process.wait(timeout=patience(120)) != 0
    cluster.end()
    second = nodes(1)
    with running(second, folder, "--resume", str(folder)) as process:
        finish(process, folder)
    done = summary(folder)
    assert done["journal_sha256"] == undisturbed
    assert done["resumed_after_round"] > 0
    assert swarm("replay", folder).returncode == 0


def test_models_that_are_killed_with_a_shard_and_the_market_are_asked_again(
    nodes: Start, swarm: Swarm, tmp_path: Path
) -> None:
    cluster, folder = nodes(1), tmp_path / "run"
    with running(cluster, folder, str(WITH_MODELS)) as process:
        get_going(process, folder)
        for victims in (
            ["ServeReplica"],
            ["ShardActor"],
            ["ServeReplica", "ShardActor", "MarketActor"],
            ["ServeReplica", "ServeReplica"],
        ):
            for victim in victims:
                kill_one(cluster, victim)
            get_going(process, folder)
        finish(process, folder)
    done = summary(folder)
    assert done["journal_sha256"] == local_sha256(swarm, tmp_path / "local", WITH_MODELS), done["decision_errors"]
    assert done["late_turns"] == 0
