"""Every port that a run opens is on loopback or asks for the run's token; both are tried on the real processes."""

import ipaddress
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import grpc
import psutil
import pytest

from tests.cluster.conftest import CONFIG, SWARM
from tests.patience import patience
from tests.processes import descendants, end_tree, free_port

pytestmark = pytest.mark.ray

GATEWAY, HUB, DASHBOARD = "gateway", "hub", "dashboard"

ALLOWED_ELSEWHERE = {
    # Ray Serve opens the port on which replicas call each other on all addresses, whatever address the node has, and
    # has no setting for it. It answers nobody without the cluster's token, which is what the test below tries.
    "ray::ServeReplica": "/ray.serve.ASGIService/HandleRequest",
}
"""What may listen on an address that others reach: the processes by their titles' beginning, and a call to try."""

WRONG = "0" * 64


@dataclass(frozen=True)
class Listener:
    """A socket of a run that somebody can connect to."""

    host: str
    port: int
    command: str

    @property
    def private(self) -> bool:
        """Whether only this machine can connect."""
        address = ipaddress.ip_address(self.host)
        mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
        return (mapped or address).is_loopback


@dataclass(frozen=True)
class Run:
    """A run that is going on, with every port open that one can open."""

    listeners: tuple[Listener, ...]
    token: str
    ports: Mapping[str, int]
    home: Path


@pytest.fixture(scope="module")
def run(environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """A run on a cluster of its own, as somebody starts it who has set nothing about tokens."""
    ports = {GATEWAY: free_port(), HUB: free_port(), DASHBOARD: free_port()}
    folder = tmp_path_factory.mktemp("listening")
    command = [*SWARM, "run", str(CONFIG), "--set", "rounds=100000", "--out", str(folder / "run"), "--quiet"]
    for key, port in (("http_port", GATEWAY), ("metrics_port", HUB), ("dashboard_port", DASHBOARD)):
        command += ["--set", f"runtime.{key}={ports[port]}"]
    plain = {k: v for k, v in environment.items() if not k.startswith("RAY_")} | {"HOME": str(folder)}
    log = folder / "run.log"
    with log.open("w") as output:
        process = subprocess.Popen(command, env=plain, stdout=output, stderr=output)
    try:
        journal = folder / "run" / "journal.swarm"
        deadline = time.monotonic() + patience(90)
        while not (journal.exists() and journal.stat().st_size > 60_000):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, "the run did not get going"
            time.sleep(0.1)
        family = [psutil.Process(process.pid), *descendants(process.pid)]
        [gcs] = [p for p in family if "gcs_server" in p.name()]
        yield Run(tuple(listening(family)), gcs.environ()["RAY_AUTH_TOKEN"], ports, folder)
    finally:
        end_tree(process)


def listening(family: list[psutil.Process]) -> Iterator[Listener]:
    """The sockets on which these processes listen."""
    for process in family:
        try:
            command = " ".join(process.cmdline())
            for connection in process.net_connections(kind="tcp"):
                if connection.status == psutil.CONN_LISTEN:
                    yield Listener(connection.laddr.ip, connection.laddr.port, command)
        except psutil.NoSuchProcess:
            continue


def grpc_refuses(port: int, method: str, token: str | None) -> bool:
    """Whether a gRPC server on this machine takes the caller for a stranger, which any other answer denies."""
    headers = (("authorization", f"Bearer {token}"),) if token else ()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        try:
            channel.unary_unary(method)(b"", metadata=headers, timeout=10)
        except grpc.RpcError as error:
            assert error.code() not in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED), error
            return bool(error.code() == grpc.StatusCode.UNAUTHENTICATED)
    return False


def http_status(port: int, path: str, token: str | None = None) -> int:
    """The status of a GET."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    asked = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers=headers)
    try:
        with urllib.request.urlopen(asked, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return int(error.code)


def test_every_port_is_on_loopback_or_asks_for_the_token(run: Run) -> None:
    found = {lst.port for lst in run.listeners}
    assert set(run.ports.values()) <= found, "a port that was asked for is not there, so this test sees too little"
    used = set()
    for listener in run.listeners:
        if listener.private:
            continue
        titles = [title for title in ALLOWED_ELSEWHERE if listener.command.startswith(title)]
        assert titles, f"{listener.command[:100]} listens on {listener.host}:{listener.port}"
        used.update(titles)
        call = ALLOWED_ELSEWHERE[titles[0]]
        assert grpc_refuses(listener.port, call, None), listener
        assert grpc_refuses(listener.port, call, WRONG), listener
        assert not grpc_refuses(listener.port, call, run.token), listener
    assert used == set(ALLOWED_ELSEWHERE), "what no longer listens elsewhere needs no permission to"


def test_ray_answers_nobody_without_the_token(run: Run) -> None:
    [head] = [lst.port for lst in run.listeners if "gcs_server" in lst.command.split(" ")[0]]
    call = "/ray.rpc.NodeInfoGcsService/GetClusterId"
    assert grpc_refuses(head, call, None)
    assert grpc_refuses(head, call, WRONG)
    assert not grpc_refuses(head, call, run.token)
    dashboard = run.ports[DASHBOARD]
    for path in ("/api/version", "/nodes?view=summary", "/api/jobs/"):
        assert http_status(dashboard, path) == 401
        assert http_status(dashboard, path, WRONG) in (401, 403)
    assert http_status(dashboard, "/api/version", run.token) == 200


def test_the_token_is_the_runs_own_and_lies_in_no_file(run: Run) -> None:
    assert len(run.token) == len(WRONG)
    assert run.token not in "".join(p.read_text(errors="ignore") for p in run.home.rglob("*") if p.is_file())


def test_the_fake_model_listens_on_loopback(environment: dict[str, str]) -> None:
    process = subprocess.Popen(
        [*SWARM, "fake-model", "--port", "0"], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        deadline = time.monotonic() + patience(60)
        while not (found := list(listening([psutil.Process(process.pid), *descendants(process.pid)]))):
            assert process.poll() is None
            assert time.monotonic() < deadline, "it does not listen"
            time.sleep(0.1)
    finally:
        end_tree(process)
    assert all(listener.private for listener in found), found
