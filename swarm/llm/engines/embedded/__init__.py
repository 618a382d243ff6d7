"""The tiny language models that travel with the code: their tokenizer, their weights and the engine that runs them."""

from collections.abc import Sequence

from swarm.llm.engines.embedded.config import EmbeddedModel
from swarm.llm.engines.protocol import CheckConditions, EnginePlugin, Listed, Nature
from swarm.llm.protocol import MARGINS, ModelClient


def _client(model: EmbeddedModel) -> ModelClient:
    # onnxruntime takes a while to import, which a run without these models does not owe.
    from swarm.llm.engines.embedded.engine import EmbeddedEngine

    return EmbeddedEngine(model)


def _check(models: Sequence[EmbeddedModel], conditions: CheckConditions) -> list[str]:
    # The five travel with the code; a model of one's own must lie where the engine will look for it.
    return [
        f"models: {model.name}: path: expected a model at {model.weights}; name a folder of `swarm distil`"
        for model in models
        if conditions.here and model.path is not None and not model.weights.is_file()
    ]


def _listed() -> list[Listed]:
    from swarm.llm.engines.scripted.policy import temperament_summaries

    what = "language model of this project's own, 0.99 M parameters; travels with the code"
    # They were schooled by rules in code, whose sentences say what each has learned.
    return [
        Listed(f"engine: embedded, temperament: {name}", what, f"Schooled to choose as this rule does: {summary}")
        for name, summary in temperament_summaries().items()
    ] + [
        Listed(
            "engine: embedded, temperament: profit", what, "Schooled on what each action of a menu would have brought."
        ),
        Listed(
            "engine: embedded, temperament: reader",
            "language model of this project's own, 0.37 M parameters; travels with the code",
            "Schooled on templated news of supply chains; it answers these and no menu of a market.",
        ),
    ]


# It picks letters of a menu and can call no tool.
ENGINE = EnginePlugin(
    "embedded",
    EmbeddedModel,
    _client,
    check=_check,
    abilities=frozenset({MARGINS}),
    advises=frozenset(),
    summary="The tiny language models of this project's own, which travel with the code.",
    nature=Nature(
        "tiny embedded model",
        "tiny language models of this project's own",
        aside="schooled to choose as rules do, what would have brought most, or what fits a line of news or a case",
        about="has at most a million parameters, was schooled to choose as a rule does, what would have brought most, "
        "or what fits templated news or cases, and picks a letter from a menu of lawful actions. What they do "
        "says little about what larger models would do.",
    ),
    listed=_listed,
    stays_here=True,
)
