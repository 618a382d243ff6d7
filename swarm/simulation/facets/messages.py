"""Counts messages: how many were said, addressed and delivered, and what kept the others from being heard."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from swarm.market.orders import Int64
from swarm.scenarios.protocol import MarketState
from swarm.simulation.facets.protocol import Tables
from swarm.simulation.loop import RoundOutcome
from swarm.simulation.plan import RunPlan


class Messages:
    """The counts of messages, and by reason of those that were pruned."""

    name = "messages"

    def __init__(self) -> None:
        self._pruned: Counter[str] = Counter()
        self._messages: Counter[str] = Counter()

    def started(self, plan: RunPlan, opening: MarketState, named: Int64) -> None:
        """Takes note of how many each trader hears."""
        self._contacts = plan.last.shard.traders.contacts(plan.traders)

    def round_done(self, outcome: RoundOutcome) -> None:
        """Counts a round."""
        delivery = outcome.delivery
        # Pruned by the router, then by a prompt's budget, by its own length, and by the run's budget.
        self._pruned.update({str(reason): n for reason, n in delivery.pruned.items()})
        self._pruned["prompt_full"] += int(outcome.gathered.turns.pruned_messages.sum())
        self._pruned["cut_to_length"] += outcome.gathered.decisions.cut_gossip
        if outcome.staffed.unheard:
            self._pruned["run_budget"] += outcome.staffed.unheard
        said = {"said": delivery.said, "addressed": delivery.addressed, "delivered": delivery.delivered}
        self._messages.update({**said, "tokens": int(delivery.tokens.sum())})

    def tables(self) -> Tables:
        """Returns no table: the counts of each round stand in `rounds`."""
        return {}

    def summary(self, tables: Tables) -> Mapping[str, Any]:
        """Returns both counts."""
        return {
            "pruned_messages": dict(sorted(self._pruned.items())),
            "messages": {"contacts": self._contacts, **dict(sorted(self._messages.items()))},
        }


FACET = Messages
