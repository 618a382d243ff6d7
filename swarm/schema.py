"""The strict, frozen base of everything that is read from a file, and what is wrong with a section in our words."""

import ast
import inspect
import json
import textwrap
from collections.abc import Mapping
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args, get_origin

from pydantic import BaseModel, ConfigDict, GetJsonSchemaHandler, Tag, ValidationError
from pydantic_core import CoreSchema

from swarm.errors import HOW_TO_GIVE, ConfigError, PluginMissing, suggest

EXPLAINED = "`swarm validate --explain` says what it means"
"""Where the keys of a config are told."""


NAME = r"^[a-z0-9][a-z0-9._-]*$"
"""What is called by a config's user, and stands in tables and paths."""

VARIABLE_NAME = r"^[A-Za-z_][A-Za-z0-9_]*$"
"""A variable of the environment."""

IN_WORDS = {
    NAME: "small letters, digits, `.`, `_` and `-`, beginning with a letter or a digit",
    VARIABLE_NAME: "the name of an environment variable: letters, digits and `_`, not beginning with a digit",
    r"^[A-Za-z0-9][A-Za-z0-9._-]*$": "letters, digits, `.`, `_` and `-`, beginning with a letter or a digit",
    r"^[A-Za-z][A-Za-z0-9-]{0,60}$": "the name of a header: letters, digits and `-`, beginning with a letter",
    r"^[a-z]+$": "small letters alone",
}
"""What patterns of text ask for, as an error says it."""


class StrictModel(BaseModel):
    """A frozen record whose keys are all known; validate it in JSON mode so that tuples and enums read naturally.

    The docstring below a key is its description in the JSON schema.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Returns the schema with the keys' descriptions.

        They are read here, and not by pydantic's `use_attribute_docstrings` when a class is made: looking up the source
        of every class is half of what importing a config costs, and each process of a run imports configs.
        """
        schema = handler(core_schema)
        properties = handler.resolve_ref_schema(schema).get("properties", {})
        # A class that has a key anew describes it anew.
        owners = {key: owner for owner in reversed(cls.__mro__) for key in inspect.get_annotations(owner)}
        for key in properties.keys() & owners.keys():
            if issubclass(owners[key], StrictModel) and (meaning := _described(owners[key]).get(key)):
                properties[key].setdefault("description", meaning)
        return schema


@lru_cache(maxsize=256)
def _described(model: type) -> dict[str, str]:
    """Returns the docstrings below the keys of a class, by key; none where its source is not at hand."""
    try:
        source = textwrap.dedent(inspect.getsource(model))
    except (OSError, TypeError):
        return {}
    [written] = ast.parse(source).body
    body = written.body if isinstance(written, ast.ClassDef) else []
    return {
        key.target.id: inspect.cleandoc(below.value.value)
        for key, below in pairwise(body)
        if isinstance(key, ast.AnnAssign)
        and isinstance(key.target, ast.Name)
        and isinstance(below, ast.Expr)
        and isinstance(below.value, ast.Constant)
        and isinstance(below.value.value, str)
    }


Model = TypeVar("Model", bound=StrictModel)


class Misplaced(ValueError):
    """A validator's complaint about another key than that of the model it stands in.

    `plugin_missing` says that what is named may be there elsewhere: it is a plug-in that is not at hand.
    """

    def __init__(self, key: str, message: str, *, plugin_missing: bool = False) -> None:
        self.key, self.plugin_missing = key, plugin_missing
        super().__init__(message)

    @classmethod
    def of(cls, error: ConfigError) -> "Misplaced":
        """Returns the complaint that says what an error says."""
        return cls(
            error.key, str(error).removeprefix(f"{error.key}: "), plugin_missing=isinstance(error, PluginMissing)
        )


def complaint(message: str) -> str:
    """Returns a validator's message in the words of our errors, which know lists and no tuples."""
    said = message[:1].lower() + message[1:]
    return said.replace("input should be", "expected").replace("should", "must").replace("tuple", "list")


def short(value: Any, most: int = 60) -> str:
    """Returns a value as an error shows it, in at most so many characters."""
    try:
        text = repr(_written(value))
    except (ValueError, RecursionError):
        return f"a {type(value).__name__} too large to show"
    return text if len(text) <= most else text[: most - 3] + "..."


def path_of(key: str, name: str) -> Path:
    """Returns the path that a key names, whether anything is there or not; ConfigError where none can be."""
    path = Path(name)
    try:
        path = path.expanduser()
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        pass  # What is not there is told by whoever reads it.
    except (OSError, ValueError, RuntimeError) as error:
        # Names that are too long, hold a zero byte, or begin with the home of nobody.
        why = (error.strerror if isinstance(error, OSError) else None) or str(error).rstrip(".")
        raise ConfigError(
            key, f"{short(name)} is no path here ({why})", "name a file or folder that is there"
        ) from None
    return path


