"""The scenario of a supply chain by contracts: nodes order of their suppliers at a fixed price, and goods take time.

A round goes from the customers up: goods arrive, customers buy, and each node orders what its plan comes to once it
knows what was ordered of it. What an agent decides is whether to depart from the plan. The scenario keeps what is under
way and when it comes; the ledger has how much, and the two are compared in every round.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from swarm.agents.forms.protocol import FormPlugin
from swarm.agents.observation import Observation
from swarm.agents.plan import OwnRule
from swarm.errors import ConfigError, ScenarioError
from swarm.market.config import MarketConfig
from swarm.market.events import RoundCleared
from swarm.market.ledger import CASH
from swarm.market.orders import Orders
from swarm.scenarios.protocol import (
    Choices,
    Consequence,
    Int64,
    MarketState,
    Resolved,
    ShockMark,
    private_views,
    public_view,
)
from swarm.scenarios.supply_chain import books, form
from swarm.scenarios.supply_chain.config import SupplyConfig
from swarm.scenarios.supply_chain.counts import Counts, stockouts
from swarm.scenarios.supply_chain.departures import Departures
from swarm.scenarios.supply_chain.flow import Flow, Goods, play
from swarm.scenarios.supply_chain.network import Network
from swarm.scenarios.supply_chain.news import News, concerns
from swarm.scenarios.supply_chain.planning import Estimates, Planner, by_tier
from swarm.scenarios.supply_chain.rules import all_rules
from swarm.scenarios.supply_chain.setting import Setup, set_up
from swarm.scenarios.supply_chain.simulate import costs, priorities, start

Mask = npt.NDArray[np.bool_]

CENTS = 100
"""The cents of a pebble."""

MOST_CENTS = 1 << 60
"""The most that all nodes begin with together; a ledger's accounts are of 64 bits."""

MOST_COUNTED_CENTS = 1 << 62
"""The most that all costs of a run may come to, half of what a column holds."""

OPENING_TICKS = 1
"""No good has a price of its own in contracts; a ledger's asset needs one."""


@dataclass(frozen=True, slots=True, eq=False)
class Kept:
    """All that a round leaves to the next: goods, what plans expect, and which nodes have chosen to have less."""

    goods: Goods
    estimates: Estimates
    lowered_until: Int64
    outside_band: Mask
    leaves_band: Mask
    received: Int64
    counts: Counts


@dataclass(frozen=True, slots=True, eq=False)
class SupplyRound:
    """What a round came to, for facets and tests."""

    round: int
    flow: Flow
    goods: Goods
    departures: Departures


