"""The traders of a market of which some are guests: those are asked through a door, all others as they always are.

A guest's seats lie in the process of the round loop, wherever the other traders' shards are, so a run in one process
and one over Ray come to the same. What lies behind the door, a network say, this module does not know.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Protocol

import numpy as np

from swarm.agents.decisions import Decisions
from swarm.agents.guest import Seat, Shown
from swarm.agents.memory import Memory
from swarm.agents.minds import asking, guests_of
from swarm.agents.observation import Int64, Observation
from swarm.agents.plan import ShardPlan
from swarm.agents.shard import read_again
from swarm.agents.turns import Turns
from swarm.coordination.assignment import Assignment
from swarm.llm.protocol import ModelReply, TokenUsage
from swarm.scenarios.protocol import MarketState
from swarm.simulation.loop import RoundOutcome
from swarm.simulation.plan import RunPlan
from swarm.simulation.traders import AskableTraders, Gathered


class Door(Protocol):
    """The way to guests."""

    def open(self, shown: Shown) -> None:
        """Shows a round to the guests that are asked in it, and takes their decisions from now on."""
        ...

    def close(self) -> Mapping[Seat, str]:
        """Waits until all have decided or their time is over, and returns what was sent; Interrupted ends the wait."""
        ...

    def abandon(self) -> None:
        """Takes a round back that is open; where none is, nothing happens."""
        ...


def seats_of(plan: ShardPlan) -> dict[int, Seat]:
    """Returns the seat of each trader that a guest decides for, by trader; a guest's seats count up with them."""
    guests, taken = guests_of(plan), dict[str, int]()
    found: dict[int, Seat] = {}
    for trader, mind in enumerate(plan.minds, plan.first_trader):
        if mind in guests:
            found[trader] = (mind, taken.get(mind, 0))
            taken[mind] = found[trader][1] + 1
    return found


class GuestTraders:
    """All traders of a market: guests decide while the others are asked."""

    def __init__(self, traders: AskableTraders, plan: ShardPlan, door: Door) -> None:
        self._traders, self._plan, self._door = traders, plan, door
        self._seats = seats_of(plan)
        minds = asking(plan)
        self._minds = {name: minds[name] for name in guests_of(plan)}

    def remember(self, memory: Memory) -> None:
        """Hands on what was learned in the rounds before, which is nothing that guests know."""
        self._traders.remember(memory)

    def decide(self, seen: Observation) -> Gathered:
        """Asks everybody; a guest that does not decide in time is late."""
        assigned = seen.private.assigned or Assignment.everybody(np.ones(len(seen.private), dtype=np.bool_))
        asked = {row: self._seats[row] for row in np.flatnonzero(assigned.asked).tolist() if row in self._seats}
        # Shards have guests among their traders and never ask them.
        others = assigned.asked.copy()
        others[list(self._seats)] = False
        rest = replace(seen.private, assigned=replace(assigned, asked=others))
        if not asked:
            return self._of_others(Observation(seen.public, rest))
        shown = Shown(self._plan, seen, {seat: row for row, seat in asked.items()})
        self._door.open(shown)
        try:
            # Guests think while shards are busy; what is left of their time is waited for after that.
            gathered = self._of_others(Observation(seen.public, rest))
            sent = self._door.close()
        except BaseException:
            self._door.abandon()
            raise
        # In ascending order of traders, as all columns of turns are.
        decided = np.array([row for row, seat in asked.items() if seat in sent], dtype=np.int64)
        late = np.array([row for row, seat in asked.items() if seat not in sent], dtype=np.int64)
        turns = Turns.join([_turns(name, decided, asked, sent) for name in sorted(self._minds)])
        return _joined(gathered, turns, read_again(self._plan, self._minds, turns, seen), late)

    def _of_others(self, seen: Observation) -> Gathered:
        """Returns what those decide who are no guests; a shard that is late has no guests who could be late with it."""
        gathered = self._traders.decide(seen)
        return replace(gathered, late=np.setdiff1d(gathered.late, list(self._seats)))


def _turns(name: str, decided: Int64, asked: Mapping[int, Seat], sent: Mapping[Seat, str]) -> Turns:
    own = decided[[asked[row][0] == name for row in decided.tolist()]]
    replies = [ModelReply(sent[asked[row]], TokenUsage(0, 0), "stop", 0.0) for row in own.tolist()]
    nothing = np.zeros(len(own), dtype=np.int64)
    return Turns.asked_once(name, "", own, replies, nothing.tolist(), nothing).without_calls()


def _joined(others: Gathered, turns: Turns, decisions: Decisions, late: Int64) -> Gathered:
    """Returns what both have decided, by trader, as if one shard had hosted all of them."""
    trader = np.concatenate([others.turns.trader, turns.trader])
    return replace(
        others,
        turns=Turns.join([others.turns, turns]),
        decisions=Decisions.join([others.decisions, decisions], np.argsort(trader, kind="stable")),
        late=np.union1d(others.late, late).astype(np.int64),
    )


class Statements:
    """What came of each seat's orders, round by round, as its guest may ask for it. It watches the run.

    `done` is told of each round that is settled.
    """

    def __init__(self, done: Callable[[int], None] = lambda _: None) -> None:
        self._done = done
        self._rounds: dict[int, dict[Seat, dict[str, list[Any]]]] = {}
        self.through = 0

    def started(self, plan: RunPlan, opening: MarketState, named: Int64) -> None:
        """Begins with nothing."""

    def round_done(self, outcome: RoundOutcome) -> None:
        """Keeps what a round came to."""
        # A new mapping each time, and put in its place whole, since another thread reads it.
        self._rounds[outcome.round] = {
            seat: _statement(outcome, trader) for trader, seat in seats_of(outcome.plan.shard).items()
        }
        self.through = outcome.round
        self._done(outcome.round)

    def since(self, seat: Seat, round_: int) -> dict[str, Any]:
        """Returns the fills and refused orders of a seat after a round, and in which rounds it was late."""
        through = self.through
        found: dict[str, Any] = {"through": through, "fills": [], "refused": [], "late": []}
        for number in range(max(round_, 0) + 1, through + 1):
            for name, rows in self._rounds.get(number, {}).get(seat, {}).items():
                found[name] += rows
        return found


def _statement(outcome: RoundOutcome, trader: int) -> dict[str, list[Any]]:
    """Returns what one trader's orders of a round came to, in plain values; prices are in ticks."""
    goods, trades = outcome.plan.scenario.goods, outcome.cleared.trades
    own = trades.take((trades.buyer == trader) | (trades.seller == trader))
    # A trade of a trader with itself does not happen, so each fill has one side.
    columns = (own.buyer == trader, own.good, own.price_ticks, own.quantity_lots)
    fills = [
        {"round": outcome.round, "side": "buy" if b else "sell", "good": goods[g], "price": price, "quantity": lots}
        for b, g, price, lots in zip(*(column.tolist() for column in columns), strict=True)
    ]
    refused = [
        {"round": outcome.round, "order": sequence, "reason": str(reason)}
        for (of, sequence), reason in outcome.taken.reasons.items()
        if of == trader
    ]
    late = [outcome.round] if trader in outcome.gathered.late else []
    return {"fills": fills, "refused": refused, "late": late}