def _written(value: Any) -> Any:
    """A value as a config's writer would write it: what is a tuple here is a list there."""
    return [_written(one) for one in value] if isinstance(value, tuple | list) else value


def checked(model: type[Model], data: Mapping[str, Any], prefix: str, missing: str = EXPLAINED) -> Model:
    """Returns a section of plain values as its model; ConfigError names the first wrong key, behind `prefix`.

    `missing` says where to look for the meaning of a key that is not there.
    """
    try:
        # As JSON, so that tuples and enums read naturally and nothing is coerced.
        return model.model_validate_json(json.dumps(data))
    except ValidationError as error:
        raise _error(model, error.errors()[0], prefix, missing) from None
    except (ValueError, TypeError, RecursionError) as error:
        raise ConfigError(prefix.rstrip(".") or "config", f"expected plain values, within bounds ({error})") from error


def _error(model: type[BaseModel], error: Mapping[str, Any], prefix: str, missing: str) -> ConfigError:
    location, parent = _resolve(model, error["loc"])
    key = prefix + ".".join(location)
    # A validator of ours has said it in our words; what pydantic found is translated.
    cause = error.get("ctx", {}).get("error")
    if isinstance(cause, Misplaced):
        return (PluginMissing if cause.plugin_missing else ConfigError)(cause.key, str(cause))
    if isinstance(cause, ValidationError):
        # A validator that read a section of its own; where in it is named behind the key.
        return _error(StrictModel, cause.errors()[0], f"{key}.", missing)
    if isinstance(cause, ValueError):
        return ConfigError(key.rstrip(".: ") or "config", str(cause))
    match error["type"]:
        case "extra_forbidden":
            known = list(parent.model_fields)
            unknown = str(error["loc"][-1])
            remedy = f"known: {', '.join(known)}" if known else "nothing may stand here"
            return ConfigError(key, f"there is no such key{suggest(unknown, known)}", remedy)
        case "missing":
            # `missing` tells of the section's own keys, and not of those of a section within it.
            within = len(location) > 1 and missing != EXPLAINED
            remedy = f"known: {', '.join(parent.model_fields)}" if within else missing
            return ConfigError(key, "this key is missing", remedy)
        case "too_short" | "too_long":
            bound = "at least {min_length}" if error["type"] == "too_short" else "at most {max_length}"
            expected = bound.format_map(error["ctx"])
            return ConfigError(key, f"expected {expected} entries, got {error['ctx']['actual_length']}")
        case "string_pattern_mismatch" if (pattern := error["ctx"]["pattern"]) in IN_WORDS:
            # Where a variable's name belongs people paste the key itself, which no log should have.
            got = "something else (not shown: perhaps a key)" if pattern == VARIABLE_NAME else short(error["input"])
            return ConfigError(key, f"expected {IN_WORDS[pattern]}, got {got}")
        case "tuple_type" | "list_type" | "set_type":
            return ConfigError(key, f"expected a list, got {short(error['input'])}")
        case "union_tag_invalid":
            tags = [tag.strip(" '") for tag in error["ctx"]["expected_tags"].split(",")]
            tag = str(error["ctx"]["tag"])
            return PluginMissing(
                f"{key}.engine",
                f"expected one of {', '.join(tags)}, got {short(tag)}{suggest(tag, tags)}",
                HOW_TO_GIVE,
            )
        case _:
            return ConfigError(key, f"{complaint(error['msg'])}, got {short(error['input'])}")


def _resolve(model: type[BaseModel], location: tuple[int | str, ...]) -> tuple[list[str], type[BaseModel]]:
    """Returns a location as the file's writer sees it, without tags of unions, and the model of its last part."""
    here, tagged, path = model, dict[str, type[BaseModel]](), list[str]()
    parent = here
    for part in location:
        # pydantic names the member of a union in the location; the file has no such key.
        if part in tagged:
            here, tagged = tagged[str(part)], {}
            parent = here
            continue
        if part != "[key]":
            path.append(str(part))
        parent = here
        if isinstance(part, str) and part in here.model_fields:
            annotation = here.model_fields[part].annotation
            tagged = _tagged(annotation)
            here = here if tagged else _model_of(annotation) or here
    return path, parent


def _tagged(annotation: Any) -> dict[str, type[BaseModel]]:
    """Returns the members of a tagged union by tag, also as a list's items; nothing for any other type."""
    if get_origin(annotation) is Annotated:
        member, *marks = get_args(annotation)
        for mark in marks:
            if isinstance(mark, Tag):
                return {mark.tag: _model_of(member) or member}
    found: dict[str, type[BaseModel]] = {}
    for inner in getattr(annotation, "__args__", ()):
        found |= _tagged(inner)
    return found


def _model_of(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for inner in getattr(annotation, "__args__", ()):
        if found := _model_of(inner):
            return found
    return None
