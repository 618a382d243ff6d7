"""Puts several markets together as one: the setting and plan that watchers see, and one round of each market's.

Those who live in a region have one number in the run, and a traveller's seats are one trader's. Prices are means over
the regions, clearing prices weighted by volume; lots, cash and counts are sums.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import cast

import numpy as np

from swarm.agents.memory import Memory
from swarm.agents.shard import ShardAnswer
from swarm.coordination.messages import Messages
from swarm.coordination.router import Delivery
from swarm.market.events import OrdersTaken, RoundCleared, Trades
from swarm.market.margin import MarginReport
from swarm.market.orders import Orders
from swarm.market.resting import RestingReport
from swarm.scenarios.protocol import Int64, MarketState, Scenario, ShockMark
from swarm.simulation.journal import JournalStats
from swarm.simulation.loop import RoundOutcome
from swarm.simulation.market import MarketAnswer, MarketClosing
from swarm.simulation.parties.road import Travellers
from swarm.simulation.plan import RunPlan, WorldPlan, run_sha256
from swarm.simulation.region import Region, region_of
from swarm.simulation.regions import RegionsConfig
from swarm.simulation.snapshot import SnapshotStats
from swarm.simulation.staffing import Staffed
from swarm.simulation.traders import Gathered, gather


class JointSetting:
    """The setting of all regions together, as a record tells it: those who live there, one region after another."""

    def __init__(self, regions: Sequence[Region], config: RegionsConfig, travellers: Travellers) -> None:
        self.config, self.travellers = config, travellers
        self._regions = regions
        first = regions[0].scenario
        self.goods: tuple[str, ...] = first.goods
        self.kinds: tuple[str, ...] = first.kinds
        self.trader_kind: Int64 = np.concatenate([r.scenario.trader_kind for r in regions])
        self.named_accounts: tuple[str, ...] = regions[0].named_accounts
        self.opening_reference_ticks: Int64 = mean_ticks([r.opening_reference_ticks for r in regions])
        self.number_of = _number_of(regions, travellers)
        self.idle_sentences: Mapping[str, str] = regions[0].idle_sentences

    @property
    def shocks(self) -> tuple[ShockMark, ...]:
        """The shocks of all regions; one that befalls several is told once."""
        return tuple(dict.fromkeys(shock for region in self._regions for shock in region.shocks))

    @property
    def shock_kinds(self) -> tuple[str, ...]:
        """The kinds of shocks that can befall a region."""
        return self._regions[0].shock_kinds

    def rules_text(self) -> str:
        """Returns the setting in a few sentences."""
        return self._regions[0].rules_text()

    def seats_of(self, trader: int) -> list[tuple[int, int]]:
        """Returns the market and the seat in it of a trader of the run, at home first; a traveller has two."""
        found = [
            (market, seat)
            for market, numbers in enumerate(self.number_of)
            for seat in np.flatnonzero(numbers == trader).tolist()
        ]
        # A guest's seat lies behind those of all who live there.
        return sorted(found, key=lambda one: one[1] >= self._regions[one[0]].natives)

    def trader_columns(self) -> dict[str, Int64]:
        """Returns the columns of all who live in a region, and which region that is, from 0."""
        columns = [r.scenario.trader_columns() for r in self._regions]
        joined = {name: np.concatenate([c[name] for c in columns]) for name in columns[0]}
        return {**joined, "region": np.repeat(np.arange(len(self._regions)), [r.natives for r in self._regions])}


def joint_plan(
    plans: Sequence[RunPlan], first: RunPlan, config: RegionsConfig, travellers: Travellers
) -> tuple[RunPlan, tuple[Int64, ...]]:
    """Returns the plan of all markets as one, to be looked at, and `number_of`; `first` has what is the run's."""
    regions = [region_of(plan) for plan in plans]
    setting = JointSetting(regions, config, travellers)
    # It is looked at and never played, so it needs none of a scenario's mechanics.
    scenario = cast(Scenario, setting)
    minds = tuple(mind for plan, region in zip(plans, regions, strict=True) for mind in plan.minds[: region.natives])
    market = replace(
        plans[0].market,
        config=first.market.config,
        traders=len(minds),
        opening_reference_ticks=tuple(scenario.opening_reference_ticks.tolist()),
    )
    return replace(first, scenario=scenario, market=market, shard=replace(first.shard, minds=minds)), setting.number_of


def _number_of(regions: Sequence[Region], travellers: Travellers) -> tuple[Int64, ...]:
    """Returns by market the number in the run of each seat's trader."""
    # Region r's natives have the numbers from start[r] on; guests have those that they have at home.
    start = np.concatenate([[0], np.cumsum([region.natives for region in regions])])
    number_of = []
    for number, region in enumerate(regions):
        numbers = start[number] + np.arange(len(region.trader_kind))
        guests = np.flatnonzero(travellers.region[:, 1] == number)
        numbers[travellers.seat[guests, 1]] = start[travellers.region[guests, 0]] + travellers.seat[guests, 0]
        number_of.append(numbers)
    return tuple(number_of)


def mean_ticks(ticks: Sequence[Int64]) -> Int64:
    """Returns the mean over markets of each good's price, in whole ticks."""
    mean: Int64 = np.rint(np.mean(ticks, axis=0)).astype(np.int64)
    return mean


def joint_opening(plan: WorldPlan, answers: Sequence[MarketAnswer]) -> tuple[MarketState, Int64]:
    """Returns what traders, and the named accounts, have at the opening in all markets together."""
    if plan.regions is None:
        return answers[0].state, answers[0].named
    named: Int64 = np.sum([answer.named for answer in answers], axis=0)
    return _state(plan, [answer.state for answer in answers]), named


