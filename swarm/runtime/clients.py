"""Which client stands behind a model's config, also where only the runtime can start the engine. It knows no Ray."""

from typing import Protocol, runtime_checkable

from swarm.llm import engines
from swarm.llm.config import ModelConfig, VllmModel
from swarm.llm.protocol import ModelClient


@runtime_checkable
class Mortal(Protocol):
    """What a client offers besides `complete` if its engine is a process that can die."""

    async def check_health(self) -> None:
        """Raise if the engine is dead."""
        ...


def client_of(config: ModelConfig) -> ModelClient:
    """A client that runs the model's engine in this process or below it, or reaches its endpoint from here."""
    if isinstance(config, VllmModel):
        from swarm.runtime.vllm_engine import VllmEngine

        return VllmEngine(config)
    return engines.in_process(config)
