"""A run of several regions as a whole: its rounds as if there were one market, and what is kept of it.

Those who live in a region have one number in the whole, and a traveller's seats are one trader's. Prices are means over
the regions, clearing prices weighted by volume; lots, cash and counts are sums.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

import numpy as np
import polars as pl

from swarm.agents.memory import Memory
from swarm.agents.shard import ShardAnswer
from swarm.coordination.messages import Messages
from swarm.coordination.router import Delivery
from swarm.market.events import OrdersTaken, RoundCleared, Trades
from swarm.market.ledger import ROAD
from swarm.market.orders import Orders
from swarm.market.quality import price_dispersion
from swarm.market.resting import RestingReport
from swarm.scenarios.protocol import Int64, MarketState, Scenario
from swarm.simulation.attention import Attended
from swarm.simulation.journal import JournalStats
from swarm.simulation.loop import RoundOutcome, Watcher
from swarm.simulation.market import MarketClosing
from swarm.simulation.plan import RunPlan
from swarm.simulation.record import Recorder, RunRecord
from swarm.simulation.region import Region
from swarm.simulation.regions import Dispatch, RegionsPlan, region_of, run_sha256
from swarm.simulation.road import ARRIVED, LEFT, TOLL, Road, Travellers
from swarm.simulation.snapshot import SnapshotStats
from swarm.simulation.traders import Gathered, gather


class Whole:
    """What a record tells of the setting, for all regions together: those who live there, one region after another."""

    def __init__(self, regions: Sequence[Region]) -> None:
        self._regions = regions
        first = regions[0].scenario
        self.goods: tuple[str, ...] = first.goods
        self.kinds: tuple[str, ...] = first.kinds
        self.shocks = first.shocks
        self.trader_kind: Int64 = np.concatenate([r.scenario.trader_kind for r in regions])
        self.named_accounts: tuple[str, ...] = regions[0].named_accounts
        self.opening_reference_ticks: Int64 = mean_ticks([r.opening_reference_ticks for r in regions])

    def rules_text(self) -> str:
        """The setting in a few sentences."""
        return self._regions[0].rules_text()

    def trader_columns(self) -> dict[str, Int64]:
        """The columns of all who live in a region, and which region that is, from 0."""
        columns = [r.scenario.trader_columns() for r in self._regions]
        joined = {name: np.concatenate([c[name] for c in columns]) for name in columns[0]}
        return {**joined, "region": np.repeat(np.arange(len(self._regions)), [r.natives for r in self._regions])}


def whole_plan(plans: Sequence[RunPlan], travellers: Travellers, first: RunPlan) -> tuple[RunPlan, tuple[Int64, ...]]:
    """The plan of the whole, for those who look on, and `number_of`; `first` has what is the run's and no region's."""
    regions = [region_of(plan) for plan in plans]
    start = np.concatenate([[0], np.cumsum([region.natives for region in regions])])
    number_of = []
    for number, plan in enumerate(plans):
        numbers = start[number] + np.arange(plan.traders)
        guests = np.flatnonzero(travellers.region[:, 1] == number)
        numbers[travellers.seat[guests, 1]] = start[travellers.region[guests, 0]] + travellers.seat[guests, 0]
        number_of.append(numbers)
    # It is looked at and never played, so it needs none of a scenario's mechanics.
    scenario = cast(Scenario, Whole(regions))
    minds = tuple(mind for plan, region in zip(plans, regions, strict=True) for mind in plan.minds[: region.natives])
    market = replace(
        first.market,
        traders=len(minds),
        opening_reference_ticks=tuple(scenario.opening_reference_ticks.tolist()),
        named_accounts=scenario.named_accounts,
    )
    return replace(first, scenario=scenario, market=market, shard=replace(first.shard, minds=minds)), tuple(number_of)


def mean_ticks(ticks: Sequence[Int64]) -> Int64:
    """The mean over regions of each good's price, in whole ticks."""
    mean: Int64 = np.rint(np.mean(ticks, axis=0)).astype(np.int64)
    return mean


class Latest:
    """A watcher that keeps a region's opening and its last round."""

    opening: MarketState
    named: Int64
    last: RoundOutcome

    def started(self, plan: RunPlan, opening: MarketState, named: Int64) -> None:
        """Keep the opening."""
        self.opening, self.named = opening, named

    def round_done(self, outcome: RoundOutcome) -> None:
        """Keep the round."""
        self.last = outcome


