"""A config's file and `--set`: plain values read within bounds, checked, and what is wrong said in our words.

It knows neither what keys mean, which is the models', nor what a run does with them. A key that ends with `+` adds an
item to the list that is there.
"""

import copy
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args, get_origin

from pydantic import BaseModel, Tag, ValidationError

from swarm import bounded_yaml, scenarios
from swarm.config import RunConfig
from swarm.errors import ConfigError, PluginMissing, called, suggest
from swarm.plugins import HOW_TO_GIVE
from swarm.schema import Misplaced, StrictModel, complaint, short

Model = TypeVar("Model", bound=StrictModel)

EXAMPLE = "configs/wood.yaml"
MAX_PLACE_CHARACTERS = 400
SCENARIO = "scenario"
MINDS = ["traders", "minds"]


def load(path: Path, overrides: tuple[str, ...] = (), seed: int | None = None) -> RunConfig:
    """Reads a config file and applies `a.b=value` overrides; ConfigError names the first key that is wrong."""
    data = read(path)
    for override in overrides:
        _override(data, override)
    if seed is not None:
        data["seed"] = seed
    return resolve(data)


def read(path: Path) -> dict[str, Any]:
    """Returns the plain values of a config file, not yet checked; ConfigError where it is no table of keys."""
    try:
        data = bounded_yaml.parse(bounded_yaml.read_text(path))
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error
    if not isinstance(data, dict):
        raise ConfigError(str(path), "expected keys such as name, rounds and models", f"see {EXAMPLE}")
    return data


def as_override(key: str, value: Any) -> str:
    """Returns a change of one key as `--set` takes it."""
    return f"{key}={json.dumps(value)}"


def resolve(data: dict[str, Any]) -> RunConfig:
    """Check plain values and write out every default, the scenario's included."""
    config = _validate(RunConfig, data, "")
    name = config.scenario.get("name")
    known = scenarios.names()
    if name not in known:
        raise PluginMissing(
            "scenario.name",
            f"expected one of {', '.join(known)}, got {short(name)}{suggest(str(name), known)}",
            HOW_TO_GIVE,
        )
    plugin = scenarios.find(str(name))
    section = _validate(plugin.Config, config.scenario, "scenario.")
    if config.regions and config.regions.tilt_permille and plugin.tilted is None:
        raise ConfigError(
            "regions.tilt_permille", f"the regions of {name} all begin alike", "set it to 0: only their seeds differ"
        )
    return config.model_copy(update={"scenario": section.model_dump(mode="json")})


