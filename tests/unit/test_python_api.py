"""The Python API: the page of the docs runs, results are typed, and a running event loop is no obstacle."""

import asyncio
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

import swarm
from swarm import cli

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "configs" / "wood-scripted.yaml"
SMALL: dict[str, Any] = {"rounds": 3, "population": 8}
PLAYED = swarm.Result(None, {}, {}, finished=True)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with the project's configs, and a user's folder of the test's own."""
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home"))
    return tmp_path


def test_the_page_of_the_docs_runs(capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, Any] = {}
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "python.md").read_text(), re.DOTALL)
    assert len(blocks) > 5
    for block in blocks:
        exec(block, names)
    assert "rounds" in capsys.readouterr().out
    assert names["result"].summary["rounds"] == 6
    assert names["other"].summary["forks"]
    assert [one.market.rationing for one in names["variants"]] == ["priority", "pro_rata"]
    assert len(set(names["hashes"].values())) == 2


def test_a_result_has_what_the_folder_has() -> None:
    rounds: list[swarm.Progress] = []
    result = swarm.run(CONFIG, changes=SMALL, out="run", progress=rounds.append)
    assert result.finished
    assert result.folder == Path("run")
    assert [(one.round, one.rounds) for one in rounds] == [(1, 3), (2, 3), (3, 3)]
    assert set(rounds[0].prices) == {"acorns", "berries", "mushrooms", "honey", "firewood"}
    assert result.tables["trades"].equals(pl.read_parquet("run/tables/trades.parquet"))
    assert result.journal_sha256 == swarm.replay("run").journal_sha256
    assert "3 rounds" in repr(result)


def test_it_runs_where_an_event_loop_runs_and_more_than_once() -> None:
    async def notebook() -> tuple[swarm.Result, swarm.Result]:
        return swarm.play(CONFIG, changes=SMALL), swarm.run(CONFIG, changes=SMALL, out="run")

    played, ran = asyncio.run(notebook())
    assert played.folder is None
    assert played.journal_sha256 == ran.journal_sha256 == swarm.play(CONFIG, changes=SMALL).journal_sha256


def test_errors_come_out_of_a_running_event_loop_too() -> None:
    async def notebook() -> None:
        swarm.run(CONFIG, changes=SMALL, out="full")

    Path("full").mkdir()
    Path("full/mine").write_text("")
    with pytest.raises(swarm.SwarmError, match="not empty"):
        asyncio.run(notebook())


def test_a_config_is_taken_in_any_form_and_left_as_it_was() -> None:
    plain = {"population": 8, "scenario": {"name": "wood"}, "models": [{"name": "m", "temperament": "value"}]}
    loaded = swarm.load(plain, seed=3, changes={"models.0.temperament": "panic", "market.tick_cents": 5})
    assert (loaded.seed, loaded.market.tick_cents, loaded.record()["models"][0]["temperament"]) == (3, 5, "panic")
    assert plain["models"] == [{"name": "m", "temperament": "value"}]
    assert swarm.load(loaded) == loaded
    for wrong in ({"rounds": 0}, {"rounds": 10**5_000}, {"rouns": 1}, {"models": [{"name": object()}]}):
        with pytest.raises(swarm.SwarmError):
            swarm.load({**plain, **wrong})


def test_a_folder_of_somebody_else_needs_a_word() -> None:
    model = {"name": "m", "engine": "openai", "base_url": "https://models.example.org/v1", "model": "x"}
    folder = Path("shared")
    folder.mkdir()
    (folder / "config.yaml").write_text(yaml.safe_dump({"population": 4, "models": [model]}))
    with pytest.raises(swarm.SwarmError, match=r"models\.example\.org"):
        swarm.resume(folder)
    with pytest.raises(swarm.SwarmError, match=r"models\.example\.org"):
        swarm.fork(folder, 1)


