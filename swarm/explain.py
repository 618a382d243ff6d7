"""Explains every key of a config, read off the models themselves: its name, type and bounds, default, meaning."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from swarm import scenarios
from swarm.agents import minds
from swarm.config import RunConfig
from swarm.coordination import staffing
from swarm.simulation import parties

Schema = dict[str, Any]

DEFINE = "traders.define"


@dataclass(frozen=True, slots=True)
class KeyMeaning:
    """The meaning of one key; `default` is empty for sections and required keys."""

    key: str
    kind: str
    default: str
    meaning: str


def explain(scenario: str) -> Iterator[KeyMeaning]:
    """Yields every key that a config for this scenario may have, sections before what is in them."""
    for key in _keys(RunConfig.model_json_schema(), "", {}):
        yield key
        if key.key == staffing.KEY:
            # Each staffing at hand has keys of its own.
            for name in staffing.PLUGINS.names():
                plugin = staffing.PLUGINS.find(name, staffing.KEY)
                yield from _keys(plugin.Config.model_json_schema(), f"{staffing.KEY}[{name}].", {})
        if key.key == DEFINE:
            # So has each kind of mind; those that carry their name have a list of their own, and staffing has its own.
            for name in sorted(set(minds.PLUGINS.names()) - set(staffing.PLUGINS.names())):
                section = minds.PLUGINS.find(name, DEFINE).Config
                if "name" not in section.model_fields:
                    yield from _keys(section.model_json_schema(), f"{DEFINE}[{name}].", {})
        if key.key == parties.KEY:
            for name in parties.PLUGINS.names():
                yield from _party_keys(name)
    yield from _keys(scenarios.find(scenario).Config.model_json_schema(), "scenario.", {})


def _party_keys(name: str) -> Iterator[KeyMeaning]:
    """Yields the keys of a party, and behind a list of entries of several kinds those of each kind."""
    plugin: parties.PartyPlugin = parties.PLUGINS.find(name, parties.KEY)
    section = f"{parties.KEY}[{name}]."
    for key in _keys(plugin.Config.model_json_schema(), section, {}):
        yield key
        for kind, entry in plugin.entries.get(key.key.removeprefix(section), {}).items():
            yield from _keys(entry.model_json_schema(), f"{key.key}[{kind}].", {})


def _keys(schema: Schema, prefix: str, definitions: Schema) -> Iterator[KeyMeaning]:
    definitions = dict(schema.get("$defs", definitions))
    required: list[str] = schema.get("required", [])
    for name, told in schema["properties"].items():
        key = f"{prefix}{name}"
        target = _resolved(told, definitions)
        meaning = " ".join(told.get("description", target.get("description", "")).split())
        # A section is told first, and then its keys below it.
        if section := _section(target, definitions):
            left_out = section is not target
            kind, default = ("section or null", _shown(told.get("default"))) if left_out else ("section", "")
            yield KeyMeaning(key, kind, default, meaning)
            yield from _keys(section, f"{key}.", definitions)
            continue
        default = _shown(told["default"]) if "default" in told else ""
        yield KeyMeaning(key, _kind(target, definitions) + (", required" if name in required else ""), default, meaning)
        yield from _item_keys(_item_models(target, definitions), key, definitions)
        # The keys of a section that may be null, or of a list that may be a number, count where it is not.
        for choice in (_resolved(choice, definitions) for choice in _choices(target)):
            yield from _item_keys(_item_models(choice, definitions), key, definitions)
            if "properties" in choice:
                yield from _keys(choice, f"{key}.", definitions)


def _item_keys(items: list[Schema], key: str, definitions: Schema) -> Iterator[KeyMeaning]:
    """Yields what all kinds of items share as `models[].key`, and what only one kind has as `models[kind].key`."""
    shared = {
        name: told
        for name, told in (items[0]["properties"] if items else {}).items()
        if all(item["properties"].get(name) == told for item in items)
    }
    for item in items[:1]:
        yield from _keys({**item, "properties": shared}, f"{key}[].", definitions)
    for item in items if len(items) > 1 else ():
        # A kind is called by its tag, the one key with a single value.
        own = {name: told for name, told in item["properties"].items() if name not in shared}
        kind = next((told["const"] for told in own.values() if "const" in told), item.get("title", ""))
        yield from _keys({**item, "properties": own}, f"{key}[{kind}].", definitions)


def _section(schema: Schema, definitions: Schema) -> Schema | None:
    """Returns the model that a key holds, or holds where it is not null; None for any other kind of key."""
    choices = [_resolved(choice, definitions) for choice in schema.get("anyOf", [schema])]
    # One model, or one model or null; a union of several is no section.
    sections = [choice for choice in choices if "properties" in choice]
    others = [choice for choice in choices if choice.get("type") != "null" and choice not in sections]
    return sections[0] if len(sections) == 1 and not others else None


def _resolved(schema: Schema, definitions: Schema) -> Schema:
    reference = schema.get("$ref")
    # References look like "#/$defs/Name".
    resolved: Schema = definitions[reference.rsplit("/", 1)[1]] if reference else schema
    return resolved


def _choices(schema: Schema) -> list[Schema]:
    """Returns the members of a union, with tags or without."""
    return list(schema.get("anyOf", ()) or schema.get("oneOf", ()))


def _item_models(schema: Schema, definitions: Schema) -> list[Schema]:
    """Returns the models that the items of a list may be: one, or one for each value of a tag."""
    if schema.get("type") != "array":
        return []
    item = _resolved(schema.get("items", {}), definitions)
    tagged = item.get("oneOf") or item.get("anyOf") or [item]
    choices = [_resolved(choice, definitions) for choice in tagged]
    return [choice for choice in choices if "properties" in choice]


def _kind(schema: Schema, definitions: Schema) -> str:
    # From what says most of a value to what says least.
    if choices := _choices(schema):
        return " or ".join(_kind(_resolved(choice, definitions), definitions) for choice in choices)
    if "enum" in schema:
        return " | ".join(_shown(value) for value in schema["enum"])
    if "const" in schema:
        return str(schema["const"])
    if "prefixItems" in schema:
        return f"[{', '.join(_kind(_resolved(item, definitions), definitions) for item in schema['prefixItems'])}]"
    if schema.get("type") == "array":
        if _item_models(schema, definitions):
            return "list of sections"
        return f"list of {_kind(_resolved(schema.get('items', {}), definitions), definitions)}"
    if "properties" in schema:
        return "section"
    if schema.get("type") == "object":
        values = schema.get("additionalProperties")
        return f"table of {_kind(values, definitions)}" if isinstance(values, dict) else "table"
    return f"{schema.get('type', 'any')}{_bounds(schema)}"


def _bounds(schema: Schema) -> str:
    low = schema.get("minimum", schema.get("exclusiveMinimum"))
    high = schema.get("maximum", schema.get("exclusiveMaximum"))
    if low is not None and high is not None:
        return f" {'above ' if 'exclusiveMinimum' in schema else ''}{_number(low)} to {_number(high)}"
    if low is not None:
        return f" from {_number(low)}"
    if "maxLength" in schema:
        return f" of at most {schema['maxLength']} characters"
    return ""


def _number(value: float) -> str:
    return "2^63 - 1" if value == 2**63 - 1 else f"{value:,.6g}" if value < 100_000 else f"{value:,.0f}"


def _shown(value: Any) -> str:
    match value:
        case None:
            return "null"
        case "":
            return "empty"
        case bool():
            return str(value).lower()
        case dict():
            return ", ".join(f"{key} {item}" for key, item in value.items()) or "none"
        case list() | tuple():
            return ", ".join(str(item) for item in value) or "none"
        case _:
            return str(value)
