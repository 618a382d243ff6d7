"""Counts messages: how many were said, addressed and delivered, and what kept the others from being heard."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from swarm.coordination.messages import TIP
from swarm.market.orders import Int64
from swarm.scenarios.protocol import MarketState
from swarm.simulation.facets.protocol import Tables
from swarm.simulation.loop import RoundOutcome
from swarm.simulation.plan import RunPlan

MOST_RUMOURS = 6
"""Rumours that are kept: those that prices followed farthest."""

Rumour = tuple[str, int, int, int]
"""What was said, of which good, in which direction, and by how many."""


class Messages:
    """The counts of messages, and by reason of those that were pruned."""

    name = "messages"

    def __init__(self) -> None:
        self._rumours: list[Rumour] = []
        self._moved: dict[tuple[str, int], dict[str, Any]] = {}
        self._pruned: Counter[str] = Counter()
        self._messages: Counter[str] = Counter()

    def started(self, plan: RunPlan, opening: MarketState, named: Int64) -> None:
        """Takes note of how many each trader hears."""
        self._contacts = plan.last.shard.traders.contacts(plan.traders)

    def round_done(self, outcome: RoundOutcome) -> None:
        """Counts a round."""
        self._follow(outcome)
        delivery = outcome.delivery
        # Pruned by the router, then by a prompt's budget, by its own length, and by the run's budget.
        self._pruned.update({str(reason): n for reason, n in delivery.pruned.items()})
        self._pruned["prompt_full"] += int(outcome.gathered.turns.pruned_messages.sum())
        self._pruned["cut_to_length"] += outcome.gathered.decisions.cut_gossip
        if outcome.staffed.unheard:
            self._pruned["run_budget"] += outcome.staffed.unheard
        said = {"said": delivery.said, "addressed": delivery.addressed, "delivered": delivery.delivered}
        self._messages.update({**said, "tokens": int(delivery.tokens.sum())})

    def _follow(self, outcome: RoundOutcome) -> None:
        """Keeps those of the last round's rumours that prices have followed since, and the new ones to be followed."""
        # Of several markets each has prices of its own, and a line is heard in one alone.
        if outcome.of:
            return
        before, after = outcome.reference_before_ticks.tolist(), outcome.state.reference_ticks.tolist()
        for text, good, side, said_by in self._rumours:
            if (after[good] - before[good]) * side <= 0:
                continue
            told = {"round": outcome.round - 1, "text": text, "said_by": said_by}
            told |= {"before_ticks": before[good], "after_ticks": after[good]}
            # Of one line the time that it was followed farthest, so that lines differ.
            if (known := self._moved.get((text, good))) is None or _followed(told) > _followed(known):
                self._moved[text, good] = told
        most = sorted(self._moved.items(), key=lambda one: (-_followed(one[1]), one[1]["round"]))
        self._moved = dict(most[:MOST_RUMOURS])
        said = outcome.said
        tips = Counter(
            (text, good, side)
            for text, good, side, kind in zip(
                said.text, said.good.tolist(), said.side.tolist(), said.kind.tolist(), strict=True
            )
            if kind == TIP
        )
        self._rumours = [(*tip, number) for tip, number in tips.items()]

    def tables(self) -> Tables:
        """Returns no table: the counts of each round stand in `rounds`."""
        return {}

    def summary(self, tables: Tables) -> Mapping[str, Any]:
        """Returns both counts."""
        return {
            "pruned_messages": dict(sorted(self._pruned.items())),
            "messages": {"contacts": self._contacts, **dict(sorted(self._messages.items())), **self._told()},
        }

    def _told(self) -> Mapping[str, Any]:
        return {"moved": list(self._moved.values())} if self._moved else {}


def _followed(rumour: Mapping[str, Any]) -> float:
    """Returns by which share of it a price moved."""
    return float(abs(rumour["after_ticks"] - rumour["before_ticks"]) / max(rumour["before_ticks"], 1))


FACET = Messages