class Onlookers:
    """Tells watchers of one run about the whole of several regions, and records it.

    `each[r]` watches region r's round loop. The record of the whole has all tables of a run, and two more: `regions`,
    prices by region, and `road`, what travelled.
    """

    def __init__(self, plan: RegionsPlan, watchers: Sequence[Watcher] = ()) -> None:
        self.plan = plan
        self.recorders = [Recorder() for _ in plan.plans]
        self.whole = Recorder()
        self._latest = [Latest() for _ in plan.plans]
        self._watchers: tuple[Watcher, ...] = (self.whole, *watchers)
        self._prices: list[dict[str, Any]] = []
        self._moves: list[dict[str, Any]] = []
        self._dispersion: list[float] = []
        self._road: Road | None = None

    @property
    def rounds_done(self) -> int:
        """How many rounds of the whole are kept."""
        return self.whole.rounds_done

    def add(self, watcher: Watcher) -> None:
        """Tell one more watcher of the whole; before the run has begun."""
        self._watchers = (*self._watchers, watcher)

    def each(self, region: int) -> tuple[Watcher, ...]:
        """The watchers of one region's round loop."""
        return self.recorders[region], self._latest[region]

    def started(self) -> None:
        """All regions have opened: tell of the whole."""
        opening = self._state([latest.opening for latest in self._latest])
        named: Int64 = np.sum([latest.named for latest in self._latest], axis=0)
        for watcher in self._watchers:
            watcher.started(self.plan.whole, opening, named)

    def round_done(self, dispatches: Sequence[Dispatch], road: Road) -> None:
        """All regions have ended a round: tell of it, and keep the regions' prices and the road's traffic."""
        outcomes = [latest.last for latest in self._latest]
        together = self.together(outcomes)
        self._road = road
        self._keep_prices(outcomes)
        self._keep_moves(together.round, dispatches, road)
        for watcher in self._watchers:
            watcher.round_done(together)

    def together(self, outcomes: Sequence[RoundOutcome]) -> RoundOutcome:
        """One round of all regions as a round of the whole."""
        plan, first = self.plan.whole, outcomes[0]
        state = self._state([o.state for o in outcomes])
        return RoundOutcome(
            plan=plan,
            round=first.round,
            season=first.season,
            gathered=self._gathered([o.gathered for o in outcomes]),
            taken=self._taken([o.taken for o in outcomes]),
            submitted=sum(o.submitted for o in outcomes),
            cleared=self._cleared([o.cleared for o in outcomes], state),
            reference_before_ticks=mean_ticks([o.reference_before_ticks for o in outcomes]),
            state=state,
            named_balances=np.sum([o.named_balances for o in outcomes], axis=0),
            trader_columns=plan.scenario.trader_columns(),
            attended=Attended.together([o.attended for o in outcomes]),
            delivery=Delivery.together([o.delivery for o in outcomes], self.plan.number_of, plan.traders),
            said=Messages.together([o.said for o in outcomes], self.plan.number_of),
            journal=JournalStats.together([o.journal for o in outcomes]),
            duration_s=max(o.duration_s for o in outcomes),
            decide_s=max(o.decide_s for o in outcomes),
            clear_s=max(o.clear_s for o in outcomes),
        )

    def finish(self, closings: Sequence[MarketClosing], extra: Mapping[str, Any]) -> tuple[RunRecord, list[RunRecord]]:
        """The record of the whole, and one of each region; `extra` is what only the caller knows."""
        journal = JournalStats.together([closing.journal for closing in closings])
        snapshots = SnapshotStats.together([closing.snapshots for closing in closings])
        closing = MarketClosing(run_sha256([c.journal_sha256 for c in closings]), journal, snapshots)
        each = [
            recorder.finish(closing, {**extra, "region": name})
            for name, recorder, closing in zip(self.plan.names, self.recorders, closings, strict=True)
        ]
        record = self.whole.finish(closing, {**extra, "regions": self._summary(each)})
        tables = {**record.tables, "regions": pl.DataFrame(self._joined(self._prices))}
        return RunRecord(record.summary, {**tables, "road": pl.DataFrame(self._joined(self._moves))}), each

    def _summary(self, each: Sequence[RunRecord]) -> dict[str, Any]:
        goods, config, road = self.plan.whole.scenario.goods, self.plan.config, self._road
        under_way = road.under_way.sums(len(goods) + 1).tolist() if road else [0] * (len(goods) + 1)
        carried = road.carried_lots.tolist() if road else [0] * len(goods)
        by_round = [round(value * 1_000) for value in self._dispersion]
        return {
            "names": list(self.plan.names),
            "roads": [[self.plan.names[a], self.plan.names[b]] for a, b in config.pairs],
            "travellers": len(self.plan.travellers),
            "abroad": config.abroad,
            "price_dispersion_permille": {
                "mean": round(1_000 * float(np.mean(self._dispersion)), 1) if self._dispersion else 0.0,
                "by_round": by_round,
            },
            "carried_lots": dict(zip(goods, carried, strict=True)),
            "toll_cents": road.toll_cents if road else 0,
            "under_way": dict(zip(("cash", *goods), under_way, strict=True)),
            "of": {name: _figures(record.summary, region_of(plan), plan) for name, record, plan in self._with(each)},
        }

    def _with(self, each: Sequence[RunRecord]) -> list[tuple[str, RunRecord, RunPlan]]:
        return list(zip(self.plan.names, each, self.plan.plans, strict=True))

    def _state(self, states: Sequence[MarketState]) -> MarketState:
        balances = np.zeros((self.plan.whole.traders, states[0].balances.shape[1]), dtype=np.int64)
        for numbers, state in zip(self.plan.number_of, states, strict=True):
            np.add.at(balances, numbers, state.balances)
        return MarketState(balances, mean_ticks([s.reference_ticks for s in states]))

    def _gathered(self, gathered: Sequence[Gathered]) -> Gathered:
        answers, late = [], [np.empty(0, dtype=np.int64)]
        for numbers, found in zip(self.plan.number_of, gathered, strict=True):
            turns = replace(found.turns, trader=numbers[found.turns.trader])
            decisions = replace(found.decisions, orders=_numbered(found.decisions.orders, numbers))
            answers.append(ShardAnswer(turns, decisions, _numbered(found.baseline_orders, numbers), Memory.empty()))
            late.append(numbers[found.late])
        together = gather(answers, np.concatenate(late))
        return replace(together, recorded=any(found.recorded for found in gathered))

    def _taken(self, taken: Sequence[OrdersTaken]) -> OrdersTaken:
        numbered = [n[t.rejected_trader] for n, t in zip(self.plan.number_of, taken, strict=True)]
        return OrdersTaken(
            round=taken[0].round,
            accepted=sum(t.accepted for t in taken),
            rejected_trader=np.concatenate(numbered),
            rejected_sequence=np.concatenate([t.rejected_sequence for t in taken]),
            rejected_reason=tuple(reason for t in taken for reason in t.rejected_reason),
        )

    def _cleared(self, cleared: Sequence[RoundCleared], state: MarketState) -> RoundCleared:
        trades = [c.trades for c in cleared]
        sides = {
            side: np.concatenate([n[getattr(t, side)] for n, t in zip(self.plan.number_of, trades, strict=True)])
            for side in ("buyer", "seller")
        }
        volume: Int64 = np.sum([c.volume_lots for c in cleared], axis=0)
        value = np.sum([c.volume_lots * c.clearing_ticks for c in cleared], axis=0)
        columns = {f: np.concatenate([getattr(t, f) for t in trades]) for f in ("good", "price_ticks", "quantity_lots")}
        return RoundCleared(
            round=cleared[0].round,
            clearing_ticks=np.rint(value / np.maximum(volume, 1)).astype(np.int64),
            volume_lots=volume,
            unfilled_buy_lots=np.sum([c.unfilled_buy_lots for c in cleared], axis=0),
            unfilled_sell_lots=np.sum([c.unfilled_sell_lots for c in cleared], axis=0),
            reference_ticks=state.reference_ticks,
            trades=Trades(**columns, **sides),
            halted=tuple(sorted({good for c in cleared for good in c.halted})),
            resting=RestingReport.together(resting) if (resting := [c.resting for c in cleared if c.resting]) else None,
        )

    def _keep_prices(self, outcomes: Sequence[RoundOutcome]) -> None:
        goods = np.array(self.plan.whole.scenario.goods)
        dispersion = price_dispersion(np.array([o.state.reference_ticks for o in outcomes]))
        self._dispersion.append(float(dispersion.mean()))
        for name, outcome in zip(self.plan.names, outcomes, strict=True):
            self._prices.append(
                {
                    "round": np.full(len(goods), outcome.round),
                    "region": np.full(len(goods), name),
                    "good": goods,
                    "clearing_ticks": outcome.cleared.clearing_ticks,
                    "reference_ticks": outcome.state.reference_ticks,
                    "volume_lots": outcome.cleared.volume_lots,
                    "unfilled_buy_lots": outcome.cleared.unfilled_buy_lots,
                    "unfilled_sell_lots": outcome.cleared.unfilled_sell_lots,
                    "price_dispersion_permille": np.rint(1_000 * dispersion).astype(np.int64),
                }
            )

    def _keep_moves(self, round_: int, dispatches: Sequence[Dispatch], road: Road) -> None:
        assets = ("cash", *self.plan.whole.scenario.goods)
        sums = {cause: np.zeros(len(assets), dtype=np.int64) for cause in (LEFT, ARRIVED, TOLL)}
        for movement in (m for dispatch in dispatches for m in dispatch.movements):
            np.add.at(sums[movement.cause], movement.asset, movement.amount)
        self._moves.append(
            {
                "round": np.full(len(assets), round_),
                "asset": np.array(assets),
                "left": sums[LEFT],
                "arrived": sums[ARRIVED],
                "toll": sums[TOLL],
                "under_way": road.under_way.sums(len(assets)),
            }
        )

    @staticmethod
    def _joined(parts: Sequence[dict[str, Any]]) -> dict[str, Any]:
        return {key: np.concatenate([part[key] for part in parts]) for key in parts[0]} if parts else {}


def _numbered(orders: Orders, numbers: Int64) -> Orders:
    return replace(orders, trader=numbers[orders.trader])


def _figures(summary: Mapping[str, Any], region: Region, plan: RunPlan) -> dict[str, Any]:
    """What stands of one region in the summary of the whole."""
    road = {asset: flow["in_other_accounts"].get(ROAD, 0) for asset, flow in summary["conservation"].items()}
    kept = ("trades", "volume_lots", "decision_errors", "late_turns", "journal_sha256", "conservation")
    return {"seed": plan.seed, "live_here": region.natives, "guests": len(region.guests.homes)} | {
        **{key: summary[key] for key in kept},
        "road": road,
    }
