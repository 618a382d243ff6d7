"""Which engine stands behind a model's config."""

from swarm.llm.config import EmbeddedModel, ModelConfig, OpenAIModel, ScriptedModel
from swarm.llm.protocol import ModelClient
from swarm.llm.scripted import ScriptedEngine


def in_process(config: ModelConfig) -> ModelClient:
    """A client that runs the model's engine in this process, or reaches its endpoint from here."""
    if isinstance(config, OpenAIModel):
        # An HTTP client takes a fifth of a second to import, which a run without an endpoint does not owe.
        from swarm.llm.openai_client import OpenAIClient

        return OpenAIClient(config)
    if isinstance(config, EmbeddedModel):
        # onnxruntime takes a while to import, too.
        from swarm.llm.embedded.engine import EmbeddedEngine

        return EmbeddedEngine(config)
    if not isinstance(config, ScriptedModel):
        raise TypeError(f"{config.name}: an engine of {config.engine} is made by swarm.runtime")
    return ScriptedEngine(config)