def _unreadable(path: Path, error: Exception) -> ConfigError:
    """The error that says why a file is no config."""
    if isinstance(error, bounded_yaml.Unreadable) and error.line is not None:
        return ConfigError(f"{path}:{error.line}", f"this is not YAML that a config may have ({error})")
    why = (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
    return ConfigError(str(path), f"this config cannot be read ({why})", f"name a YAML file, say {EXAMPLE}")


def _override(data: dict[str, Any], override: str) -> None:
    place, equals, text = override.partition("=")
    if not equals or not place:
        example = "for example --set rounds=10, or --set 'scenario.shocks+={kind: mania, round: 3, good: honey}'"
        raise ConfigError(f"--set {short(override)}", "expected a.b=value", example)
    try:
        value = bounded_yaml.parse(text)
    except ValueError as error:
        raise ConfigError(
            _given(place[:MAX_PLACE_CHARACTERS]), f"the value is not YAML that a config may have ({error})"
        ) from error
    put(data, place, value)


def put(data: dict[str, Any], place: str, value: Any) -> None:
    """Puts a value at a key such as `market.tick_cents` or `models.0.name`, and makes the tables that lead there.

    At `scenario.shocks+` it is added behind what the list has, be that written or the default.
    """
    *path, last = place.removesuffix("+").split(".")
    if len(path) >= bounded_yaml.MAX_DEPTH or len(place) > MAX_PLACE_CHARACTERS:
        raise ConfigError(_given(short(place)), "this key is too deep or too long; no config has such a one")
    if path[:1] == [SCENARIO] and not data.get(SCENARIO):
        # Without a word on it the scenario is the default one, and stays it where one of its keys is set.
        data[SCENARIO] = RunConfig.model_fields[SCENARIO].get_default(call_default_factory=True)
    if path == MINDS and not _at(data, path):
        # Empty stands for all models alike: a weight for one mind leaves the others theirs.
        with suppress(ConfigError):
            put(data, ".".join(path), dict(resolve(copy.deepcopy(data)).minds))
    if place.endswith("+"):
        value = [*_listed(data, [*path, last], place), value]
    here: Any = data
    for key in path:
        here = _child(here, key, place)
    if isinstance(here, list):
        here[_index(here, last, place)] = value
    else:
        here[last] = value


def _given(place: str) -> str:
    """How a change of a key is called where it was given."""
    return called(f"--set {place}", f"changes[{place!r}]")


def _at(here: Any, path: Sequence[str]) -> Any:
    """What stands at a key of plain values; None where nothing does."""
    for key in path:
        if isinstance(here, list) and key.isdecimal() and int(key) < len(here):
            here = here[int(key)]
        else:
            here = here.get(key) if isinstance(here, dict) else None
    return here


def _listed(data: dict[str, Any], path: Sequence[str], place: str) -> list[Any]:
    """The list at a key, as it is written or, where it is not, by default."""
    found = _at(data, path)
    if found is None:
        found = _at(resolve(copy.deepcopy(data)).record(), path)
    if not isinstance(found, list):
        raise ConfigError(_given(place), "only a list can be added to, and there is none here")
    return found


def _child(here: Any, key: str, place: str) -> Any:
    child = here[_index(here, key, place)] if isinstance(here, list) else here.setdefault(key, {})
    if child is None and isinstance(here, dict):
        child = here[key] = {}
    if not isinstance(child, dict | list):
        raise ConfigError(_given(place), f"{key} has a value and no keys below it")
    return child


def _index(here: list[Any], key: str, place: str) -> int:
    if not (key.isascii() and key.isdigit() and len(key) < 10 and int(key) < len(here)):
        expected = f"a number from 0 to {len(here) - 1}" if here else "no index, since the list is empty,"
        raise ConfigError(_given(place), f"expected {expected} in place of {short(key)}")
    return int(key)


def _validate(model: type[Model], data: dict[str, Any], prefix: str) -> Model:
    try:
        # As JSON, so that tuples and enums read naturally and nothing is coerced.
        return model.model_validate_json(json.dumps(data))
    except ValidationError as error:
        raise _config_error(model, error.errors()[0], prefix) from error
    except (ValueError, TypeError, RecursionError) as error:
        raise ConfigError(prefix.rstrip(".") or "config", f"expected plain values, within bounds ({error})") from error


def _config_error(model: type[BaseModel], error: Mapping[str, Any], prefix: str) -> ConfigError:
    location, parent = _resolve(model, error["loc"])
    place = prefix + ".".join(location)
    cause = error.get("ctx", {}).get("error")
    if isinstance(cause, Misplaced):
        return (PluginMissing if cause.plugin_missing else ConfigError)(cause.key, str(cause))
    if isinstance(cause, ValueError):
        return ConfigError(place.rstrip(".") or "config", str(cause))
    match error["type"]:
        case "extra_forbidden":
            known = list(parent.model_fields)
            key = str(error["loc"][-1])
            return ConfigError(place, f"there is no such key{suggest(key, known)}", f"known: {', '.join(known)}")
        case "missing":
            return ConfigError(place, "this key is missing", "`swarm validate --explain` says what it means")
        case "union_tag_invalid":
            tags = [tag.strip(" '") for tag in error["ctx"]["expected_tags"].split(",")]
            tag = str(error["ctx"]["tag"])
            return PluginMissing(
                f"{place}.engine",
                f"expected one of {', '.join(tags)}, got {short(tag)}{suggest(tag, tags)}",
                HOW_TO_GIVE,
            )
        case _:
            return ConfigError(place, f"{complaint(error['msg'])}, got {short(error['input'])}")


def _resolve(model: type[BaseModel], location: tuple[int | str, ...]) -> tuple[list[str], type[BaseModel]]:
    """A location as the file's writer sees it, without the tags of unions, and the model that its last part is in."""
    here, tagged, place = model, dict[str, type[BaseModel]](), list[str]()
    parent = here
    for part in location:
        if part in tagged:
            here, tagged = tagged[str(part)], {}
            parent = here
            continue
        if part != "[key]":
            place.append(str(part))
        parent = here
        if isinstance(part, str) and part in here.model_fields:
            annotation = here.model_fields[part].annotation
            tagged = _tagged(annotation)
            here = here if tagged else _model_of(annotation) or here
    return place, parent


def _tagged(annotation: Any) -> dict[str, type[BaseModel]]:
    """The members of a union whose members have tags, by tag, and of lists their items; nothing for any other type."""
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
