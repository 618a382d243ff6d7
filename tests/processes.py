"""Processes and ports of the tests' own: what listens where, and an end for all that a test started."""

import signal
import socket
import subprocess
from contextlib import suppress
from typing import Any

import psutil

GONE_S = 5.0


def free_port() -> int:
    """A port nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def descendants(pid: int) -> list[psutil.Process]:
    """All processes below `pid`."""
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def end_tree(process: subprocess.Popen[Any], wait_s: float = 20) -> None:
    """End a process of the test's own and everything below it, by their own ids.

    It gets `wait_s` to end by itself: 0 for a head of Ray, which has nothing to put in order and takes long to do so.
    """
    tree = descendants(process.pid)
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(timeout=wait_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for orphan in tree:
        if orphan.is_running():
            orphan.kill()
    psutil.wait_procs(tree, timeout=GONE_S)


def end_all_with(variable: str, value: str) -> None:
    """Ends the processes that have a variable from whoever started them, and may have outlived it."""
    left = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get(variable) == value:
                process.kill()
                left.append(process)
    psutil.wait_procs(left, timeout=GONE_S)
