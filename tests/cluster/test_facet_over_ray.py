"""The example of a facet over Ray: it is kept where the round loop is, and the history is that of one process."""

import subprocess
from pathlib import Path

import polars as pl
import pytest

from swarm.plugins import VARIABLE
from tests.cluster.conftest import CONFIG, RUN_TIMEOUT_S, SWARM, summary
from tests.patience import patience

pytestmark = pytest.mark.ray


def test_a_plug_in_facet_is_kept_over_ray_and_in_one_process_alike(environment: dict[str, str], tmp_path: Path) -> None:
    ours = {**environment, VARIABLE: "tests.examples.activity"}
    for folder, where in (("ray", []), ("local", ["--local"])):
        command = [*SWARM, "run", str(CONFIG), *where, "--out", str(tmp_path / folder)]
        done = subprocess.run(
            command, env=ours, capture_output=True, text=True, timeout=patience(RUN_TIMEOUT_S), check=False
        )
        assert done.returncode == 0, done.stderr
    over_ray, local = (summary(tmp_path / folder) for folder in ("ray", "local"))
    assert over_ray["journal_sha256"] == local["journal_sha256"]
    assert over_ray["ever_active_traders"] == local["ever_active_traders"] > 0
    tables = [pl.read_parquet(tmp_path / folder / "tables" / "activity.parquet") for folder in ("ray", "local")]
    assert tables[0].equals(tables[1])
    assert tables[0].height == 6
