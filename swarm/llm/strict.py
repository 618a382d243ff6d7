"""Writes schemas in the strict dialect of JSON Schema, which OpenAI's structured outputs want of strict schemas.

The root is an object; every object is closed and requires all of its properties, and one that may be left out may be
null instead; every value has a type. `maxLength` is not among the words of the dialect, a pattern says the same. The
rules are those of https://platform.openai.com/docs/guides/structured-outputs#supported-schemas. This module knows no
form of decision and no endpoint.
"""

import json
from typing import Any

Schema = dict[str, Any]

ANSWER = "answer"
"""The one property of the object around a schema whose root is none."""

MOST_CHOICE_CHARS = 64
"""The longest reply that names a choice; what is longer talks."""

KEYWORDS = frozenset(
    {
        *("type", "enum", "const", "anyOf", "$ref", "$defs", "title", "description"),
        *("properties", "required", "additionalProperties", "items", "minItems", "maxItems"),
        *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "pattern", "format"),
    }
)
"""The words that the dialect has."""

_TYPES = {str: "string", bool: "boolean", int: "integer", float: "number", type(None): "null"}


def strict_schema(schema: Schema) -> Schema:
    """Returns what `schema` says in the strict dialect; a root that is no object becomes the property `answer`."""
    if needs_object(schema):
        schema = {"type": "object", "properties": {ANSWER: schema}, "required": [ANSWER]}
    return _strict(schema)


def needs_object(schema: Schema) -> bool:
    """Returns whether the dialect wants an object around the root of this schema."""
    return bool(schema) and schema.get("type") != "object"


def answer_in(text: str) -> str:
    """Returns the answer within the object that `strict_schema` put around it, or the text where it is no such object.

    A string comes back as it is, any other value as JSON.
    """
    # Bare letters and numbers are most answers, and to find out by an exception that they are no JSON is slow.
    if not text.lstrip().startswith("{"):
        return text
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return text
    if not isinstance(found, dict) or found.keys() != {ANSWER}:
        return text
    answer = found[ANSWER]
    return answer if isinstance(answer, str) else json.dumps(answer)


def choice_in(text: str) -> str | None:
    """Returns the choice that a reply names, bare, quoted or in an object as its `answer`; None where it says more."""
    return answer_in(text).strip().strip("\"'.") if len(text) <= MOST_CHOICE_CHARS else None


def _strict(schema: Schema) -> Schema:
    found = {key: value for key, value in schema.items() if key in KEYWORDS}
    # Objects: all properties are required, and those that may be left out may be null.
    if "properties" in found or found.get("type") == "object":
        required = schema.get("required", ())
        found["properties"] = {
            name: _strict(value) if name in required else _or_null(_strict(value))
            for name, value in found.get("properties", {}).items()
        }
        found["required"] = list(found["properties"])
        found["additionalProperties"] = False
    if "items" in found:
        found["items"] = _strict(found["items"])
    for group in ("anyOf", "$defs"):
        if group in found:
            inner = found[group]
            found[group] = (
                [_strict(s) for s in inner] if isinstance(inner, list) else {k: _strict(s) for k, s in inner.items()}
            )
    # A list of values says its type, too, where the schema did not.
    values = found.get("enum", [found["const"]] if "const" in found else [])
    if values and "type" not in found:
        types = sorted({_TYPES[type(value)] for value in values})
        found["type"] = types[0] if len(types) == 1 else types
    if "maxLength" in schema and "pattern" not in found:
        # Quotes, backslashes and line breaks are left out, which some servers do not escape where a pattern holds them.
        found["pattern"] = rf'^[^"\\\n\r\t]{{{schema.get("minLength", 0)},{schema["maxLength"]}}}$'
    return found


def _or_null(schema: Schema) -> Schema:
    """Returns a schema that takes null, too, which stands for a property that is left out."""
    kind = schema.get("type")
    if kind in (None, "object", "array") or "enum" in schema or "const" in schema:
        return {"anyOf": [schema, {"type": "null"}]}
    return schema | {"type": [*([kind] if isinstance(kind, str) else kind), "null"]}
