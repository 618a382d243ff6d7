"""The world of a run: a round loop for each market, and the parties that they share.

All markets decide, all are cleared, the parties act, and all end their round; a run of one market is a world with one
region. Watchers are told of each round of the world as if it were one market.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor, wait
from dataclasses import replace
from time import perf_counter
from typing import Protocol, TypeVar, runtime_checkable

import numpy as np

from swarm.market.ledger import CASH, ROAD
from swarm.scenarios.protocol import Consequence, Int64, MarketState, Movement
from swarm.simulation.entries import Acted
from swarm.simulation.joint import joint_opening, joint_outcome
from swarm.simulation.loop import Interrupted, RoundLoop, RoundOutcome, Watcher
from swarm.simulation.market import MarketPort
from swarm.simulation.party import Act, Move, Quote
from swarm.simulation.plan import RunPlan, WorldPlan
from swarm.simulation.region import Region, region_of
from swarm.simulation.road import HOME, Mask, RegionState, Road, RoadRound
from swarm.simulation.traders import TradersPort

In = TypeVar("In")
Out = TypeVar("Out")
Acts = Sequence[Acted | Consequence]
Recorded = Mapping[int, Sequence[Acted]]


def never() -> bool:
    """Says that nobody wants a run to stop."""
    return False


@runtime_checkable
class MarketsWatcher(Protocol):
    """A watcher that wants to know how each of several markets opened, too."""

    def markets_started(self, openings: Sequence[tuple[RunPlan, MarketState, Int64]]) -> None:
        """The run has begun with these plans, balances of traders and of named accounts."""
        ...


class World:
    """A run between two rounds; `round` of them are ended in all markets.

    Several markets are asked at once, in threads, so that no slow one makes the others wait in turn. What the road does
    is decided anew from the markets, as in a replay; only a region that is replayed without the others goes by
    `recorded`, what its journal says of them.
    """

    def __init__(
        self,
        plan: WorldPlan,
        ports: Sequence[tuple[MarketPort, TradersPort]],
        watchers: Sequence[Watcher] = (),
        recorded: Recorded | None = None,
        clock: Callable[[], float] = perf_counter,
    ) -> None:
        """Opens all markets; `clock` tells seconds, and times the rounds."""
        self.plan = plan
        self.road = _new_road(plan) if plan.regions else None
        self._watchers = watchers
        self._recorded = recorded or {}
        self._pool: Executor | None = ThreadPoolExecutor(len(ports), "region") if len(ports) > 1 else None
        self.loops = [
            RoundLoop(own, market, traders, clock) for own, (market, traders) in zip(plan.markets, ports, strict=True)
        ]
        answers = [loop.answer for loop in self.loops]
        opening, named = joint_opening(plan, answers)
        for watcher in watchers:
            watcher.started(plan.run, opening, named)
            if isinstance(watcher, MarketsWatcher):
                openings = [(own, a.state, a.named) for own, a in zip(plan.markets, answers, strict=True)]
                watcher.markets_started(openings)

    @property
    def round(self) -> int:
        """How many rounds all markets have ended."""
        return min(loop.round for loop in self.loops)

    def play(self, stop: Callable[[], bool] = never) -> int:
        """Plays all rounds and returns how many were ended: fewer than the plan's only if `stop` said so."""
        while self.round < self.plan.last.run.rounds and not stop():
            try:
                self.play_round()
            except Interrupted:
                break
        return self.round

    def play_round(self) -> RoundOutcome:
        """Plays one round in all markets; Interrupted, and nothing is journalled, if one of them was told to stop."""
        if self.plan.future and self.plan.run.fork and self.plan.run.fork.round == self.round:
            self._leave_for(self.plan.future)
        self._all(RoundLoop.decide, self.loops)
        self._all(RoundLoop.clear, self.loops)
        acts, road_round = self._acts()
        outcomes = self._all(_end, list(zip(self.loops, acts, strict=True)))
        if self.road:
            account = self.plan.run.market.named_accounts.index(ROAD)
            self.road.check([loop.answer.named[account] for loop in self.loops])
        outcome = outcomes[0]
        if self.plan.regions:
            outcome = replace(joint_outcome(self.plan, outcomes), road=road_round)
        for watcher in self._watchers:
            watcher.round_done(outcome)
        return outcome

    def _leave_for(self, future: WorldPlan) -> None:
        """Go by another plan from now on; the loops leave by themselves."""
        self.plan = future
        if self.road and future.regions:
            self.road.under(future.regions.fee_permille, future.regions.capacity_lots)

    def _acts(self) -> tuple[list[Acts], RoadRound | None]:
        """What parties do in each market, and what that comes to on the road where there is one."""
        if self.road is None or self.plan.regions is None:
            acted = [one for loop in self.loops for one in self._recorded.get(loop.round, ())]
            return [[act for one in acted for act in _held(self.loops[0], one)]], None
        loops, names = self.loops, self.plan.names
        states = [loop.answer.state for loop in loops]
        last_round = loops[0].round == self.plan.run.rounds
        moved = self.road.move([_as_the_road_sees(loop) for loop in loops], last_round, self._staying())
        acts: list[Acts] = []
        for loop, near, movements in zip(loops, self.plan.regions.neighbours, moved, strict=True):
            done: list[Act] = [Quote(names[n], states[n].reference_ticks) for n in near]
            done += [Move(m.cause, m.source, m.target, m.asset, m.amount) for m in movements]
            acts.append(_held(loop, Acted(loop.round, ROAD, tuple(done))))
        return acts, self.road.told([m for movements in moved for m in movements])

    def _staying(self) -> Mask | None:
        """[travellers]: who is still there in the next round; None where nobody comes or goes."""
        plan = self.plan
        if not plan.run.population:
            return None
        there = plan.run.there(self.loops[0].round + 1)
        homes = zip(plan.travellers.region[:, HOME].tolist(), plan.travellers.seat[:, HOME].tolist(), strict=True)
        staying: Mask = there[[int(plan.number_of[region][seat]) for region, seat in homes]]
        return staying

    def _all(self, do: Callable[[In], Out], markets: Sequence[In]) -> list[Out]:
        """Do it for all markets at once, and raise what one of them has raised only when all are done."""
        if self._pool is None:
            return [do(market) for market in markets]
        asked = [self._pool.submit(do, market) for market in markets]
        wait(asked)
        return [answer.result() for answer in asked]


