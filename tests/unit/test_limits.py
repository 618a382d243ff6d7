"""What a process may have: open files are raised and shared out, and too little memory is told before it is missed."""

import json
import resource
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from swarm import limits
from swarm.errors import ConfigError

ROOT = Path(__file__).parents[2]
SWARM = [sys.executable, "-m", "swarm"]


def under(limit: int, to: tuple[int, int], *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run the command in a process with a limit of its own."""
    return subprocess.run(
        [*SWARM, *map(str, arguments)],
        preexec_fn=lambda: resource.setrlimit(limit, to),
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )


def test_too_little_memory_is_one_line(tmp_path: Path) -> None:
    for size, named in ((300 * 2**20, "any command"), (2**30, "a run in one process")):
        ended = under(
            resource.RLIMIT_AS, (size, size), "run", "configs/wood.yaml", "--local", "--out", tmp_path / "run"
        )
        assert ended.returncode == 2
        assert ended.stderr.count("\n") == 1
        assert named in ended.stderr
        assert "ulimit -v" in ended.stderr
    assert not (tmp_path / "run").exists()


@given(st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 4_096), max_size=6), st.integers(20, 10_000))
def test_connections_fit_the_open_files(wanted: dict[str, int], most: int) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(limits, "raise_open_files", lambda needed: min(needed, most))
        shares = limits.shares_of_connections(wanted)
    assert shares.keys() == wanted.keys()
    assert all(1 <= shares[name] <= wanted[name] for name in wanted)
    # Nobody has none, so each may have one more than its share.
    assert sum(shares.values()) <= max(len(wanted), most - limits.RESERVED_FILES) + len(wanted)
    if sum(wanted.values()) + limits.RESERVED_FILES <= most:
        assert shares == wanted


SERVER = """
from swarm.llm.fake_model import serve_forever
serve_forever("127.0.0.1", 0, 1, {}, 0.2, lambda url: print(url, flush=True))
"""


@pytest.mark.parametrize("hard", [256, 4_096])
def test_five_endpoints_run_under_a_soft_limit_of_256_files(hard: int, tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", SERVER], stdout=subprocess.PIPE, text=True, cwd=ROOT) as server:
        try:
            assert server.stdout is not None
            url = server.stdout.readline().strip()
            models = [
                {"name": f"m{number}", "engine": "openai", "base_url": url, "model": "value"} for number in range(5)
            ]
            config = {"population": 320, "rounds": 2, "models": models, "budget": {"round_deadline_s": 120}}
            (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
            ended = under(
                resource.RLIMIT_NOFILE,
                (256, hard),
                *("run", tmp_path / "config.yaml", "--local", "--out", tmp_path / "run", "--quiet"),
            )
        finally:
            server.terminate()
    assert ended.returncode == 0, ended.stderr
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["rounds"] == 2
    assert summary["decision_errors"] == {}


def test_a_port_that_somebody_listens_on_is_named_by_its_key() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=str(port)) as refused:
            limits.must_be_free(port, "runtime.dashboard_port", "choose another")
    assert refused.value.key == "runtime.dashboard_port"
    limits.must_be_free(port, "runtime.dashboard_port", "choose another")
