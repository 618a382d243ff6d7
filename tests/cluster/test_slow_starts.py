"""A cluster of a run's own where Ray was too slow for itself: it is started once more, and nothing stays."""

import gc
import logging
from pathlib import Path
from typing import Any

import psutil
import pytest

from swarm import temporary
from swarm.config import RuntimeConfig

pytestmark = [pytest.mark.ray, pytest.mark.apart]


def of_clusters() -> list[psutil.Process]:
    """The processes of Ray below this one."""
    folder = f"{temporary.ROOT}/{temporary.PREFIX}ray-"
    below = psutil.Process().children(recursive=True)
    return [process for process in below if any(folder in argument for argument in process.cmdline())]


def test_a_start_that_takes_too_long_is_made_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    import ray
    from ray._private import services

    from swarm.runtime.cluster import own_cluster

    found, tries = services.get_node, []
    new, folders = temporary.new, []

    def late_once(*arguments: Any) -> Any:
        tries.append(of_clusters())
        if len(tries) == 1:
            raise Exception("The current node timed out during startup. This could happen because of the raylet")
        return found(*arguments)  # type: ignore[no-untyped-call]

    def noted(kind: str) -> str:
        folders.append(new(kind))
        return folders[-1]

    monkeypatch.setattr(services, "get_node", late_once)
    monkeypatch.setattr(temporary, "new", noted)
    with caplog.at_level(logging.WARNING), own_cluster(RuntimeConfig(num_cpus=1)):
        assert ray.is_initialized()
        assert tries[0]
        assert not any(process.is_running() for process in tries[0])
        assert len(folders) == 2
    # A handle of a process that it takes for a running one says so when it is collected, which fails this test.
    gc.collect()
    assert "once more" in caplog.text
    # Tests beside this one have folders of their own.
    assert not any(Path(folder).exists() for folder in folders)
