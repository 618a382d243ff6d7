"""The models' section of a config: one kind of entry for each engine at hand, told apart by the key `engine`."""

from typing import TYPE_CHECKING, Annotated, Any, Union

from pydantic import Discriminator, Tag

from swarm.llm import engines
from swarm.llm.entry import ModelEntry

DEFAULT_ENGINE = "scripted"


def engine_of(entry: Any) -> str:
    """Returns the engine that an entry is for, in plain values or as a model: the one it names, else the default."""
    if isinstance(entry, dict):
        return str(entry.get("engine", DEFAULT_ENGINE))
    return str(getattr(entry, "engine", DEFAULT_ENGINE))


if TYPE_CHECKING:
    ModelConfig = ModelEntry
else:
    # A type checker cannot follow what is found by name.
    _ENTRIES = tuple(Annotated[engines.find(name).config, Tag(name)] for name in engines.names())
    ModelConfig = Annotated[Union[_ENTRIES], Discriminator(engine_of)]  # noqa: UP007
"""One model of a config: its name, the engine behind it, and how it is deployed."""
