"""Tests that start Ray in their own process have one of their own: what it does there ends one test and not the others.

Ray's part in C++ ends the process that it is in when it has lost its cluster, and a lock that it waits for there cannot
be interrupted, by a test's own limit of time neither.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.processes import end_all_with, end_tree

MARK = "apart"
WITHIN = "SWARM_TEST_APART"
"""Set where a test is already in a process of its own, to what no other test has."""

GRACE_S = 60.0
"""What a test gets beyond its own limit, by which it says itself what it hung in."""

LIMIT_S = pytest.StashKey[float]()

passed_on: dict[str, str] = {}
"""What fixtures have started for all tests, as the variables by which those of another process find it."""


def is_apart(item: pytest.Function) -> bool:
    """Tells whether a test runs in a process of its own: it is marked, or uses a cluster that is there itself."""
    return WITHIN not in os.environ and (item.get_closest_marker(MARK) is not None or "cluster" in item.fixturenames)


def prepare(item: pytest.Function) -> None:
    """Gives a test its own limit of time in the other process, and more here, so that it ends there first."""
    found = item.get_closest_marker("timeout")
    limit = float(found.args[0]) if found else float(item.config.option.timeout)
    item.stash[LIMIT_S] = limit
    item.add_marker(pytest.mark.timeout(limit + 2 * GRACE_S), append=False)


def run_apart(item: pytest.Function) -> None:
    """Runs a test by a pytest of its own, and fails with what that has said."""
    limit_s = item.stash[LIMIT_S]
    with tempfile.TemporaryDirectory() as folder, (Path(folder) / "said").open("w+") as said:
        # What failed last is remembered by the pytest that runs them all.
        own = ["-q", "-p", "no:xdist", "-o", f"cache_dir={folder}", f"--timeout={limit_s}"]
        process = subprocess.Popen(
            [sys.executable, "-m", "pytest", *own, item.nodeid],
            cwd=item.config.rootpath,
            env={**os.environ, **passed_on, WITHIN: folder},
            stdout=said,
            stderr=said,
        )
        try:
            ended = f"ended with {process.wait(limit_s + GRACE_S)}"
        except subprocess.TimeoutExpired:
            ended = f"hung for {limit_s + GRACE_S:.0f} s"
        finally:
            end_tree(process, wait_s=0)
            end_all_with(WITHIN, folder)
        if process.returncode:
            said.seek(0)
            pytest.fail(f"in a process of its own, which {ended}:\n{said.read()}", pytrace=False)
