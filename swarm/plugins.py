"""The one loader of plug-ins: each kind is a package whose files or folders are plug-ins of one export, found by name.

Plug-ins that are not of this project stand in modules that the environment variable SWARM_PLUGINS names, divided by
commas; such a module is called by the last part of its name. A config names plug-ins and never modules, so a config of
somebody else imports nothing that its reader has not chosen. This module knows no plug-in and no kind.
"""

import importlib
import os
import pkgutil
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from swarm.errors import ConfigError, suggest

PLUGINS_ENV = "SWARM_PLUGINS"


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of plug-in: the word for it, the package of those at hand, and what each module exports it as."""

    word: str
    package: str
    export: str
    besides: tuple[str, ...] = ("protocol",)
    """Modules of the package that are no plug-ins."""


def names(kind: Kind) -> list[str]:
    """Returns the names of all plug-ins of a kind, in alphabetical order."""
    package = importlib.import_module(kind.package)
    at_hand = {module.name for module in pkgutil.iter_modules(package.__path__)} - set(kind.besides)
    return sorted(at_hand | _outside(kind).keys())


def load(kind: Kind, name: str) -> Any:
    """Returns the export of the plug-in called `name`; ConfigError says which there are where there is none."""
    if name not in (known := names(kind)):
        problem = f"there is no {kind.word} called {name[:60]!r}{suggest(name, known)}"
        raise ConfigError(kind.word, problem, f"known: {', '.join(known)}")
    outside = _outside(kind)
    module = outside[name] if name in outside else importlib.import_module(f"{kind.package}.{name}")
    return getattr(module, kind.export)


def _outside(kind: Kind) -> dict[str, ModuleType]:
    """The modules of SWARM_PLUGINS that export this kind, by the last part of their names."""
    listed = [path.strip() for path in os.environ.get(PLUGINS_ENV, "").split(",") if path.strip()]
    modules = {path.rpartition(".")[2]: _imported(path) for path in listed}
    return {name: module for name, module in modules.items() if hasattr(module, kind.export)}


def _imported(path: str) -> ModuleType:
    try:
        return importlib.import_module(path)
    except ImportError as error:
        raise ConfigError(
            PLUGINS_ENV,
            f"the module {path!r} cannot be imported ({error})",
            "name modules that lie on Python's path, say my_project.my_engine",
        ) from error
