"""Which engine stands behind a model's config."""

from swarm.llm.config import ModelConfig, OpenAIModel
from swarm.llm.protocol import ModelClient
from swarm.llm.scripted import ScriptedEngine


def in_process(config: ModelConfig) -> ModelClient:
    """A client that runs the model's engine in this process, or reaches its endpoint from here."""
    if isinstance(config, OpenAIModel):
        raise NotImplementedError
    return ScriptedEngine(config)
