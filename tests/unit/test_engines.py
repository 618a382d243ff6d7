"""Engines are found by name, say which there are, and are asked for what others must know of them."""

import pytest

from swarm.errors import ConfigError
from swarm.llm import engines
from swarm.llm.config import engine_of
from swarm.llm.engines.protocol import Deployment
from swarm.plugins import VARIABLE


@pytest.mark.parametrize("name", engines.names())
def test_every_engine_is_what_its_entries_are_named_for(name: str) -> None:
    engine = engines.find(name)
    assert engine.name == name
    assert name in str(engine.config.model_json_schema()["properties"]["engine"])


def test_an_engine_that_is_not_there_says_which_there_are() -> None:
    with pytest.raises(ConfigError, match=r"vlm.*did you mean vllm.*embedded, llama, openai, scripted, vllm"):
        engines.find("vlm")


def test_plugins_of_others_are_named_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "swarm.llm.engines.scripted, ")
    assert engines.names() == ["embedded", "llama", "openai", "scripted", "vllm"]
    monkeypatch.setenv(VARIABLE, "no_such_module_anywhere")
    with pytest.raises(ConfigError, match=r"SWARM_PLUGINS.*no_such_module_anywhere"):
        engines.names()


def test_what_an_engine_does_not_say_of_itself_is_plain() -> None:
    scripted = engines.find("scripted")
    model = scripted.config.model_validate({"name": "s", "temperament": "value"})
    assert engine_of(model) == "scripted"
    assert not scripted.is_checked
    assert scripted.deployment(model) == Deployment()
    assert scripted.latencies_s([model], 1.0) == {}
