"""Measures the market by what other facets keep, as economists judge one."""

from collections.abc import Mapping
from typing import Any

from swarm.market.orders import Int64
from swarm.market.quality import gini
from swarm.scenarios.protocol import MarketState
from swarm.simulation.facets.protocol import Tables
from swarm.simulation.facets.traders import wealth_cents
from swarm.simulation.loop import RoundOutcome
from swarm.simulation.measures import measures
from swarm.simulation.plan import RunPlan


class Quality:
    """The last round, whose wealth is measured, and the plan, whose scenario may know what trades are worth."""

    name = "quality"

    def started(self, plan: RunPlan, opening: MarketState, named: Int64) -> None:
        """Keeps the opening."""
        self._plan, self._state, self._round = plan, opening, 0

    def round_done(self, outcome: RoundOutcome) -> None:
        """Keeps the round."""
        self._plan, self._state, self._round = outcome.plan, outcome.state, outcome.round

    def tables(self) -> Tables:
        """Returns no table."""
        return {}

    def summary(self, tables: Tables) -> Mapping[str, Any]:
        """Returns every measure, for the market and by good."""
        wealth = wealth_cents(self._plan, self._state)[self._plan.there(self._round)]
        return {"quality": measures(self._plan, tables, gini(wealth))}


FACET = Quality
