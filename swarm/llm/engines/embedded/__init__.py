"""The tiny language models that travel with the code: their tokenizer, their weights and the engine that runs them."""

from swarm.llm.engines.embedded.config import EmbeddedModel
from swarm.llm.engines.protocol import EnginePlugin
from swarm.llm.protocol import ModelClient


def _client(model: EmbeddedModel) -> ModelClient:
    # onnxruntime takes a while to import, which a run without these models does not owe.
    from swarm.llm.engines.embedded.engine import EmbeddedEngine

    return EmbeddedEngine(model)


# It picks letters of a menu and can call no tool.
ENGINE = EnginePlugin("embedded", EmbeddedModel, _client, abilities=frozenset())
