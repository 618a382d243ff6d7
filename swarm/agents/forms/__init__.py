"""Forms: one way each to ask for a decision and to read it, pure, so that a replay reads what was asked.

A form of a market is a file in this folder, or a plug-in of others, with one export named FORM. What other scenarios
ask for, they bring along themselves (`swarm.scenarios.protocol`).
"""

from swarm.agents.forms.protocol import FormPlugin
from swarm.plugins import Plugins

PLUGINS = Plugins(__name__, "FORM", "form", skip=("calls", "member_menu", "menus", "picked_menu", "protocol"))


def of_markets() -> dict[str, FormPlugin]:
    """Returns by name every form at hand in which a trader can be asked for orders."""
    return {name: PLUGINS.find(name, "models.*.form") for name in PLUGINS.names()}
