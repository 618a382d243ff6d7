"""The scenario `supply_chain`: its section in `config`, its rounds in `flow` and `chain`, what is known in `bound`.

`auction` is the same chain whose nodes trade at auction, in the goods of `wares`.

`network`, `table` and `shapes` say who orders of whom, `planning` how nodes order, `demand` and `news` what happens.
"""

from swarm.scenarios.protocol import ScenarioPlugin
from swarm.scenarios.supply_chain.auction import build
from swarm.scenarios.supply_chain.config import SupplyConfig

SCENARIO = ScenarioPlugin(
    name="supply_chain",
    summary="Suppliers, warehouses and retailers: lead times, backlogs, news that no plan reads, a proven bound.",
    Config=SupplyConfig,
    build=build,
    begins=lambda config: {
        # A shift is met once it is announced, or once it comes.
        "scenario.shifts": [shift.first_round + min(shift.announced or 0, 0) for shift in config.shifts],
        "scenario.news": [line.round for line in config.news],
    },
)
