"""Parties that ask a model: what it chooses is journalled and replays unasked, and no answer decides a verdict."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from swarm.config import RunConfig
from swarm.config_file import load, resolve
from swarm.llm import engines
from swarm.llm.entry import ModelEntry
from swarm.llm.protocol import ModelClient, ModelReply, ModelRequest, TokenUsage
from swarm.planning import composed
from swarm.report.page import render
from swarm.runtime.play import play
from swarm.runtime.ports import RunsOn
from swarm.runtime.run import Session
from swarm.simulation.folder import RunFolder
from swarm.simulation.parties import made
from swarm.simulation.party import Act, Say
from swarm.simulation.replay import replay
from tests.playing import Moody, Outcomes
from tests.refusals import refused
from tests.unit.test_deeds import stopping_after

CONFIG: dict[str, Any] = {
    "seed": 7,
    "rounds": 12,
    "population": 12,
    "models": [{"name": "m", "temperament": "value"}],
    "traders": {"hears": 0, "define": {"x": {"mind": "abuser", "abuse": "layering"}}, "minds": {"zip": 11, "x": 1}},
    "parties": {
        "patron": {"party": "patron", "model": "m"},
        "court": {"party": "magistrate", "scribe": "m", "accuse_rate": 0.01},
    },
}


class Says:
    """A model that says one thing."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.asked: list[ModelRequest] = []

    async def complete(self, requests: Sequence[ModelRequest], deadline_s: float) -> list[ModelReply]:
        self.asked += requests
        return [ModelReply(self.text, TokenUsage(90, 2), "stop", 0.0) for _ in requests]


def played(monkeypatch: pytest.MonkeyPatch, client: ModelClient, folder: Path) -> tuple[Any, list[Act]]:
    def in_process(_: ModelEntry) -> ModelClient:
        return client

    outcomes = Outcomes()
    with monkeypatch.context() as patch:
        patch.setattr(engines, "in_process", in_process)
        result = play(resolve(CONFIG), outcomes, journals_in=folder)
    # Nobody is there to be asked any more.
    again = replay(folder / "journal.swarm", composed)
    assert again.holds, again.mismatch
    assert again.replayed_sha256 == result.journal_sha256
    return result, [act for o in outcomes.rounds for one in o.acted for act in one.acts]


@pytest.mark.parametrize("answer", ["B", '"B"', '{"answer": "B"}'])
def test_a_patron_does_what_its_model_chooses(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, answer: str) -> None:
    model = Says(answer)
    result, acts = played(monkeypatch, model, tmp_path)
    thoughts = [act.text for act in acts if isinstance(act, Say) and act.text.startswith("chooses to")]
    assert len(thoughts) == CONFIG["rounds"] - 2
    assert all("short for 4 rounds; 90 and 2 tokens of m" in text for text in thoughts)
    assert result.summary["patron"]["counts"]["shorts"] > 0
    # It sees purse, prices and what is open, and nothing that was not public or its own.
    menus = [one for one in model.asked if one.schema]
    assert all("PURSE" in one.messages[-1].content and "DEEDS" in one.messages[-1].content for one in menus)


@pytest.mark.parametrize("mood", ["raises", "fails", "babbles"])
def test_what_is_no_answer_is_told_and_is_no_deed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, mood: str) -> None:
    result, acts = played(monkeypatch, Moody(mood), tmp_path)
    thoughts = [act.text for act in acts if isinstance(act, Say) and act.text.startswith("chooses to")]
    assert thoughts and all(text.startswith("chooses to nothing, ") for text in thoughts)
    assert result.summary["patron"]["counts"]["shorts"] == 0
    # A case stands without a sentence in words as it does with one.
    assert result.summary["case_files"]


def test_a_model_writes_the_sentence_of_a_case_and_not_the_verdict(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    words, verdicts = [], []
    for number, text in enumerate(("Acquit everybody.\x00 <|im_end|>", "Guilty of all.")):
        folder = tmp_path / str(number)
        folder.mkdir()
        result, acts = played(monkeypatch, Says(text), folder)
        words.append([file["words"] for file in result.summary["case_files"]])
        verdicts.append([(f["round"], f["trader"], f["abuse"], f["sentence"]) for f in result.summary["case_files"]])
        # What it wrote is read by nobody who trades.
        assert all(not len(act.to) for act in acts if isinstance(act, Say) and " in the words of " in act.text)
        assert f"In the words of m: {text.split()[0]}" in render(result.record)
    assert verdicts[0] and verdicts[0] == verdicts[1]
    assert words[0] != words[1]
    assert all("m: Acquit everybody. <|im_end|>" in one for one in words[0])


def test_a_file_has_what_the_accused_did_and_how_often_its_rule_is_wrong() -> None:
    result = play(load(Path("configs/abuse/layering.yaml")))
    file = result.summary["case_files"][0]
    assert file["abuse"] == "layering" and file["sentence"] == "warn"
    assert "0.10% of honest traders" in file["rule"]
    rows = file["evidence"]
    assert rows and {row["round"] for row in rows} <= set(range(1, file["round"] + 1))
    assert any(abs(row["idle_permille"]) > 200 for row in rows)
    assert f"Case 1: layering by trader {file['trader']}" in render(result.record)


def test_a_run_of_advised_parties_goes_on_as_if_it_had_never_stopped(tmp_path: Path) -> None:
    config = resolve(CONFIG)
    whole, stopped = RunFolder(tmp_path / "whole"), RunFolder(tmp_path / "stopped")
    Session(RunsOn(local=True), whole, report=False).execute(config)
    Session(RunsOn(local=True), stopped, stop=stopping_after(6), report=False).execute(config)
    Session(RunsOn(local=True), stopped, report=False).resume()
    assert stopped.recorded_sha256() == whole.recorded_sha256()
    assert stopped.read_record().summary["case_files"] == whole.read_record().summary["case_files"]


@pytest.mark.parametrize(("party", "key"), [("patron", "model"), ("magistrate", "scribe")])
def test_a_party_asks_a_model_of_the_run(party: str, key: str) -> None:
    config: RunConfig = resolve(CONFIG | {"parties": {"p": {"party": party, key: "n"}}})
    with refused(f"parties.p.{key}", "known: m"):
        made(config.parties, 1, config.record()["models"])
