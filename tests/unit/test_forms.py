"""What forms may ask of engines, and how branches behind a prompt are asked for."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from swarm.agents import forms
from swarm.agents.decision import Decision, Reading
from swarm.agents.forms.orders import OrdersForm
from swarm.agents.forms.protocol import FormPlugin
from swarm.agents.observation import Observation
from swarm.config_file import resolve
from swarm.errors import ConfigError
from swarm.llm.engines.scripted import ENGINE
from swarm.llm.protocol import SCORES, ModelReply, ModelRequest, TokenUsage
from swarm.planning import compose
from swarm.preflight import first_requests
from swarm.runtime.play import play
from tests.playing import Outcomes

CONFIG: dict[str, Any] = {
    "population": 4,
    "rounds": 2,
    "models": [{"name": "judge", "temperament": "value", "form": "nods"}],
}


class NodsForm(OrdersForm):
    """Scores two branches by yes or no, and never orders anything."""

    name, stands = "nods", False

    def branches(self, seen: Observation, row: int) -> tuple[str, ...]:
        return ("Buy?", f"Sell {int(seen.private.trader[row])}?")

    def read(self, text: str, cut: bool, seen: Observation, row: int) -> Reading[Decision]:
        return Reading(Decision(gossip=f"sure of {int(np.argmax(json.loads(text)))}"))


NODS = FormPlugin("nods", "Nods.", NodsForm, barters=True, needs=frozenset({SCORES}))


class Scores:
    """Scores branches, and keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[ModelRequest] = []

    async def complete(self, requests: Sequence[ModelRequest], deadline_s: float) -> list[ModelReply]:
        self.asked += requests
        return [
            ModelReply(json.dumps([float(i) for i, _ in enumerate(r.branches)]), TokenUsage(10, 0), "stop", 0.0)
            for r in requests
        ]


@pytest.fixture(autouse=True)
def _at_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forms.PLUGINS, "_own", lambda: ["menu", "orders"])
    monkeypatch.setattr(forms.PLUGINS, "_others", lambda: iter([NODS]))


def test_what_a_form_needs_and_an_engine_lacks_is_said_before_a_run() -> None:
    with pytest.raises(ConfigError, match=r"models\.0\.form.*nods.*scores.*scripted") as caught:
        compose(resolve(CONFIG))
    assert "\n" not in str(caught.value)


def test_branches_stand_in_the_request_and_their_scores_are_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    able = replace(ENGINE, abilities=frozenset({SCORES}))
    monkeypatch.setattr("swarm.llm.engines.of", lambda model: able)
    config, client = resolve(CONFIG), Scores()
    outcomes = Outcomes()
    play(config, outcomes, clients={"judge": client})
    rounds = outcomes.rounds
    assert {request.branches for request in client.asked} == {("Buy?", f"Sell {t}?") for t in range(4)}
    assert {line for o in rounds for line in o.gathered.decisions.gossip} == {"sure of 1"}
    # What was scored is part of the prompt: no two traders' digests are alike.
    assert len({*rounds[0].gathered.turns.calls.prompt_digest.tolist()}) == 4
    assert first_requests(config)["judge"].branches[0] == "Buy?"


def test_a_form_that_needs_barter_is_refused_where_nobody_barters(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = compose(resolve(CONFIG | {"models": [{"name": "m", "temperament": "value"}]})).run
    assert set(plan.shard.forms) == {"orders"}, "only what is used is built"
    monkeypatch.setattr("swarm.planning.Barters", type("Nobody", (), {}))
    with pytest.raises(ConfigError, match=r"models\.0\.form.*barter"):
        compose(resolve(CONFIG | {"models": [{"name": "m", "temperament": "value", "form": "menu"}]}))


def test_every_form_at_hand_is_offered_by_a_market() -> None:
    assert set(forms.of_markets()) == {"menu", "nods", "orders"}
