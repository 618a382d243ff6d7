"""Tells where every cent and lot came from and went, from the opening to the last round."""

from collections.abc import Mapping
from typing import Any

from swarm.market.ledger import ISSUE
from swarm.market.orders import Int64
from swarm.scenarios.protocol import MarketState
from swarm.simulation.facets.protocol import Tables
from swarm.simulation.loop import RoundOutcome
from swarm.simulation.plan import RunPlan


class Conservation:
    """The balances of the opening and those of the last round, and what lies between."""

    name = "conservation"

    def started(self, plan: RunPlan, opening: MarketState, named: Int64) -> None:
        """Keeps what there is at the opening."""
        self._accounts = plan.market.named_accounts
        self._assets = ("cash", *plan.scenario.goods)
        self._opening = self._balances = opening.balances
        self._opening_named = self._named = named

    def round_done(self, outcome: RoundOutcome) -> None:
        """Keeps what there is."""
        self._balances, self._named = outcome.state.balances, outcome.named_balances

    def tables(self) -> Tables:
        """Returns no table."""
        return {}

    def summary(self, tables: Tables) -> Mapping[str, Any]:
        """Returns each asset's start and end, and what came and went in between; `unexplained` must be 0."""
        issue = self._accounts.index(ISSUE)
        flows = {}
        for asset, name in enumerate(self._assets):
            start = int(self._opening[:, asset].sum())
            end = int(self._balances[:, asset].sum())
            # ISSUE goes below zero by what it gives out.
            issued = int(self._opening_named[issue][asset] - self._named[issue][asset])
            # [named accounts]: what each has more than at the opening, in cents or lots.
            gained = self._named[:, asset] - self._opening_named[:, asset]
            sinks = {n: int(gained[i]) for i, n in enumerate(self._accounts) if i != issue and gained[i]}
            flows[name] = {
                "start": start,
                "end": end,
                "issued": issued,
                "in_other_accounts": sinks,
                "unexplained": start + issued - sum(sinks.values()) - end,
            }
        return {"conservation": flows}


FACET = Conservation
