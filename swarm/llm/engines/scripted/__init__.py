"""The engine of scripted models: rules in code that read the prompt's text. They are no language models."""

from swarm.llm.engines.protocol import EnginePlugin
from swarm.llm.engines.scripted.config import ScriptedModel
from swarm.llm.protocol import ModelClient


def _client(model: ScriptedModel) -> ModelClient:
    from swarm.llm.scripted import ScriptedEngine

    return ScriptedEngine(model)


ENGINE = EnginePlugin("scripted", ScriptedModel, _client)
