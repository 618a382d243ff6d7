"""Plays a network's rounds without a market or a mind: what benchmarks and what-ifs of one rule need, and nothing else.

It is the same flow, the same plans and the same customers as in a run.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from swarm.scenarios.supply_chain.demand import Demand
from swarm.scenarios.supply_chain.departures import Departures
from swarm.scenarios.supply_chain.flow import Flow, Goods, play
from swarm.scenarios.supply_chain.network import PLANNED, Int64, Network
from swarm.scenarios.supply_chain.planning import Estimates, PlanConfig, Planner
from swarm.seeding import draw

Float64 = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Played:
    """What some rounds cost, in cents a round: in store, under way and owed; `fill` is the share served at once.

    `bullwhip` is, by tier, the variance of its nodes' orders over that of customers' demand, each over its mean number
    of customers. `orders` is [rounds, nodes].
    """

    holding: float
    transit: float
    backlog: float
    fill: float
    bullwhip: tuple[float, ...]
    orders: Int64

    @property
    def total(self) -> float:
        """All cents a round."""
        return self.holding + self.transit + self.backlog


def flowing(network: Network) -> Int64:
    """Returns [edges]: the mean flow of a round over each edge in whole units."""
    # Of several suppliers each sends its share.
    share = network.edges.share_permille / 1_000
    return np.rint(network.mean[network.edges.buyer] * share).astype(np.int64)


def start(network: Network, planner: Planner, estimates: Estimates) -> Goods:
    """Returns the goods with which a network begins: as the table says, or else as its plan has it."""
    under_way = Goods.at_start(network, np.zeros(len(network), dtype=np.int64), flowing(network))
    flows = under_way.under_way(network) + under_way.on_order(network)
    planned = planner.start_stock(estimates, flows)
    stock = np.where(network.start_stock == PLANNED, planned, network.start_stock)
    return Goods.at_start(network, stock, flowing(network))


def priorities(seed: int, round_: int, nodes: int) -> Int64:
    """Returns [nodes]: who is served first where a supplier is short, drawn anew for each round."""
    drawn: Int64 = (draw(seed, "served", round_, np.arange(nodes)) >> np.uint64(1)).astype(np.int64)
    return drawn


def costs(network: Network, goods: Goods) -> tuple[Int64, Int64, Int64]:
    """Returns [nodes] cents for a round's store, for what is under way, and for what is owed."""
    return (
        network.holding_cents * goods.stock,
        network.transit_cents * goods.under_way(network),
        network.backlog_cents * goods.owes(network),
    )


def simulate(
    network: Network,
    plan: PlanConfig,
    demand: Demand,
    rounds: int,
    warm_up: int = 0,
) -> Played:
    """Returns what `rounds` rounds of plans alone came to, of which the first `warm_up` are not counted."""
    follows = Departures.none(len(network))
    planner = Planner(network, plan, lambda round_: network.through(demand.rate_millis(round_) / 1_000))
    estimates = Estimates.at_start(network, plan)
    goods = start(network, planner, estimates)
    cost = np.zeros(3)
    at_once = asked = 0
    kept: list[Flow] = []
    for round_ in range(1, rounds + 1):
        units = demand.units(round_)
        # The same order of events as in a run's round.
        orders = planner.ordering(round_, estimates, follows.skips, follows.informed)
        served = priorities(demand.seed, round_, len(network))
        goods, flow = play(network, goods, units, served, follows.hurries, orders)
        planner.end_round(round_, estimates, units)
        if round_ > warm_up:
            cost += [int(part.sum()) for part in costs(network, goods)]
            at_once, asked = at_once + int(flow.served_at_once.sum()), asked + int(units.sum())
            kept.append(flow)
    counted = rounds - warm_up
    holding, transit, backlog = (cost / counted).tolist()
    ordered = np.array([flow.ordered for flow in kept])
    bullwhip = whip(network, np.array([flow.demand for flow in kept]), ordered)
    return Played(holding, transit, backlog, at_once / max(asked, 1), bullwhip, ordered)


def whip(network: Network, demand: Int64, ordered: Int64) -> tuple[float, ...]:
    """Returns the bullwhip by tier: variance of orders for each unit that customers ask on average, over theirs."""
    # Variances over the rounds, each for one unit of mean demand, so that tiers compare.
    sells = network.sells
    served = np.maximum(network.mean, 1e-9)
    base = float((demand[:, sells].var(axis=0) / served[sells]).mean())
    if base <= 0:
        return tuple(0.0 for _ in network.tiers)
    over = ordered.var(axis=0) / served
    return tuple(float(over[network.tier == tier].mean()) / base for tier in range(len(network.tiers)))
