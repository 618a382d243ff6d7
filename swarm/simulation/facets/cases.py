"""Keeps the cases of a run: whom an authority sentenced, by which rule, on which figures, and who was pardoned."""

from collections.abc import Mapping
from typing import Any

from swarm.market.orders import Int64
from swarm.scenarios.protocol import MarketState
from swarm.simulation.acts_told import by_party
from swarm.simulation.facets.protocol import Tables
from swarm.simulation.loop import RoundOutcome
from swarm.simulation.parties.magistrate import CASE
from swarm.simulation.plan import RunPlan

MOST_TOLD = 500
"""How many lines of cases are kept; all of them stand in the journal."""


class Cases:
    """The lines of cases, [round, party, what], in the order in which they were spoken."""

    name = "cases"

    def __init__(self) -> None:
        self._lines: list[list[Any]] = []

    def started(self, plan: RunPlan, opening: MarketState, named: Int64) -> None:
        """Takes no note of how a run begins."""

    def round_done(self, outcome: RoundOutcome) -> None:
        """Keeps what was spoken of cases after a round; a refused act has its reason behind it."""
        for party, told, refused in by_party(outcome):
            line = told.removeprefix("news: ")
            if line.startswith(CASE) and len(self._lines) < MOST_TOLD:
                self._lines.append([outcome.round, party, f"{line} (refused: {refused})" if refused else line])

    def tables(self) -> Tables:
        """Returns no table."""
        return {}

    def summary(self, tables: Tables) -> Mapping[str, Any]:
        """Returns the lines, where there are any."""
        return {"cases": self._lines} if self._lines else {}


FACET = Cases
