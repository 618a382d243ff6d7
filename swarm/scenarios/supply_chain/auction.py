"""The scenario of a supply chain at auction: nodes buy what they lack in a call auction for each tier and region.

All but the trade is as by contracts: the same network, customers, plans, letters and costs. What a node buys is under
way to it for its lead time. A bid is dearer the more its node lacks, an offer the less a node has, so that a price and
no priority says who goes without in a shortage. What nobody sold is bid for again in the next round; nobody owes it.
Only what is made outside comes at the fixed price. Who hurries buys in another region, from where goods come
by road, in the next round and for a fee.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from swarm.agents.observation import Observation
from swarm.errors import ConfigError, ScenarioError
from swarm.market.config import MarketConfig
from swarm.market.events import RoundCleared
from swarm.market.ledger import CASH, ISSUE
from swarm.market.orders import BUY, SELL, Orders
from swarm.scenarios.protocol import Choices, Consequence, Int64, MarketState, Resolved, fills_of
from swarm.scenarios.supply_chain import books, form
from swarm.scenarios.supply_chain.chain import Kept, SupplyChain, SupplyRound
from swarm.scenarios.supply_chain.config import SupplyConfig
from swarm.scenarios.supply_chain.counts import stockouts
from swarm.scenarios.supply_chain.departures import Departures
from swarm.scenarios.supply_chain.flow import Flow, Goods, arrive, by_node, split
from swarm.scenarios.supply_chain.network import NO_LIMIT, OUTSIDE, Network
from swarm.scenarios.supply_chain.planning import Estimates, Planner, by_tier
from swarm.scenarios.supply_chain.simulate import start
from swarm.scenarios.supply_chain.wares import BY_ROAD_ROUNDS, TradedNetwork, Wares

MOST_OVER_PERMILLE = 500
"""How far a bid of a node that has nothing lies above the fixed price; of one that lacks little it is the price."""

ASKED_PERMILLE = (900, 1_100)
"""What is asked of the fixed price by who has two rounds' demand in store, and by who has nothing left."""


@dataclass(frozen=True, slots=True, eq=False)
class Bidding:
    """A round between its orders and its clearing: what arrived and was sold to customers, and what nodes lack.

    `over` is the ware that is bid for over each edge, [edges].
    """

    round: int
    goods: Goods
    estimates: Estimates
    departs: Departures
    flow: Flow
    over: Int64


