"""A real run on a real Ray cluster, watched by a real Prometheus, for whoever wants to ask it or to look at it."""

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.patience import patience
from tests.processes import end_tree, free_port

CONFIG = Path(__file__).parent / "stage.yaml"
START_TIMEOUT_S = 90
RUN_TIMEOUT_S = 300
FAULTS = "error_500=0.02,truncated=0.03,negative_price=0.03"
PYTHON = sys.executable


@dataclass(frozen=True, slots=True)
class Stage:
    """A run that is over: Prometheus' address, its times in seconds since 1970, and the run's summary."""

    url: str
    begin_s: float
    end_s: float
    summary: dict[str, Any]

    def get(self, path: str, **parameters: Any) -> Any:
        """What Prometheus' HTTP API answers; its error is raised with its own words."""
        query = urllib.parse.urlencode(parameters, doseq=True)
        try:
            with urllib.request.urlopen(f"{self.url}/api/v1/{path}?{query}", timeout=30) as response:
                return json.load(response)["data"]
        except urllib.error.HTTPError as error:
            raise ValueError(json.load(error).get("error", str(error))) from error

    def label_values(self, series: str, label: str) -> list[str]:
        """The values that a label has on a series, within the run."""
        span = {"start": self.begin_s, "end": self.end_s}
        found: list[str] = self.get(f"label/{label}/values", **span, **{"match[]": series})
        return found

    def query(self, expr: str, step_s: float) -> list[Any]:
        """The series that a query gives over the run."""
        result: list[Any] = self.get("query_range", query=expr, start=self.begin_s, end=self.end_s, step=step_s)[
            "result"
        ]
        return result


@contextmanager
def played(prometheus: Path, *overrides: str) -> Iterator[Stage]:
    """Run the stage's config to its end under Prometheus, which answers until the block ends."""
    folder = Path(tempfile.mkdtemp(prefix="swarm-stage-", dir="/tmp"))
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        gcs, ray_metrics, swarm_metrics, web, endpoint = (free_port() for _ in range(5))
        environment = _environment(folder)
        (folder / "prometheus.yml").write_text(_prometheus_config(ray_metrics, swarm_metrics))

        def started(name: str, command: Sequence[str | Path], up: Callable[[], bool]) -> None:
            process = stack.enter_context(_process(command, environment, folder / f"{name}.log"))
            _wait_until(up, process, folder / f"{name}.log")

        started(
            "prometheus",
            [
                prometheus,
                f"--config.file={folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{web}",
            ],
            lambda: _answers(f"http://127.0.0.1:{web}/-/ready"),
        )
        fake = ["-m", "swarm", "fake-model", "--port", str(endpoint), "--latency-s", "0.1", "--faults", FAULTS]
        started("endpoint", [PYTHON, *fake], lambda: _listens(endpoint))
        head = ["-m", "ray.scripts.scripts", "start", "--head", "--block", f"--port={gcs}", "--num-cpus=4"]
        head += [f"--metrics-export-port={ray_metrics}", "--include-dashboard=false", "--disable-usage-stats"]
        head += [f"--temp-dir={folder / 'ray'}", f"--object-store-memory={100 * 2**20}"]
        head += [f"--ray-client-server-port={free_port()}", f"--dashboard-agent-listen-port={free_port()}"]
        started("ray", [PYTHON, *head], lambda: _listens(gcs) and _answers(f"http://127.0.0.1:{ray_metrics}/metrics"))

        begin_s = time.time()
        run = ["-m", "swarm", "run", str(CONFIG), "--address", f"127.0.0.1:{gcs}", "--out", str(folder / "run")]
        settings = [f"models.3.base_url=http://127.0.0.1:{endpoint}/v1", f"runtime.metrics_port={swarm_metrics}"]
        run += [part for setting in (*settings, *overrides) for part in ("--set", setting)]
        ended = subprocess.run(
            [PYTHON, *run],
            env=environment,
            capture_output=True,
            text=True,
            timeout=patience(RUN_TIMEOUT_S),
            check=False,
        )
        if ended.returncode != 0:
            raise RuntimeError(f"the run failed: {ended.stderr[-2_000:]}")
        summary = json.loads((folder / "run" / "summary.json").read_text(encoding="utf-8"))
        yield Stage(f"http://127.0.0.1:{web}", begin_s, time.time(), summary)


def _environment(folder: Path) -> dict[str, str]:
    token = folder / "token"
    token.write_text(secrets.token_hex(32))
    kept = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")}
    # At its default of ten seconds Ray would report a short run two or three times; below the pace of its own looks at
    # the nodes, their series would come and go.
    own = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token), "RAY_metrics_report_interval_ms": "3000"}
    return {**kept, **own, "COLUMNS": "200"}


def _prometheus_config(ray_metrics: int, swarm_metrics: int) -> str:
    jobs = [
        {"job_name": name, "static_configs": [{"targets": [f"127.0.0.1:{port}"]}]}
        for name, port in (("ray", ray_metrics), ("swarm", swarm_metrics))
    ]
    # Prometheus reads YAML, of which JSON is a part.
    return json.dumps({"global": {"scrape_interval": "1s", "scrape_timeout": "1s"}, "scrape_configs": jobs})


@contextmanager
def _process(
    command: Sequence[str | Path], environment: dict[str, str], log: Path
) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as sink:
        process = subprocess.Popen(command, env=environment, stdout=sink, stderr=sink)
        try:
            yield process
        finally:
            end_tree(process)


def _wait_until(up: Callable[[], bool], process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + patience(START_TIMEOUT_S)
    while not up():
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"{log.stem} did not start: {log.read_text(errors='replace')[-2_000:]}")
        time.sleep(0.2)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except OSError:
        return False
