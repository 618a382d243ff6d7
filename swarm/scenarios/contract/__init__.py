"""The scenario `contract`: contracts read by `reading` and cut by `clauses`, rules in `sets`, the economy in `desk`.

`quotation` verifies what is quoted, `index` finds candidates, `rules` and `form` are how reviewers say what they found.
"""

from swarm.scenarios.contract.config import ContractConfig, settled
from swarm.scenarios.contract.desk import ContractDesk
from swarm.scenarios.protocol import ScenarioPlugin

SCENARIO = ScenarioPlugin(
    name="contract",
    summary="A contract against rule sets: reviewers stake on what they find, and each finding has its quotation.",
    Config=ContractConfig,
    build=ContractDesk,
    files=("contract", "rule_sets", "screener"),
    settled=settled,
)