@pytest.mark.parametrize(
    ("call", "argument"),
    [
        (lambda: swarm.load(None), "config"),  # type: ignore[arg-type]
        (lambda: swarm.load(7), "config"),  # type: ignore[arg-type]
        (lambda: swarm.load([1]), "config"),  # type: ignore[arg-type]
        (lambda: swarm.load(CONFIG, changes=["rounds=3"]), "changes"),  # type: ignore[arg-type]
        (lambda: swarm.load(CONFIG, changes="rounds=3"), "changes"),  # type: ignore[arg-type]
        (lambda: swarm.load(CONFIG, changes={1: 2}), "changes"),  # type: ignore[dict-item]
        (lambda: swarm.load(CONFIG, changes={"models.9.name": "x"}), "changes['models.9.name']"),
        (lambda: swarm.load(CONFIG, seed="one"), "seed"),  # type: ignore[arg-type]
        (lambda: swarm.play(CONFIG, changes=SMALL, progress=3), "progress"),  # type: ignore[arg-type]
        (lambda: swarm.run(CONFIG, changes=SMALL, stop=3), "stop"),  # type: ignore[arg-type]
        (lambda: swarm.run(CONFIG, changes=SMALL, out=3), "out"),  # type: ignore[arg-type]
        (lambda: swarm.run(CONFIG, changes=SMALL, out=""), "out"),
        (lambda: swarm.run(CONFIG, changes=SMALL, address=3), "address"),  # type: ignore[arg-type]
        (lambda: swarm.resume(None), "folder"),  # type: ignore[arg-type]
        (lambda: swarm.replay(3), "folder"),  # type: ignore[arg-type]
        (lambda: swarm.fork(None, 1), "folder"),  # type: ignore[arg-type]
        (lambda: swarm.fork("run", "1"), "at_round"),  # type: ignore[arg-type]
        (lambda: swarm.fork("run", 1, changes=3), "changes"),  # type: ignore[arg-type]
        (lambda: swarm.fork("run", 1, changes={"rounds": object()}), "changes['rounds']"),
        (lambda: swarm.sweep(CONFIG, seeds=3), "seeds"),  # type: ignore[arg-type]
        (lambda: swarm.sweep(CONFIG, seeds="0..3"), "seeds"),  # type: ignore[arg-type]
        (lambda: swarm.sweep(CONFIG, seeds=[]), "seeds"),
        (lambda: swarm.sweep(CONFIG, seeds=range(10**12)), "vary"),
        (lambda: swarm.sweep(CONFIG, seeds=[1], vary=["rounds=1"]), "vary"),  # type: ignore[arg-type]
        (lambda: swarm.sweep(CONFIG, seeds=[1], vary={"rounds": 3}), "vary['rounds']"),  # type: ignore[dict-item]
        (lambda: swarm.sweep(CONFIG, seeds=[1], vary={"rounds": [1, 1]}), "vary['rounds']"),
        (lambda: swarm.sweep(CONFIG, seeds=[1], vary={"rounds": [object()]}), "vary['rounds']"),
        (lambda: swarm.sweep(CONFIG, seeds=[1], vary={"seed": [1, 2]}), "vary['seed']"),
        (lambda: swarm.sweep(CONFIG, seeds=[1], vary={"runtime.metrics_port": [1, 2]}), "vary"),
        (lambda: swarm.sweep(CONFIG, seeds=[1], jobs=0), "jobs"),
        (lambda: swarm.sweep(CONFIG, seeds=[1], measures="trades"), "measures"),
        (lambda: swarm.sweep(CONFIG, seeds=[1], out=3), "out"),  # type: ignore[arg-type]
        (lambda: PLAYED.why("3", 1), "trader"),  # type: ignore[arg-type]
        (lambda: PLAYED.why(3, None), "round"),  # type: ignore[arg-type]
        (lambda: PLAYED.query(3), "sql"),  # type: ignore[arg-type]
    ],
)
def test_what_is_no_argument_is_one_line_that_names_it(call: Callable[[], object], argument: str) -> None:
    with pytest.raises(swarm.SwarmError) as refused:
        call()
    assert str(refused.value).startswith(f"{argument}: ")
    assert "--" not in str(refused.value)


def test_errors_name_arguments_here_and_options_on_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    swarm.run(CONFIG, changes=SMALL, out="run")
    fork = ("fork", "run", "--at-round", "9", "--local")
    ran = swarm.replay("run")
    cases: tuple[tuple[str, str, Callable[[], object], tuple[str, ...]], ...] = (
        ("`out`", "--out", lambda: swarm.run(CONFIG, out="run"), ("run", str(CONFIG), "--local", "--out", "run")),
        ("at_round", "--at-round", lambda: swarm.fork("run", 9), fork),
        ("trader", "--trader", lambda: ran.why(99, 1), ("why", "run", "--trader", "99", "--round", "1")),
        ("round", "--round", lambda: ran.why(0, 99), ("why", "run", "--trader", "0", "--round", "99")),
        ("seeds", "--seeds", lambda: swarm.sweep(CONFIG, seeds=[]), ("sweep", str(CONFIG), "--seeds", "3..1")),
    )
    for argument, option, call, words in cases:
        with pytest.raises(swarm.SwarmError) as refused:
            call()
        with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit):
            patch.setattr(sys, "argv", ["swarm", *words])
            cli.main()
        told = capsys.readouterr().err
        assert argument in str(refused.value) and option not in str(refused.value)
        assert option in told


def test_pandas_is_given_or_named(monkeypatch: pytest.MonkeyPatch) -> None:
    table = swarm.Table({"a": [1, 2]})
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(swarm.SwarmError, match="pip install"):
        table.to_pandas()


def imported_by(code: str) -> set[str]:
    """The modules that a fresh interpreter has imported once it has run `code`."""
    told = f"{code}\nimport sys; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", told], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(run.stdout.split())


def test_the_command_line_imports_no_more_than_its_help_needs() -> None:
    modules = imported_by("import swarm.cli")
    assert not modules & {"numpy", "polars", "pydantic", "yaml", "msgpack", "psutil", "ray", "asyncio", "requests"}
    # What is there without us, and a margin for another version of typer; pydantic alone is a hundred more.
    assert len(modules) < len(imported_by("import typer, rich.console, rich.table")) + 60


def test_the_import_brings_nothing_heavy_and_names_all_there_is() -> None:
    code = "import sys, swarm; print([m for m in ('numpy', 'polars', 'pydantic', 'rich', 'ray') if m in sys.modules])"
    heavy = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert heavy.stdout == "[]\n"
    assert set(swarm.__all__) <= set(dir(swarm))
    with pytest.raises(AttributeError, match="nothing"):
        swarm.nothing  # noqa: B018
