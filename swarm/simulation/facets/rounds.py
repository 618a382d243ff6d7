"""Keeps what each round came to, in one row: orders, errors, messages, who was asked, what was spent, and durations.

Durations of rounds that were taken from a journal are unknown.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from swarm.coordination.router import PruneReason
from swarm.coordination.standing import REASONS
from swarm.market.orders import Int64
from swarm.scenarios.protocol import MarketState, told_by
from swarm.simulation.facets.asking import COUNTS
from swarm.simulation.facets.protocol import Columns, Kept, Tables, known
from swarm.simulation.loop import RoundOutcome
from swarm.simulation.plan import RunPlan


class Rounds:
    """The table `rounds`, a row for each round."""

    name = "rounds"

    def __init__(self) -> None:
        self._columns = Columns()
        self._done = 0
        self._told: Mapping[str, str] = {}

    def started(self, plan: RunPlan, opening: MarketState, named: Int64) -> None:
        """Takes note of how many rounds there are to be."""
        self._planned = plan.last.rounds

    def round_done(self, outcome: RoundOutcome) -> None:
        """Keeps a row."""
        self._done, self._told = outcome.round, told_by(outcome.plan.scenario)
        gathered, delivery, staffed = outcome.gathered, outcome.delivery, outcome.staffed
        # A journal has no clock.
        unknown = gathered.recorded
        row = {
            "round": outcome.round,
            "traders": outcome.plan.present(outcome.round),
            "season": outcome.season,
            "orders": outcome.submitted,
            "rejected": len(outcome.taken.rejected_trader),
            "trades": len(outcome.cleared.trades.good),
            "errors": sum(1 for error in gathered.decisions.errors if error),
            "late": len(gathered.late),
            "messages_said": delivery.said,
            "messages_addressed": delivery.addressed,
            "messages_delivered": delivery.delivered,
            "message_tokens": delivery.tokens.sum(),
            **{f"messages_{reason}": delivery.pruned.get(reason, 0) for reason in PruneReason},
            **{f"due_{reason}": staffed.due.get(reason, 0) for reason in REASONS},
            **{name: getattr(staffed, name) for name in COUNTS},
            "level": int(staffed.level),
            "spent_tokens": staffed.spent_tokens,
            "spent_usd": float(staffed.spent_usd),
            "duration_s": np.nan if unknown else outcome.duration_s,
            "decide_s": np.nan if unknown else outcome.decide_s,
            "clear_s": np.nan if unknown else outcome.clear_s,
        }
        self._columns.add({name: np.array([value]) for name, value in row.items()})

    def tables(self) -> Kept:
        """Returns the rounds."""
        return {"rounds": self._columns.table()}

    def summary(self, tables: Tables) -> Mapping[str, Any]:
        """Returns how many rounds there are, what the scenario tells of them, if it does, and their durations.

        Durations are null where rounds are done and none was timed.
        """
        durations = known(tables["rounds"], "duration_s")
        nothing = None if self._done else 0.0
        return {
            "rounds": self._done,
            "rounds_planned": self._planned,
            **({"figures": dict(self._told)} if self._told else {}),
            "seconds_per_round": {
                name: round(float(np.quantile(durations, share)), 6) if len(durations) else nothing
                for name, share in (("p50", 0.5), ("p95", 0.95))
            },
        }


FACET = Rounds
