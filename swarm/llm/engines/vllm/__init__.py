"""The engine of models whose weights vLLM runs, on a GPU or the CPU. Only its module `engine` imports vLLM."""

from collections.abc import Sequence

from swarm.llm.catalogue import CATALOGUE
from swarm.llm.engines.protocol import CheckConditions, Deployment, EnginePlugin, Listed
from swarm.llm.engines.vllm import check
from swarm.llm.engines.vllm.arguments import environment
from swarm.llm.engines.vllm.config import VllmModel
from swarm.llm.protocol import MARGINS, SCORES, TOOLS, ModelClient


def _client(model: VllmModel) -> ModelClient:
    from swarm.llm.engines.vllm.engine import VllmEngine

    return VllmEngine(model)


def _check(models: Sequence[VllmModel], conditions: CheckConditions) -> list[str]:
    gpus = check.gpus() if conditions.here and any(m.hardware.kind == "gpu" for m in models) else []
    return check.problems(models, conditions.tokens_per_turn, conditions.here, gpus)


def _deployment(model: VllmModel) -> Deployment:
    hardware = model.hardware
    return Deployment(
        num_gpus=hardware.gpus,
        accelerator_type=hardware.accelerator_type,
        environment=environment(model),
        can_die=True,
        most_replicas=hardware.max_replicas,
        target_ongoing_batches=hardware.target_ongoing_batches,
        routing=hardware.routing,
        # The engine itself works on many requests at once.
        most_http_requests=model.max_num_seqs,
    )


def _listed() -> list[Listed]:
    found = []
    for entry in CATALOGUE.values():
        size = f"{entry.lab}, {entry.parameters_b:g} B parameters, {entry.bytes_of_weights / 2**30:.0f} GiB"
        what = f"language model, {size}{', gated' if entry.gated else ''}"
        how = f"{entry.role}; {entry.licence}; {entry.quirks}"
        found.append(Listed(f"engine: vllm, catalogue: {entry.name}", what, how))
    return found


ENGINE = EnginePlugin(
    "vllm",
    VllmModel,
    _client,
    _check,
    check.warnings,
    deployment=_deployment,
    abilities=frozenset({TOOLS, MARGINS, SCORES}),
    summary="Language models whose weights vLLM runs, on a GPU or the CPU.",
    listed=_listed,
    package=("vllm", "docs/models.md says how to install it"),
)
