"""The scenario `wood`: its section in `config`, its creatures and their rules in `creatures`, regions in `tilt`."""

from swarm.scenarios.protocol import ScenarioPlugin
from swarm.scenarios.wood.config import WoodConfig
from swarm.scenarios.wood.creatures import Wood
from swarm.scenarios.wood.tilt import tilted

SCENARIO = ScenarioPlugin(
    name="wood",
    summary="Five kinds of creatures, five goods, spoiling food, cold winters, gossip and shocks.",
    Config=WoodConfig,
    build=Wood,
    tilted=tilted,
    begins=lambda config: {"scenario.shocks": [shock.round for shock in config.shocks]},
)
