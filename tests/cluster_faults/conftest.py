"""Clusters of several nodes on this machine, whose processes the tests kill by their ids."""

import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

import psutil
import pytest

from tests.cluster.conftest import SWARM, Swarm, environment, summary, swarm, wait_for_port
from tests.patience import patience
from tests.processes import descendants, end_tree, free_port

__all__ = ["Swarm", "environment", "swarm"]

HEALTH_CHECKS = {
    "RAY_health_check_period_ms": "500",
    "RAY_health_check_timeout_ms": "1000",
    "RAY_health_check_failure_threshold": "2",
    "RAY_health_check_initial_delay_ms": "500",
    "RAY_gcs_rpc_server_reconnect_timeout_s": "5",
}
"""A lost node is noticed within seconds in place of half a minute, and a lost head ends the driver as soon."""


class Nodes:
    """A head and worker nodes, each with all its processes under one process of the test's own.

    With `loopback`, the nodes have addresses of their own, 127.0.0.2 for the head and one more for each worker.
    """

    def __init__(self, environment: dict[str, str], loopback: bool = False) -> None:
        self.host = "127.0.0.2" if loopback else "127.0.0.1"
        self.loopback = loopback
        self.environment = environment | HEALTH_CHECKS
        self.folder = Path(tempfile.mkdtemp(prefix="swarm-nodes-", dir="/tmp"))
        self.port = free_port()
        self.workers: list[subprocess.Popen[Any]] = []
        self.metrics: list[str] = []
        # The driver and the market live on the head's node; shards go wherever there is room.
        self.head = self._start("head", "--head", f"--port={self.port}", "--include-dashboard=false")
        wait_for_port(self.port, self.head, self.host)

    @property
    def address(self) -> str:
        """What `swarm run --address` takes."""
        return f"{self.host}:{self.port}"

    def add_worker(self, *arguments: str) -> None:
        """Start one more node."""
        name = f"worker{len(self.workers)}"
        node = self._start(name, f"--address={self.address}", *arguments)
        self.workers.append(node)
        log = self.folder / f"{name}.log"
        wait_until(lambda: "Ray runtime started" in log.read_text(), 60, f"{name} did not start")

    def actors(self, name: str, node: subprocess.Popen[Any] | None = None) -> list[psutil.Process]:
        """The processes of the actors of one class, on one node or on all."""
        found = []
        for one in [node] if node else [self.head, *self.workers]:
            for process in descendants(one.pid):
                # A process may end between being listed and being looked at.
                with suppress(psutil.Error):
                    if "".join(process.cmdline()[:1]).startswith(f"ray::{name}"):
                        found.append(process)
        return found

    def kill(self, node: subprocess.Popen[Any]) -> None:
        """Kill all processes of a node at once, as a loss of power does."""
        tree = [node.pid, *(p.pid for p in descendants(node.pid))]
        for pid in tree:
            with suppress(psutil.Error):
                psutil.Process(pid).kill()
        node.wait()

    def end(self) -> None:
        """End what is left."""
        for node in (*self.workers, self.head):
            if node.poll() is None:
                end_tree(node, wait_s=0)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _start(self, name: str, *arguments: str) -> subprocess.Popen[Any]:
        command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", *arguments]
        host = self.host
        if self.loopback:
            host = f"127.0.0.{2 + len(self.metrics)}"
            command += [f"--node-ip-address={host}"]
        command += ["--num-cpus=2", f"--temp-dir={self.folder}" if name == "head" else "--num-gpus=0"]
        command += ["--disable-usage-stats", f"--object-store-memory={100 * 2**20}"]
        port = free_port()
        command += [f"--dashboard-agent-listen-port={free_port()}", f"--metrics-export-port={port}"]
        self.metrics.append(f"{host}:{port}")
        if name == "head":
            command += [f"--ray-client-server-port={free_port()}"]
        with (self.folder / f"{name}.log").open("w") as log:
            return subprocess.Popen(command, env=self.environment, stdout=log, stderr=log)


class Start(Protocol):
    """Starts a head with so many worker nodes."""

    def __call__(self, workers: int, loopback: bool = False) -> Nodes: ...


@pytest.fixture
def nodes(environment: dict[str, str]) -> Iterator[Start]:
    """Start a head with so many worker nodes."""
    started: list[Nodes] = []

    def start(workers: int, loopback: bool = False) -> Nodes:
        started.append(Nodes(environment, loopback))
        for _ in range(workers):
            started[-1].add_worker()
        return started[-1]

    yield start
    for cluster in started:
        cluster.end()


def wait_until(what: Callable[[], Any], seconds: float, why: str) -> Any:
    """The first true value of `what`."""
    deadline = time.monotonic() + patience(seconds)
    while time.monotonic() < deadline:
        if value := what():
            return value
        time.sleep(0.02)
    raise AssertionError(why)


def size(path: Path) -> int:
    """Bytes of a file, 0 where there is none yet."""
    return path.stat().st_size if path.exists() else 0


@contextmanager
def running(nodes: Nodes, folder: Path, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """`swarm run` on the cluster, ended with the block at the latest."""
    command = [*SWARM, "run", *arguments, "--quiet", "--address", nodes.address]
    if "--resume" not in arguments:
        command += ["--out", str(folder)]
    with log(folder).open("ab") as output:
        process = subprocess.Popen(command, env=nodes.environment, stdout=output, stderr=output)
    try:
        yield process
    finally:
        end_tree(process)


def log(folder: Path) -> Path:
    """Where the run in `folder` writes what it says."""
    return folder.with_suffix(".log")


def get_going(process: subprocess.Popen[bytes], folder: Path, grown: int = 20_000) -> None:
    """Wait until the journal has grown by so many bytes."""
    journal = folder / "journal.swarm"
    before = size(journal)
    while_running(process, folder, lambda: size(journal) > before + grown, "the run did not get going")


def while_running(process: subprocess.Popen[bytes], folder: Path, what: Callable[[], Any], why: str) -> Any:
    """The first true value of `what`, which must come before the run ends."""

    def seen() -> Any:
        assert process.poll() is None, f"{why}: {log(folder).read_text()}"
        return what()

    return wait_until(seen, 120, why)


def finish(process: subprocess.Popen[bytes], folder: Path) -> None:
    """Wait for the run's end, which must be a good one."""
    assert process.wait(timeout=patience(240)) == 0, log(folder).read_text()


def kill_one(nodes: Nodes, actor: str) -> None:
    """Kill the process of one actor of this class."""
    wait_until(lambda: nodes.actors(actor), 30, f"no {actor} is there to be killed")[0].kill()


def local_sha256(swarm: Swarm, folder: Path, *config: str | Path) -> str:
    """The hash of the same run in one process, where nothing is lost."""
    done = swarm("run", *config, "--local", "--quiet", "--out", folder, timeout_s=240)
    assert done.returncode == 0, done.stderr
    return str(summary(folder)["journal_sha256"])
