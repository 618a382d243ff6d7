"""Names the applications of a run on Ray Serve, which its shards ask for, also before they are up. It knows no Ray."""

from collections.abc import Sequence

from swarm.llm.config import ModelConfig


def named(run_id: str, models: Sequence[ModelConfig]) -> dict[str, str]:
    """Returns the names of the applications by model."""
    return {model.name: f"swarm-{run_id}-{model.name}" for model in models}
