"""Asks before a run whether the models of a config can be used, each of its own engine."""

from collections.abc import Mapping, Sequence

from swarm.errors import ModelError
from swarm.llm import engines
from swarm.llm.config import ModelConfig
from swarm.llm.engines.protocol import CheckConditions
from swarm.llm.protocol import ModelRequest

TIMEOUT_S = 30.0
"""Seconds for which a completion is waited for."""


def are_checked(models: Sequence[ModelConfig]) -> bool:
    """Returns whether there is anything to be found out about these models."""
    return any(engines.of(m).is_checked for m in models)


def problems(
    models: Sequence[ModelConfig],
    tokens_per_turn: int,
    timeout_s: float = TIMEOUT_S,
    here: bool = True,
    requests: Mapping[str, ModelRequest] | None = None,
) -> list[str]:
    """Returns one line for each model that cannot be used: its name, the reason, the way out; engine by engine.

    `tokens_per_turn` is what a turn may take, prompt and reply together, and so what a context must hold. `here` says
    that engines will run on this machine; where they run elsewhere, its GPUs and packages do not count. `requests` are
    the run's own, by model: an endpoint is asked one of them.
    """
    # Each engine is told all of its own models at once.
    conditions = CheckConditions(tokens_per_turn, timeout_s, here, requests or {})
    return [line for name, own in _by_engine(models) for line in engines.find(name).check(own, conditions)]


def warnings(models: Sequence[ModelConfig]) -> list[str]:
    """Returns what a user should know although nothing is wrong."""
    return [line for name, own in _by_engine(models) for line in engines.find(name).warnings(own)]


def must_be_usable(
    models: Sequence[ModelConfig],
    tokens_per_turn: int,
    here: bool = True,
    requests: Mapping[str, ModelRequest] | None = None,
) -> None:
    """Raises ModelError where there are `problems`."""
    if found := problems(models, tokens_per_turn, here=here, requests=requests):
        raise ModelError("\n".join(found))


def too_slow(models: Sequence[ModelConfig], within_s: float) -> list[str]:
    """Returns a line for each model whose shortest completion, measured now, takes longer than a round gives it.

    Each endpoint is asked for one token; what a whole reply takes is longer.
    """
    return [
        f"models: {model}: a completion of one token takes more than the {within_s:g} s that a round gives models, so "
        "its turns will be late; raise budget.round_deadline_s"
        for name, own in _by_engine(models)
        for model, seconds in engines.find(name).latencies_s(own, within_s).items()
        if seconds >= within_s
    ]


def _by_engine(models: Sequence[ModelConfig]) -> list[tuple[str, list[ModelConfig]]]:
    # Engine by engine, so that one that looks at all of its models together (GPUs they share) can do so.
    names = sorted({m.engine for m in models})
    return [(name, [m for m in models if m.engine == name]) for name in names]
