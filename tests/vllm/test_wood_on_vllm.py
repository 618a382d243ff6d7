"""A short run of the Wood whose traders are look-alikes on the real vLLM, from the command line to its replay."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import polars as pl

ROUNDS = 3
TRADERS = 20


def swarm(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")} | {"COLUMNS": "200"}
    return subprocess.run(
        [sys.executable, "-m", "swarm", *map(str, arguments)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )


def test_a_run_with_two_engines_trades_and_replays(folders: dict[str, Path], tmp_path: Path) -> None:
    config = Path("configs/five-labs-cpu.yaml")
    folder = tmp_path / "run"
    ran = swarm(
        "run",
        config,
        "--quiet",
        *("--out", folder),
        *("--set", f"rounds={ROUNDS}"),
        *("--set", f"population={TRADERS}"),
        *("--set", "traders.minds={analyst: 1, news: 1}"),
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    summary: dict[str, Any] = json.loads((folder / "summary.json").read_text())
    assert summary["rounds"] == ROUNDS
    assert summary["engines"] == {"analyst": "vllm", "news": "vllm"}
    assert summary["tokens"]["counted_by"] == "engine"
    assert summary["tokens"]["per_turn"]["max"] <= 1_000
    assert summary["tokens"]["cached_prompt"] > 0
    decisions = pl.read_parquet(folder / "tables" / "decisions.parquet")
    assert len(decisions) == ROUNDS * TRADERS
    # What chance orders is often against the rules of the market or of the trader, which is an error and no accident.
    assert not [e for e in decisions["error"] if e.startswith("engine")], summary["decision_errors"]
    assert decisions["orders"].sum() > 0
    replayed = swarm("replay", folder)
    assert replayed.returncode == 0, replayed.stdout + replayed.stderr
    assert summary["journal_sha256"] in replayed.stdout