class SupplyMarket(SupplyChain):
    """The nodes of a network as traders of goods by tier and region."""

    idle_sentences: Mapping[str, str] = {}

    def __init__(self, config: SupplyConfig, seed: int, traders: int, rounds: int, market: MarketConfig) -> None:
        super().__init__(config, seed, traders, rounds, market)
        network = self.network
        if not isinstance(network, TradedNetwork):
            raise TypeError("a supply chain at auction has a network whose nodes trade")
        self.wares: Wares = network.wares
        papers = books.GOODS[books.UNDER_WAY - 1], books.GOODS[books.OWED - 1]
        self.goods, self.papers = (*self.wares.names, *papers), frozenset(papers)
        self._under_way, self._owed = len(self.wares) + 1, len(self.wares) + 2
        self._asset = self.wares.of_node + 1
        ticks = np.maximum(by_tier(config.price_cents, network) // market.tick_cents, 1)
        self._fixed_ticks: Int64 = ticks
        of_ware = np.ones(len(self.wares), dtype=np.int64)
        of_ware[self.wares.of_node] = ticks
        self.opening_reference_ticks = np.concatenate([of_ware, np.ones(2, dtype=np.int64)])
        self._market = market
        _check(network, market, self.wares, int(ticks.max()))
        # What was bid for in a round is known in the next, which lengthens the way of who sells to nodes by one.
        later = np.where(network.sells[network.edges.buyer], 0, 1)
        slower = replace(network, edges=replace(network.edges, delay=network.edges.delay + later))
        self.planner = Planner(slower, config.plan, self.setup.true_rate)
        estimates = Estimates.at_start(network, config.plan)
        goods = start(network, self.planner, estimates)
        # Goods reach the store at the end of a round, and what is mailed by contract does not exist here.
        goods.mail[:] = 0
        goods, _ = _advanced(network, goods)
        self._kept = replace(self._kept, goods=goods, estimates=estimates)
        self._unfilled = np.zeros(len(self.wares), dtype=np.int64)
        self._sellers = network.sellers
        # In the beginning nodes have asked each other for their mean demand.
        self._asked = np.rint(np.maximum(network.mean - network.demand_millis / 1_000, 0)).astype(np.int64)
        self._bidding: Bidding | None = None

    def rules_text(self) -> str:
        """Returns the setting in a few sentences."""
        return (
            f"{super().rules_text()} It buys and sells at auction: the more it lacks, the more it bids. Who hurries "
            "also buys what it lacks in another region, and has it by road in the next round."
        )

    def opening(self) -> list[Consequence]:
        """Returns purses, stores and what is under way when the run begins."""
        network, goods, nodes = self.network, self._kept.goods, np.arange(len(self.network))
        under_way = goods.under_way(network)
        return [
            *books.move("purse", ISSUE, nodes, CASH, self._purse_cents),
            *books.move("start stock", ISSUE, nodes, self._asset, goods.stock),
            *self._onto_the_road("under way at the start", under_way),
            *books.move("owed at the start", ISSUE, nodes, self._owed, goods.owed),
        ]

    def observe(self, round_: int, market: MarketState, last: RoundCleared | None) -> Observation:
        """Returns what nodes know by contracts, and what the goods that each buys cost now."""
        seen = super().observe(round_, market, last)
        private = seen.private
        facts = list(private.facts)
        edges, ticks, wares = self.network.edges, market.reference_ticks, self.wares
        elsewhere = wares.bought(np.ones(len(edges), dtype=np.bool_), ticks)
        for edge in np.flatnonzero(wares.trading).tolist():
            ware, other, node = int(wares.over_edge[edge]), int(elsewhere[edge]), int(edges.buyer[edge])
            fixed = self._fixed_ticks[edges.supplier[edge]]
            facts[node] += f"\nPRICE {self.goods[ware]} cost {ticks[ware]}, by contract they would cost {fixed}"
            if other != ware:
                facts[node] += f"\n{form.road_line(self.goods[other], int(ticks[other]), self.config.road_cents)}"
        return Observation(seen.public, replace(private, facts=tuple(facts)))

    def resolve(self, round_: int, choices: Choices, market: MarketState) -> Resolved:
        """Returns the orders of a round: an offer of what each node has, and bids for what it lacks; pure."""
        network, kept = self.network, self._kept
        departs = Departures.of(choices, len(network))
        goods = self._matched_at_auction(kept.goods, market, round_)
        estimates = kept.estimates.copy()
        departs.applied(estimates, network)
        demand = self.setup.demand.units(round_)
        # Customers come first: what they take from the store is not offered to nodes.
        offered = np.maximum(goods.stock - goods.owed - demand, 0)
        offered = np.where(network.capacity == NO_LIMIT, offered, np.minimum(offered, network.capacity))
        goods, hurried = _hurried(network, goods, departs)
        at_once = np.minimum(np.maximum(goods.stock - goods.owed, 0), demand)
        served = np.minimum(goods.stock, goods.owed + demand)
        goods.owed[:] += demand - served
        goods.stock[:] -= served
        # What nodes asked of each other is known from the last auction.
        received = self._asked + demand
        everybody = np.arange(len(network))
        buying = self.wares.bought(departs.hurries[network.edges.buyer], market.reference_ticks)
        # What was bid for in vain is bid for again, so that who sells it needs its part of it as if it were owed.
        in_vain = -(-self._unfilled // np.maximum(self._sellers, 1))[self.wares.of_node]
        wanting = replace(goods, owed=goods.owed + in_vain)
        orders = self.planner.ordering(round_, estimates, departs.skips, departs.informed)
        lacking = orders(everybody, received, wanting)
        self.planner.end_round(round_, estimates, demand)
        edges, rows = network.edges, np.arange(len(network.edges))
        over = split(lacking[edges.buyer], network, rows)
        nothing = np.zeros(len(network), dtype=np.int64)
        flow = Flow(
            nothing,
            hurried,
            demand,
            served,
            at_once,
            received,
            lacking,
            over,
            np.where(edges.supplier == OUTSIDE, over, 0),
            nothing,
            nothing,
            nothing,
        )
        self._bidding = Bidding(round_, goods, estimates, departs, flow, buying)
        return Resolved(self._orders(self._bidding, offered))

    def after_clearing(self, round_: int, market: MarketState, cleared: RoundCleared) -> list[Consequence]:
        """Returns what follows of the round's trades: goods go onto the road, customers are served, costs are paid."""
        bidding = self._bidding
        if bidding is None or bidding.round != round_:
            raise ScenarioError(f"scenario supply_chain: round {round_} is over before it was resolved")
        network, goods = self.network, bidding.goods.copy()
        bids, flow, edges = bidding.flow.ordered_over, self._traded(bidding, cleared), network.edges
        # What was sold left the store, and what was bought comes in after its lead time, or by road.
        goods.stock[:] -= flow.sent_on
        sooner = np.where(bidding.over != self.wares.over_edge, BY_ROAD_ROUNDS, edges.lead)
        goods.pipe[np.arange(len(edges)), sooner - 1] += flow.sent
        due = self._costs(goods, flow)
        # Goods were paid for at auction.
        free = replace(flow, sent=np.zeros_like(flow.sent))
        cash, unpaid = books.paid(network, free, self._prices, market.balances[:, CASH], due)
        postings = [*self._moved(flow, bidding.over), *cash]
        short = by_node(edges.buyer, np.maximum(bids - flow.sent, 0), len(network)) > 0
        # What arrives lies in store when the next round begins.
        after, arrived = _advanced(network, goods)
        flow = replace(flow, arrived=arrived)
        self.last = SupplyRound(round_, flow, goods, bidding.departs)
        self._kept = self._over(self.last, after, bidding.estimates, unpaid, short)
        self._asked = flow.wanted
        self._unfilled = cleared.unfilled_buy_lots[: len(self.wares)].copy()
        self._bidding = None
        return [*postings, *self._from_the_road("arrivals", arrived)]

    def _traded(self, bidding: Bidding, cleared: RoundCleared) -> Flow:
        """Returns a round's flow with what was bought and sold."""
        network, wares, edges, flow = self.network, self.wares, self.network.edges, bidding.flow
        bought, sold = (lots[:, : len(wares)] for lots in fills_of(cleared, len(network), len(self.goods)))
        # [edges]: what was bought comes over the first edge of its ware, what outside makes over its own.
        sent = flow.sent.copy()
        trading = np.flatnonzero(wares.trading)
        sent[trading] = bought[edges.buyer[trading], bidding.over[trading]]
        by_road = np.where(bidding.over != wares.over_edge, sent, 0)
        sold_on = sold[np.arange(len(network)), wares.of_node]
        # New demand is what was sold and by how much more was asked for in vain, in equal parts of who sells.
        more = cleared.unfilled_buy_lots[: len(wares)] - self._unfilled
        asked = np.maximum(sold_on + (more // np.maximum(self._sellers, 1))[wares.of_node], 0)
        # A bid that nobody took has lapsed, so that what was bought is what was ordered.
        ordered = by_node(edges.buyer, sent, len(network))
        return replace(
            flow,
            ordered=ordered,
            ordered_over=sent,
            sent=sent,
            sent_on=sold_on,
            wanted=asked,
            received=asked + flow.demand,
            by_road=by_node(edges.buyer, by_road, len(network)),
        )

    def _over(
        self, done: SupplyRound, goods: Goods, estimates: Estimates, unpaid: Int64, short: npt.NDArray[np.bool_]
    ) -> Kept:
        """Returns what a round leaves to the next; `short` are those that were sold less than they bid for."""
        network, kept, flow, departs = self.network, self._kept, done.flow, done.departures
        lowers = departs.skips | (departs.deviations < 0)
        lowered = np.where(lowers, done.round + network.lead, kept.lowered_until)
        out = stockouts(network, done.goods, flow, lowered >= done.round, short)
        counts = self._counted(flow, self._costs(done.goods, flow), unpaid, departs, out)
        band = self._outside(done.goods, estimates)
        return Kept(goods, estimates, lowered, band, band & ~kept.outside_band, flow.received, counts)

    def snapshot(self) -> dict[str, Int64]:
        """Returns goods, estimates and counts, by name, and what nodes asked each other for, in vain or not."""
        return super().snapshot() | {"unfilled": self._unfilled.copy(), "asked": self._asked.copy()}

    def restore(self, snapshot: dict[str, Int64]) -> None:
        """Goes on with the goods of a snapshot; ScenarioError where its network or its mode was another."""
        if "unfilled" not in snapshot or len(snapshot["unfilled"]) != len(self.wares):
            raise ScenarioError("scenario supply_chain: a fork keeps scenario.mode; change other keys")
        super().restore(snapshot)
        self._unfilled, self._asked = snapshot["unfilled"].copy(), snapshot["asked"].copy()

    def _haste_cents(self, flow: Flow) -> Int64:
        return super()._haste_cents(flow) + flow.by_road * self.config.road_cents

    @property
    def _dearest_haste_cents(self) -> int:
        return super()._dearest_haste_cents + self.config.road_cents

    def _orders(self, bidding: Bidding, offered: Int64) -> Orders:
        """Returns a node's offer first and then its bids, each at its limit."""
        network, wares, edges = self.network, self.wares, self.network.edges
        goods, estimates, over = bidding.goods, bidding.estimates, bidding.flow.ordered_over
        # [nodes]: what is asked falls from the highest to the lowest as the store fills up to two rounds' demand.
        expects = np.maximum(estimates.micro // 1_000_000, 1)
        low, high = ASKED_PERMILLE
        ask = high - (high - low) * np.minimum(offered, 2 * expects) // (2 * expects)
        # [edges], those of one ware together on the first of them.
        wanted = np.bincount(wares.first, weights=over, minlength=len(edges)).astype(np.int64)
        lacks = np.bincount(edges.buyer, weights=over, minlength=len(network)).astype(np.int64)
        has = np.maximum(goods.position(network), 0)
        bid = 1_000 + MOST_OVER_PERMILLE * lacks // np.maximum(lacks + has, 1)
        buys = np.flatnonzero((wares.over_edge >= 0) & (wanted > 0))
        sells = np.flatnonzero((offered > 0) & np.isin(wares.of_node, [*wares.over_edge, *bidding.over]))
        buyer, fixed = edges.buyer[buys], self._fixed_ticks
        trader = np.concatenate([sells, buyer])
        good = np.concatenate([wares.of_node[sells], bidding.over[buys]])
        side = np.concatenate([np.full(len(sells), SELL), np.full(len(buys), BUY)])
        limit = np.concatenate([fixed[sells] * ask[sells] // 1_000, fixed[edges.supplier[buys]] * bid[buyer] // 1_000])
        lots = np.minimum(np.concatenate([offered[sells], wanted[buys]]), self._market.max_quantity_lots)
        # An order's number counts a trader's orders from 0 on, its offer first.
        order = np.lexsort((np.arange(len(trader)), trader))
        nth = np.arange(len(order)) - np.searchsorted(trader[order], trader[order])
        return Orders(
            trader[order],
            nth,
            good[order],
            side[order],
            np.clip(limit[order], 1, self._market.max_price_ticks),
            lots[order],
            np.zeros(len(order), dtype=np.int64),
        )

    def _matched_at_auction(self, goods: Goods, market: MarketState, round_: int) -> Goods:
        """Returns the goods with the stores that the ledger has; ScenarioError where its papers say otherwise."""
        books.compared(
            self.network,
            market,
            round_,
            (
                (self._under_way, "under way", goods.under_way(self.network)),
                (self._owed, "owed to customers", goods.owed),
            ),
        )
        stock = market.balances[np.arange(len(self.network)), self._asset]
        return Goods(stock.copy(), goods.owed.copy(), goods.pipe, goods.mail, goods.due)

    def _moved(self, flow: Flow, over: Int64) -> list[Consequence]:
        """Returns the postings of goods and papers of a round, but for what arrives at its end."""
        network, edges, nodes = self.network, self.network.edges, np.arange(len(self.network))
        trading = np.flatnonzero(self.wares.trading)
        coming = by_node(edges.buyer, flow.sent, len(network))
        return [
            *self._from_the_road("hurried", flow.hurried),
            *books.move("demand", ISSUE, nodes, self._owed, flow.demand),
            *books.move("sales", nodes, books.CUSTOMERS, self._asset, flow.served),
            *books.move("sales", nodes, ISSUE, self._owed, flow.served),
            # What was bought lies with its buyer as its seller's ware, and is its own ware once it is on the road.
            *books.move("loaded", edges.buyer[trading], ISSUE, over[trading] + 1, flow.sent[trading]),
            *self._onto_the_road("shipments", coming),
        ]

    def _onto_the_road(self, cause: str, units: Int64) -> list[Consequence]:
        """Returns the postings of units, [nodes], that set out to nodes."""
        nodes = np.arange(len(self.network))
        by_ware = np.bincount(self.wares.of_node, weights=units, minlength=len(self.wares)).astype(np.int64)
        return [
            *books.move(cause, ISSUE, books.ROAD, np.arange(len(self.wares)) + 1, by_ware),
            *books.move(cause, ISSUE, nodes, self._under_way, units),
        ]

    def _from_the_road(self, cause: str, units: Int64) -> list[Consequence]:
        """Returns the postings of units, [nodes], that arrive."""
        nodes = np.arange(len(self.network))
        return [
            *books.move(cause, books.ROAD, nodes, self._asset, units),
            *books.move(cause, nodes, ISSUE, self._under_way, units),
        ]


def _advanced(network: Network, goods: Goods) -> tuple[Goods, Int64]:
    """Returns the goods once what is due has arrived, and what arrived, [nodes]."""
    goods = goods.copy()
    arrived, _ = arrive(network, goods, np.zeros(len(network), dtype=np.bool_))
    return goods, arrived


def _hurried(network: Network, goods: Goods, departs: Departures) -> tuple[Goods, Int64]:
    """Returns the goods once those who hurry have what is due next, and what that was, [nodes]."""
    goods = goods.copy()
    rows = np.flatnonzero(departs.hurries[network.edges.buyer])
    hurried = by_node(network.edges.buyer[rows], goods.pipe[rows, 0], len(network))
    goods.pipe[rows, 0] = 0
    goods.stock[:] += hurried
    return goods, hurried


def _check(network: Network, market: MarketConfig, wares: Wares, dearest: int) -> None:
    """Raises ConfigError where the market's rules do not suffice for the network's trade."""
    if market.mechanism != "call":
        raise ConfigError("market.mechanism", "a supply chain at auction needs 'call'", "set market.mechanism=call")
    most = int(4 * network.mean.max()) + 1
    if market.max_quantity_lots < most:
        told = f"the largest node passes on {network.mean.max():.0f} units a round, so orders need {most:,} lots"
        raise ConfigError("market.max_quantity_lots", told, f"set market.max_quantity_lots={most}")
    highest = dearest * (1_000 + MOST_OVER_PERMILLE) // 1_000
    if market.max_price_ticks < highest:
        told = f"bids go up to {highest:,} ticks"
        raise ConfigError("market.max_price_ticks", told, f"set market.max_price_ticks={highest}")
    buys = np.bincount(network.edges.buyer[wares.trading], minlength=len(network))
    if (needed := int(buys.max()) + 1) > market.max_orders_per_round:
        told = f"{network.names[int(buys.argmax())]} needs {needed} orders a round"
        raise ConfigError("market.max_orders_per_round", told, f"set market.max_orders_per_round={needed}")


def build(
    config: SupplyConfig, seed: int, traders: int, rounds: int, market: MarketConfig
) -> SupplyChain | SupplyMarket:
    """Returns the scenario in the mode that its config names."""
    kinds: dict[str, type[SupplyChain]] = {"contracts": SupplyChain, "market": SupplyMarket}
    return kinds[config.mode](config, seed, traders, rounds, market)
