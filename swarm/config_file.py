"""Reads a config's file and `--set`: plain values within bounds, checked, and what is wrong said in our words.

It knows neither what keys mean, which is the models', nor what a run does with them. A key that ends with `+` adds an
item to the list that is there.
"""

import copy
import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from swarm import bounded_yaml, plugins, scenarios
from swarm.config import RunConfig
from swarm.errors import HOW_TO_GIVE, ConfigError, PluginMissing, called, suggest
from swarm.schema import checked, short

EXAMPLE = "configs/wood.yaml"
OURS = (Path(__file__).parent / "configs", Path(__file__).parents[1] / "configs")
"""Where the configs lie that come with the software: inside it where it is installed, beside it in a clone."""

MAX_KEY_CHARACTERS = 400
MOST_TEMPLATES = 32
PLUGINS_KEY = "plugins"
TEMPLATES_KEY = "traders.templates"
SCENARIO = "scenario"
MINDS = ["traders", "minds"]


def load(path: Path, overrides: tuple[str, ...] = (), seed: int | None = None, *, own: bool = False) -> RunConfig:
    """Reads a config file and applies `a.b=value` overrides; ConfigError names the first key that is wrong.

    Other files that it names, plug-ins and templates, are read where it is the user's `own`: one that was named, and
    no run's.
    """
    data = read_with(path, overrides, own=own)
    if seed is not None:
        data["seed"] = seed
    return resolve(data)


def read_with(path: Path, overrides: tuple[str, ...] = (), *, own: bool = False) -> dict[str, Any]:
    """Returns the plain values of a config file with `a.b=value` overrides applied, not yet checked."""
    data = read(path)
    _find_templates(data, path.parent, own)
    _find_files(data, path.parent, own)
    for override in overrides:
        _override(data, override)
    return with_plugins(data, path.parent) if own else data


def _find_templates(data: dict[str, Any], folder: Path, own: bool) -> None:
    """Has a folder of templates be seen from a config's; ConfigError where the config may name none."""
    traders = data.get("traders")
    if not isinstance(traders, dict) or not isinstance(named := traders.get("templates"), str):
        return
    # Else opening somebody's run would put files of this machine into prompts.
    if not own:
        raise ConfigError(TEMPLATES_KEY, f"a run's config has texts and no folder such as {short(named)}")
    traders["templates"] = str(folder / Path(named).expanduser())


def _find_files(data: dict[str, Any], folder: Path, own: bool) -> None:
    """Has files that the scenario's section names be seen from a config's; ConfigError where it may name none."""
    section = data.get(SCENARIO)
    if not isinstance(section, dict) or section.get("name") not in scenarios.names():
        return
    for key in scenarios.find(str(section["name"])).files:
        named = section.get(key)
        listed = named if isinstance(named, list) else [named]
        # A name without an ending is something of ours, which lies in no folder.
        files = [one for one in listed if isinstance(one, str) and one and (one is named or Path(one).suffix)]
        if files and not own:
            raise ConfigError(f"{SCENARIO}.{key}", f"a run's config has no files such as {short(files[0])}")
        seen = [str(folder / Path(one).expanduser()) if one in files else one for one in listed]
        if files:
            section[key] = seen if isinstance(named, list) else seen[0]


