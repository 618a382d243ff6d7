"""The command line without Ray: what it writes, what it says, and one clear line for each mistake."""

import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
import yaml

from swarm import cli
from tests.patience import patience

CONFIG = Path(__file__).parents[2] / "configs" / "wood-scripted.yaml"

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def swarm(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """Call the console script in this process: (exit status, stdout, stderr)."""
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(cli.out, "width", 200)

    def call(*arguments: str | Path) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["swarm", *map(str, arguments)])
        status = 0
        try:
            cli.main()
        except SystemExit as ended:
            status = ended.code if isinstance(ended.code, int) else 1
        seen = capsys.readouterr()
        return status, seen.out, seen.err

    return call


def test_a_local_run_writes_the_whole_folder(swarm: Call, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    status, said, _ = swarm("run", CONFIG, "--local", "--set", "rounds=5", "--seed", "3", "--out", folder)
    assert status == 0
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["journal_sha256"] in said
    assert str(folder / "report.html") in said
    assert "no language models" in said
    assert (summary["scenario"], summary["seed"], summary["rounds"], summary["traders"]) == ("wood", 3, 5, 40)
    assert summary["fills"] > 0 < summary["volume_lots"]
    assert summary["decision_errors"] == {}
    assert 0 < summary["tokens"]["per_turn"]["mean"] <= summary["tokens"]["per_turn"]["max"] <= 1_000
    assert summary["tokens"]["prompt"] > summary["tokens"]["completion"] > 0
    assert 0 < summary["seconds_per_round"]["p50"] <= summary["seconds_per_round"]["p95"]
    assert set(summary["conservation"]) == {"cash", "acorns", "berries", "mushrooms", "honey", "firewood"}
    assert summary["conservation"]["cash"]["start"] == summary["conservation"]["cash"]["end"] > 0
    resolved = yaml.safe_load((folder / "config.yaml").read_text())
    assert (resolved["seed"], resolved["rounds"], resolved["market"]["tick_cents"]) == (3, 5, 100)
    assert summary["config_sha256"] in (folder / "config.yaml").read_text()
    for table in ("trades", "prices", "traders", "decisions", "tokens"):
        assert pl.read_parquet(folder / "tables" / f"{table}.parquet").height > 0
    trades = pl.read_parquet(folder / "tables" / "trades.parquet")
    assert trades["quantity_lots"].sum() == summary["volume_lots"]
    assert "<html" in (folder / "report.html").read_text()


def test_the_resolved_config_runs_to_the_same_history(swarm: Call, tmp_path: Path) -> None:
    first, again = tmp_path / "first", tmp_path / "again"
    swarm("run", CONFIG, "--local", "--set", "rounds=3", "--out", first)
    swarm("run", first / "config.yaml", "--local", "--out", again)
    assert (first / "journal.swarm").read_bytes() == (again / "journal.swarm").read_bytes()


def test_a_replay_holds_and_rebuilds_what_was_lost(swarm: Call, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    swarm("run", CONFIG, "--local", "--set", "rounds=4", "--out", folder)
    before = json.loads((folder / "summary.json").read_text())
    trades = pl.read_parquet(folder / "tables" / "trades.parquet")
    for lost in ("summary.json", "report.html", "tables/trades.parquet"):
        (folder / lost).unlink()
    status, said, _ = swarm("replay", folder, "--rebuild")
    assert status == 0
    assert "all 4 rounds replayed" in said
    after = json.loads((folder / "summary.json").read_text())
    for key in ("journal_sha256", "fills", "tokens", "conservation", "decision_errors", "wealth"):
        assert after[key] == before[key]
    assert pl.read_parquet(folder / "tables" / "trades.parquet").equals(trades)
    assert (folder / "report.html").exists()


def test_a_journal_that_differs_from_its_summary_is_told(swarm: Call, tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    swarm("run", CONFIG, "--local", "--set", "rounds=2", "--out", one)
    swarm("run", CONFIG, "--local", "--set", "rounds=2", "--seed", "9", "--out", other)
    for file in ("journal.swarm", "journal.head"):
        (one / file).write_bytes((other / file).read_bytes())
    status, _, complaint = swarm("replay", one)
    assert status == 1
    assert "summary.json says" in complaint


@pytest.mark.parametrize(
    ("override", "key", "expected"),
    [
        ("market.tik_cents=3", "market.tik_cents", "did you mean tick_cents?"),
        ("market.tick_cents=many", "market.tick_cents", "expected a valid integer, got 'many'"),
        ("market.tick_cents=0", "market.tick_cents", "expected greater than or equal to 1, got 0"),
        ("rounds=2.5", "rounds", "expected a valid integer, got 2.5"),
        ("rounds=yes", "rounds", "expected a valid integer, got True"),
        ("population=0", "population", "expected greater than or equal to 2, got 0"),
        ("population=3000000", "population", "expected less than or equal to 2000000"),
        ("seed=-1", "seed", "expected greater than or equal to 0"),
        ("rouns=3", "rouns", "did you mean rounds?"),
        ("scenario.name=woods", "scenario.name", "did you mean wood?"),
        ("scenario.shocks.0.kind=fire", "scenario.shocks.0.kind", "'blight'"),
        ("scenario.shocks.0.gud=honey", "scenario.shocks.0.gud", "known: kind, round"),
        ("scenario.harvest_lots.acorns=-1", "scenario.harvest_lots.acorns", "greater than or equal to 0"),
        ("models.0.engine=gpt", "models.0.engine", "expected"),
        ("models.0.temperament=angry", "models.0.temperament", "'panic'"),
        ("models.1.name=scripted-value", "models", "two models are called 'scripted-value'"),
        ("traders.minds={scripted-valu: 1}", "traders.minds.scripted-valu", "did you mean scripted-value?"),
        ("traders.minds={zip: 0}", "traders.minds", "at least one weight above 0"),
        ("budget.tokens_per_turn=400", "budget.tokens_per_turn", "expected at least"),
        ("models.9.name=x", "--set models.9.name", "expected a number from 0 to 4"),
    ],
)
def test_a_mistake_in_the_config_is_one_line_that_names_the_key(
    swarm: Call, tmp_path: Path, override: str, key: str, expected: str
) -> None:
    status, _, complaint = swarm("run", CONFIG, "--local", "--set", override, "--out", tmp_path / "run")
    assert status == 2
    assert complaint.startswith(f"error {key}: "), complaint
    assert expected in complaint
    assert complaint.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_files_that_are_no_config(swarm: Call, tmp_path: Path) -> None:
    for text, expected in (
        ("name: [x\n", "not YAML"),
        ("- 1\n", "expected keys"),
        ("models: x\nrounds: 3\n", "models:"),
    ):
        (tmp_path / "bad.yaml").write_text(text)
        status, _, complaint = swarm("validate", tmp_path / "bad.yaml")
        assert (status, complaint.count("\n")) == (2, 1)
        assert expected in complaint
    status, _, complaint = swarm("validate", tmp_path / "absent.yaml")
    assert (status, "No such file" in complaint) == (2, True)


def test_folders_that_cannot_be_used(swarm: Call, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "kept").write_text("kept")
    (tmp_path / "file").write_text("a file")
    for folder, expected in ((tmp_path / "full", "not empty"), (tmp_path / "file", "cannot be written to")):
        status, _, complaint = swarm("run", CONFIG, "--local", "--out", folder)
        assert (status, complaint.count("\n")) == (2, 1)
        assert expected in complaint
    assert (tmp_path / "full" / "kept").read_text() == "kept"
    status, _, complaint = swarm("replay", tmp_path / "full")
    assert (status, "no run's folder" in complaint) == (2, True)
    status, _, complaint = swarm("report", tmp_path / "full")
    assert (status, "no run's folder" in complaint) == (2, True)


def test_a_tilde_is_the_home_folder_also_where_no_shell_has_seen_it(
    swarm: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    status, _, errors = swarm("run", CONFIG, "--local", "--set", "rounds=1", "--out", "~/runs/first")
    assert status == 0, errors
    assert (tmp_path / "runs" / "first" / "tables" / "prices.parquet").exists()


def test_debug_shows_the_traceback(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "swarm", "validate", str(tmp_path / "absent.yaml")]
    plain = subprocess.run(command, capture_output=True, text=True, check=False, timeout=patience(60))
    shown = subprocess.run([*command, "--debug"], capture_output=True, text=True, check=False, timeout=patience(60))
    assert (plain.returncode, "Traceback" in plain.stderr) == (2, False)
    assert "Traceback" in shown.stderr


def test_validate_says_what_would_run(swarm: Call) -> None:
    status, said, _ = swarm("validate", CONFIG)
    assert status == 0
    assert re.search(
        r"60 rounds of wood with 40 traders \(8 scripted-hoarder, .*\), seed 7, config_sha256 [0-9a-f]{64}", said
    )


def test_explain_gives_every_key_a_meaning(swarm: Call) -> None:
    status, said, _ = swarm("validate", "--explain")
    assert status == 0
    lines = said.splitlines()
    for key, meaning in zip(lines[::2], lines[1::2], strict=True):
        assert not key.startswith(" "), key
        assert meaning.startswith("    ") and len(meaning) > 12, f"{key} has no meaning"
    keys = ("market.tick_cents", "models[].name", "models[scripted].temperament", "scenario.shocks[].kind")
    for key in (*keys, "runtime.traders_per_actor", "market.margin.initial_permille", "regions.travellers"):
        assert any(line.startswith(f"{key}  ") for line in lines), key


def test_lists_and_doctor(swarm: Call) -> None:
    assert "wood" in swarm("scenarios")[1]
    status, said, _ = swarm("models")
    assert status == 0
    for mind in ("value", "momentum", "maker", "hoarder", "panic", "zi_c", "zip", "truthful", "arbitrage"):
        assert mind in said
    status, said, _ = swarm("doctor")
    assert status == 0
    for part in ("cores", "memory", "GPU", "Ray", "port 8265"):
        assert part in said


def test_help_names_every_command(swarm: Call) -> None:
    status, said, _ = swarm("--help")
    assert status == 0
    for command in ("run", "replay", "report", "validate", "scenarios", "models", "doctor", "bench"):
        assert re.search(rf"\b{command}\b", said)


@pytest.mark.parametrize(
    ("arguments", "redirection", "status", "word"),
    [
        ("scenarios", ">/dev/full", 2, "No space left"),
        ("--help", ">/dev/full", 2, "No space left"),
        ("validate --explain", "| head -n 1 >/dev/null; exit ${PIPESTATUS[0]}", 1, "nobody reads it"),
        ("scenarios", ">&-", 2, "Bad file descriptor"),
        ("validate nowhere.yaml", "2>/dev/full", 2, ""),
        ("validate nowhere.yaml", "2>&-", 2, ""),
    ],
)
def test_output_that_cannot_be_written_is_one_line(arguments: str, redirection: str, status: int, word: str) -> None:
    command = f"{sys.executable} -m swarm {arguments} {redirection}"
    ended = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False, cwd=CONFIG.parents[1])
    assert ended.returncode == status
    assert ended.stderr.count("\n") == (1 if word else 0)
    assert word in ended.stderr


def test_words_of_the_command_line_are_shown_and_not_acted_on(swarm: Call) -> None:
    for arguments in (
        ["run", "\x1b[31m.yaml"],
        ["run", CONFIG, "--\x1b[2Jbog"],
        ["\x1b]0;title\x07"],
        ["report", "\u202e"],
    ):
        status, _, complaint = swarm(*arguments)
        assert status == 2
        assert complaint.count("\n") == 1
        assert complaint.rstrip("\n").isprintable()


def test_the_bare_command_and_its_groups_say_what_there_is(swarm: Call) -> None:
    for arguments in ([], ["bench"], ["dashboards"]):
        assert swarm(*arguments)[0] == 0


def test_a_record_that_is_none_of_ours_is_told(swarm: Call, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    swarm("run", CONFIG, "--local", "-q", "--set", "rounds=2", "--set", "population=8", "--out", folder)
    whole = json.loads((folder / "summary.json").read_text())
    for summary in ({}, {**whole, "rounds": "many"}, {**whole, "goods": None}, {**whole, "quality": 5}):
        (folder / "summary.json").write_text(json.dumps(summary))
        status, _, complaint = swarm("report", folder)
        assert (status, complaint.count("\n")) == (2, 1)
        assert str(folder) in complaint
    (folder / "summary.json").write_text(json.dumps(whole))
    pl.DataFrame({"x": [1]}).write_parquet(folder / "tables" / "prices.parquet")
    assert swarm("report", folder)[0] == 2


def test_a_run_in_a_terminal_draws_its_table_and_comes_to_its_end(tmp_path: Path) -> None:
    terminal, ours = pty.openpty()
    command = [sys.executable, "-m", "swarm", "run", "configs/wood-scripted.yaml", "--local", "--set", "rounds=3"]
    process = subprocess.Popen([*command, "--out", str(tmp_path / "run")], stdin=ours, stdout=ours, stderr=ours)
    os.close(ours)
    shown = b""
    while True:
        try:
            shown += os.read(terminal, 65_536)
        except OSError:
            # The other end is closed: the run is over.
            break
    os.close(terminal)
    assert process.wait() == 0, shown.decode()
    assert b"round 3/3" in shown and b"journal_sha256" in shown


@pytest.mark.parametrize(
    ("tiers", "option", "value"),
    [("solvers", "--replies", "kept.jsonl"), ("solvers", "--tasks", "5"), ("installed", "--config", "wood")],
)
def test_tiers_refuse_an_option_that_they_would_not_heed(swarm: Call, tiers: str, option: str, value: str) -> None:
    status, said, told = swarm("bench", "strategy", "--tiers", tiers, option, value)
    assert (status != 0, said) == (True, "")
    assert option in told
    assert f"--tiers {tiers}" in told


@pytest.mark.parametrize(
    ("line", "option"),
    [
        ("distil --labels x", "--labels"),
        ("bench supply --part x", "--part"),
        ("train-judge out --temperament x", "--temperament"),
    ],
)
def test_a_choice_that_there_is_not_is_told_with_those_that_there_are(swarm: Call, line: str, option: str) -> None:
    status, said, told = swarm(*line.split())
    assert status == 2 and not said
    assert option in told and "'x' is not one of" in told and "Value error" not in told
