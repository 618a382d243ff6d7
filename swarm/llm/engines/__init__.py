"""Engines: one file or folder each, with one export named ENGINE, found by name (`swarm.llm.engines.protocol`)."""

from collections.abc import Iterable
from typing import Any

from swarm import limits
from swarm.llm.engines.protocol import EnginePlugin
from swarm.llm.entry import ModelEntry
from swarm.llm.protocol import ModelClient
from swarm.plugins import Plugins

PLUGINS = Plugins(__name__, "ENGINE", "engine", skip=("protocol",))


def names() -> list[str]:
    """Returns the names of all engines at hand."""
    return PLUGINS.names()


def find(name: str) -> EnginePlugin[Any]:
    """Returns the engine called `name`; ConfigError says which there are where there is none."""
    engine: EnginePlugin[Any] = PLUGINS.find(name, "models.*.engine")
    return engine


def of(model: ModelEntry) -> EnginePlugin[Any]:
    """Returns the engine of a model's entry."""
    return find(model.engine)


def able_to(ability: str) -> list[str]:
    """Returns the names of all engines at hand whose models can do that."""
    return [name for name in names() if ability in find(name).abilities]


def in_process(model: ModelEntry) -> ModelClient:
    """Returns a client that runs the model in this process or below it, or reaches its endpoint from here."""
    return all_in_process([model])[model.name]


def all_in_process(models: Iterable[ModelEntry]) -> dict[str, ModelClient]:
    """Returns the clients of models by name; together they open no more connections than this process may."""
    entries = {model.name: model for model in models}
    wanted = {name: model.connections for name, model in entries.items() if model.connections}
    for name, most in limits.shares_of_connections(wanted).items():
        entries[name] = entries[name].with_connections(most)
    return {name: of(model).client(model) for name, model in entries.items()}
