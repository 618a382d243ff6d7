"""The engine of models in GGUF files, which llama.cpp runs on the CPU. Only its module `server` imports llama.cpp."""

from collections.abc import Sequence

from swarm.llm.engines.llama import check
from swarm.llm.engines.llama.config import LlamaModel
from swarm.llm.engines.protocol import CheckConditions, Deployment, EnginePlugin
from swarm.llm.protocol import MARGINS, SCORES, TOOLS, ModelClient


def _client(model: LlamaModel) -> ModelClient:
    from swarm.llm.engines.llama.engine import LlamaEngine

    return LlamaEngine(model)


def _check(models: Sequence[LlamaModel], conditions: CheckConditions) -> list[str]:
    return check.problems(models, conditions.tokens_per_turn, conditions.here)


def _deployment(model: LlamaModel) -> Deployment:
    # The engine itself works on many requests at once.
    return Deployment(most_http_requests=model.slots)


ENGINE = EnginePlugin(
    "llama",
    LlamaModel,
    _client,
    _check,
    check.warnings,
    check.terms,
    deployment=_deployment,
    abilities=frozenset({MARGINS, SCORES, TOOLS}),
    summary="A language model of anybody's in a GGUF file, which llama.cpp runs on the CPU.",
    package=("xllamacpp", f"install it with `{check.EXTRA}`"),
)
