"""A cluster of a run's own where Ray was too slow for itself: it is started once more, and nothing stays."""

import logging
import tempfile
from pathlib import Path
from typing import Any

import psutil
import pytest

from swarm.config import RuntimeConfig
from swarm.runtime import temporary

pytestmark = pytest.mark.ray


def of_clusters() -> list[psutil.Process]:
    """The processes of Ray below this one."""
    folder = f"{temporary.ROOT}/{temporary.PREFIX}"
    below = psutil.Process().children(recursive=True)
    return [process for process in below if any(folder in argument for argument in process.cmdline())]


# What Ray began and lost hold of is ended by its pid here, which its handles do not know.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_start_that_takes_too_long_is_made_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    import ray
    from ray._private import services

    from swarm.runtime.cluster import own_cluster

    found, tries = services.get_node, []

    def late_once(*arguments: Any) -> Any:
        tries.append(of_clusters())
        if len(tries) == 1:
            raise Exception("The current node timed out during startup. This could happen because of the raylet")
        return found(*arguments)  # type: ignore[no-untyped-call]

    monkeypatch.setattr(services, "get_node", late_once)
    before = set(Path(tempfile.gettempdir()).glob(f"{temporary.PREFIX}*"))
    with caplog.at_level(logging.WARNING), own_cluster(RuntimeConfig(num_cpus=1)):
        assert ray.is_initialized()
        assert tries[0]
        assert not any(process.is_running() for process in tries[0])
    assert "once more" in caplog.text
    assert set(Path(tempfile.gettempdir()).glob(f"{temporary.PREFIX}*")) <= before
