"""Tells what this machine has for running swarms, and what each missing part costs."""

import importlib.metadata
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import psutil

from swarm.agents.minds import PLUGINS as MINDS
from swarm.limits import RESERVED_FILES
from swarm.llm import engines
from swarm.runtime.object_store import LEAST_MB, SHARED_MEMORY

State = Literal["ok", "missing", "warning"]


@dataclass(frozen=True, slots=True)
class Finding:
    """A finding on one part: its state, what was found, and what to do or what its absence costs."""

    part: str
    state: State
    found: str
    advice: str = ""


PORTS = {
    6379: "ray start --head",
    8265: "Ray's dashboard",
    8000: "Ray Serve over HTTP",
    9090: "Prometheus",
    3000: "Grafana",
}
LOW_MEMORY_GB = 4
LOW_DISK_GB = 2
FEW_FILES = 4_096


def findings() -> Iterator[Finding]:
    """Looks at everything, cheapest first; nothing is started and nothing is changed."""
    version = ".".join(str(part) for part in sys.version_info[:3])
    supported = (3, 11) <= sys.version_info[:2] <= (3, 14)
    yield Finding("Python", "ok" if supported else "warning", version, "" if supported else "3.11 to 3.14 do")
    yield _cores()
    yield _memory()
    yield _shared_memory()
    yield _disk()
    yield _open_files()
    yield from _gpus()
    yield _ray()
    yield _ray_address()
    yield from _ports()
    yield from _optional()


def _cores() -> Finding:
    # Those that this process may use: a container often has fewer than the machine.
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    load = os.getloadavg()[0]
    busy = load > cores
    return Finding(
        "cores",
        "warning" if busy else "ok",
        f"{cores}, load {load:.1f}",
        "other work slows every round" if busy else f"a run puts its traders into {cores} shards by default",
    )


def _memory() -> Finding:
    memory = psutil.virtual_memory()
    free = memory.available / 2**30
    low = free < LOW_MEMORY_GB
    return Finding(
        "memory",
        "warning" if low else "ok",
        f"{memory.total / 2**30:.1f} GB, {free:.1f} GB free",
        "a Ray run wants 2 GB; --local needs 200 MB" if low else "",
    )


def _shared_memory() -> Finding:
    if not SHARED_MEMORY.is_dir():
        return Finding("shared memory", "ok", "no /dev/shm here", "Ray keeps its object store in files")
    # Ray's object store lies there, that of a small run whole.
    free = shutil.disk_usage(SHARED_MEMORY).free / 2**20
    low = free < 1.25 * LEAST_MB
    return Finding(
        "shared memory",
        "warning" if low else "ok",
        f"{SHARED_MEMORY} {free:,.0f} MB free",
        "lower runtime.object_store_mb or enlarge it (containers: --shm-size=1g)" if low else "",
    )


def _disk() -> Finding:
    free = shutil.disk_usage(".").free / 2**30
    low = free < LOW_DISK_GB
    return Finding(
        "disk", "warning" if low else "ok", f"{free:.0f} GB free here", "a full disk ends a run" if low else ""
    )


def _open_files() -> Finding:
    import resource

    soft, hard = (
        value if value != resource.RLIM_INFINITY else -1 for value in resource.getrlimit(resource.RLIMIT_NOFILE)
    )
    few_hard, few_soft = 0 < hard < FEW_FILES, 0 < soft < FEW_FILES
    advice = "a run raises the soft limit to what it needs" if few_soft else ""
    if few_hard:
        advice = (
            f"Ray needs 3 for each actor, at most {max(0, hard // 3 - 20)} actors; a run has at most "
            f"{max(1, hard - RESERVED_FILES)} connections to endpoints at once; raise it with ulimit -Hn"
        )
    return Finding(
        "open files",
        "warning" if few_hard else "ok",
        f"soft limit {'none' if soft < 0 else soft}, hard limit {'none' if hard < 0 else hard}",
        advice,
    )


def _gpus() -> Iterator[Finding]:
    command = shutil.which("nvidia-smi")
    if command is None:
        yield Finding("GPU", "missing", "no nvidia-smi", "embedded models, scripted policies and baselines need none")
        return
    query = [command, "--query-gpu=name,memory.total", "--format=csv,noheader"]
    try:
        lines = subprocess.run(query, capture_output=True, text=True, timeout=20, check=True).stdout  # noqa: S603
    except (OSError, subprocess.SubprocessError) as error:
        yield Finding("GPU", "warning", f"nvidia-smi fails ({type(error).__name__})", "look at the driver")
        return
    for line in lines.strip().splitlines():
        yield Finding("GPU", "ok", line.strip())


def _ray() -> Finding:
    installed = _version("ray")
    if installed is None:
        return Finding("Ray", "missing", "not installed", "make setup installs it; without it only --local works")
    return Finding(
        "Ray", "ok", installed, "a run starts a cluster of its own unless --address or RAY_ADDRESS names one"
    )


def _ray_address() -> Finding:
    address = os.environ.get("RAY_ADDRESS")
    if not address:
        return Finding("RAY_ADDRESS", "ok", "not set", "runs start a cluster of their own")
    return Finding("RAY_ADDRESS", "warning", address, "runs join that cluster unless --local is given")


def _ports() -> Iterator[Finding]:
    for port, user in PORTS.items():
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.settimeout(0.5)
            # Who answers there is not asked; that somebody does is enough to know.
            busy = probe.connect_ex(("127.0.0.1", port)) == 0
        yield Finding(
            f"port {port}",
            "warning" if busy else "ok",
            "in use" if busy else "free",
            f"usual for {user}" + ("; a run of its own takes random ports and is not disturbed" if busy else ""),
        )


def _optional() -> Iterator[Finding]:
    for package, cost in (
        ("numba", "the market uses numpy alone"),
        ("torch", "nothing but vLLM and `swarm train` needs it"),
        *_of_plugins(),
    ):
        installed = _version(package)
        yield Finding(
            package, "ok" if installed else "missing", installed or "not installed", "" if installed else cost
        )
    # Packages by their metadata, programs by the PATH: nothing is imported or started to find out.
    for command, cost in (
        ("chromium", "`make test-browser` skips its tests"),
        ("prometheus", "`swarm monitor` needs it; deploy/local brings it along in Docker"),
    ):
        found = shutil.which(command)
        yield Finding(command, "ok" if found else "missing", found or "not on the PATH", "" if found else cost)


def _of_plugins() -> Iterator[tuple[str, str]]:
    """Returns what minds and engines import beyond what is always installed, and what is lost without it."""
    for mind in (MINDS.find(name, "") for name in MINDS.names()):
        if mind.extra:
            package, extra = mind.extra
            yield (
                package,
                f"minds of the kind {mind.name} do not run; pip install '.[{extra}]' in a clone of the project",
            )
    for engine in map(engines.find, engines.names()):
        if engine.package:
            package, remedy = engine.package
            yield package, f"models of `engine: {engine.name}` cannot run here; {remedy}"


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
