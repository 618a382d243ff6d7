"""Starts a Ray cluster of the run's own and ends it, or joins one that is there and leaves it as it was found."""

import gc
import logging
import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import grpc
import psutil

from swarm import limits, temporary
from swarm.config import RuntimeConfig
from swarm.errors import ClusterError, called
from swarm.runtime.object_store import size_mb
from swarm.version import __version__

# These are read when ray is imported; what the user has set stays as it is.
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_raylet_start_wait_time_s", "120")
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
os.environ.setdefault("RAY_SERVE_LOG_TO_STDERR", "0")
# A message of up to so many bytes goes straight to its actor. Through the object store, as Ray's own 100 kB has it, one
# takes a millisecond longer, which is a third of what the market takes over a round of 10,000 orders. But the copies on
# its way stay with the processes that made them, some 30 MB in all at this size and 50 MB at 1 MiB.
os.environ.setdefault("RAY_max_direct_call_object_size", str(1 << 18))

import ray
from ray._private import ray_constants
from ray._raylet import AuthenticationTokenLoader, Config  # type: ignore[attr-defined]

from swarm.runtime.head import own_head

log = logging.getLogger(__name__)

NAMESPACE = "swarm"
CONNECT_TIMEOUT_S = 5.0
HTTP2_SETTINGS = 4
HTTP2_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, HTTP2_SETTINGS, 0, 0, 0, 0, 0))
MB_PER_ACTOR = 60
STARTS = 3
"""How often a cluster is started at most: Ray waits half a minute for itself, which is short on a busy machine."""
SLOW_START = "timed out during startup"
FIRST_CALL = "/ray.rpc.NodeInfoGcsService/GetClusterId"
"""The first call that Ray makes to a head, and one that needs a token where any does."""

PRELOADED = "RAY_preload_python_modules"
"""The variable that names what each of a node's workers imports before it takes any work."""

GIVE_IT = "set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN_PATH to the file with the token that its nodes were given"


