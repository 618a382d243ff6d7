"""A Ray head with its dashboard on loopback, started as docs/operations.md says, with ports and a home of its own."""

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.operations import documented
from tests.patience import patience
from tests.processes import end_tree, free_port

BIN = Path(sys.executable).parent
START_S = 240.0


@dataclass(frozen=True)
class Head:
    """A running head: the environment that reaches it, and the port that Serve is to listen on."""

    environment: dict[str, str]
    serve_port: int

    @property
    def home(self) -> Path:
        """The home folder of who works on it."""
        return Path(self.environment["HOME"])


def shell(command: str, environment: dict[str, str], cwd: Path, timeout_s: float) -> subprocess.CompletedProcess[str]:
    """What a command of the documentation comes to, run by a shell as it stands there."""
    return subprocess.run(
        ["bash", "-c", command],
        env=environment,
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )


@pytest.fixture(scope="module")
def home() -> Iterator[dict[str, str]]:
    """The environment of somebody who has the project's commands, nothing of Ray's set, and a home of their own."""
    folder = tempfile.mkdtemp(prefix="swarm-home-", dir="/tmp")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("RAY_", "SWARM_"))}
    path = f"{BIN}{os.pathsep}{os.environ['PATH']}"
    try:
        yield {**kept, "HOME": folder, "PATH": path, "COLUMNS": "200", "RAY_USAGE_STATS_ENABLED": "0"}
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def reachable(home: dict[str, str]) -> Iterator[Head]:
    """A head of two cores that asks for a token, as the documentation starts one."""
    folder = Path(home["HOME"])
    made = shell(documented("ray get-auth-token"), home, folder, 60)
    assert made.returncode == 0, made.stderr
    exports = [documented(e) for e in ("export RAY_AUTH_MODE", "export SWARM_API_KEY", "export RAY_API_SERVER_ADDRESS")]
    told = shell(" && ".join([*exports, "env"]), home, folder, 60)
    exported = dict(line.split("=", 1) for line in told.stdout.splitlines() if line.startswith(("RAY_", "SWARM_")))
    assert len(exported["SWARM_API_KEY"]) == 64
    dashboard, serve_port = free_port(), free_port()
    environment = home | exported
    own = [f"--port={free_port()}", f"--dashboard-port={dashboard}", f"--dashboard-agent-listen-port={free_port()}"]
    own += [f"--metrics-export-port={free_port()}", f"--ray-client-server-port={free_port()}"]
    own += ["--block", "--num-cpus=2", "--node-ip-address=127.0.0.2", f"--object-store-memory={100 * 2**20}"]
    own += [f"--temp-dir={home['HOME']}/ray", "--min-worker-port=0", "--max-worker-port=0"]
    command = shlex.join([*shlex.split(documented("ray start --head")), *own])
    address = environment["RAY_API_SERVER_ADDRESS"].replace(":8265", f":{dashboard}")
    environment |= {"RAY_API_SERVER_ADDRESS": address, "RAY_DASHBOARD_ADDRESS": address}
    with (Path(home["HOME"]) / "head.log").open("w") as log:
        process = subprocess.Popen(["bash", "-c", f"exec {command}"], env=environment, stdout=log, stderr=log)
        try:
            _wait(f"{address}/api/version", environment, process, Path(log.name))
            yield Head(environment, serve_port)
        finally:
            end_tree(process, wait_s=0)


@pytest.fixture(scope="module")
def head(home: dict[str, str]) -> Iterator[Head]:
    """A head that the tests of a module share."""
    with reachable(home) as running:
        yield running


def _wait(url: str, environment: dict[str, str], process: subprocess.Popen[Any], log: Path) -> None:
    token = Path(environment["RAY_AUTH_TOKEN_PATH"]).read_text().strip()
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"})
    deadline = time.monotonic() + patience(START_S)
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(request, timeout=5):
                return
        except OSError:
            time.sleep(0.5)
    raise RuntimeError(f"the Ray head did not start: {log.read_text()[-2000:]}")
