"""What trades left their traders better off in a round, and what could have been, at the worths they were shown."""

import numpy as np

from swarm.agents.observation import Int64, Observation
from swarm.market.events import RoundCleared, Trades
from swarm.scenarios.double_auction import DoubleAuction
from swarm.scenarios.protocol import MarketState
from swarm.simulation.compute import earned
from swarm.simulation.loop import RoundOutcome
from swarm.simulation.plan import RunPlan


class Surplus:
    """A watcher that adds up one market's realised surplus and the largest possible one, in ticks."""

    def __init__(self) -> None:
        self.realised = self.possible = 0
        self._plan: RunPlan | None = None

    def started(self, plan: RunPlan, opening: MarketState, named: Int64) -> None:
        """Remembers what is played."""
        self._plan = plan

    def round_done(self, outcome: RoundOutcome) -> None:
        """Adds a round; ValueError where it is that of several markets."""
        if outcome.basis is None:
            raise ValueError("a round of one market says what it was cleared from")
        realised, possible = surplus(outcome.basis.seen, outcome.cleared.trades)
        self.realised += realised
        self.possible += possible

    @property
    def efficiency(self) -> float:
        """The share of the possible surplus that was realised, by periods where the scenario has them."""
        if self._plan is not None and isinstance(self._plan.scenario, DoubleAuction):
            return self._plan.scenario.efficiency
        return self.realised / max(self.possible, 1)


def surplus(seen: Observation, trades: Trades) -> tuple[int, int]:
    """Returns a round's realised surplus and the largest possible one, in ticks, at the worths shown to traders.

    A lot bought beyond the need counts nothing. The largest possible surplus lets the highest worths of needed lots
    meet the lowest worths of spare lots, good by good, whatever anybody has in his purse.
    """
    private = seen.private
    possible = 0
    for good in range(private.bartering.need.shape[1]):
        wanted = np.where(private.makes == good, 0, private.bartering.need[:, good])
        # Steps of demand and supply, lot by lot; who makes a good does not want it.
        demand = -np.sort(-np.repeat(private.bartering.worth_ticks[:, good], wanted))
        supply = np.sort(np.repeat(private.bartering.worth_ticks[:, good], private.bartering.spare[:, good]))
        n = min(len(demand), len(supply))
        possible += int(np.maximum(demand[:n] - supply[:n], 0).sum())
    # Prices cancel over all traders.
    return int(_used(seen, trades).sum()), possible


def gained_ticks(seen: Observation, cleared: RoundCleared) -> Int64:
    """Returns [traders] ticks gained in a round, at the worths shown; a lot bought beyond the need is worth nothing."""
    # At one cent a tick, money is told in ticks.
    found: Int64 = _used(seen, cleared.trades) + earned(cleared, len(seen.private), 1)
    return found


def _used(seen: Observation, trades: Trades) -> Int64:
    """[traders] ticks that what was bought within the need is worth, less the worth of what was sold."""
    barter = seen.private.bartering
    bought, sold = np.zeros_like(barter.need), np.zeros_like(barter.need)
    np.add.at(bought, (trades.buyer, trades.good), trades.quantity_lots)
    np.add.at(sold, (trades.seller, trades.good), trades.quantity_lots)
    used: Int64 = ((np.minimum(bought, barter.need) - sold) * barter.worth_ticks).sum(1)
    return used
