"""Plays the world of a run: a round loop for each market, and the parties that they share.

All markets decide, all are cleared, the parties act, and all end their round; a run of one market is a world with one
region. Watchers are told of each round of the world as if it were one market.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor, wait
from dataclasses import replace
from time import perf_counter
from typing import Protocol, TypeVar, runtime_checkable

import numpy as np

from swarm.market.ledger import CASH, ROAD
from swarm.scenarios.protocol import Int64, MarketState
from swarm.simulation.acting import PartyActs
from swarm.simulation.entries import Acted
from swarm.simulation.evidence import of_round
from swarm.simulation.joint import joint_opening, joint_outcome
from swarm.simulation.loop import Interrupted, RoundLoop, RoundOutcome, Watcher
from swarm.simulation.market import MarketPort
from swarm.simulation.parties.road import Road, RoadParty
from swarm.simulation.party import Act, MarketView, Party, Remembers, RoundView
from swarm.simulation.plan import RunPlan, WorldPlan
from swarm.simulation.region import Region
from swarm.simulation.traders import TradersPort

In = TypeVar("In")
Out = TypeVar("Out")
Parties = Callable[[WorldPlan], Sequence[Party]]
"""Makes the parties of a plan: anew where a fork has left for another one."""


def nobody(_: WorldPlan) -> Sequence[Party]:
    """Makes no parties."""
    return ()


def never() -> bool:
    """Says that nobody wants a run to stop."""
    return False


@runtime_checkable
class MarketsWatcher(Protocol):
    """A watcher that wants to know how each of several markets opened, too."""

    def markets_started(self, openings: Sequence[tuple[RunPlan, MarketState, Int64]]) -> None:
        """Takes note that the run has begun with these plans, balances of traders and of named accounts."""
        ...


@runtime_checkable
class SettledWatcher(Protocol):
    """A watcher that wants to see a round before parties act after it, too."""

    def round_settled(self, outcome: RoundOutcome) -> None:
        """Takes note of a round that is settled and not durable yet."""
        ...


class World:
    """A run between two rounds; `round` of them are ended in all markets.

    Several markets are asked at once, in threads, so that no slow one makes the others wait in turn. The road is a
    party that is worked out anew from the markets in a replay, too; all others do again what the journals say they did.
    """

    def __init__(
        self,
        plan: WorldPlan,
        ports: Sequence[tuple[MarketPort, TradersPort]],
        watchers: Sequence[Watcher] = (),
        parties: Parties = nobody,
        clock: Callable[[], float] = perf_counter,
    ) -> None:
        """Opens all markets; `clock` tells seconds, and times the rounds."""
        self.plan = plan
        self.road = _new_road(plan)
        self._parties = parties
        self._others = parties(plan)
        self._watchers = watchers
        self._clock = clock
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
        # A fork counts from the round after it, in the parties as in the loops.
        if self.plan.future and self.plan.run.fork and self.plan.run.fork.round == self.round:
            self._leave_for(self.plan.future)
        # Each phase ends in all markets before the next begins, so that parties see all of them settled.
        self._all(RoundLoop.decide, self.loops)
        self._all(RoundLoop.clear, self.loops)
        waited_s = self._show_settled()
        outcomes = self._all(
            _end, [(loop, acts, waited_s) for loop, acts in zip(self.loops, self._acts(), strict=True)]
        )
        if self.road:
            # What left markets must be on the road, to the cent and lot, or the run stops.
            account = self.plan.run.market.named_accounts.index(ROAD)
            self.road.road.check([loop.answer.named[account] for loop in self.loops])
        outcome = self._together(outcomes)
        for watcher in self._watchers:
            watcher.round_done(outcome)
        return outcome

    def _show_settled(self) -> float:
        """Shows the round to those who want to see it before parties act, and returns the seconds that this took.

        They may wait for somebody's word before they let the run go on.
        """
        watching = [watcher for watcher in self._watchers if isinstance(watcher, SettledWatcher)]
        if not watching:
            return 0.0
        begun_s = self._clock()
        outcome = self._together(self._all(RoundLoop.settled, self.loops))
        for watcher in watching:
            watcher.round_settled(outcome)
        return self._clock() - begun_s

    def _together(self, outcomes: Sequence[RoundOutcome]) -> RoundOutcome:
        """Returns the round of all markets as one."""
        if not self.plan.regions:
            return outcomes[0]
        return replace(joint_outcome(self.plan, outcomes), road=self.road.last if self.road else None)

    def _leave_for(self, future: WorldPlan) -> None:
        """Goes by another plan from now on; the loops leave by themselves."""
        self.plan = future
        before = {party.name: party for party in self._others}
        self._others = self._parties(future)
        for party in self._others:
            if isinstance(party, Remembers) and party.name in before:
                party.succeed(before[party.name])
        if self.road and future.regions:
            self.road.road.under(future.regions.fee_permille, future.regions.capacity_lots)

    def _acts(self) -> list[list[PartyActs]]:
        """Returns by market what each party does in it, in the order of parties; the road is the first."""
        parties: list[Party] = [*([self.road] if self.road else []), *self._others]
        acts: list[list[PartyActs]] = [[] for _ in self.loops]
        if not parties:
            return acts
        view = RoundView(
            self.loops[0].round,
            self.plan.run.rounds,
            tuple(_market_view(loop, name) for loop, name in zip(self.loops, self.plan.names, strict=True)),
        )
        for party in parties:
            done = party.act(view)
            # The road is journalled in each region, also where nothing goes on it.
            for number, own in enumerate(acts):
                of_market = [act for act in done if act.market == number]
                if of_market or party is self.road:
                    own.append((party.name, of_market))
        return acts

    def _all(self, do: Callable[[In], Out], markets: Sequence[In]) -> list[Out]:
        """Does it for all markets at once, and raises what one of them has raised only when all are done."""
        if self._pool is None:
            return [do(market) for market in markets]
        # A thread for each market: its work waits for shards and engines, or is done in arrays.
        asked = [self._pool.submit(do, market) for market in markets]
        wait(asked)
        return [answer.result() for answer in asked]


def _new_road(plan: WorldPlan) -> RoadParty | None:
    """Returns the road of a run, on which nothing is under way yet; none where a market is alone."""
    if plan.regions is None:
        return None
    road = Road(
        plan.travellers,
        len(plan.markets),
        len(plan.run.scenario.goods),
        plan.regions.fee_permille,
        plan.regions.capacity_lots,
        plan.run.market.config.tick_cents,
    )
    return RoadParty(road, plan.regions.neighbours)


def _market_view(loop: RoundLoop, name: str) -> MarketView:
    """Returns a market as parties see it; what is on hold, or secures a debt, can be spared by nobody."""
    plan, state = loop.plan, loop.answer.state
    # [traders, assets]; who owes anything can spare nothing at all.
    free = state.balances if state.held is None else state.balances - state.held
    if state.owed is not None:
        free = np.where(state.owed.sum(axis=1, keepdims=True) > 0, 0, free)
    cents, lots = free[:, CASH], free[:, CASH + 1 :]
    if isinstance(plan.scenario, Region) and loop.seen is not None:
        lots = np.minimum(lots, plan.scenario.may_be_taken(loop.seen, state, loop.cleared))
    # Accounts by their names, each [assets], and the traders that the next round still has.
    named = dict(zip(plan.market.named_accounts, loop.answer.named, strict=True))
    staying = plan.there(loop.round + 1)
    market = plan.market
    return MarketView(
        name=name,
        goods=plan.scenario.goods,
        state=state,
        named=named,
        cleared=loop.cleared,
        movable_lots=lots,
        movable_cents=cents,
        staying=staying,
        evidence=of_round(loop.settled()),
        rules=market.config,
        mechanisms=market.mechanisms,
        done=_done(loop.acted),
    )


def _done(acted: Sequence[Acted]) -> tuple[tuple[str, Act, str], ...]:
    """Returns what parties did, act by act, and why it was refused or nothing."""
    return tuple(
        (one.party, act, dict(one.refused).get(index, "")) for one in acted for index, act in enumerate(one.acts)
    )


def _end(market: tuple[RoundLoop, Sequence[PartyActs], float]) -> RoundOutcome:
    loop, acts, waited_s = market
    return loop.end(acts, waited_s)