def with_plugins(data: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Returns the same without its `plugins`, whose files, seen from a folder, are at hand from now on."""
    named = data.get(PLUGINS_KEY, [])
    if not isinstance(named, list) or not all(isinstance(one, str) and one for one in named):
        raise ConfigError(PLUGINS_KEY, f"expected a list of files such as my_minds.py, got {short(named)}")
    for index, one in enumerate(named):
        plugins.give(folder / Path(one).expanduser(), f"{PLUGINS_KEY}.{index}")
    return {key: value for key, value in data.items() if key != PLUGINS_KEY}


def read(path: Path) -> dict[str, Any]:
    """Returns the plain values of a config file, not yet checked; ConfigError where it is no table of keys.

    A name without a folder or an ending, as `wood`, is the config of that name that comes with the software, where no
    file is called so.
    """
    if len(path.parts) == 1 and not path.suffix and (path.is_dir() or not path.exists()):
        path = _ours(path.name)
    try:
        data = bounded_yaml.parse(bounded_yaml.read_text(path))
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error
    if not isinstance(data, dict):
        raise ConfigError(str(path), "expected keys such as name, rounds and models", f"see {EXAMPLE}")
    return data


def _ours(name: str) -> Path:
    """Returns the file of the config that comes with the software under this name; ConfigError where none does."""
    folder = next((folder for folder in OURS if folder.is_dir()), OURS[0])
    found = {path.stem: path for path in sorted(folder.glob("*.yaml"))}
    if name not in found:
        raise ConfigError(
            short(name),
            f"there is no such file, and no config of ours has this name{suggest(name, list(found))}",
            f"name a YAML file, or one of {', '.join(sorted(found))}",
        )
    return found[name]


def as_override(key: str, value: Any) -> str:
    """Returns a change of one key as `--set` takes it."""
    return f"{key}={json.dumps(value)}"


def resolve(data: dict[str, Any]) -> RunConfig:
    """Checks plain values and write out every default, the scenario's included."""
    config = checked(RunConfig, with_templates(data), "")
    name = config.scenario.get("name")
    known = scenarios.names()
    if name not in known:
        raise PluginMissing(
            "scenario.name",
            f"expected one of {', '.join(known)}, got {short(name)}{suggest(str(name), known)}",
            HOW_TO_GIVE,
        )
    # The scenario's section is checked by the plug-in's own class, which the config does not know.
    plugin = scenarios.find(str(name))
    section = plugin.settled(checked(plugin.Config, config.scenario, "scenario."))
    if config.regions and config.regions.tilt_permille and plugin.tilted is None:
        raise ConfigError(
            "regions.tilt_permille", f"the regions of {name} all begin alike", "set it to 0: only their seeds differ"
        )
    return config.model_copy(update={"scenario": section.model_dump(mode="json")})


def with_templates(data: dict[str, Any]) -> dict[str, Any]:
    """Returns the same with a folder of templates read in, since what is kept of a run needs no other file."""
    traders = data.get("traders")
    if not isinstance(traders, dict) or not isinstance(named := traders.get("templates"), str):
        return data
    folder = Path(named).expanduser()
    try:
        files = sorted(folder.glob("*.txt"))[: MOST_TEMPLATES + 1]
        # Long files are read no further than shows that they are too long.
        texts = {path.stem: bounded_yaml.read_text(path).rstrip("\n") for path in files}
    except (OSError, ValueError) as error:
        raise ConfigError(TEMPLATES_KEY, f"{folder}: it cannot be read ({error})") from error
    if not texts:
        raise ConfigError(TEMPLATES_KEY, f"{folder}: there is no folder with files such as menu.system.txt")
    return {**data, "traders": {**traders, "templates": texts}}


def _unreadable(path: Path, error: Exception) -> ConfigError:
    """Returns the error that says why a file is no config."""
    if isinstance(error, bounded_yaml.Unreadable) and error.line is not None:
        return ConfigError(f"{path}:{error.line}", f"this is not YAML that a config may have ({error})")
    why = (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
    return ConfigError(str(path), f"this config cannot be read ({why})", f"name a YAML file, say {EXAMPLE}")


def _override(data: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key:
        example = "for example --set rounds=10, or --set 'scenario.shocks+={kind: mania, round: 3, good: honey}'"
        raise ConfigError(f"--set {short(override)}", "expected a.b=value", example)
    try:
        value = bounded_yaml.parse(text)
    except ValueError as error:
        raise ConfigError(
            _given(key[:MAX_KEY_CHARACTERS]), f"the value is not YAML that a config may have ({error})"
        ) from error
    put(data, key, value)


def put(data: dict[str, Any], key: str, value: Any) -> None:
    """Puts a value at a key such as `market.tick_cents` or `models.0.name`, and makes the tables that lead there.

    At `scenario.shocks+` it is added behind what the list has, be that written or the default.
    """
    *path, last = key.removesuffix("+").split(".")
    if len(path) >= bounded_yaml.MAX_DEPTH or len(key) > MAX_KEY_CHARACTERS:
        raise ConfigError(_given(short(key)), "this key is too deep or too long; no config has such a one")
    if path[:1] == [SCENARIO] and not data.get(SCENARIO):
        # Without a word on it the scenario is the default one, and stays it where one of its keys is set.
        data[SCENARIO] = RunConfig.model_fields[SCENARIO].get_default(call_default_factory=True)
    if path == MINDS and not _at(data, path):
        # Empty stands for all models alike: a weight for one mind leaves the others theirs.
        with suppress(ConfigError):
            put(data, ".".join(path), dict(resolve(copy.deepcopy(data)).minds))
    if key.endswith("+"):
        value = [*_listed(data, [*path, last], key), value]
    here: Any = data
    for part in path:
        here = _child(here, part, key)
    if isinstance(here, list):
        here[_index(here, last, key)] = value
    else:
        here[last] = value


def _given(key: str) -> str:
    """How a change of a key is called where it was given."""
    return called(f"--set {key}", f"changes[{key!r}]")


def _at(here: Any, path: Sequence[str]) -> Any:
    """What stands at a key of plain values; None where nothing does."""
    for part in path:
        if isinstance(here, list) and part.isdecimal() and int(part) < len(here):
            here = here[int(part)]
        else:
            here = here.get(part) if isinstance(here, dict) else None
    return here


def _listed(data: dict[str, Any], path: Sequence[str], key: str) -> list[Any]:
    """The list at a key, as it is written or, where it is not, by default."""
    found = _at(data, path)
    if found is None:
        found = _at(resolve(copy.deepcopy(data)).record(), path)
    if not isinstance(found, list):
        raise ConfigError(_given(key), "only a list can be added to, and there is none here")
    return found


def _child(here: Any, part: str, key: str) -> Any:
    child = here[_index(here, part, key)] if isinstance(here, list) else here.setdefault(part, {})
    if child is None and isinstance(here, dict):
        # `--set a.b=1` makes a table of `a: null`, as of a key that is not there.
        child = here[part] = {}
    if not isinstance(child, dict | list):
        raise ConfigError(_given(key), f"{part} has a value and no keys below it")
    return child


def _index(here: list[Any], part: str, key: str) -> int:
    if not (part.isascii() and part.isdigit() and len(part) < 10 and int(part) < len(here)):
        expected = f"a number from 0 to {len(here) - 1}" if here else "no index, since the list is empty,"
        raise ConfigError(_given(key), f"expected {expected} in place of {short(part)}")
    return int(part)
