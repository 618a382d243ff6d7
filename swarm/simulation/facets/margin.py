"""What traders who may borrow paid, owed and did not pay back; of a market without margin accounts, nothing."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from swarm.market.orders import Int64
from swarm.scenarios.protocol import MarketState
from swarm.simulation.facets.protocol import Tables
from swarm.simulation.loop import RoundOutcome
from swarm.simulation.plan import RunPlan


class Margin:
    """Keeps who was called, liquidated and defaulted, and what the accounts owe in the end."""

    name = "margin"

    def started(self, plan: RunPlan, opening: MarketState, named: Int64) -> None:
        """Begin with nobody in debt."""
        self._plan, self._state = plan, opening
        self._assets = ("cash", *plan.scenario.goods)
        self._interest_cents, self._defaults = 0, 0
        self._called, self._liquidated = set[int](), set[int]()
        # [assets] cents of cash and lots of goods.
        self._written_off = np.zeros(len(self._assets), dtype=np.int64)

    def round_done(self, outcome: RoundOutcome) -> None:
        """Keep what the round's margin report says."""
        self._state = outcome.state
        if (report := outcome.cleared.margin) is None:
            return
        self._interest_cents += report.interest_cents
        self._defaults += len(report.defaulted)
        self._called.update(report.called.tolist())
        self._liquidated.update(report.liquidating.tolist())
        if len(report.written_off):
            self._written_off += report.written_off.sum(axis=0)

    def tables(self) -> Tables:
        """Returns no table."""
        return {}

    def summary(self, tables: Tables) -> Mapping[str, Any]:
        """Returns interest in cents, traders by what befell them, and what was written off and is owed, by asset."""
        if self._plan.market.config.margin is None:
            return {}
        owed = self._state.owed
        owed_lots = [0] * len(self._assets) if owed is None else owed.sum(axis=0).tolist()
        return {
            "margin": {
                "interest_cents": self._interest_cents,
                "called": len(self._called),
                "liquidated": len(self._liquidated),
                "defaults": self._defaults,
                "written_off": dict(zip(self._assets, self._written_off.tolist(), strict=True)),
                "owed": dict(zip(self._assets, owed_lots, strict=True)),
            }
        }


FACET = Margin
