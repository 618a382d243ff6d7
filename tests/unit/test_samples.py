"""Prompts that are the same for several traders: asked once, answered as if each had been asked alone."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from swarm.agents.forms.menus import Action, Leg, Menu
from swarm.agents.observation import Observation
from swarm.config_file import resolve
from swarm.llm import engines
from swarm.llm.engines.embedded.config import EmbeddedModel
from swarm.llm.engines.embedded.engine import EmbeddedEngine
from swarm.llm.engines.scripted.config import ScriptedModel
from swarm.llm.engines.scripted.engine import ScriptedEngine
from swarm.llm.protocol import Message, ModelClient, ModelReply, ModelRequest
from swarm.runtime.play import play
from swarm.simulation.loop import RoundOutcome
from swarm.simulation.traders import TradersPort
from tests.playing import Outcomes

CONFIG: dict[str, Any] = {
    "seed": 6,
    "rounds": 4,
    "population": 12,
    "models": [{"name": "m", "temperament": "value", "fault_rate": 0.4}, {"name": "n", "temperament": "maker"}],
    "traders": {"hears": 0},
}


class Alike:
    """Traders who all see what the first of their mind sees, so that a model gets few different prompts."""

    def __init__(self, traders: TradersPort, minds: tuple[str, ...]) -> None:
        self.traders = traders
        self.rows = np.array([minds.index(mind) for mind in minds])

    def decide(self, seen: Observation) -> Any:
        shown = seen.private.take(self.rows)
        private = replace(shown, trader=seen.private.trader).bartered(makes=np.full(len(shown), -1))
        return self.traders.decide(Observation(seen.public, private))


class Singly:
    """Asks an engine for each sample in a request of its own."""

    def __init__(self, client: ModelClient) -> None:
        self.client = client
        self.requests = self.samples = 0

    async def complete(self, requests: Sequence[ModelRequest], deadline_s: float) -> list[ModelReply]:
        self.requests += len(requests)
        self.samples += sum(r.samples for r in requests)
        return await self.client.complete([one for r in requests for one in r.singly()], deadline_s)


def run(singly: bool) -> tuple[str, list[RoundOutcome], dict[str, Any]]:
    config, outcomes = resolve(CONFIG), Outcomes()
    clients: dict[str, Any] = dict(engines.all_in_process(config.models))
    if singly:
        clients = {name: Singly(client) for name, client in clients.items()}
    played = play(config, outcomes, clients=clients, traders=lambda plan, port: Alike(port, plan.minds))
    return played.journal_sha256, outcomes.rounds, clients


def test_asked_once_comes_to_the_same_history_as_asked_singly() -> None:
    once, rounds, _ = run(False)
    singly, alone, clients = run(True)
    assert once == singly
    for client in clients.values():
        assert (client.requests, client.samples) == (CONFIG["rounds"], 6 * CONFIG["rounds"])
    for outcome, other in zip(rounds, alone, strict=True):
        turns = outcome.gathered.turns
        assert len(set(turns.text)) > 2, "each trader has a seed of its own"
        assert not other.gathered.turns.shared_prompt_tokens.any()
        computed = turns.prompt_tokens - turns.shared_prompt_tokens
        assert np.count_nonzero(computed) == 2, "a prompt is computed for the first trader that has it"
        assert other.gathered.turns.prompt_tokens.tolist() == turns.prompt_tokens.tolist()


def test_traders_whose_prompts_differ_are_asked_apart() -> None:
    config = resolve(CONFIG)
    clients = {m.name: Singly(engines.in_process(m)) for m in config.models}
    play(config, clients=clients)
    assert sum(c.requests for c in clients.values()) == sum(c.samples for c in clients.values()) == 48


def menu_request(*more_seeds: int) -> ModelRequest:
    menu = Menu((Action(()), Action((Leg(True, 0, 20, 1),)), Action((Leg(False, 1, 20, 1),))), ("(nothing)", "honey"))
    text = (
        "ROUND 1 of 9, autumn\nMARKET good PRICE CHANGE TRADED UNMET_BIDS UNMET_ASKS\nacorns 20 +1 5 0 0\n"
        "SAY letter line\nA (nothing)\nB honey is short\nYOU make acorns, purse 400, mood 50\n"
        "STOCK good HAVE NEED SPARE WORTH\nacorns 5 0 4 10\n"
        "MENU letter GAIN EXPECT TREND EDGE NEEDS BUYS SELLS orders\nA 0 0 0 0 0 0 0 pass\n"
        "B 5 3 0 0 1 1 0 buy 1 acorns 20\nC 4 2 0 0 0 0 1 sell 1 acorns 20"
    )
    return ModelRequest((Message("system", "rules"), Message("user", text)), menu.schema(), 2, 3, more_seeds=more_seeds)


@pytest.mark.parametrize("temperature", [0.0, 3.0])
def test_an_embedded_model_computes_the_prompt_once_and_draws_by_each_seed(temperature: float) -> None:
    engine = EmbeddedEngine(EmbeddedModel(name="tiny", engine="embedded", temperament="value", temperature=temperature))
    more = tuple(range(100, 120))
    together = engine.answer([menu_request(*more), menu_request()], 30.0)
    alone = engine.answer([*menu_request(*more).singly(), menu_request()], 30.0)
    assert [r.text for r in together] == [r.text for r in alone]
    assert len({r.text for r in together}) > (1 if temperature else 0)
    assert [r.usage.shared_prompt > 0 for r in together] == [False, *[True] * 20, False]
    late = engine.answer([menu_request(*more), menu_request()], 0.0)
    assert [r.finish_reason for r in late] == ["deadline"] * 22


def test_a_late_scripted_policy_answers_every_sample() -> None:
    engine = ScriptedEngine(ScriptedModel(name="m", temperament="value"))
    request = ModelRequest((Message("user", "ROUND 1"),), {"enum": ["AA"]}, 20, 1, more_seeds=(2, 3))
    assert [r.finish_reason for r in asyncio.run(engine.complete([request, request], 0.0))] == ["deadline"] * 6
