"""Several markets on one cluster come to the journals that they come to in one process, however they are sharded."""

from pathlib import Path

import pytest

from swarm.config_file import load
from swarm.planning import composed
from swarm.runtime.fork import fork
from swarm.runtime.play import Played, play
from swarm.runtime.ports import IN_THIS_PROCESS, RunsOn
from swarm.runtime.run import Session
from swarm.simulation.folder import RunFolder
from swarm.simulation.replay import replay

pytestmark = pytest.mark.ray

CONFIG = Path(__file__).parent / "regions.yaml"
NAMES = ("dell", "lea", "weald")
SCHEDULE = "population=[{from_round: 1, traders: 18}, {from_round: 3, traders: 30}, {from_round: 5, traders: 12}]"


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Played]:
    """The run in one process that others are held against, and where its journals are."""
    folder = tmp_path_factory.mktemp("local")
    return folder, play(load(CONFIG), journals_in=folder)


@pytest.mark.parametrize(("traders_per_actor", "shards"), [(100, 3), (5, 9)])
def test_a_run_of_regions_is_the_same_on_a_cluster(
    local: tuple[Path, Played], tmp_path: Path, cluster: RunsOn, traders_per_actor: int, shards: int
) -> None:
    folder, one = local
    config = load(CONFIG, (f"runtime.traders_per_actor={traders_per_actor}",))
    other = play(config, runs_on=cluster, journals_in=tmp_path)
    layout = other.summary["layout"]
    assert (layout["regions"], layout["shards"], layout["deployments"]) == (3, shards, 2)
    for key in ("journal_sha256", "regions", "decision_errors", "tokens", "conservation", "wealth"):
        assert one.summary[key] == other.summary[key], key
    for name in NAMES:
        mine, theirs = (RunFolder(kept).market(name).journal for kept in (folder, tmp_path))
        assert mine.read_bytes() == theirs.read_bytes()
    assert replay({name: RunFolder(tmp_path).market(name).journal for name in NAMES}, composed).holds


def test_lending_regions_whose_traders_come_and_go_are_forked_alike_on_a_cluster(
    tmp_path: Path, cluster: RunsOn
) -> None:
    hashes = []
    for name, runs_on in (("local", IN_THIS_PROCESS), ("ray", cluster)):
        parent, child = RunFolder(tmp_path / name), RunFolder(tmp_path / f"{name}-fork")
        ran = Session(runs_on, parent, report=False).execute(load(CONFIG, ("market.margin={}", SCHEDULE)))
        fork(parent, 3, ("seed=5",), child)
        went_on = Session(runs_on, child, report=False).resume()
        hashes.append([one.record.summary["journal_sha256"] for one in (ran, went_on)])
        assert replay(child.journals, composed).holds
    assert hashes[0] == hashes[1]
