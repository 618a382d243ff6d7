"""What a cluster of a run's own starts: the processes of its head, with a dashboard and without, and its workers."""

import gc
import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from swarm import temporary
from swarm.config import RuntimeConfig
from swarm.runtime.garbage import THRESHOLDS
from tests.patience import patience
from tests.processes import descendants, free_port

pytestmark = [pytest.mark.ray, pytest.mark.apart]

FOR_THE_DASHBOARD = ("dashboard/dashboard.py", "autoscaler/_private/monitor.py", "_private/log_monitor.py")
FOR_THE_NODE = ("gcs/gcs_server", "raylet/raylet")

ASKS_AGAIN_S = 1.0
"""After how long a node's agent asks again for the address of a dashboard that is not there."""


def commands() -> str:
    """The commands of all processes below this one."""
    return "\n".join(" ".join(process.cmdline()) for process in descendants(psutil.Process().pid))


@pytest.fixture
def agents_port_taken() -> Iterator[None]:
    """The port that Ray's agent of a node takes by itself is another's, as where two runs share a machine."""
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # It may be another's already.
        with suppress(OSError):
            other.bind(("127.0.0.1", 52365))
            other.listen()
        yield


@pytest.mark.usefixtures("agents_port_taken")
def test_a_head_without_a_dashboard_has_nothing_that_serves_one_and_misses_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from swarm.runtime.cluster import own_cluster

    new, folders = temporary.new, []

    def noted(kind: str) -> str:
        folders.append(new(kind))
        return folders[-1]

    monkeypatch.setattr(temporary, "new", noted)
    with own_cluster(RuntimeConfig(num_cpus=1)):
        found = commands()
        assert all(name in found for name in FOR_THE_NODE)
        assert not [name for name in FOR_THE_DASHBOARD if name in found]
        log = Path(folders[0], "session_latest", "logs", "dashboard_agent.log")
        deadline = time.monotonic() + patience(60)
        while "http address" not in log.read_text():
            assert time.monotonic() < deadline, "the node's agent did not come up"
            time.sleep(0.1)
        time.sleep(1.5 * ASKS_AGAIN_S)
        said = log.read_text()
        assert "Traceback" not in said
        assert "Failed to bind" not in said


def test_a_head_with_a_dashboard_is_whole() -> None:
    from swarm.runtime.cluster import own_cluster

    with own_cluster(RuntimeConfig(num_cpus=1, dashboard_port=free_port())):
        found = commands()
        assert all(name in found for name in (*FOR_THE_NODE, *FOR_THE_DASHBOARD))


def test_what_is_needed_is_imported_meanwhile_and_workers_look_for_cycles_seldom() -> None:
    import ray

    from swarm.runtime.cluster import PRELOADED, own_cluster

    @ray.remote(num_cpus=0)
    def pace() -> tuple[int, int, int]:
        return gc.get_threshold()

    unused = "colorsys"
    assert unused not in sys.modules
    with own_cluster(RuntimeConfig(num_cpus=1), imports=[unused]):
        assert unused in sys.modules
        assert ray.get(pace.remote()) == THRESHOLDS
    assert PRELOADED not in os.environ