def _new_road(plan: WorldPlan) -> Road | None:
    """The road of a run, on which nothing is under way yet."""
    if plan.regions is None:
        return None
    return Road(
        plan.travellers,
        len(plan.markets),
        len(plan.run.scenario.goods),
        plan.regions.fee_permille,
        plan.regions.capacity_lots,
        plan.run.market.config.tick_cents,
    )


def _as_the_road_sees(loop: RoundLoop) -> RegionState:
    """What may be taken from a region in the round that is under way: nothing that is on hold, or from who owes."""
    if loop.seen is None:
        raise RuntimeError("nobody has been shown anything yet")
    state = loop.answer.state
    spare = region_of(loop.plan).may_be_taken(loop.seen, state, loop.cleared)
    purse = state.balances[:, [CASH]]
    if state.held is not None:
        spare = np.minimum(spare, state.balances[:, CASH + 1 :] - state.held[:, CASH + 1 :])
        purse = purse - state.held[:, [CASH]]
    if state.owed is not None:
        # What a debtor has secures what it owes.
        debtor = state.owed.sum(axis=1, keepdims=True) > 0
        spare, purse = np.where(debtor, 0, spare), np.where(debtor, 0, purse)
    return RegionState(state.balances, state.reference_ticks, spare, purse)


def _held(loop: RoundLoop, acted: Acted) -> Acts:
    """Let acts hold in a market: tell its traders, and return what its journal and its exchange are to be sent."""
    news = [(act.of, tuple(np.asarray(act.prices_ticks).tolist())) for act in acted.acts if isinstance(act, Quote)]
    if isinstance(loop.plan.scenario, Region):
        loop.plan.scenario.elsewhere = tuple(news)
    moves = [act for act in acted.acts if isinstance(act, Move)]
    return [acted, *(Movement(m.cause, m.source, m.target, m.asset, m.amount) for m in moves)]


def _end(market: tuple[RoundLoop, Acts]) -> RoundOutcome:
    loop, acts = market
    return loop.end(acts)


def run_rounds(
    plan: RunPlan,
    market: MarketPort,
    traders: TradersPort,
    watchers: Sequence[Watcher] = (),
    should_stop: Callable[[], bool] = never,
) -> int:
    """Plays a single market and returns how many rounds were ended."""
    return World(WorldPlan.of(plan), [(market, traders)], watchers).play(should_stop)
