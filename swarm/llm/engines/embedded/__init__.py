"""The tiny language models that travel with the code: their tokenizer, their weights and the engine that runs them."""

from collections.abc import Sequence

from swarm.llm.engines.embedded.config import EmbeddedModel
from swarm.llm.engines.protocol import CheckConditions, EnginePlugin
from swarm.llm.protocol import ModelClient


def _client(model: EmbeddedModel) -> ModelClient:
    # onnxruntime takes a while to import, which a run without these models does not owe.
    from swarm.llm.engines.embedded.engine import EmbeddedEngine

    return EmbeddedEngine(model)


def _check(models: Sequence[EmbeddedModel], conditions: CheckConditions) -> list[str]:
    # The five travel with the code; a model of one's own must lie where the engine will look for it.
    return [
        f"models: {model.name}: path: expected a model at {model.weights}; name a folder that `swarm distil` has written"
        for model in models
        if conditions.here and model.path is not None and not model.weights.is_file()
    ]


# It picks letters of a menu and can call no tool.
ENGINE = EnginePlugin("embedded", EmbeddedModel, _client, check=_check, abilities=frozenset())
