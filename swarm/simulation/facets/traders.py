"""Keeps what traders own, round by round: cash and wealth in cents, goods in lots, and the scenario's own columns.

Where the table would grow beyond TRADER_ROWS it keeps every k-th round, those after which a fork changes the config,
and the last one, and the summary says which.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from swarm.market.ledger import CASH
from swarm.market.orders import Int64
from swarm.market.quality import gini
from swarm.scenarios.protocol import MarketState, papers_of
from swarm.simulation.facets.protocol import Columns, Kept, MindNumbers, Tables, Words
from swarm.simulation.loop import RoundOutcome
from swarm.simulation.plan import RunPlan

TRADER_ROWS = 2_000_000


def wealth_cents(plan: RunPlan, state: MarketState) -> Int64:
    """Returns cash and stock at reference prices less what is owed, by trader, in cents; papers are worth nothing."""
    owned = state.balances if state.owed is None else state.balances - state.owed
    papers = papers_of(plan.scenario)
    worth_ticks = np.where([good in papers for good in plan.scenario.goods], 0, state.reference_ticks)
    stock: Int64 = (owned[:, 1:] * worth_ticks[None, :]).sum(axis=1)
    cash: Int64 = owned[:, CASH]
    return cash + stock * plan.market.config.tick_cents


class Traders:
    """The table `traders`, of those who are there."""

    name = "traders"

    def __init__(self) -> None:
        self._columns = Columns()
        self._minds = MindNumbers()

    def started(self, plan: RunPlan, opening: MarketState, named: Int64) -> None:
        """Keeps what everybody begins with."""
        rounds = plan.last.rounds
        self._every = max(1, -(-rounds * plan.traders // TRADER_ROWS))
        self._always = {rounds, *(fork.round for fork in plan.forks())}
        self._population = plan.population
        self._round = 0
        # At the start and at the end, which are the same until a round is done.
        self._gini = [gini(wealth_cents(plan, opening)[plan.there(0)])] * 2
        self._keep(plan, 0, opening, plan.scenario.trader_columns())

    def round_done(self, outcome: RoundOutcome) -> None:
        """Keeps a row for each trader in the rounds that are kept."""
        plan, self._round = outcome.plan, outcome.round
        self._latest = plan, outcome.state
        if outcome.round % self._every == 0 or outcome.round in self._always:
            self._keep(plan, outcome.round, outcome.state, outcome.trader_columns)

    def tables(self) -> Kept:
        """Returns the traders."""
        return {"traders": self._columns.table()}

    def summary(self, tables: Tables) -> Mapping[str, Any]:
        """Returns how unequal wealth was and is, which rounds are kept, and how many came and went."""
        if self._round:
            plan, state = self._latest
            self._gini[1] = gini(wealth_cents(plan, state)[plan.there(self._round)])
        start, end = self._gini
        return {
            "wealth": {"gini_start": round(start, 6), "gini_end": round(end, 6)},
            "traders_table_every_rounds": self._every,
            **self._coming_and_going(),
        }

    def _keep(self, plan: RunPlan, round_: int, state: MarketState, columns: Mapping[str, Int64]) -> None:
        scenario, there = plan.scenario, plan.there(round_)
        rows: dict[str, Any] = {
            "round": np.full(plan.traders, round_),
            "trader": np.arange(plan.traders),
            "kind": Words(scenario.kinds, scenario.trader_kind),
            "mind": Words(self._minds.names, self._minds.of(plan)),
            "cash_cents": state.balances[:, CASH],
            "wealth_cents": wealth_cents(plan, state),
            **{f"{good}_lots": state.balances[:, g + 1] for g, good in enumerate(scenario.goods)},
            **columns,
        }
        self._columns.add({name: column[there] for name, column in rows.items()})

    def _coming_and_going(self) -> dict[str, Any]:
        """Returns how many were there from which round on, at the end, and how many never left."""
        if not self._population:
            return {}
        schedule = [[one.from_round, one.traders] for one in self._population]
        # The stages that the run has come to; the fewest traders of them never left.
        begun = [traders for first, traders in schedule if first <= max(self._round, 1)]
        return {"population": {"schedule": schedule, "present": begun[-1], "stayed": min(begun)}}


FACET = Traders
