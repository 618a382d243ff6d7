"""Counts who was asked and why, what stood for those who were not, and what the run's budget made it give up."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from swarm.coordination.governor import Level
from swarm.coordination.standing import REASONS
from swarm.market.orders import Int64
from swarm.scenarios.protocol import MarketState
from swarm.simulation.compute import COMPUTE
from swarm.simulation.facets.protocol import Tables
from swarm.simulation.loop import RoundOutcome
from swarm.simulation.plan import RunPlan

COUNTS = ("asked", "asleep", "held_back", "standing_orders", "cut_lots", "refused_orders", "unheard")
"""What is counted of a round, by the names that they have there."""

CENTS = ("paid_cents", "given_back_cents", "unpaid_cents")
"""What traders paid the account COMPUTE for their turns, got back from it, and could not pay."""


class Asking:
    """The counts of traders that models decide for, by why they were due and what became of them."""

    name = "asking"

    def __init__(self) -> None:
        self._due: Counter[str] = Counter()
        self._counts: Counter[str] = Counter()
        self._levels: Counter[Level] = Counter()
        self._changes: list[tuple[int, Level]] = []
        self._spent: tuple[int, float] = (0, 0.0)
        self._cents: Counter[str] = Counter()

    def started(self, plan: RunPlan, opening: MarketState, named: Int64) -> None:
        """Takes note of the limits that hold at the end."""
        self._shard = plan.last.shard
        self._charges = COMPUTE in plan.market.named_accounts

    def round_done(self, outcome: RoundOutcome) -> None:
        """Counts a round."""
        staffed = outcome.staffed
        self._due.update(staffed.due)
        self._counts.update({name: getattr(staffed, name) for name in COUNTS})
        self._levels[staffed.level] += 1
        # Only changes are kept: a run that stays at one level has none.
        if staffed.level != (self._changes[-1][1] if self._changes else Level.ALL):
            self._changes.append((outcome.round, staffed.level))
        # What is spent is the run's so far, not the round's, so the last one stands.
        self._spent = staffed.spent_tokens, staffed.spent_usd
        self._cents.update({name: getattr(staffed, name) for name in CENTS})

    def tables(self) -> Tables:
        """Returns no table: the counts of each round stand in `rounds`."""
        return {}

    def summary(self, tables: Tables) -> Mapping[str, Any]:
        """Returns the counts, the limits of the run, what was spent against them, and the levels of its rounds."""
        budget = self._shard.budget
        return {
            "staffing": {
                "max_stand_rounds": self._shard.traders.standing.max_rounds,
                "due": {reason: self._due[reason] for reason in REASONS if self._due[reason]},
                **{name: self._counts[name] for name in COUNTS},
            },
            **({"compute": {name: self._cents[name] for name in CENTS}} if self._charges else {}),
            "budget": {
                "run_tokens": budget.run_tokens,
                "run_usd": budget.run_usd,
                "seconds_per_round": budget.seconds_per_round,
                "spent_tokens": self._spent[0],
                "spent_usd": round(self._spent[1], 6),
                "rounds_at_level": {level.name.lower(): self._levels[level] for level in Level if self._levels[level]},
                "changes_of_level": [[round_, level.name.lower()] for round_, level in self._changes],
            },
        }


FACET = Asking
