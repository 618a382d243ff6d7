"""Which engine stands behind a model's config."""

from swarm.llm.config import AnyModel
from swarm.llm.protocol import ModelClient
from swarm.llm.scripted import ScriptedEngine


def in_process(config: AnyModel) -> ModelClient:
    """A client that runs the model's engine in this process."""
    match config.engine:
        case "scripted":
            return ScriptedEngine(config)
        case "embedded":
            # onnxruntime takes a while to import, which a run without these models does not owe.
            from swarm.llm.embedded.engine import EmbeddedEngine

            return EmbeddedEngine(config)
