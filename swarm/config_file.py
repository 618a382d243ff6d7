"""Reads a config's file and `--set`: plain values within bounds, checked, and what is wrong said in our words.

It knows neither what keys mean, which is the models', nor what a run does with them.
"""

import json
from pathlib import Path
from typing import Any

from swarm import bounded_yaml, scenarios
from swarm.config import RunConfig
from swarm.errors import ConfigError, suggest
from swarm.schema import checked, short

EXAMPLE = "configs/wood.yaml"
MAX_KEY_CHARACTERS = 400


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
    """Checks plain values and write out every default, the scenario's included."""
    config = checked(RunConfig, data, "")
    name = config.scenario.get("name")
    known = scenarios.names()
    if name not in known:
        raise ConfigError(
            "scenario.name", f"expected one of {', '.join(known)}, got {short(name)}{suggest(str(name), known)}"
        )
    # The scenario's section is checked by the plug-in's own class, which the config does not know.
    plugin = scenarios.find(str(name))
    section = checked(plugin.Config, config.scenario, "scenario.")
    if config.regions and config.regions.tilt_permille and plugin.tilted is None:
        raise ConfigError(
            "regions.tilt_permille", f"the regions of {name} all begin alike", "set it to 0: only their seeds differ"
        )
    return config.model_copy(update={"scenario": section.model_dump(mode="json")})


def _unreadable(path: Path, error: Exception) -> ConfigError:
    """Returns the error that says why a file is no config."""
    if isinstance(error, bounded_yaml.Unreadable) and error.line is not None:
        return ConfigError(f"{path}:{error.line}", f"this is not YAML that a config may have ({error})")
    why = (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
    return ConfigError(str(path), f"this config cannot be read ({why})", f"name a YAML file, say {EXAMPLE}")


def _override(data: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise ConfigError(f"--set {short(override)}", "expected a.b=value", "for example --set rounds=10")
    try:
        value = bounded_yaml.parse(text)
    except ValueError as error:
        where = f"--set {key[:MAX_KEY_CHARACTERS]}"
        raise ConfigError(where, f"the value is not YAML that a config may have ({error})") from error
    put(data, key, value)


def put(data: dict[str, Any], key: str, value: Any) -> None:
    """Puts a value at a key such as `market.tick_cents` or `models.0.name`, and makes the tables that lead there."""
    *path, last = key.split(".")
    if len(path) >= bounded_yaml.MAX_DEPTH or len(key) > MAX_KEY_CHARACTERS:
        raise ConfigError(f"--set {short(key)}", "this key is too deep or too long; no config has such a one")
    here: Any = data
    for part in path:
        here = _child(here, part, key)
    if isinstance(here, list):
        here[_index(here, last, key)] = value
    else:
        here[last] = value


def _child(here: Any, part: str, key: str) -> Any:
    child = here[_index(here, part, key)] if isinstance(here, list) else here.setdefault(part, {})
    if child is None and isinstance(here, dict):
        # `--set a.b=1` makes a table of `a: null`, as of a key that is not there.
        child = here[part] = {}
    if not isinstance(child, dict | list):
        raise ConfigError(f"--set {key}", f"{part} has a value and no keys below it")
    return child


def _index(here: list[Any], part: str, key: str) -> int:
    if not (part.isascii() and part.isdigit() and len(part) < 10 and int(part) < len(here)):
        expected = f"a number from 0 to {len(here) - 1}" if here else "no index, since the list is empty,"
        raise ConfigError(f"--set {key}", f"expected {expected} in place of {short(part)}")
    return int(part)
