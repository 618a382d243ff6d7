"""The engine of scripted models: rules in code that read the prompt's text. They are no language models."""

from swarm.llm.engines.protocol import EnginePlugin, Listed, Nature
from swarm.llm.engines.scripted.config import ScriptedModel
from swarm.llm.protocol import LETTERS, ModelClient


def _client(model: ScriptedModel) -> ModelClient:
    from swarm.llm.engines.scripted.engine import ScriptedEngine

    return ScriptedEngine(model)


def _listed() -> list[Listed]:
    from swarm.llm.engines.scripted.policy import temperament_summaries

    return [
        Listed(f"engine: scripted, temperament: {name}", "scripted policy, no language model", summary)
        for name, summary in temperament_summaries().items()
    ]


ENGINE = EnginePlugin(
    "scripted",
    ScriptedModel,
    _client,
    advises=frozenset({LETTERS}),
    summary="Rules in code that read the prompt's text; they are no language models.",
    nature=Nature("scripted policy", "scripted policies", is_rule=True),
    listed=_listed,
    stays_here=True,
)
