"""A real run, read over HTTP by a real Prometheus that `swarm monitor` has started, and asked what it has read."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from swarm.monitoring.hub import run_label
from tests.monitoring.conftest import Prometheus
from tests.patience import patience
from tests.processes import end_tree, free_port

SWARM = [sys.executable, "-m", "swarm"]
WAIT_S = 120
CONFIG: dict[str, Any] = {
    "name": "watched",
    "rounds": 60,
    "population": 30,
    # A short wait in each round, so that several readings fall into the run.
    "models": [
        {"name": "calm", "temperament": "value", "latency_s": 0.1},
        {"name": "broken", "temperament": "panic", "fault_rate": 1.0},
    ],
    # Far longer than the test, which ends it.
    "runtime": {"metrics_linger_s": 600},
}


@contextmanager
def started(log: Path, *arguments: str | Path) -> Iterator[subprocess.Popen[bytes]]:
    """`swarm` with these arguments, ended at the latest with the block."""
    environment = {**os.environ, "COLUMNS": "200", "PYTHONUNBUFFERED": "1"}
    with log.open("w") as output:
        process = subprocess.Popen([*SWARM, *map(str, arguments)], stdout=output, stderr=output, env=environment)
    try:
        yield process
    finally:
        end_tree(process, 30)


def eventually(what: Callable[[], Any], log: Path) -> Any:
    """The first true answer."""
    end = time.monotonic() + patience(WAIT_S)
    while time.monotonic() < end:
        try:
            if found := what():
                return found
        except OSError:
            pass  # nobody listens yet
        time.sleep(0.2)
    raise AssertionError(log.read_text())


def said(log: Path, pattern: str) -> str:
    """What a process has written so far that fits the pattern's group, or nothing."""
    found = re.search(pattern, log.read_text())
    return found.group(1) if found else ""


def asked(port: int, expression: str) -> dict[str, float]:
    """What Prometheus answers to a query: value by the label that tells the series apart."""
    query = urllib.parse.urlencode({"query": expression})
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/query?{query}", timeout=10) as response:
        answer = json.load(response)
    assert answer["status"] == "success", answer
    return {
        series["metric"].get("model") or series["metric"].get("good", ""): float(series["value"][1])
        for series in answer["data"]["result"]
    }


@pytest.mark.timeout(600)
def test_a_run_is_read_recorded_and_alerted_on(prometheus: Prometheus, tmp_path: Path) -> None:
    config = tmp_path / "watched.yaml"
    config.write_text(yaml.safe_dump(CONFIG))
    port, web = free_port(), free_port()
    run_log, monitor_log, folder = tmp_path / "run.log", tmp_path / "monitor.log", tmp_path / "run"
    arguments: list[str | Path] = [
        "--prometheus",
        prometheus.prometheus,
        "--port",
        str(web),
        "--every",
        "0.5",
        "--dir",
        tmp_path / "mon",
    ]
    with started(monitor_log, "monitor", f"127.0.0.1:{port}", *arguments) as monitor:
        # Prometheus looks on before the run begins, so that it sees the counters rise from 0.
        server = int(eventually(lambda: said(monitor_log, r"\(process (\d+)\)"), monitor_log))
        override = f"runtime.metrics_port={port}"
        with started(run_log, "run", config, "--local", "--set", override, "--out", folder) as run:
            spoilt = eventually(lambda: asked(web, "run_model:swarm_decision_errors:ratio_increase10m > 0.9"), run_log)
            assert set(spoilt) == {"broken"}
            waiting = eventually(lambda: asked(web, 'ALERTS{alertname="SwarmModelErroring"}'), run_log)
            assert set(waiting) == {"broken"}
            eventually(lambda: asked(web, f'swarm_run_finished{{run="{run_label(folder)}"}} == 1'), run_log)
            summary = json.loads((folder / "summary.json").read_text())
            assert summary["metrics_address"] == f"http://127.0.0.1:{port}/metrics"
            assert said(run_log, r"metrics at (\S+)") == summary["metrics_address"]
            assert asked(web, "sum(swarm_fills_total)") == {"": summary["fills"]}
            assert asked(web, "swarm_rounds_total == swarm_rounds_planned") == {"": 60}
            assert asked(web, "sum(swarm_conservation_error != bool 0)") == {"": 0}
            assert set(asked(web, "swarm_price_ticks")) == set(summary["goods"])
            assert asked(web, 'ALERTS{alertname="SwarmLedgerBroken"}') == {}
            assert asked(web, "histogram_quantile(0.5, swarm_round_duration_seconds_bucket)")[""] >= 0.1
            run.send_signal(signal.SIGTERM)
            assert run.wait(timeout=patience(240)) == 0
        monitor.send_signal(signal.SIGINT)
        assert monitor.wait(timeout=patience(240)) == 0, monitor_log.read_text()
    assert not psutil.pid_exists(server)


def test_a_taken_port_and_a_wrong_program_are_said(tmp_path: Path) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = str(listener.getsockname()[1])
        command = [*SWARM, "monitor", "--prometheus", sys.executable, "--port", port, "--dir", str(tmp_path)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=patience(240), check=False)
        assert done.returncode == 2
        assert f"error --port: port {port} cannot be used" in done.stderr
    command[command.index(port)] = str(free_port())
    done = subprocess.run(command, capture_output=True, text=True, timeout=patience(240), check=False)
    assert done.returncode == 2
    assert "Prometheus does not start" in done.stderr
