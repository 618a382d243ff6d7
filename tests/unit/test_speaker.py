"""The mind `speaker`: one model decides, another one speaks, and what is said moves no order of its own."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from swarm.agents.escalation import Answer
from swarm.agents.minds.speaker import SpokenTurn
from swarm.config_file import resolve
from swarm.errors import ConfigError
from swarm.explain import explain
from swarm.llm import engines
from swarm.llm.protocol import ModelReply, ModelRequest, TokenUsage
from swarm.planning import composed
from swarm.runtime.play import Played, play
from swarm.simulation.folder import RunFolder
from swarm.simulation.why import why

ALONE: dict[str, Any] = {
    "budget": {"tokens_per_turn": 1_400},
    "population": 6,
    "rounds": 3,
    "seed": 5,
    "models": [
        {"name": "decider", "temperament": "value", "form": "menu", "max_completion_tokens": 16},
        {"name": "voice", "engine": "llama", "path": "nowhere.gguf", "form": "orders"},
    ],
    "traders": {
        "minds": {"both": 1},
        "define": {"both": {"mind": "speaker", "decides": "decider", "speaks": "voice"}},
    },
}


class Voice:
    """Says the same line to everybody, and keeps what it was asked."""

    def __init__(self, text: str = '{"thought": "hm", "gossip": "I like berries"}', tokens: int = 200) -> None:
        self.text = text
        self.tokens = tokens
        self.asked: list[ModelRequest] = []

    async def complete(self, requests: Sequence[ModelRequest], deadline_s: float) -> list[ModelReply]:
        self.asked += requests
        reply = ModelReply(self.text, TokenUsage(self.tokens, 20), "stop", 0.0)
        return [reply for r in requests for _ in range(r.samples)]


def _played(voice: Voice, journals_in: Path | None = None, **keys: Any) -> Played:
    traders = {**ALONE["traders"], "define": {"both": {**ALONE["traders"]["define"]["both"], **keys}}}
    config = resolve(ALONE | {"traders": traders})
    return play(
        config, clients={"decider": engines.in_process(config.models[0]), "voice": voice}, journals_in=journals_in
    )


def test_one_decides_and_the_other_is_told_of_it_and_speaks() -> None:
    voice = Voice()
    played = _played(voice)
    assert played.summary["trades"] > 0
    assert not played.summary["decision_errors"]
    told = [request.messages[-1].content.rpartition("\n")[2] for request in voice.asked]
    assert all(line.startswith("DECIDED ") for line in told)
    assert any(" at " in line for line in told)
    # Everybody heard it from the second round on.
    assert any("- I like berries" in request.messages[-1].content for request in voice.asked)


def test_what_is_not_said_costs_no_decision_and_is_counted() -> None:
    spoken, mute, lavish = _played(Voice()), _played(Voice("no json")), _played(Voice(tokens=5_000))
    assert not mute.summary["decision_errors"]
    assert mute.summary["trades"] > 0
    assert set(mute.tables["decisions"]["faults"]) == {"not_json"}
    # A speech of more than its tokens is none.
    assert set(lavish.tables["decisions"]["faults"]) == {"over_budget"}
    assert lavish.summary["trades"] == mute.summary["trades"]
    assert spoken.journal_sha256 != mute.journal_sha256


def test_traders_speak_in_their_turn() -> None:
    often, seldom = Voice(), Voice()
    _played(often)
    _played(seldom, every_rounds=3)
    said = [sum(request.samples for request in voice.asked) for voice in (often, seldom)]
    assert said == [18, 6]


def test_a_journal_tells_both_questions_and_what_was_said(tmp_path: Path) -> None:
    _played(Voice(), journals_in=tmp_path)
    (found,) = why(RunFolder(tmp_path).journals, composed, 3, 2)
    assert [call.asker for call in found.calls] == ["who decides", "who speaks"]
    assert [call.model for call in found.calls] == ["decider", "voice"]
    assert not [call.missing for call in found.calls if call.missing]
    assert "said 'I like berries'" in found.told


def test_the_record_says_who_said_what() -> None:
    turn = SpokenTurn(Answer("stop", '"AA"'), Answer("over_budget"))
    assert SpokenTurn.from_text(turn.to_text()) == turn
    for broken in ("{}", "[2, [], null]", '[1, ["stop", 5], null]', "none"):
        with pytest.raises(ValueError, match=r"."):
            SpokenTurn.from_text(broken)
    assert json.loads(turn.to_text())[0] == 1


def test_a_model_that_is_not_there_is_named() -> None:
    with pytest.raises(ConfigError, match="nobody"):
        _played(Voice(), speaks="nobody")


def test_its_keys_are_explained() -> None:
    keys = {key.key for key in explain("wood")}
    assert {"traders.define[speaker].speaks", "traders.define[speaker].spoken_tokens"} <= keys
    assert not any(key.startswith("traders.define[auction]") for key in keys)
