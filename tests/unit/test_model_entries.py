"""Entries of models in a config: told apart by their engine, and their errors named as the writer sees the file."""

from typing import Any

import pytest

from swarm.config_file import resolve
from swarm.errors import ConfigError
from swarm.explain import explain
from swarm.llm.engines.openai.config import OpenAIModel
from swarm.llm.engines.scripted.config import ScriptedModel
from swarm.llm.fake_faults import FAULTS, parse_faults
from swarm.llm.fake_model import FakeModel

SCRIPTED = {"name": "s", "temperament": "value"}
OPENAI = {"name": "o", "engine": "openai", "base_url": "http://127.0.0.1:8000/v1/", "model": "x"}


def test_an_entry_without_an_engine_is_scripted() -> None:
    models = resolve({"models": [SCRIPTED, {**SCRIPTED, "name": "t", "engine": "scripted"}, OPENAI]}).models
    assert [type(m) for m in models] == [ScriptedModel, ScriptedModel, OpenAIModel]
    assert isinstance(models[2], OpenAIModel)
    assert models[2].base_url == "http://127.0.0.1:8000/v1"


def test_a_resolved_config_resolves_to_itself() -> None:
    config = resolve({"models": [SCRIPTED, OPENAI]})
    assert resolve(config.record()) == config


@pytest.mark.parametrize(
    ("entry", "key", "word"),
    [
        ({**OPENAI, "base_url": "ftp://x"}, "models.0.base_url", "URL"),
        ({**OPENAI, "base_url": "http://x:99999/v1"}, "models.0.base_url", "URL"),
        ({**OPENAI, "base_url": "http://me:secret@x/v1"}, "models.0.base_url", "without"),
        ({**OPENAI, "base_url": "http://x/v1?key=secret"}, "models.0.base_url", "without"),
        ({**OPENAI, "base_url": 5}, "models.0.base_url", "string"),
        ({**OPENAI, "api_key_env": "sk-secret"}, "models.0.api_key_env", "letters"),
        ({**OPENAI, "api_key": "sk-123"}, "models.0.api_key", "api_key_env"),
        ({**OPENAI, "temperament": "value"}, "models.0.temperament", "temperature"),
        ({"name": "o", "engine": "openai", "model": "x"}, "models.0.base_url", "missing"),
        ({"name": "s"}, "models.0.temperament", "missing"),
        ({"name": "s", "engine": "opnai"}, "models.0.engine", "scripted"),
        ({"name": "s", "engine": ["openai"]}, "models.0.engine", "scripted"),
        ("value", "models.0", "object"),
    ],
)
def test_errors_name_the_key_and_show_no_secret(entry: Any, key: str, word: str) -> None:
    with pytest.raises(ConfigError, match=word) as raised:
        resolve({"models": [entry]})
    assert raised.value.key == key
    assert "secret" not in str(raised.value)


def test_the_keys_of_a_section_that_may_be_left_out_are_explained() -> None:
    kinds = {key.key: (key.kind, key.default) for key in explain("wood")}
    assert kinds["traders.router"] == kinds["market.margin"] == ("section or null", "null")
    assert kinds["traders.router.ranker"] == ("weighted | random", "weighted")
    assert kinds["market.margin.grace_rounds"] == ("integer 0 to 100", "1")


def test_shared_keys_are_explained_once_and_the_others_by_engine() -> None:
    keys = [key.key for key in explain("wood")]
    assert len(keys) == len(set(keys))
    assert {"models[].name", "models[scripted].temperament", "models[openai].base_url"} <= set(keys)


def test_rates_of_faults_are_read() -> None:
    assert parse_faults("") == {}
    assert parse_faults("reset=0.1, late=0.2") == {"reset": 0.1, "late": 0.2}
    mixed = parse_faults("all=0.3,reset=0.5")
    assert set(mixed) == set(FAULTS)
    assert mixed["reset"] == 0.5
    assert sum(mixed.values()) == pytest.approx(0.8)


@pytest.mark.parametrize("text", ["meteor=0.1", "reset", "reset=x", "reset=nan", "reset=1.5", "reset=0.6,late=0.6"])
def test_rates_that_make_no_sense_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="--faults"):
        parse_faults(text)


def test_faults_are_drawn_from_the_seed_and_the_request_alone() -> None:
    def met(seed: int) -> list[str | None]:
        model = FakeModel(seed, parse_faults("all=0.3"))
        return [model.fault_of(f"request {i}".encode()) for i in range(4_000)]

    assert met(1) == met(1)
    assert met(1) != met(2)
    assert 0.27 < sum(fault is not None for fault in met(1)) / 4_000 < 0.33
    assert {fault for fault in met(1) if fault} == set(FAULTS)
