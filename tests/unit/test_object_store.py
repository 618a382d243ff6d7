"""The size of a cluster's object store: as told, or by the traders as far as the machine has room."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from swarm.config import RuntimeConfig
from swarm.runtime import object_store
from swarm.runtime.object_store import size_mb


@pytest.fixture
def shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with 8 GB of memory and as much of it to share."""
    monkeypatch.setattr(object_store, "SHARED_MEMORY", tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=8 << 30))
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=8 << 30))
    return tmp_path


@pytest.mark.usefixtures("shared")
def test_a_store_has_room_for_its_traders() -> None:
    assert RuntimeConfig().object_store_mb is None
    assert [size_mb(None, traders) for traders in (0, 40, 100_000, 1_000_000)] == [200, 200, 400, 2_200]


@pytest.mark.usefixtures("shared")
def test_a_store_is_as_large_as_it_is_told() -> None:
    assert size_mb(80, 1_000_000) == 80
    assert size_mb(30_000, 5) == 30_000


@pytest.mark.usefixtures("shared")
def test_a_store_leaves_half_of_what_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1 << 30))
    assert size_mb(None, 1_000_000) == 512
    # In a container with little of it, a small run's store stays what it was.
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=64 << 20))
    assert size_mb(None, 1_000_000) == 200
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=64 << 30))
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=2 << 30))
    assert size_mb(None, 1_000_000) == 1_024


def test_a_system_without_shared_memory_keeps_within_what_ray_takes_there(shared: Path) -> None:
    shared.rmdir()
    assert size_mb(None, 2_000_000) == 2_000
