"""Minds, forms and scenarios of somebody else's come to the same history in one process and on a cluster."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from swarm.plugins import VARIABLE
from tests.cluster.conftest import RUN_TIMEOUT_S, SWARM, summary

pytestmark = pytest.mark.ray

ROOT = Path(__file__).parents[2]
CONFIG: dict[str, Any] = {
    "name": "strangers",
    "seed": 4,
    "rounds": 10,
    "population": 12,
    "models": [
        {"name": "cheap", "temperament": "value", "fault_rate": 0.5},
        {"name": "strong", "temperament": "maker"},
    ],
    "traders": {
        "minds": {"wise": 1, "thrifty": 1, "cheap": 1},
        "define": {
            "wise": {"mind": "panel", "models": ["cheap", "strong"]},
            "thrifty": {"mind": "cascade", "first": "cheap", "then": "strong"},
        },
    },
    "runtime": {"traders_per_actor": 4},
}
GUESS = {**CONFIG, "traders": {}, "scenario": {"name": "guess"}}
OFFERS = {**CONFIG, "traders": {}, "models": [{"name": "numbers", "temperament": "value", "form": "offers"}]}


@pytest.mark.parametrize("config", [CONFIG, GUESS, OFFERS], ids=["minds", "scenario", "form"])
def test_a_strangers_plugin_runs_on_a_cluster_as_it_does_in_one_process(
    config: dict[str, Any], environment: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    modules = ",".join(f"tests.examples.{name}" for name in ("panel", "cascade", "guess", "offers"))
    environment = {**environment, VARIABLE: modules, "PYTHONPATH": str(ROOT)}

    def swarm(*arguments: str | Path) -> None:
        command = [*SWARM, *map(str, arguments)]
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, check=False, timeout=RUN_TIMEOUT_S
        )
        assert done.returncode == 0, done.stderr

    swarm("run", tmp_path / "config.yaml", "--local", "--out", tmp_path / "local")
    swarm("run", tmp_path / "config.yaml", "--out", tmp_path / "ray")
    swarm("replay", tmp_path / "ray")
    one, other = summary(tmp_path / "local"), summary(tmp_path / "ray")
    assert one["rounds"] == 10
    assert one["journal_sha256"] == other["journal_sha256"]
