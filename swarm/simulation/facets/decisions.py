"""Keeps what became of every turn of a mind that is asked: orders or an error, repairs, tokens and time."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

from swarm.agents.decision import DecisionError
from swarm.market.orders import Int64
from swarm.scenarios.protocol import MarketState
from swarm.simulation.facets.protocol import Columns, Kept, Tables, Words, markets
from swarm.simulation.loop import RoundOutcome
from swarm.simulation.plan import RunPlan


class Decisions:
    """The table `decisions`, a row for each turn; turns that a late shard lost are counted and have no row."""

    name = "decisions"

    def __init__(self) -> None:
        self._columns = Columns()
        self._errors: Counter[str] = Counter()
        self._repairs: Counter[str] = Counter()
        self._late_by_mind: Counter[str] = Counter()
        self._late = 0

    def started(self, plan: RunPlan, opening: MarketState, named: Int64) -> None:
        """Begins with nothing."""

    def round_done(self, outcome: RoundOutcome) -> None:
        """Keeps a row for each turn."""
        gathered, recorded = outcome.gathered, outcome.gathered.recorded
        turns, decisions = gathered.turns, gathered.decisions
        errors = [str(error) if error else "" for error in decisions.errors]
        self._count(outcome, errors)
        self._columns.add(
            {
                "round": np.full(len(turns), outcome.round),
                "trader": turns.trader,
                "mind": Words(turns.minds, turns.mind),
                "error": np.array(errors, dtype=np.str_),
                "repairs": np.array([" ".join(kinds) for kinds in decisions.repairs], dtype=np.str_),
                "steps": np.array(decisions.steps, dtype=np.int64),
                "faults": np.array([" ".join(kinds) for kinds in decisions.faults], dtype=np.str_),
                "orders": np.bincount(decisions.orders.trader, minlength=outcome.plan.traders)[turns.trader],
                "prompt_tokens": turns.prompt_tokens,
                "completion_tokens": turns.completion_tokens,
                "pruned_messages": turns.pruned_messages,
                # Of a recorded round nobody knows the times, and what caches and sharing saved counts as nothing.
                "latency_s": np.full(len(turns), np.nan) if recorded else turns.latency_s,
                "cached_prompt_tokens": turns.cached_prompt_tokens,
                "shared_prompt_tokens": turns.shared_prompt_tokens,
            }
        )

    def tables(self) -> Kept:
        """Returns the turns."""
        return {"decisions": self._columns.table()}

    def summary(self, tables: Tables) -> Mapping[str, Any]:
        """Returns errors and repairs by kind, and late turns; those of models are errors of kind engine_deadline."""
        return {
            "decision_errors": dict(sorted(self._errors.items())),
            "repaired_replies": dict(sorted(self._repairs.items())),
            "late_turns": self._late,
            "late_turns_by_mind": dict(sorted(self._late_by_mind.items())),
        }

    def _count(self, outcome: RoundOutcome, errors: list[str]) -> None:
        self._errors.update(error for error in errors if error)
        self._repairs.update(str(kind) for kinds in outcome.gathered.decisions.repairs for kind in kinds)
        late = outcome.gathered.late.tolist()
        if late:
            self._late += len(late)
            self._errors["late"] += len(late)
        # Late by mind are both: turns that a model did not answer in time, and those of a shard that did not.
        overdue = [i for i, error in enumerate(errors) if error == DecisionError.ENGINE_DEADLINE]
        turns = outcome.gathered.turns
        self._late_by_mind.update(turns.minds[mind] for mind in turns.mind[overdue].tolist())
        self._late_by_mind.update(own.plan.minds[t] for own in markets(outcome) for t in own.gathered.late.tolist())


FACET = Decisions