def joint_closing(closings: Sequence[MarketClosing]) -> MarketClosing:
    """Returns what all markets say together when they close their journals."""
    if len(closings) == 1:
        return closings[0]
    journal = JournalStats.together([closing.journal for closing in closings])
    snapshots = SnapshotStats.together([closing.snapshots for closing in closings])
    return MarketClosing(run_sha256([closing.journal_sha256 for closing in closings]), journal, snapshots)


def joint_outcome(plan: WorldPlan, outcomes: Sequence[RoundOutcome]) -> RoundOutcome:
    """Returns one round of all markets as a round of one, which has each market's own in `of`."""
    first, number_of = outcomes[0], plan.number_of
    # Rows get the numbers that traders have in the run; a traveller's two seats become one trader.
    state = _state(plan, [o.state for o in outcomes])
    return RoundOutcome(
        plan=plan.run,
        round=first.round,
        season=first.season,
        gathered=_gathered(number_of, [o.gathered for o in outcomes]),
        taken=_taken(number_of, [o.taken for o in outcomes]),
        submitted=sum(o.submitted for o in outcomes),
        cleared=_cleared(number_of, [o.cleared for o in outcomes], state),
        reference_before_ticks=mean_ticks([o.reference_before_ticks for o in outcomes]),
        state=state,
        named_balances=np.sum([o.named_balances for o in outcomes], axis=0),
        trader_columns=plan.run.scenario.trader_columns(),
        staffed=Staffed.together([o.staffed for o in outcomes]),
        delivery=Delivery.together([o.delivery for o in outcomes], number_of, plan.run.traders),
        said=Messages.together([o.said for o in outcomes], number_of),
        journal=JournalStats.together([o.journal for o in outcomes]),
        # Markets run side by side, so the slowest one's time is the round's.
        duration_s=max(o.duration_s for o in outcomes),
        decide_s=max(o.decide_s for o in outcomes),
        clear_s=max(o.clear_s for o in outcomes),
        of=tuple(outcomes),
        judged=tuple(
            replace(one, trader=int(numbers[one.trader]))
            for numbers, o in zip(number_of, outcomes, strict=True)
            for one in o.judged
        ),
    )


def _state(plan: WorldPlan, states: Sequence[MarketState]) -> MarketState:
    # [traders of the run, assets]; a traveller's two seats add up.
    balances = np.zeros((plan.run.traders, states[0].balances.shape[1]), dtype=np.int64)
    owed = np.zeros_like(balances)
    for numbers, state in zip(plan.number_of, states, strict=True):
        np.add.at(balances, numbers, state.balances)
        if state.owed is not None:
            np.add.at(owed, numbers, state.owed)
    prices = mean_ticks([s.reference_ticks for s in states])
    return MarketState(balances, prices, None if states[0].owed is None else owed)


def _gathered(number_of: Sequence[Int64], gathered: Sequence[Gathered]) -> Gathered:
    answers, late = [], [np.empty(0, dtype=np.int64)]
    for numbers, found in zip(number_of, gathered, strict=True):
        # From seats in a market to numbers in the run.
        turns = replace(found.turns, trader=numbers[found.turns.trader])
        decisions = replace(found.decisions, orders=_numbered(found.decisions.orders, numbers))
        answers.append(ShardAnswer(turns, decisions, _numbered(found.baseline_orders, numbers), Memory.empty()))
        late.append(numbers[found.late])
    together = gather(answers, np.concatenate(late))
    return replace(together, recorded=any(found.recorded for found in gathered))


def _taken(number_of: Sequence[Int64], taken: Sequence[OrdersTaken]) -> OrdersTaken:
    numbered = [n[t.rejected_trader] for n, t in zip(number_of, taken, strict=True)]
    return OrdersTaken(
        round=taken[0].round,
        accepted=sum(t.accepted for t in taken),
        rejected_trader=np.concatenate(numbered),
        rejected_sequence=np.concatenate([t.rejected_sequence for t in taken]),
        rejected_reason=tuple(reason for t in taken for reason in t.rejected_reason),
    )


def _cleared(number_of: Sequence[Int64], cleared: Sequence[RoundCleared], state: MarketState) -> RoundCleared:
    trades = [c.trades for c in cleared]
    sides = {
        side: np.concatenate([n[getattr(t, side)] for n, t in zip(number_of, trades, strict=True)])
        for side in ("buyer", "seller")
    }
    # [goods]; the price of all regions is the value over the volume, as if all had been one trade.
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
        margin=_margin(number_of, reports) if (reports := [c.margin for c in cleared if c.margin]) else None,
        halted=tuple(sorted({good for c in cleared for good in c.halted})),
        resting=RestingReport.together(resting) if (resting := [c.resting for c in cleared if c.resting]) else None,
    )


def _margin(number_of: Sequence[Int64], reports: Sequence[MarginReport]) -> MarginReport:
    def numbered(column: str) -> Int64:
        found: Int64 = np.concatenate([n[getattr(r, column)] for n, r in zip(number_of, reports, strict=True)])
        return found

    return MarginReport(
        interest_cents=sum(report.interest_cents for report in reports),
        # A traveller that is called in both of its markets is called once.
        called=np.unique(numbered("called")),
        liquidating=np.unique(numbered("liquidating")),
        defaulted=numbered("defaulted"),
        written_off=np.concatenate([report.written_off for report in reports]),
    )


def _numbered(orders: Orders, numbers: Int64) -> Orders:
    return replace(orders, trader=numbers[orders.trader])
