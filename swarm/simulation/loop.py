"""The round loop, written once: observe, decide, call, clear, settle, live. It talks to small protocols alone.

It holds no balance and no clock of the market's; what it returns is the history, as tables are made from it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from time import perf_counter
from typing import Protocol

import numpy as np

from swarm.agents import minds
from swarm.agents.observation import Observation
from swarm.coordination.messages import Messages
from swarm.coordination.router import Delivery
from swarm.market.commands import CloseRound, SubmitOrders
from swarm.market.events import OrdersTaken, RoundCleared
from swarm.market.ledger import CASH
from swarm.market.orders import Int64, Orders
from swarm.scenarios.protocol import Choices, Consequence, HearsPrices, MarketState, Resolved, TakesShocks, with_debts
from swarm.seeding import draw_priority
from swarm.simulation.acquaintance import Acquaintance
from swarm.simulation.acting import Judge, PartyActs, Told, told
from swarm.simulation.auction_outcomes import JudgedBids
from swarm.simulation.basis import RoundBasis
from swarm.simulation.cascade_outcomes import JudgedCascade
from swarm.simulation.compute import COMPUTE, Charged, charged
from swarm.simulation.consequences import explained
from swarm.simulation.council_outcomes import Judged
from swarm.simulation.entries import Acted
from swarm.simulation.hearing import holdings, new_router, said
from swarm.simulation.journal import JournalStats
from swarm.simulation.look_back import LookBack
from swarm.simulation.market import MarketAnswer, MarketPort
from swarm.simulation.numbering import Numbers, market_accounts
from swarm.simulation.opening import opening
from swarm.simulation.outcomes import Outcomes
from swarm.simulation.parties.road import RoadRound
from swarm.simulation.party import Act, Strike
from swarm.simulation.plan import Fork, RunPlan
from swarm.simulation.population import turnover
from swarm.simulation.prompt_sizes import PromptSizes
from swarm.simulation.sentences import Sentences
from swarm.simulation.staffing import Staff, Staffed, counted
from swarm.simulation.traders import Gathered, KnowsRounds, TradersPort


@dataclass(frozen=True, slots=True, eq=False)
class RoundOutcome:
    """The outcome of a round, under the plan that held in it; `named_balances` are in the scenario's order.

    `delivery` is what traders heard before they decided, which was said in the round before, and `said` what they said;
    `journal` is what keeping the journal has taken up to the round. In a world of several markets the outcome is that
    of all of them as one, `of` has each one's own, and `road` what travelled between them. `acted` is what parties did,
    and `judged` are turns of councils, cascades and auctions for which the round was cleared again.
    `basis` is what the round of one market was cleared from, and `favour` each trader's regard for parties that acted.
    """

    plan: RunPlan
    round: int
    season: str
    delivery: Delivery
    said: Messages
    gathered: Gathered
    taken: OrdersTaken
    submitted: int
    cleared: RoundCleared
    reference_before_ticks: Int64
    state: MarketState
    named_balances: Int64
    trader_columns: dict[str, Int64]
    staffed: Staffed
    journal: JournalStats
    duration_s: float
    decide_s: float
    clear_s: float
    of: "tuple[RoundOutcome, ...]" = ()
    road: RoadRound | None = None
    judged: tuple[Judged | JudgedCascade | JudgedBids, ...] = ()
    acted: tuple[Acted, ...] = ()
    basis: RoundBasis | None = None
    favour: Mapping[str, Int64] = field(default_factory=dict)


class Watcher(Protocol):
    """Somebody who looks on: a progress display, a recorder of tables."""

    def started(self, plan: RunPlan, opening: MarketState, named: Int64) -> None:
        """Takes note that the run has begun with these balances."""
        ...

    def round_done(self, outcome: RoundOutcome) -> None:
        """Takes note of a round that is settled and durable."""
        ...


class Interrupted(Exception):
    """Raised by a traders port that was told to stop while it waited; the round is then as if it had not begun."""


@dataclass(frozen=True, slots=True, eq=False)
class _Decided:
    """A round once everybody has decided: what they saw and heard, and what came of it."""

    round: int
    started_s: float
    decided_s: float
    seen: Observation
    delivery: Delivery
    gathered: Gathered
    standing: Orders
    staffed: Staffed


@dataclass(frozen=True, slots=True, eq=False)
class _Cleared:
    """A round once it has been cleared and settled, and everybody has lived through it."""

    decided: _Decided
    orders: Orders
    taken: OrdersTaken
    cleared: RoundCleared
    reference_before_ticks: Int64
    clear_s: float
    judged: tuple[Judged | JudgedCascade | JudgedBids, ...]
    charged: Charged
    basis: RoundBasis


class RoundLoop:
    """A market's run between two rounds: `round` of them are ended, and the three phases make the next one.

    What it knows beside the market and the scenario is what traders said, what can be looked back on, and whose orders
    stand. All of it follows from the journal, so a run that is replayed comes to the same. `acted` is what parties did
    after its last round.
    """

    def __init__(
        self,
        plan: RunPlan,
        market: MarketPort,
        traders: TradersPort,
        clock: Callable[[], float] = perf_counter,
    ) -> None:
        """Opens the market and gives everybody what they begin with; `clock` tells seconds, and times the rounds."""
        self.plan = plan
        self.round = 0
        self._market, self._traders = market, traders
        self._clock = clock
        # What is learned from round to round, all of it from what the journal has.
        self._staff = Staff(plan)
        self._sizes = PromptSizes(plan)
        self._outcomes = Outcomes(plan)
        self._acquaintance = Acquaintance(plan)
        self._numbers = Numbers()
        self._decided: _Decided | None = None
        self._cleared: _Cleared | None = None
        self._last: RoundCleared | None = None
        self._before: Int64 | None = None
        self._past: LookBack | None = None
        self._said = Messages.none(0)
        self._told = Told()
        self._sentences = Sentences()
        self.acted: tuple[Acted, ...] = ()
        self._hold(plan)
        self._opening = opening(plan)
        wanted = plan.reaching(self._opening, 0)
        with explained(plan, 0, wanted, None):
            commands = [self._numbers.command(c, market_accounts(plan)) for c in wanted]
            self._answer = market.execute([plan.began(), *commands])

    @property
    def answer(self) -> MarketAnswer:
        """What the market said last: all balances, and the prices."""
        return self._answer

    @property
    def cleared(self) -> RoundCleared | None:
        """The last round's clearing."""
        return self._last

    @property
    def seen(self) -> Observation | None:
        """What everybody is shown in the round that is under way."""
        return self._decided.seen if self._decided else None

    def decide(self) -> None:
        """Plays the first phase: everybody observes and decides; Interrupted where it was told to stop meanwhile."""
        started_s = self._clock()
        round_ = self.round + 1
        # A fork holds from the round after its own on; then those come and go who do.
        if self.plan.fork and self.plan.fork.round == self.round:
            self._leave_for(self.plan.fork)
        self._come_and_go(round_)
        seen, delivery = self._observe(round_)
        # Who is asked, and what it reads of what it has heard.
        recorded = self._traders.recorded(round_) if isinstance(self._traders, KnowsRounds) else None
        seen = self._staff.ask(seen, self._answer.state, self.cleared, recorded)
        assigned = seen.private.assigned
        delivery = self._router.read(delivery, None if assigned is None else assigned.asked)
        gathered = self._traders.decide(seen)
        decided_s = self._clock()
        self._sizes.learn(seen, gathered.turns)
        seconds = decided_s - started_s
        gathered, standing, staffed = self._staff.take(seen, self._answer.state, gathered, seconds)
        self._decided = _Decided(round_, started_s, decided_s, seen, delivery, gathered, standing, staffed)

    def clear(self) -> None:
        """Plays the second phase: decisions are journalled, cleared and settled, and everybody lives through it."""
        decided = self._decided
        if decided is None or self._cleared is not None:
            raise RuntimeError(f"round {self.round + 1} is cleared before it has been decided")
        resumed_s = self._clock()
        plan, round_ = self.plan, decided.round
        # Scenarios may see what was chosen, but priority is drawn after that, from the seed alone.
        choices = _choices(decided.gathered, decided.standing)
        resolved = plan.scenario.resolve(round_, choices, self._answer.state)
        orders = with_priority(plan.seed, round_, resolved.orders)
        decided_on, before = self._answer, self._answer.state.reference_ticks
        self._answer = self._market.execute(
            [
                decided.gathered.entry(round_),
                SubmitOrders(self._numbers.next(), round_, orders),
                CloseRound(self._numbers.next(), round_),
            ]
        )
        taken, cleared = _taken_and_cleared(self._answer.events)
        clear_s = self._clock() - resumed_s
        basis = RoundBasis(decided.seen, orders, decided_on)
        judged = self._outcomes.settled(basis, decided.gathered.turns)
        self._acquaintance.learn(cleared.trades)
        self._live(round_, before, cleared, resolved)
        paid = self._charge(decided, cleared)
        self._said = said(plan, round_, decided.gathered, orders, taken, cleared)
        self.round, self._last = round_, cleared
        self._cleared = _Cleared(decided, orders, taken, cleared, before, clear_s, judged, paid, basis)

    def settled(self) -> RoundOutcome:
        """Returns what the round under way has come to once it is cleared, before parties act and it is durable."""
        if self._cleared is None:
            raise RuntimeError(f"round {self.round + 1} is looked at before it has been cleared")
        return self._outcome(self._cleared, (), JournalStats())

    def end(self, acts: Sequence[PartyActs] = (), waited_s: float = 0.0) -> RoundOutcome:
        """Plays the third phase, in which parties act and the round becomes durable, and returns what it came to.

        `waited_s` is how long the round has waited for somebody since it was cleared, which is no part of its duration.
        """
        if self._cleared is None:
            raise RuntimeError(f"round {self.round + 1} is ended before it has been cleared")
        # What parties do belongs to the round, so it is journalled before the round's end is.
        cleared = self._cleared
        self._decided = self._cleared = None
        self.acted = self._act(acts)
        return self._outcome(cleared, self.acted, self._market.end_round(self.round), waited_s)

    def _outcome(
        self, cleared: _Cleared, acted: tuple[Acted, ...], journal: JournalStats, waited_s: float = 0.0
    ) -> RoundOutcome:
        plan, decided, gathered = self.plan, cleared.decided, cleared.decided.gathered
        return RoundOutcome(
            plan=plan,
            round=self.round,
            season=decided.seen.public.season,
            delivery=decided.delivery,
            said=self._said,
            gathered=replace(gathered, late=gathered.late[plan.there(self.round)[gathered.late]]),
            taken=cleared.taken,
            submitted=len(cleared.orders),
            cleared=cleared.cleared,
            reference_before_ticks=cleared.reference_before_ticks,
            state=self._answer.state,
            named_balances=self._answer.named,
            trader_columns=plan.scenario.trader_columns(),
            staffed=counted(decided.staffed, decided.standing, cleared.taken, cleared.charged),
            journal=journal,
            duration_s=self._clock() - decided.started_s - waited_s,
            decide_s=decided.decided_s - decided.started_s,
            clear_s=cleared.clear_s,
            judged=cleared.judged,
            acted=acted,
            basis=cleared.basis,
            favour={one.party: self._acquaintance.regards(one.party) for one in acted},
        )

    def _act(self, parties: Sequence[PartyActs]) -> tuple[Acted, ...]:
        """Lets parties act one after another; traders are told of what holds in the next round."""
        names, most_ticks = self.plan.market.named_accounts, self.plan.market.config.max_price_ticks
        acted: list[Acted] = []
        holding: list[Act] = []
        for party, acts in parties:
            # Each party is judged by what those before it have left.
            there, scenario = self.plan.there(self.round), self.plan.scenario
            judge = Judge(self._answer.state, self._answer.named, names, most_ticks, there, scenario, self._sentences)
            held = judge.hold(party, self.round, acts)
            self._execute([held.acted, *held.consequences])
            acted.append(held.acted)
            holding += held.told
            self._acquaintance.paid(party, held.done)
        self._told = told(holding)
        if self._told.quotes and isinstance(self.plan.scenario, HearsPrices):
            self.plan.scenario.elsewhere = self._told.quotes
        for act in holding:
            if isinstance(act, Strike) and isinstance(self.plan.scenario, TakesShocks):
                self.plan.scenario.strike(self.round + 1, act.kind, act.good, act.rounds, act.size_permille)
        return tuple(acted)

    def _hold(self, plan: RunPlan) -> None:
        """Goes by this plan from now on."""
        self.plan = plan
        self._router = new_router(plan)
        self._staff.under(plan)
        self._sizes.under(plan)
        self._outcomes.under(plan)
        self._acquaintance.under(plan)
        self._past = (self._past or LookBack()) if minds.look_back(plan.shard) else None

    def _leave_for(self, fork: Fork) -> None:
        fork.plan.scenario.restore(self.plan.scenario.snapshot())
        router = self._router
        self._hold(fork.plan)
        self._router.succeed(router)
        self._answer = self._market.execute([fork.entry()])

    def _come_and_go(self, round_: int) -> None:
        """Lets traders come with what they begin with, or go and leave what they have, where their number changes."""
        if not self.plan.population:
            return
        before, now = self.plan.there(self.round), self.plan.there(round_)
        if (before != now).any():
            self._staff.forget(np.flatnonzero(before & ~now))
            tick_cents = self.plan.market.config.tick_cents
            self._execute(turnover(self._opening, before, now, self._answer.state, tick_cents))

    def _observe(self, round_: int) -> tuple[Observation, Delivery]:
        """Returns what everybody is shown, and how it came to what it has heard."""
        # Prices of the round before make the change that traders are shown.
        market = replace(self._answer.state, previous_ticks=self._before)
        seen = self.plan.scenario.observe(round_, market, self.cleared)
        own = seen.private
        there = self.plan.there(round_) if self.plan.population else None
        delivery = self._router.route(self._said, seen.public.reference_ticks, holdings(own), there)
        facts = with_debts(own.facts, self._answer.state, self.plan.scenario.goods, self.plan.shard.tick_cents)
        public = replace(seen.public, sizes=self._sizes.now)
        seen = self._outcomes.shown(Observation(public, replace(own, facts=facts, heard=delivery.heard)))
        seen = self._acquaintance.shown(seen, delivery, self._told)
        seen = self._told.shown(seen)
        return self._past.shown(seen) if self._past is not None else seen, delivery

    def _execute(self, entries: Sequence[Acted | Consequence]) -> None:
        """Journals what parties did, and applies consequences; the market is not asked where there is nothing."""
        if not entries:
            return
        accounts = market_accounts(self.plan)
        with explained(self.plan, self.round + 1, entries, self._answer):
            self._answer = self._market.execute(
                [e if isinstance(e, Acted) else self._numbers.command(e, accounts) for e in entries]
            )

    def _charge(self, decided: _Decided, cleared: RoundCleared) -> Charged:
        """Has traders pay for their turns, where a staffing charges for them."""
        if COMPUTE not in self.plan.market.named_accounts:
            return Charged()
        account = self.plan.market.named_accounts.index(COMPUTE)
        charges = self._staff.settle(decided.seen, decided.gathered.turns, cleared)
        due = charged(charges, self._answer.state, int(self._answer.named[account][CASH]))
        self._execute(due.movements)
        return due

    def _live(self, round_: int, reference_before_ticks: Int64, cleared: RoundCleared, resolved: Resolved) -> None:
        """Lets happen to everybody what follows once the round has cleared."""
        self._before = reference_before_ticks
        if self._past is not None:
            self._past.keep(round_, reference_before_ticks, cleared)
        if resolved.consequences:
            self._execute(self.plan.reaching(resolved.consequences, round_))
        happens = self.plan.scenario.after_clearing(round_, self._answer.state, cleared)
        self._execute(self.plan.reaching(happens, round_))


def _choices(gathered: Gathered, standing: Orders) -> Choices:
    """Returns what traders decided, orders in canonical order."""
    turns, decisions = gathered.turns, gathered.decisions
    orders = Orders.concatenate([decisions.orders, gathered.baseline_orders, standing]).in_canonical_order()
    rows = [i for i, value in enumerate(decisions.chosen) if value is not None]
    return Choices(turns.trader[rows], tuple(decisions.chosen[i] for i in rows), orders)


def with_priority(seed: int, round_: int, orders: Orders) -> Orders:
    """Returns the round's orders, each with its trader's priority as the seed draws it."""
    return replace(orders, priority=draw_priority(seed, round_, orders.trader))


def _taken_and_cleared(events: tuple[object, ...]) -> tuple[OrdersTaken, RoundCleared]:
    taken, cleared = events
    if not isinstance(taken, OrdersTaken) or not isinstance(cleared, RoundCleared):
        raise TypeError(f"a round's commands were answered by {type(taken).__name__}, {type(cleared).__name__}")
    return taken, cleared
