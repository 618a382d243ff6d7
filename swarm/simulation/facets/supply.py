"""What a supply chain came to, tier by tier, beside its plan alone and a proven bound; of other scenarios, nothing.

What reading a line of news was worth is told by playing the same rounds again, with the same customers and all other
decisions as they were, but with those that heard it following their plans in that round. A run that comes to anything
else when it is played again as it was, since it was forked or somebody else had a hand in it, tells nothing of that.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from swarm.market.orders import Int64
from swarm.scenarios.protocol import MarketState
from swarm.scenarios.supply_chain.bound import tree_bound
from swarm.scenarios.supply_chain.chain import SupplyChain
from swarm.scenarios.supply_chain.departures import Departures
from swarm.scenarios.supply_chain.news import News, exposure
from swarm.simulation.facets.protocol import Columns, Kept, Tables
from swarm.simulation.loop import RoundOutcome
from swarm.simulation.plan import RunPlan
from swarm.simulation.supply_again import played_again

COSTS = ("holding", "transit", "backlog", "expedite")
WORST = 20
"""Nodes that are named as those that have cost most."""

MOST_NEWS, MOST_PLAYED = 12, 2_000_000
"""Lines of news whose worth is told, and rounds of nodes that are played again for it and for the plan alone: at 20 to
40 microseconds each, as they were measured, a run's end takes no more than about a minute of CPU for it."""


