"""An engine that stands in no package of ours runs in the replicas of a cluster as it does in one process."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

CONFIG = {
    "name": "parrots",
    "seed": 4,
    "rounds": 10,
    "population": 12,
    "models": [{"name": "polly", "engine": "parrot", "price": 30}, {"name": "strong", "temperament": "maker"}],
}


@pytest.mark.ray
def test_an_engine_of_others_makes_the_same_history_over_ray(tmp_path: Path) -> None:
    (tmp_path / "parrots.yaml").write_text(yaml.safe_dump(CONFIG))
    environment = {**os.environ, "SWARM_PLUGINS": "tests.examples.parrot"}
    for where in ("local", "ray"):
        command = [sys.executable, "-m", "swarm", "run", str(tmp_path / "parrots.yaml"), "--out", str(tmp_path / where)]
        subprocess.run([*command, *(["--local"] if where == "local" else [])], env=environment, check=True, timeout=300)
    summaries = [json.loads((tmp_path / where / "summary.json").read_text()) for where in ("local", "ray")]
    assert summaries[0]["journal_sha256"] == summaries[1]["journal_sha256"]
    assert summaries[0]["engines"]["polly"] == "parrot"
