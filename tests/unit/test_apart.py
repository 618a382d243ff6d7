"""A test with a process of its own: what happens there is told of that test alone, and nothing stays of it."""

from pathlib import Path

import psutil
import pytest

from tests.apart import WITHIN

pytest_plugins = ["pytester"]

TESTS = """
import os, subprocess, sys, time
import pytest

pytestmark = pytest.mark.apart

def test_dies():
    os._exit(3)

def test_fails():
    assert "a" + "b" == "ba"

@pytest.mark.timeout(0.5)
def test_hangs():
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(6173)"])
    time.sleep(6173)

@pytest.mark.parametrize("name", ["plain", "mit [Klammern] und \\u00fc"])
def test_passes(name):
    assert os.environ["SWARM_TEST_APART"]
"""


def test_what_ends_its_process_fails_alone_and_is_told(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    monkeypatch.delenv(WITHIN, raising=False)
    pytester.makeconftest("from tests.conftest import *")
    pytester.makeini("[pytest]\nmarkers = apart\n    ray\ntimeout = 400\n")
    pytester.makepyfile(TESTS)
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(failed=3, passed=2)
    told = result.stdout.str()
    for words in ("ended with 3", "assert 'ab' == 'ba'", "Timeout (>0.5s)"):
        assert words in told
    assert not [p for p in psutil.process_iter(["cmdline"]) if "time.sleep(6173)" in " ".join(p.info["cmdline"] or ())]