class SupplyChain:
    """The nodes of a network as traders, one each, in the order of its rows."""

    idle_sentences: Mapping[str, str] = dict.fromkeys(
        ("freeze", "cap", "exile"), "nodes here order by contract, and no order of theirs could be refused"
    )

    def __init__(self, config: SupplyConfig, seed: int, traders: int, rounds: int, market: MarketConfig) -> None:
        self.config, self.seed, self.rounds = config, seed, rounds
        self.setup: Setup = set_up(config, seed, traders, rounds)
        self.network: Network = self.setup.network
        network = self.network
        self.goods: tuple[str, ...] = books.GOODS
        self.papers = books.PAPERS
        self.kinds: tuple[str, ...] = network.tiers
        self.trader_kind: Int64 = network.tier
        self.named_accounts: tuple[str, ...] = books.ACCOUNTS
        self.opening_reference_ticks: Int64 = np.full(len(books.GOODS), OPENING_TICKS, dtype=np.int64)
        self.shocks: tuple[ShockMark, ...] = self.setup.marks(rounds)
        self.planner = Planner(network, config.plan, self.setup.true_rate)
        self.last: SupplyRound | None = None
        estimates = Estimates.at_start(network, config.plan)
        # In the beginning every node has asked for its mean demand, and lies within its band.
        nobody = np.zeros(len(network), dtype=np.bool_)
        self._kept = Kept(
            start(network, self.planner, estimates),
            estimates,
            np.zeros(len(network), dtype=np.int64),
            nobody,
            nobody,
            np.rint(network.mean).astype(np.int64),
            Counts.none(len(network)),
        )
        self._next: tuple[SupplyRound, Kept] | None = None
        self._prices = by_tier(config.price_cents, network)
        self._purse_cents = self._purse()
        self._must_be_countable()

    def forms(self) -> Mapping[str, FormPlugin]:
        """Returns the form of a replenishment."""
        return {form.NAME: form.FORM}

    def own_rules(self) -> Mapping[str, OwnRule]:
        """Returns the rules of nodes that no model decides for."""
        return all_rules()

    def rules_text(self) -> str:
        """Returns the setting in a few sentences."""
        return (
            "You run one node of a supply chain. Each round goods arrive, your customers or the nodes below you order, "
            "and your node orders of its supplier up to a level: demand over the lead time and a safety stock. Store "
            "costs money each round, and a customer who waits costs more. Your plan estimates demand from orders alone "
            "and reads no news."
        )

    def opening(self) -> list[Consequence]:
        """Returns purses, start stocks and what is under way when the run begins."""
        return books.opened(self.network, self._kept.goods, self._purse_cents)

    def observe(self, round_: int, market: MarketState, last: RoundCleared | None) -> Observation:
        """Returns the news of the round, and what each node knows of its store, its orders and its plan."""
        news = self.setup.news_in(round_)
        public = public_view(round_, self.rounds, "", tuple(line.text for line in news), market, last)
        private = private_views(market, last, self._facts(news))
        called = (concerns(self.network, news) >= self.config.concerned_permille) | self._kept.leaves_band
        return Observation(public, private.calling(called))

    def resolve(self, round_: int, choices: Choices, market: MarketState) -> Resolved:
        """Returns the postings of a round; nothing of it holds before `after_clearing`, so asking twice orders once."""
        network, kept = self.network, self._kept
        # Copies alone are changed: what is kept stays as it is until the round is over.
        departs = Departures.of(choices, len(network))
        goods = books.matched(network, kept.goods, market, round_)
        estimates = kept.estimates.copy()
        departs.applied(estimates, network)
        # What agents chose moves the plan first, and then customers and orders come.
        demand = self.setup.demand.units(round_)
        orders = self.planner.ordering(round_, estimates, departs.skips, departs.informed)
        goods, flow = play(network, goods, demand, priorities(self.seed, round_, len(network)), departs.hurries, orders)
        self.planner.end_round(round_, estimates, demand)
        # Who chose to have less has itself to blame for as long as its lead time.
        lowers = departs.skips | (departs.deviations < 0)
        lowered = np.where(lowers, round_ + network.lead, kept.lowered_until)
        due = self._costs(goods, flow)
        cash, unpaid = books.paid(network, flow, self._prices, market.balances[:, CASH], due)
        counts = self._counted(flow, due, unpaid, departs, stockouts(network, goods, flow, lowered >= round_))
        band = self._outside(goods, estimates)
        after = Kept(goods, estimates, lowered, band, band & ~kept.outside_band, flow.received, counts)
        self._next = SupplyRound(round_, flow, goods, departs), after
        return Resolved(Orders.empty(), (*books.moved(network, flow), *cash))

    def _costs(self, goods: Goods, flow: Flow) -> tuple[tuple[str, str, Int64], ...]:
        """Returns what is due at the end of a round: a cause, an account, and [nodes] cents."""
        holding, transit, backlog = costs(self.network, goods)
        return (
            ("holding", books.STORAGE, holding),
            ("transport", books.STORAGE, transit),
            ("backlog", books.CUSTOMERS, backlog),
            ("expediting", books.CARRIER, self._haste_cents(flow)),
        )

    def _haste_cents(self, flow: Flow) -> Int64:
        """Returns [nodes]: the fees for goods that come before their time."""
        return flow.hurried * self.config.expedite_cents

    def _counted(
        self,
        flow: Flow,
        due: Sequence[tuple[str, str, Int64]],
        unpaid: Int64,
        departs: Departures,
        out: Mapping[str, Int64],
    ) -> Counts:
        """Returns the counts with a round's added; `out` are its stock-outs by cause."""
        (*_, holding), (*_, transit), (*_, backlog), (*_, hurry) = due
        return self._kept.counts.plus(
            holding_cents=holding,
            transit_cents=transit,
            backlog_cents=backlog,
            expedite_cents=hurry,
            unpaid_cents=unpaid,
            demand_units=flow.demand,
            served_at_once_units=flow.served_at_once,
            received_units=flow.received,
            ordered_units=flow.ordered,
            expedited_units=flow.hurried + flow.by_road,
            doubled_orders=departs.doubled,
            **out,
        )

    def after_clearing(self, round_: int, market: MarketState, cleared: RoundCleared) -> list[Consequence]:
        """Takes the round over that was resolved; its postings have been made."""
        if self._next is None or self._next[0].round != round_:
            raise ScenarioError(f"scenario supply_chain: round {round_} is over before it was resolved")
        self.last, self._kept = self._next
        self._next = None
        return []

    def snapshot(self) -> dict[str, Int64]:
        """Returns goods, estimates and counts, by name."""
        kept = self._kept
        parts: dict[str, Any] = {"goods": kept.goods, "estimates": kept.estimates, "counts": kept.counts}
        columns = {
            f"{name}.{f.name}": getattr(part, f.name).copy() for name, part in parts.items() for f in fields(part)
        }
        return columns | {
            "lowered_until": kept.lowered_until.copy(),
            "outside_band": kept.outside_band.astype(np.int64),
            "leaves_band": kept.leaves_band.astype(np.int64),
            "received": kept.received.copy(),
        }

    def restore(self, snapshot: dict[str, Int64]) -> None:
        """Goes on with the goods of a snapshot; ScenarioError where its network was another."""
        if snapshot["goods.pipe"].shape != self._kept.goods.pipe.shape or len(snapshot["received"]) != len(
            self.network
        ):
            raise ScenarioError("scenario supply_chain: a fork keeps nodes, edges and lead times; change other keys")
        parts: dict[str, Any] = {
            name: {f.name: snapshot[f"{name}.{f.name}"].copy() for f in fields(kind)}
            for name, kind in (("goods", Goods), ("estimates", Estimates), ("counts", Counts))
        }
        # Another window begins with what fits of the old one.
        recent = parts["estimates"]["recent"][:, -self.config.plan.window_rounds :]
        fresh = np.zeros((len(self.network), self.config.plan.window_rounds), dtype=np.int64)
        fresh[:, fresh.shape[1] - recent.shape[1] :] = recent
        parts["estimates"] |= {"recent": fresh, "seen": np.minimum(parts["estimates"]["seen"], recent.shape[1])}
        self._kept = Kept(
            Goods(**parts["goods"]),
            Estimates(**parts["estimates"]),
            snapshot["lowered_until"].copy(),
            snapshot["outside_band"].astype(np.bool_),
            snapshot["leaves_band"].astype(np.bool_),
            snapshot["received"].copy(),
            Counts(**parts["counts"]),
        )

    def trader_columns(self) -> dict[str, Int64]:
        """Returns what each node has come to so far."""
        return self._kept.counts.columns()

    def told(self) -> Mapping[str, str]:
        """Returns what a round has cost all nodes together, and the share of demand that was served at once."""
        if self.last is None:
            return {}
        counts = self._kept.counts
        cents = counts.holding_cents + counts.transit_cents + counts.backlog_cents + counts.expedite_cents
        asked = int(counts.demand_units.sum())
        fill = {"fill": f"{int(counts.served_at_once_units.sum()) / asked:.1%}"} if asked else {}
        return {"cost": f"{int(cents.sum()) / CENTS / self.last.round:,.0f} a round", **fill}

    @property
    def _dearest_haste_cents(self) -> int:
        return self.config.expedite_cents

    def _purse(self) -> Int64:
        """Returns [nodes]: the cents that each begins with; ConfigError where a ledger cannot hold them."""
        network, rounds = self.network, self.rounds + 1
        if self.config.purse_cents is not None:
            most = MOST_CENTS // len(network)
            if self.config.purse_cents > most:
                told = f"expected at most {most:,} for each of {len(network):,} nodes, got {self.config.purse_cents:,}"
                raise ConfigError("scenario.purse_cents", told, f"a ledger holds {MOST_CENTS:,} cents together")
            return np.full(len(network), self.config.purse_cents)
        # As if nothing ever came in: everything owed from the first round on, a full store, and every unit bought.
        # Of Python's own integers, which are never too small for a sum.
        units = (np.ceil(network.mean * 4).astype(np.int64) + 10).astype(object)
        rates = network.holding_cents + network.transit_cents + network.backlog_cents
        bought = units * (int(self._prices.max()) + self._dearest_haste_cents)
        purse = units * rates * rounds * (rounds + 40) + bought * rounds * 4
        if purse.sum() > MOST_CENTS:
            raise ConfigError(
                "scenario.purse_cents",
                f"to pay for every round at its worst, nodes need {purse.sum():,} cents, over {MOST_CENTS:,}",
                "lower prices, rates or rounds, or say what a node has",
            )
        cents: Int64 = purse.astype(np.int64)
        return cents

    def _must_be_countable(self) -> None:
        """Raises ConfigError where costs may outgrow what columns of 64 bits count."""
        network, config, rounds = self.network, self.config, self.rounds + 1
        peak = network.through(self.setup.demand.most_millis() / 1_000)
        # [nodes] units of Python's own integers: stores, debts, and all that a plan may order at the highest demand.
        begins = np.maximum(network.start_stock, 0) + network.start_backlog + max(config.plan.levels, default=0)
        units = begins.astype(object) + np.ceil(peak * 2 + 20).astype(np.int64) * (rounds + 10 * network.lead)
        rates = network.holding_cents + network.transit_cents + network.backlog_cents
        each = rates.astype(object) * rounds + int(self._prices.max()) + config.expedite_cents + config.road_cents
        if (most := int((units * each).sum())) > MOST_COUNTED_CENTS:
            told = f"costs may come to {most:,} cents, over {MOST_COUNTED_CENTS:,}"
            raise ConfigError("scenario", told, "lower rates, demand, stores, levels or rounds")

    def _facts(self, news: tuple[News, ...]) -> tuple[str, ...]:
        """Returns the lines that each node is shown of itself."""
        # The form reads them back, so that text is made only for those who are asked.
        network, kept, config = self.network, self._kept, self.config
        # [nodes] columns of figures, of which a line each is made.
        expects = kept.estimates.micro / 1_000_000
        shares = concerns(network, news) if news else np.zeros(len(network), dtype=np.int64)
        goods = kept.goods
        due_next = np.bincount(network.edges.buyer, weights=goods.pipe[:, :2].sum(axis=1), minlength=len(network))
        columns = (
            network.names,
            [network.regions[r] for r in network.region.tolist()],
            goods.stock.tolist(),
            goods.under_way(network).tolist(),
            goods.on_order(network).tolist(),
            goods.owes(network).tolist(),
            kept.received.tolist(),
            expects.tolist(),
            network.lead.tolist(),
            due_next.astype(np.int64).tolist(),
            network.holding_cents.tolist(),
            (shares // 10).tolist(),
        )
        return tuple(form.Facts(*row).lines(config.expedite_cents) for row in zip(*columns, strict=True))

    def _outside(self, goods: Goods, estimates: Estimates) -> Mask:
        """Returns which nodes have left the band around their level."""
        if not self.config.band_permille:
            return np.zeros(len(self.network), dtype=np.bool_)
        lead = self.network.lead
        expected = np.maximum(estimates.micro / 1_000_000 * lead, 1.0)
        width = self.config.band_permille / 1_000 * np.sqrt(expected)
        position = goods.position(self.network)
        # Twice as wide above as below, since stock wears off by itself and customers do not wait.
        too_much = position > expected + 2 * width + 1
        too_little = goods.owed > width + 1
        outside: Mask = too_much | too_little
        return outside
