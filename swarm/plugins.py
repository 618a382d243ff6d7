"""Loads plug-ins, and is the only one who does: a plug-in is one file with one export, found by its name.

A package of ours holds a kind of plug-in, one module each. More come from installed packages, by the entry points of
group `swarm.plugins`, and from the modules that the environment variable SWARM_PLUGINS names, separated by commas. No
config and no run folder can name a module, so that opening somebody's run imports nothing. What a plug-in does, this
module does not know.
"""

import importlib
import logging
import os
import pkgutil
import re
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

from swarm.errors import HOW_TO_GIVE, PluginMissing, suggest

log = logging.getLogger(__name__)

ENTRY_POINTS = "swarm.plugins"
VARIABLE = "SWARM_PLUGINS"


class Plugins:
    """The plug-ins of one kind: what modules export as `export`, which has a `name`."""

    def __init__(self, package: str, export: str, noun: str, skip: tuple[str, ...] = ()) -> None:
        """`skip` are modules of the package that hold no plug-in; `noun` is what an error calls one."""
        self._package = package
        self._export = export
        self._noun = noun
        self._skip = skip
        self._found: list[str] | None = None

    def names(self) -> list[str]:
        """Returns the names of all plug-ins at hand, sorted."""
        return sorted({*self._own(), *(plugin.name for plugin in self._others())})

    def find(self, name: str, key: str) -> Any:
        """Returns the plug-in called `name`; PluginMissing at `key` if there is none."""
        # Ours first, so that nobody else's plug-in takes a name that configs already use.
        if name in self._own():
            return getattr(importlib.import_module(f"{self._package}.{name}"), self._export)
        for plugin in self._others():
            if plugin.name == name:
                return plugin
        names = self.names()
        raise PluginMissing(
            key,
            f"there is no {self._noun} {name!r} at hand{suggest(name, names)}",
            f"known: {', '.join(names) or 'none'}; {HOW_TO_GIVE}{self._without_export()}",
        )

    def _without_export(self) -> str:
        """Which of the modules at hand hold no plug-in of this kind; empty where none is named."""
        lacking = [module.__name__ for module in _modules() if not hasattr(module, self._export)]
        return f" ({', '.join(lacking)}: no {self._export} there)" if lacking else ""

    def _own(self) -> list[str]:
        if self._found is None:
            # Files are listed and not imported: one plug-in's packages are nobody else's cost.
            path = importlib.import_module(self._package).__path__
            modules = [m for m in pkgutil.iter_modules(path) if m.name not in self._skip]
            self._found = [m.name for m in modules if self._exports(m)]
        return self._found

    def _exports(self, module: pkgutil.ModuleInfo) -> bool:
        """Whether a module of the package has the export, by its text, so that none is imported for its name alone."""
        spec = module.module_finder.find_spec(f"{self._package}.{module.name}", None)
        if spec is None or not spec.origin or not spec.origin.endswith(".py"):
            return True
        if re.search(rf"\b{self._export}\b", Path(spec.origin).read_text(encoding="utf-8", errors="replace")):
            return True
        log.warning("%s: skipped, since it exports no %s and so is no %s", spec.origin, self._export, self._noun)
        return False

    def _others(self) -> Iterator[Any]:
        for module in _modules():
            # One module may export plug-ins of several kinds.
            if (plugin := getattr(module, self._export, None)) is not None:
                yield plugin


def _modules() -> Iterator[ModuleType]:
    """Yields the modules outside of this package that hold plug-ins."""
    for point in entry_points(group=ENTRY_POINTS):
        yield point.load()
    for name in filter(None, map(str.strip, os.environ.get(VARIABLE, "").split(","))):
        try:
            yield importlib.import_module(name)
        except ImportError as error:
            raise PluginMissing(
                VARIABLE, f"{name!r} cannot be imported ({error})", "name modules, or unset it"
            ) from error
