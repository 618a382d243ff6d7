"""The metrics of a run over Ray: one port in the driver, fed by what shards and market return."""

import json
import subprocess
import time
import urllib.request
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.cluster.conftest import CONFIG, SWARM, summary
from tests.patience import patience
from tests.processes import end_tree

pytestmark = pytest.mark.ray

WAIT_S = 240


def totals(address: str) -> dict[str, float]:
    """The sums of all series by name."""
    with urllib.request.urlopen(address, timeout=10) as response:
        text = response.read().decode()
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found[sample.name] = found.get(sample.name, 0.0) + sample.value
    return found


@pytest.mark.timeout(300)
def test_a_run_over_ray_shows_what_its_summary_has(environment: dict[str, str], tmp_path: Path) -> None:
    folder, log = tmp_path / "run", tmp_path / "run.log"
    settings = ("runtime.metrics_port=0", "runtime.metrics_linger_s=600", "runtime.traders_per_actor=8")
    overrides = [word for setting in settings for word in ("--set", setting)]
    with log.open("w") as output:
        command = [*SWARM, "run", str(CONFIG), *overrides, "--out", str(folder)]
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=output)
    try:
        end = time.monotonic() + patience(WAIT_S)
        while "keeping the metrics" not in log.read_text():
            assert time.monotonic() < end and process.poll() is None, log.read_text()
            time.sleep(0.2)
        done = summary(folder)
        found = totals(done["metrics_address"])
        assert found["swarm_shards"] == done["layout"]["shards"] == 4
        assert found["swarm_rounds_total"] == done["rounds"]
        assert found["swarm_fills_total"] == done["fills"] > 0
        assert found["swarm_turns_total"] == done["rounds"] * done["traders"] - done["late_turns"]
        late = done["decision_errors"].get("late", 0)
        assert found["swarm_decision_errors_total"] == sum(done["decision_errors"].values()) - late > 0
        tokens = {kind: done["tokens"][kind] for kind in ("prompt", "completion", "cached_prompt")}
        assert found["swarm_tokens_total"] == sum(tokens.values())
        assert found["swarm_journal_bytes"] == done["journal"]["bytes"]
        assert found["swarm_journal_syncs_total"] == done["journal"]["syncs"] - 1
        assert found["swarm_market_restarts_total"] == len(done["market_outages_s"])
        assert found["swarm_conservation_error"] == 0
        assert json.loads((folder / "summary.json").read_text())["finished"]
    finally:
        end_tree(process)
    assert process.returncode == 0, log.read_text()
