"""The scenario `fraud`: its section in `config`, what is computed in `engine`, sold in `market`, and played in `desk`.

`town`, `planted` and `generate` make payments, `table` reads a user's own, `features` and `specialists` look at them,
`bank` keeps the accounts and holds, `settling` says what alerts came to.
"""

from swarm.scenarios.fraud.config import FraudConfig, settled
from swarm.scenarios.fraud.desk import FraudDesk
from swarm.scenarios.protocol import ScenarioPlugin

SCENARIO = ScenarioPlugin(
    name="fraud",
    summary="A bank's fraud desk: watchers bid for the analyst's few slots a day, and live by what they find.",
    Config=FraudConfig,
    build=FraudDesk,
    files=("payments",),
    settled=settled,
)
