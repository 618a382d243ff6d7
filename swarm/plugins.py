"""Loads plug-ins, and is the only one who does: a plug-in is one file with one export, found by its name.

A package of ours holds a kind of plug-in, one module each. More come from installed packages, by entry points: those of
the group of their kind (`swarm.minds`, `swarm.scenarios` and so on), each a plug-in or a module that exports one, and
those of `swarm.plugins`, whose modules may export several kinds. More yet come from the modules that the environment
variable SWARM_PLUGINS names, separated by commas, and from the files that a user's own config names; no run's folder
names any, so that opening somebody's run imports nothing. What a plug-in does, this module does not know.
"""

import importlib
import importlib.util
import logging
import os
import pkgutil
import re
import sys
import traceback
from collections.abc import Iterator
from functools import lru_cache
from importlib.metadata import EntryPoint, EntryPoints, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

from swarm.errors import HOW_TO_GIVE, ConfigError, PluginMissing, suggest

log = logging.getLogger(__name__)

ENTRY_POINTS = "swarm.plugins"
VARIABLE = "SWARM_PLUGINS"
PATH_VARIABLE = "PYTHONPATH"


class Plugins:
    """The plug-ins of one kind: what modules export as `export`, which has a `name`."""

    def __init__(self, package: str, export: str, noun: str, skip: tuple[str, ...] = ()) -> None:
        """`skip` are modules of the package that hold no plug-in; `noun` is what an error calls one."""
        self._package = package
        self._export = export
        self._noun = noun
        self._skip = skip
        self.group = f"swarm.{package.rpartition('.')[2]}"
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
        for point in _points(tuple(sys.path), self.group):
            loaded = _loaded(point)
            yield getattr(loaded, self._export, loaded)


def give(path: Path, key: str) -> None:
    """Has the plug-ins of a file at hand, here and in every process that this one begins; ConfigError where it is none.

    Its folder is put on the path of modules, so that what is sent to another process is found there by its name.
    """
    path, name = path.resolve(), path.stem
    if path.suffix != ".py" or not name.isidentifier() or not path.is_file():
        raise ConfigError(key, f"{path}: there is no such file of Python", "name one such as my_minds.py")
    folder = str(path.parent)
    added = folder not in sys.path
    if added:
        sys.path.insert(0, folder)
    try:
        found = importlib.util.find_spec(name)
        if found is None or found.origin is None or Path(found.origin).resolve() != path:
            raise ConfigError(key, f"{path}: another module is called {name}", "give the file another name")
        _imported(name, key, "mend the file, or leave it out")
    except ConfigError:
        # Left there, a file that was refused would be imported in the other's place by every process begun from here.
        if added:
            sys.path.remove(folder)
        raise
    if added:
        _put(PATH_VARIABLE, folder, os.pathsep)
    _put(VARIABLE, name, ",")


def _imported(name: str, key: str, remedy: str) -> ModuleType:
    """Returns a module of others; PluginMissing at `key` where it is not there, or does not get to its own end."""
    try:
        return importlib.import_module(name)
    except (Exception, SystemExit) as error:
        raise PluginMissing(key, f"{name!r} cannot be imported ({_told(error)})", remedy) from error


def _told(error: BaseException) -> str:
    """What ended an import, in a line: the error and, where it is the module's own, which of its lines raised it."""
    if isinstance(error, SyntaxError):
        return f"line {error.lineno} is not Python: {error.msg}"
    if isinstance(error, ImportError):
        return str(error)
    said = " ".join(str(error).split())[:200]
    # The innermost frame: whatever stands above it is how the module was come to.
    where = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}{said and ': '}{said}, in line {where.lineno} of {Path(where.filename).name}"


def _put(variable: str, value: str, separator: str) -> None:
    values = [one for one in os.environ.get(variable, "").split(separator) if one]
    os.environ[variable] = separator.join(dict.fromkeys((value, *values)))


@lru_cache(maxsize=32)
def _points(path: tuple[str, ...], group: str) -> EntryPoints:
    """Returns the entry points of a group, kept as long as modules are looked for in the same folders."""
    return entry_points(group=group)


def _loaded(point: EntryPoint) -> Any:
    try:
        return point.load()
    except (Exception, SystemExit) as error:
        package = point.dist.name if point.dist else "a package"
        what = f"its plug-in {point.name!r} ({point.value}) cannot be imported ({_told(error)})"
        raise PluginMissing(package, what, "install a version that fits, or remove it") from error


def _modules() -> Iterator[ModuleType]:
    """Yields the modules outside of this package that hold plug-ins."""
    for point in _points(tuple(sys.path), ENTRY_POINTS):
        yield _loaded(point)
    for name in filter(None, map(str.strip, os.environ.get(VARIABLE, "").split(","))):
        yield _imported(name, VARIABLE, "name modules, or unset it")
