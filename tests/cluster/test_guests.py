"""Guests of a run over Ray come to the history of one process: their seats are in the driver, not in a shard."""

import subprocess
from pathlib import Path

import pytest
import yaml

from tests.cluster.conftest import SWARM, summary
from tests.patience import patience
from tests.processes import end_tree
from tests.seated import CONFIG, VARIABLES, all_play, heard_at

pytestmark = pytest.mark.ray


def played(environment: dict[str, str], folder: Path, *arguments: str) -> Path:
    """Runs the config with its guests, and returns the folder."""
    (folder / "guest.yaml").write_text(yaml.safe_dump({**CONFIG, "rounds": 3}))
    command = [*SWARM, "run", str(folder / "guest.yaml"), "--out", str(folder / "run"), *arguments]
    run = subprocess.Popen(
        command, env={**environment, **VARIABLES}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        all_play(heard_at(folder / "run", lambda: run.poll() is not None))
        told, _ = run.communicate(timeout=patience(60))
        assert run.returncode == 0, told
    finally:
        end_tree(run)
    return folder / "run"


def test_one_process_and_several_shards_have_one_history(environment: dict[str, str], tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("local", "ray")]
    for folder in folders:
        folder.mkdir()
    local = played(environment, folders[0], "--local")
    ray = played(environment, folders[1], "--ray", "--set", "runtime.traders_per_actor=3")
    assert summary(ray)["layout"]["shards"] == 4
    assert (local / "journal.swarm").read_bytes() == (ray / "journal.swarm").read_bytes()
    assert summary(ray)["late_turns"] == 0
