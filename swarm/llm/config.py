"""The models' section of a config: one kind of entry for each engine at hand, told apart by the key `engine`."""

import json
from typing import TYPE_CHECKING, Annotated, Any, Union

from pydantic import Discriminator, PlainSerializer, PlainValidator, SerializationInfo, Tag
from pydantic.json_schema import SkipJsonSchema
from pydantic_core import PydanticKnownError

from swarm.llm import engines
from swarm.llm.entry import ModelEntry

DEFAULT_ENGINE = "scripted"
_OTHER = "other"


def engine_of(entry: Any) -> str:
    """Returns the engine that an entry is for, in plain values or as a model: the one it names, else the default."""
    if isinstance(entry, dict):
        return str(entry.get("engine", DEFAULT_ENGINE))
    return str(getattr(entry, "engine", DEFAULT_ENGINE))


def _kind_of(entry: Any) -> str:
    """Returns the tag of an entry; engines that were not at hand when this module was imported share one."""
    return name if (name := engine_of(entry)) in _KNOWN else _OTHER


def _other_entry(value: Any) -> ModelEntry:
    """Returns an entry of an engine that SWARM_PLUGINS has named since; an unknown one is an error that names all."""
    name = engine_of(value)
    if name not in (names := engines.names()):
        told = ", ".join(f"'{one}'" for one in names)
        raise PydanticKnownError("union_tag_invalid", {"discriminator": "engine", "tag": name, "expected_tags": told})
    # Plain values come from YAML, so they are read as JSON is: strictly, yet with lists for tuples.
    config = engines.find(name).config
    found: ModelEntry = (
        config.model_validate_json(json.dumps(value)) if isinstance(value, dict) else config.model_validate(value)
    )
    return found


def _plain(model: ModelEntry, info: SerializationInfo) -> Any:
    return model.model_dump(mode=info.mode)


_KNOWN = tuple(engines.names())

if TYPE_CHECKING:
    ModelConfig = ModelEntry
else:
    # A type checker cannot follow what is found by name.
    _ENTRIES = (
        *(Annotated[engines.find(name).config, Tag(name)] for name in _KNOWN),
        Annotated[ModelEntry, PlainValidator(_other_entry), PlainSerializer(_plain), SkipJsonSchema(), Tag(_OTHER)],
    )
    ModelConfig = Annotated[Union[_ENTRIES], Discriminator(_kind_of)]  # noqa: UP007
"""One model of a config: its name, the engine behind it, and how it is deployed."""
