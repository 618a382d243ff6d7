"""Runs of the real command line on real Ray clusters, each with ports, a token and a folder of its own."""

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from swarm.plugins import VARIABLE
from swarm.runtime.ports import RunsOn
from tests.apart import passed_on
from tests.patience import patience
from tests.processes import end_tree, free_port

SWARM = [sys.executable, "-m", "swarm"]
ROOT = Path(__file__).parents[2]
CONFIG = Path(__file__).parent / "small.yaml"
PLUGINS = ",".join(
    f"tests.examples.{name}"
    for name in ("panel", "fallback", "guess", "offers", "parrot", "tariff", "benefactor", "activity")
)
RUN_TIMEOUT_S = 110

HEAD = "SWARM_TEST_HEAD"
TOKEN = "SWARM_TEST_TOKEN"
"""Where a test in a process of its own finds the cluster of all of them, and the file with its token."""

Swarm = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of all commands: no cluster by accident, a token of the tests' own."""
    if TOKEN in os.environ:
        token = Path(os.environ[TOKEN])
    else:
        token = tmp_path_factory.mktemp("token") / "token"
        token.write_text(secrets.token_hex(32))
        passed_on[TOKEN] = str(token)
    kept = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")}
    return {**kept, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token), "COLUMNS": "200"}


@pytest.fixture(scope="session")
def swarm(environment: dict[str, str]) -> Swarm:
    """Call the command line with these arguments and wait for it."""

    def call(*arguments: str | Path, timeout_s: float = RUN_TIMEOUT_S) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*SWARM, *map(str, arguments)],
            env=environment,
            capture_output=True,
            text=True,
            timeout=patience(timeout_s),
            check=False,
        )

    return call


def summary(folder: Path) -> dict[str, Any]:
    """A run's summary."""
    loaded: dict[str, Any] = json.loads((folder / "summary.json").read_text())
    return loaded


@pytest.fixture(scope="session")
def head(environment: dict[str, str]) -> Iterator[str]:
    """The address of a Ray cluster of two cores that was there before any run, and has the examples' plug-ins."""
    if HEAD in os.environ:
        yield os.environ[HEAD]
        return
    environment = {**environment, VARIABLE: PLUGINS, "PYTHONPATH": str(ROOT)}
    port, folder = free_port(), tempfile.mkdtemp(prefix="swarm-head-", dir="/tmp")
    command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block", f"--port={port}"]
    command += ["--num-cpus=2", "--include-dashboard=false", f"--temp-dir={folder}", "--disable-usage-stats"]
    command += [f"--object-store-memory={100 * 2**20}", f"--ray-client-server-port={free_port()}"]
    command += [f"--dashboard-agent-listen-port={free_port()}", f"--metrics-export-port={free_port()}"]
    with (Path(folder) / "head.log").open("w") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        try:
            wait_for_port(port, process)
            passed_on[HEAD] = f"127.0.0.1:{port}"
            yield passed_on[HEAD]
        finally:
            passed_on.pop(HEAD, None)
            end_tree(process, wait_s=0)
            shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def cluster(head: str, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> RunsOn:
    """The cluster that is there, for runs of this process, which have the examples' plug-ins at hand."""
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.setenv(name, environment[name])
    monkeypatch.setenv(VARIABLE, PLUGINS)
    return RunsOn(address=head)


def wait_for_port(port: int, process: subprocess.Popen[Any], host: str = "127.0.0.1") -> None:
    """Return as soon as somebody listens on `port`."""
    deadline = time.monotonic() + patience(240)
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex((host, port)) == 0:
                return
        time.sleep(0.2)
    raise RuntimeError("the Ray head did not start")
