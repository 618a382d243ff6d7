"""Each example of docs/examples/guests takes a seat in a real run, from an environment that has what it needs.

`make test-guests` makes these environments below .cache/guests; without them the tests say what they lack.
"""

import os
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
import yaml

from swarm.web.tokens import new_token
from tests.guests.scripted_model import scripted
from tests.patience import patience
from tests.processes import end_tree
from tests.seated import heard_at

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "docs" / "examples" / "guests"
HERE, VERSION_1, VERSION_2 = (
    Path(sys.executable),
    *(ROOT / ".cache" / "guests" / name / "bin" / "python" for name in ("mcp1", "mcp2")),
)
ROUNDS = 2
NEEDS = {"plain": HERE, "smolagents_http": VERSION_2, "openai_agents": VERSION_2, "mcp_version_1": VERSION_1}


def test_each_example_is_short_and_tested() -> None:
    lines = {path.stem: len(path.read_text().splitlines()) for path in EXAMPLES.glob("*.py")}
    assert lines.keys() == NEEDS.keys()
    assert max(lines.values()) <= 30, lines


@pytest.mark.parametrize("name", NEEDS)
def test_an_example_decides_in_every_round(name: str, tmp_path: Path) -> None:
    # Whoever comes over MCP needs a server that speaks it.
    server = VERSION_2 if "mcp" in (EXAMPLES / f"{name}.py").read_text() else HERE
    for python in (NEEDS[name], server):
        if not python.exists():
            pytest.skip(f"{python.relative_to(ROOT)} is not there: `make test-guests` makes it")
    config = {
        "name": "example",
        "rounds": ROUNDS,
        "population": 6,
        "budget": {"round_deadline_s": patience(200)},
        "traders": {"minds": {"zip": 1}, "guests": [{"name": "alice", "token_env": "ALICE_TOKEN"}]},
    }
    (tmp_path / "guest.yaml").write_text(yaml.safe_dump(config))
    token = new_token()
    environment = {**os.environ, "ALICE_TOKEN": token, "PYTHONPATH": str(ROOT)}
    paths = [str(path) for path in (server, tmp_path / "guest.yaml", tmp_path / "run")]
    command = [paths[0], "-m", "swarm", "run", paths[1], "--local", "--out", paths[2]]
    run = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        address = heard_at(tmp_path / "run", lambda: run.poll() is not None)
        with scripted() as model:
            theirs = {"SEAT_URL": address, "SEAT_TOKEN": token, "SEAT_MODEL": "script"}
            theirs |= {"OPENAI_BASE_URL": model, "OPENAI_API_KEY": "none", "PATH": os.environ["PATH"]}
            example = subprocess.run(
                [NEEDS[name], EXAMPLES / f"{name}.py"],
                env=theirs,
                capture_output=True,
                text=True,
                timeout=patience(120),
                check=False,
            )
        assert example.returncode == 0, example.stdout + example.stderr
        told, _ = run.communicate(timeout=patience(60))
        assert run.returncode == 0, told
    finally:
        end_tree(run)
    decisions = pl.read_parquet(tmp_path / "run" / "tables" / "decisions.parquet")
    assert decisions["mind"].to_list() == ["alice"] * ROUNDS, example.stdout + example.stderr
    assert not any(decisions["error"])
    assert decisions["orders"].sum() > 0