class Supply:
    """The table `supply`, a row for each round and tier, and what all of it comes to."""

    name = "supply"

    def __init__(self) -> None:
        self._columns = Columns()
        self._decided: dict[int, Departures] = {}
        self._chain: SupplyChain | None = None
        self._sums: dict[str, Int64] = {}
        self._rounds = 0

    def started(self, plan: RunPlan, opening: MarketState, named: Int64) -> None:
        """Takes note of the chain, where the run is one."""
        self._plan = plan
        if isinstance(plan.scenario, SupplyChain):
            self._chain = plan.scenario
            self._sums = {name: np.zeros_like(column) for name, column in plan.scenario.trader_columns().items()}

    def round_done(self, outcome: RoundOutcome) -> None:
        """Keeps a row for each tier."""
        chain = outcome.plan.scenario
        if not isinstance(chain, SupplyChain) or chain.last is None:
            return
        self._chain, self._rounds = chain, outcome.round
        network, tiers = chain.network, len(chain.network.tiers)
        before, self._sums = self._sums, outcome.trader_columns
        self._decided[outcome.round] = chain.last.departures
        # What a round added to the sums so far, by node, and then by tier.
        more = {name: column - before[name] for name, column in self._sums.items()}
        goods, flow = chain.last.goods, chain.last.flow
        more |= {
            "stock_units": goods.stock,
            "under_way_units": goods.under_way(network),
            "owed_units": goods.owes(network),
        }
        by_tier = {
            name: np.bincount(network.tier, weights=column, minlength=tiers).astype(np.int64)
            for name, column in (more | {"sent_units": flow.sent_on}).items()
        }
        self._columns.add({"round": np.full(tiers, outcome.round), "tier": np.array(network.tiers), **by_tier})

    def tables(self) -> Kept:
        """Returns the tiers, round by round; no table where there is no supply chain."""
        return {"supply": self._columns.table()} if self._chain is not None and self._rounds else {}

    def summary(self, tables: Tables) -> Mapping[str, Any]:
        """Returns the run's costs a round and fill, those of its plan alone, the bound, the news, the stock-outs."""
        chain = self._chain
        if chain is None or not self._rounds:
            return {}
        sums = {name: int(column.sum()) for name, column in self._sums.items()}
        of_run = {name: round(sums[f"{name}_cents"] / self._rounds, 2) for name in COSTS}
        asked = sums["demand_units"]
        bound = tree_bound(chain.network)
        # A bound holds for demand that does not change, and a plan alone for a run that was not forked.
        stationary = not chain.setup.demand.shifts and chain.setup.demand.series is None
        # A run that comes to itself when it is played again can be asked what would have been.
        plays = min(MOST_PLAYED // (self._rounds * len(chain.network)), MOST_NEWS + 2)
        again = plays >= 2 and not self._plan.forks() and self._again(chain, self._decided) == sums
        return {
            "supply": {
                "cents_a_round": of_run | {"total": round(sum(of_run.values()), 2)},
                "fill": round(sums["served_at_once_units"] / asked, 6) if asked else None,
                "plan_alone": self._plan_alone(chain) if again else None,
                "bound_cents_a_round": round(bound.cost, 2) if bound and stationary else None,
                "doubled_orders": sums["doubled_orders"],
                "unpaid_cents": sums["unpaid_cents"],
                "owed_at_start_units": chain.network.owed_at_start,
                "news": self._news(chain, plays - 2 if again else 0),
                "stockouts": self._stockouts(chain),
                "worst_nodes": self._worst(chain),
            }
        }

    def _again(self, chain: SupplyChain, decided: Mapping[int, Departures]) -> Mapping[str, int]:
        return played_again(self._plan, chain, self._rounds, decided)

    def _a_round(self, sums: Mapping[str, int], *names: str) -> float:
        return round(sum(sums[f"{name}_cents"] for name in names) / self._rounds, 2)

    def _plan_alone(self, chain: SupplyChain) -> dict[str, float | None]:
        """Returns what the plan of the config would have cost if nobody had departed from it."""
        alone = self._again(chain, {})
        asked = alone["demand_units"]
        told: dict[str, float | None] = {name: self._a_round(alone, name) for name in COSTS}
        fill = round(alone["served_at_once_units"] / asked, 6) if asked else None
        return told | {"total": self._a_round(alone, *COSTS), "fill": fill}

    def _news(self, chain: SupplyChain, most: int) -> list[dict[str, Any]]:
        """Returns the lines of news, who departed from its plan, and what that was worth, of `most` of them."""
        told = []
        for line in chain.setup.news:
            if line.round not in self._decided:
                continue
            heard = self._heard(chain, line)
            # What nobody followed was worth nothing, which needs no playing again.
            worth = 0.0 if heard["departed"] == 0 else None
            heard |= {"worth_cents_a_round": worth, "worth_backlog_cents_a_round": worth}
            if worth is None and most > 0:
                most -= 1
                heard |= self._worth(chain, line)
            told.append(heard)
        return told

    def _heard(self, chain: SupplyChain, line: News) -> dict[str, Any]:
        heard = exposure(chain.network, line.region) > 0
        return {
            "round": line.round,
            "text": line.text,
            "came_true": line.true,
            "concerned": int(heard.sum()),
            "departed": int((heard & self._decided[line.round].departing).sum()),
        }

    def _worth(self, chain: SupplyChain, line: News) -> dict[str, float]:
        """Returns what each round would have cost more if nobody had followed a line, and the part that is waiting."""
        # All else stays as it was, also what was decided later because of it.
        heard = exposure(chain.network, line.region) > 0
        other = self._again(chain, {**self._decided, line.round: self._decided[line.round].without_letters(heard)})
        sums = {name: int(column.sum()) for name, column in self._sums.items()}
        return {
            "worth_cents_a_round": round(self._a_round(other, *COSTS) - self._a_round(sums, *COSTS), 2),
            "worth_backlog_cents_a_round": round(self._a_round(other, "backlog") - self._a_round(sums, "backlog"), 2),
        }

    def _worst(self, chain: SupplyChain) -> list[list[Any]]:
        """Returns the nodes that have cost most, dearest first: their numbers and their names in the table."""
        cost = sum((self._sums[f"{name}_cents"] for name in COSTS), np.zeros(len(chain.network), dtype=np.int64))
        # Of equal cost the first comes first.
        order = np.argsort(-cost, kind="stable")[:WORST]
        return [[node, chain.network.names[node]] for node in order.tolist()]

    def _stockouts(self, chain: SupplyChain) -> dict[str, dict[str, int]]:
        """Returns, by tier, rounds of nodes that owed somebody, by cause."""
        causes = ("demand", "supplier", "own_order")
        return {
            name: {cause: int(self._sums[f"stockouts_{cause}"][chain.network.tier == tier].sum()) for cause in causes}
            for tier, name in enumerate(chain.network.tiers)
        }


FACET = Supply
