"""One of several markets is killed while the run goes on, and then the driver: all regions come to the same end."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cluster.conftest import summary
from tests.cluster_faults.conftest import Nodes, Swarm, running, size, wait_until
from tests.patience import patience

pytestmark = [pytest.mark.ray, pytest.mark.faults, pytest.mark.timeout(600)]

CONFIG = Path(__file__).parent / "regions.yaml"
NAMES = ("dell", "lea", "weald")


def get_going(process: subprocess.Popen[bytes], folder: Path, grown: int = 10_000) -> None:
    """Wait until all regions' journals have grown by so many bytes."""
    journals = [folder / "regions" / name / "journal.swarm" for name in NAMES]
    before = [size(journal) for journal in journals]

    def have_grown() -> bool:
        assert process.poll() is None, folder.with_suffix(".log").read_text()
        return all(size(journal) > was + grown for journal, was in zip(journals, before, strict=True))

    wait_until(have_grown, 120, "the run did not get going")


def test_markets_that_are_killed_and_a_driver_that_is_killed_change_nothing(
    nodes: Callable[[int], Nodes], swarm: Swarm, tmp_path: Path
) -> None:
    undisturbed = tmp_path / "undisturbed"
    done = swarm("run", CONFIG, "--local", "--quiet", "--out", undisturbed)
    assert done.returncode == 0, done.stderr
    cluster, folder = nodes(0), tmp_path / "run"
    with running(cluster, folder, str(CONFIG)) as process:
        for victim in (0, 2, 1):
            get_going(process, folder)
            markets = wait_until(lambda: cluster.actors("MarketActor"), 30, "no market is there to be killed")
            markets[victim % len(markets)].kill()
        get_going(process, folder)
        process.kill()
        process.wait()
    with running(cluster, folder, "--resume", str(folder)) as process:
        assert process.wait(timeout=patience(360)) == 0, folder.with_suffix(".log").read_text()
    assert summary(folder)["journal_sha256"] == summary(undisturbed)["journal_sha256"]
    assert summary(folder)["resumed_after_round"] > 0
    for name in NAMES:
        journal = Path("regions") / name / "journal.swarm"
        assert (folder / journal).read_bytes() == (undisturbed / journal).read_bytes()