@contextmanager
def sigterm_kept() -> Iterator[None]:
    """Puts SIGTERM back after the block: Ray's end leaves the system's way, which ends a process at once."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)


@contextmanager
def own_cluster(runtime: RuntimeConfig, traders: int = 0, imports: Sequence[str] = ()) -> Iterator[None]:
    """Runs a Ray cluster on this machine that ends with the block, and with it every process it had.

    It has room for the messages of so many `traders`, unless the config tells the size of its object store. The
    modules `imports` are imported while its node comes up, which takes a second or more.
    """
    if runtime.dashboard_port is not None:
        limits.must_be_free(runtime.dashboard_port, "runtime.dashboard_port", "choose another, or null for none")
    temporary.clear()
    folders: list[str] = []
    with _private():
        try:
            _start(runtime, size_mb(runtime.object_store_mb, traders), folders, imports)
            yield
        finally:
            ray.shutdown()
            for folder in folders:
                temporary.remove(folder)


def _start(runtime: RuntimeConfig, store_mb: int, folders: list[str], imports: Sequence[str]) -> None:
    """Starts Ray in a folder of its own, which is added to `folders`; once more where a busy machine was too slow."""
    for left in reversed(range(STARTS)):
        try:
            folders.append(temporary.new("ray"))
            with own_head(imports):
                _init(
                    address="local",
                    num_cpus=runtime.num_cpus,
                    include_dashboard=runtime.dashboard_port is not None,
                    dashboard_port=runtime.dashboard_port,
                    object_store_memory=store_mb * 2**20,
                    _temp_dir=folders[-1],
                )
        except Exception as error:
            if left and SLOW_START in str(error):
                log.warning("ray: it was not up within its own limit of 30 s, so it is started once more")
                _end_processes(folders[-1])
                continue
            raise ClusterError(
                f"ray: no local cluster could be started ({_first_line(error)}); "
                f"`swarm doctor` says what this machine has, and {called('--local', 'local=True')} runs without Ray"
            ) from error
        return


def _end_processes(folder: str) -> None:
    """Ends what a start that failed has left running: Ray names its folder in all of their arguments."""
    left = []
    for process in psutil.Process().children(recursive=True):
        # Some end by themselves meanwhile.
        with suppress(psutil.Error):
            if any(folder in argument for argument in process.cmdline()):
                process.kill()
                left.append(process)
    # Ray's own handles are in the frames of its error alone. One that is not waited on warns when it is collected.
    for item in gc.get_objects():
        if issubclass(type(item), subprocess.Popen) and folder in str(getattr(item, "args", "")):
            with suppress(subprocess.TimeoutExpired):
                item.wait(CONNECT_TIMEOUT_S)
    psutil.wait_procs(left, timeout=CONNECT_TIMEOUT_S)


@contextmanager
def joined_cluster(address: str) -> Iterator[None]:
    """Connects to a running cluster for the block; the cluster stays."""
    _must_answer(address)
    try:
        _init(address=address)
    except Exception as error:
        raise ClusterError(
            f"{_named(address)}: this Ray cluster cannot be joined ({_first_line(error)}); "
            f"it must run Ray {ray.__version__} and accept this user's token: {GIVE_IT}"
        ) from error
    try:
        _must_have_swarm(address)
        yield
    finally:
        ray.shutdown()


def _init(**options: Any) -> None:
    ends = signal.getsignal(signal.SIGTERM)
    ray.init(namespace=NAMESPACE, logging_level=logging.ERROR, log_to_driver=False, **options)
    # Ray puts a handler of its own in the place of the command line's, which ends a run after the round it is in.
    if callable(ends) and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, ends)


@contextmanager
def _private() -> Iterator[None]:
    """Makes what Ray starts in this block listen on loopback and answer to a token of this run's own.

    Ray listens on every address of a machine unless it may not form clusters over several, as on macOS, where the
    switch for it comes from. A token that the user has set, or no token by RAY_AUTH_MODE=disabled, stays.
    """
    before = dict(os.environ)
    os.environ.setdefault(PRELOADED, "swarm.runtime.worker")
    may_span = ray_constants.ENABLE_RAY_CLUSTER
    ray_constants.ENABLE_RAY_CLUSTER = False
    os.environ[ray_constants.ENABLE_RAY_CLUSTERS_ENV_VAR] = "0"
    if not any(os.environ.get(name) for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")):
        os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
    AuthenticationTokenLoader.instance().reset_cache()
    try:
        yield
    finally:
        # What Ray itself has set stays, as its mode, which it has read by now.
        for name in (ray_constants.ENABLE_RAY_CLUSTERS_ENV_VAR, "RAY_AUTH_TOKEN", PRELOADED):
            os.environ.pop(name, None)
            os.environ.update({name: before[name]} if name in before else {})
        ray_constants.ENABLE_RAY_CLUSTER = may_span
        AuthenticationTokenLoader.instance().reset_cache()


def cores() -> int:
    """Returns the CPU cores of the connected cluster."""
    resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    return max(1, int(resources.get("CPU", 1)))


def shard_size(population: int, traders_per_actor: int | None, cpus: int) -> int:
    """Returns traders per shard: as asked, or for one shard per core, a process of about MB_PER_ACTOR megabytes."""
    if traders_per_actor is not None:
        return min(traders_per_actor, population)
    # Half of the free memory at most, since models and the market want theirs.
    fitting = psutil.virtual_memory().available // (2 * MB_PER_ACTOR * 2**20)
    shards = max(1, min(cpus, fitting, 100, population))
    return -(-population // shards)


def _must_answer(address: str) -> None:
    if address == "auto":
        return
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not colon or not port.isdigit():
        raise ClusterError(f"{_named(address)}: expected HOST:PORT of a Ray head, say 10.0.0.5:6379, or auto")
    if address.startswith("ray://"):
        raise ClusterError(
            f"{_named(address)}: Ray Client is not supported; start the run on a node of the cluster "
            f"with {called('--address', 'address')} {host}:6379 or auto, or hand it in with `ray job submit`"
        )
    remedy = (
        "unset this variable to run on a cluster of the run's own, or start one with `ray start --head`"
        if _named(address).startswith("RAY_ADDRESS")
        else "start one with `ray start --head`, or leave the address out to run on a cluster of the run's own"
    )
    try:
        with socket.create_connection((host, int(port)), timeout=CONNECT_TIMEOUT_S) as head:
            # Ray would try for minutes to talk to something that is no head; a gRPC server says so at once.
            head.sendall(HTTP2_PREFACE)
            answer = head.recv(9)
    except OSError as error:
        raise ClusterError(
            f"{_named(address)}: no Ray cluster answers there ({error.strerror or error}); {remedy}"
        ) from error
    if len(answer) < 9 or answer[3] != HTTP2_SETTINGS:
        raise ClusterError(f"{_named(address)}: what answers there is no Ray head; {remedy}")
    _must_accept_token(address)


def _must_accept_token(address: str) -> None:
    """Raises ClusterError where the head asks for a token that this process lacks; Ray would ask in vain for long."""
    with grpc.insecure_channel(address) as channel:
        if not _refused(channel, {}):
            return
        try:
            token = AuthenticationTokenLoader.instance().get_token_for_http_header(ignore_auth_mode=True)
        except ray.exceptions.AuthenticationError as error:
            raise ClusterError(
                f"{_named(address)}: this Ray cluster asks for a token, which cannot be read "
                f"({str(error).partition('. Ensure')[0]}); {GIVE_IT}"
            ) from error
        if not token or os.environ.get("RAY_AUTH_MODE") == "disabled":
            missing = "and RAY_AUTH_MODE is disabled here" if token else "and there is none here"
            raise ClusterError(f"{_named(address)}: this Ray cluster asks for a token, {missing}; {GIVE_IT}")
        if _refused(channel, token):
            raise ClusterError(f"{_named(address)}: this Ray cluster does not accept the token here; {GIVE_IT}")
    # A token alone is not sent; this is how Ray itself turns sending on when it finds one for a cluster that it starts.
    os.environ["RAY_AUTH_MODE"] = "token"
    Config.initialize("")


def _refused(channel: Any, headers: Mapping[str, str]) -> bool:
    try:
        channel.unary_unary(FIRST_CALL)(b"", metadata=tuple(headers.items()), timeout=CONNECT_TIMEOUT_S)
    except grpc.RpcError as error:
        return bool(error.code() == grpc.StatusCode.UNAUTHENTICATED)
    return False


def _must_have_swarm(address: str) -> None:
    @ray.remote(num_cpus=0)
    def version() -> str:
        from swarm import version

        return version.__version__

    try:
        found = ray.get(version.remote(), timeout=60)
    except Exception as error:
        raise ClusterError(
            f"{_named(address)}: its workers cannot import swarm ({_first_line(error)}); "
            "install this version there, or start the cluster from this environment"
        ) from error
    if found != __version__:
        raise ClusterError(f"{_named(address)}: its workers have swarm {found}, this is {__version__}")


def _first_line(error: BaseException) -> str:
    # Of a traceback the last line says what went wrong.
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[-1] if lines else type(error).__name__)[:200]


def _named(address: str) -> str:
    """Returns an address as whoever gave it knows it: by the variable that it comes from, or by the option."""
    # The command line reads the variable where the option is not given, so what is equal comes from it.
    given = any(argument == "--address" or argument.startswith("--address=") for argument in sys.argv)
    return (
        f"RAY_ADDRESS={address}"
        if os.environ.get("RAY_ADDRESS") == address and not given
        else f"{called('--address', 'address')} {address}"
    )
