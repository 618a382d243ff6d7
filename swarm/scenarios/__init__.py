"""Scenarios: one file each in this folder, with one export named SCENARIO, found by the file's name."""

import importlib
import pkgutil

from swarm.scenarios.protocol import ScenarioPlugin

_NOT_SCENARIOS = ("protocol",)


def names() -> list[str]:
    """The names of all scenarios at hand."""
    return sorted(m.name for m in pkgutil.iter_modules(__path__) if m.name not in _NOT_SCENARIOS)


def find(name: str) -> ScenarioPlugin:
    """The scenario called `name`; KeyError if there is none."""
    if name not in names():
        raise KeyError(name)
    plugin: ScenarioPlugin = importlib.import_module(f"{__name__}.{name}").SCENARIO
    return plugin
