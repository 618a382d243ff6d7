"""Counts what parties did: acts by kind, and those that were refused, with the reason of the last one.

Of the road it says only what was refused: what travels on it is another facet's. A party that no config names is
somebody's hand, by which a run was touched while it was played: what that did is told act by act.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from swarm.market.ledger import ROAD
from swarm.market.orders import Int64
from swarm.scenarios.protocol import MarketState
from swarm.simulation.acts_told import by_party
from swarm.simulation.facets.protocol import Tables
from swarm.simulation.loop import RoundOutcome
from swarm.simulation.plan import RunPlan

MOST_TOLD = 200
"""How many acts of hands are told one by one."""


class Parties:
    """The counts of each party's acts, and of those that did not hold."""

    name = "parties"

    def __init__(self) -> None:
        self._acts: dict[str, Counter[str]] = {}
        self._refused: dict[str, Counter[str]] = {}
        self._last_refusal: dict[str, str] = {}
        self._by_hand: list[list[Any]] = []
        self._hands: dict[str, int] = {}

    def started(self, plan: RunPlan, opening: MarketState, named: Int64) -> None:
        """Takes note of the parties that configs name; all others are hands."""
        self._configured = {ROAD, *(name for one in plan.plans() for name in one.config_record.get("parties", {}))}

    def round_done(self, outcome: RoundOutcome) -> None:
        """Counts a round, in all markets."""
        for acted in (acted for one in (outcome.of or (outcome,)) for acted in one.acted):
            kinds = [type(act).__name__ for act in acted.acts]
            # The last refusal of each kind of act; why each was refused stands in the journal.
            refused = {kinds[index]: why for index, why in acted.refused}
            if acted.party == ROAD and not refused:
                continue
            self._acts.setdefault(acted.party, Counter()).update(kinds)
            self._refused.setdefault(acted.party, Counter()).update(kinds[index] for index, _ in acted.refused)
            for kind, why in refused.items():
                self._last_refusal[acted.party] = f"{kind}: {why}"
            if acted.party not in self._configured:
                self._hands[acted.party] = self._hands.get(acted.party, 0) + len(acted.acts)
        # Only so many are told one by one; all of them stand in the journal.
        if self._hands and len(self._by_hand) < MOST_TOLD:
            acts = by_party(outcome, frozenset(self._hands))
            self._by_hand += [[outcome.round, *one] for one in acts][: MOST_TOLD - len(self._by_hand)]

    def tables(self) -> Tables:
        """Returns no table: the acts themselves stand in the journal."""
        return {}

    def summary(self, tables: Tables) -> Mapping[str, Any]:
        """Returns the counts by party and kind of act; `by_hand` only where somebody's hand has touched the run."""
        hands = {"by_hand": {"acts": self._hands, "told": self._by_hand}} if self._hands else {}
        return {
            **hands,
            "parties": {
                name: {
                    "acts": dict(sorted(acts.items())),
                    "refused": dict(sorted(self._refused[name].items())),
                    "last_refusal": self._last_refusal.get(name, ""),
                }
                for name, acts in self._acts.items()
            },
        }


FACET = Parties
