"""Chapters: forks that go on with what is remembered, from which who was exiled returns."""

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from swarm import api
from swarm.cli import app
from swarm.config_file import load, resolve
from swarm.errors import ConfigError
from swarm.market.events import Rejection
from swarm.planning import composed
from swarm.runtime.ports import RunsOn
from swarm.runtime.run import Session
from swarm.simulation.folder import RunFolder
from swarm.simulation.party import Exile, Pardon
from swarm.simulation.replay import replay
from tests.playing import Outcomes
from tests.refusals import refused

TIP = {"round": 1, "deed": "tip", "trader": 0, "good": "honey"}


def test_an_exile_returns_in_the_next_chapter_and_what_was_remembered_stays(tmp_path: Path) -> None:
    config = load(Path("configs/abuse/layering.yaml")).record()
    config["rounds"] = 12
    # A rate that the shipped calibration can tell.
    config["parties"] = {"court": {"party": "magistrate", "ladder": ["exile"], "exile_rate": 0.01}}
    first = RunFolder(tmp_path / "one")
    Session(RunsOn(local=True), first, report=False).execute(resolve(config))
    told = first.read_record().summary["case_files"]
    assert [one["sentence"] for one in told] == ["exile"] * len(told)
    second = api.fork(first.path, chapter=4, out=tmp_path / "two")
    outcomes = Outcomes()
    assert second.folder is not None
    again = replay(second.folder / "journal.swarm", composed, (outcomes,))
    assert again.holds, again.mismatch
    acts = {o.round: [act for one in o.acted for act in one.acts] for o in outcomes.rounds}
    exiled = {int(act.trader[0]) for of in acts.values() for act in of if isinstance(act, Exile)}
    returned = {int(act.trader[0]) for act in acts[13] if isinstance(act, Pardon)}
    assert returned and returned <= exiled
    refused_in = {
        o.round
        for o in outcomes.rounds
        for trader, why in zip(o.taken.rejected_trader.tolist(), o.taken.rejected_reason, strict=True)
        if trader in returned and why == Rejection.FROZEN
    }
    # In exile to the first round of the chapter, and there again after it.
    assert 13 in refused_in and 14 not in refused_in
    # The cases of the first chapter are those of the second, too.
    assert RunFolder(second.folder).read_record().summary["case_files"][: len(told)][0]["case"] == 1


def test_a_chapter_is_begun_from_the_command_line_and_wrong_ones_are_refused(tmp_path: Path) -> None:
    config: dict[str, Any] = {
        "rounds": 3,
        "population": 8,
        "traders": {
            "memory": {"judge_rounds": 2},
            "define": {"l": {"mind": "listener"}},
            "minds": {"l": 1},
            "hears": 0,
        },
        "parties": {
            "patron": {"party": "patron", "script": [{"round": 1, "deed": "tip", "trader": 0, "good": "honey"}]}
        },
    }
    folder = RunFolder(tmp_path / "one")
    Session(RunsOn(local=True), folder, report=False).execute(resolve(config))
    made = CliRunner().invoke(
        app, ["fork", str(folder.path), "--chapter", "2", "--local", "--out", str(tmp_path / "two")]
    )
    assert made.exit_code == 0, made.output
    before, after = (RunFolder(tmp_path / name).read_record().summary for name in ("one", "two"))
    assert after["rounds"] == 5
    # What the patron told in the first chapter is judged in the second.
    assert before["patron"]["tips"]["told"] == after["patron"]["tips"]["told"] == 1
    with refused("at_round", "chapter"):
        api.fork(folder.path, 2, chapter=2)
    with refused("at_round", "chapter"):
        api.fork(folder.path)
    with pytest.raises(ConfigError, match="chapter"):
        api.fork(folder.path, chapter=0)
