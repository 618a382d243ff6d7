"""The engine of models behind an HTTP endpoint that speaks OpenAI's chat completions."""

from collections.abc import Sequence

from swarm.llm.engines.openai.config import OpenAIModel
from swarm.llm.engines.protocol import CheckConditions, EnginePlugin
from swarm.llm.protocol import MARGINS, SCORES, TOOLS, ModelClient

# An HTTP client takes a fifth of a second to import, which a run without an endpoint does not owe.


def _client(model: OpenAIModel) -> ModelClient:
    from swarm.llm.engines.openai.client import OpenAIClient

    return OpenAIClient(model)


def _check(models: Sequence[OpenAIModel], conditions: CheckConditions) -> list[str]:
    from swarm.llm.engines.openai import check

    return check.problems(models, conditions)


def _latencies_s(models: Sequence[OpenAIModel], within_s: float) -> dict[str, float]:
    from swarm.llm.engines.openai import check

    return check.latencies_s(models, within_s)


ENGINE = EnginePlugin(
    "openai",
    OpenAIModel,
    _client,
    _check,
    latencies_s=_latencies_s,
    abilities=frozenset({TOOLS, MARGINS, SCORES}),
    summary="Any model behind an OpenAI-compatible API, as base_url and model say.",
)
