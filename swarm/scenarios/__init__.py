"""Scenarios: one file each in this folder, with one export named SCENARIO, found by the file's name."""

from swarm.plugins import Plugins
from swarm.scenarios.protocol import ScenarioPlugin

PLUGINS = Plugins("swarm.scenarios", "SCENARIO", "scenario", skip=("protocol", "spreading"))


def names() -> list[str]:
    """Returns the names of all scenarios at hand."""
    return PLUGINS.names()


def find(name: str) -> ScenarioPlugin:
    """Returns the scenario called `name`; ConfigError if there is none."""
    plugin: ScenarioPlugin = PLUGINS.find(name, "scenario.name")
    return plugin
