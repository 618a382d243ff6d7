"""What a guest may ask, whichever way it comes: its seat, its observation, its decision, its fills.

Answers are a status, as HTTP has it, and plain values. All of it runs on the event loop of the server's thread.
"""

import asyncio
from collections import Counter
from time import monotonic

from swarm.agents.forms.orders import FORM
from swarm.agents.guest import MAX_BODY_BYTES, MAX_ID_CHARS, Seat, read_body, schema_of
from swarm.runtime.guests.door import MOST_CALLS, Answer, SeatDoor
from swarm.simulation.guests import Statements, seats_of
from swarm.simulation.plan import RunPlan

MOST_WAIT_S = 20.0
"""Longest that a call for an observation is kept waiting before it is told to ask again."""


class GuestApi:
    """The four calls of a run's guests."""

    def __init__(self, plan: RunPlan, door: SeatDoor, statements: Statements) -> None:
        self._plan, self._door, self._statements = plan, door, statements
        self._trader = {seat: trader for trader, seat in seats_of(plan.shard).items()}
        self._seats = Counter(guest for guest, _ in self._trader)
        self._opened = asyncio.Event()

    def start(self) -> None:
        """Binds to the running event loop, which the door then wakes."""
        loop = asyncio.get_running_loop()

        def wake() -> None:
            loop.call_soon_threadsafe(self._wake)

        self._door.woken_by(wake)

    async def seat(self, guest: str, seat: int | None = None) -> Answer:
        """Returns the rules, what a decision looks like, and the limits."""
        own = self._admitted(guest, seat)
        if isinstance(own, Answer):
            return own
        plan, shard = self._plan, self._plan.shard
        most_chars = shard.traders.max_gossip_chars
        # Who it is, what it may trade, and the bounds of what it sends; nothing in it changes during a run.
        return Answer(
            200,
            {
                "run": plan.name,
                "scenario": plan.scenario_name,
                "rounds": plan.rounds,
                "guest": guest,
                "seat": own[1],
                "seats": self._seats[guest],
                "trader": self._trader[own],
                "goods": list(shard.rules.goods),
                "tick_cents": shard.tick_cents,
                "rules": shard.forms[FORM.name].system(),
                "schema": schema_of(shard.rules, most_chars),
                "limits": {
                    "orders": shard.rules.max_orders,
                    "price_ticks": shard.rules.max_price_ticks,
                    "quantity_lots": shard.rules.max_quantity_lots,
                    "say_chars": most_chars,
                    "body_bytes": MAX_BODY_BYTES,
                    "decision_id_chars": MAX_ID_CHARS,
                    "calls_per_round": MOST_CALLS * self._seats[guest],
                    "seconds_per_round": self._door.waits_s[guest],
                },
            },
        )

    async def observation(self, guest: str, seat: int | None, round_: int, wait_s: float) -> Answer:
        """Returns the first round from `round_` on in which the seat is asked, once it is open.

        A status of 204 says to ask again, 410 that the run is over, 503 that it was stopped and may go on later.
        """
        own = self._admitted(guest, seat)
        if isinstance(own, Answer):
            return own
        end = monotonic() + min(wait_s, MOST_WAIT_S)
        while True:
            # Taken before the look, so that a round which opens meanwhile is not missed.
            opened = self._opened
            if self._door.ended is not None:
                return self._ended(own)
            if (view := self._door.view(own, round_)) is not None:
                return Answer(200, view)
            if (left := end - monotonic()) <= 0:
                return Answer(204, {})
            try:
                await asyncio.wait_for(opened.wait(), left)
            except TimeoutError:
                return Answer(204, {})

    async def decision(self, guest: str, body: bytes) -> Answer:
        """Takes a decision; the same one again, under the same id, is told the same."""
        if len(body) > MAX_BODY_BYTES:
            return Answer.no(413, "too_large", f"a decision has at most {MAX_BODY_BYTES} bytes")
        try:
            sent, seat = read_body(body)
        except ValueError as error:
            # Nonsense counts as a call, too.
            refused = self._admitted(guest, 0)
            return refused if isinstance(refused, Answer) else Answer.no(422, "malformed", str(error))
        own = self._admitted(guest, seat)
        if isinstance(own, Answer):
            return own
        return await self._door.decide(own, sent)

    async def fills(self, guest: str, seat: int | None, since: int) -> Answer:
        """Returns what came of the seat's orders after a round, up to the last one that is settled."""
        own = self._admitted(guest, seat)
        return own if isinstance(own, Answer) else Answer(200, self._statements.since(own, since))

    def _admitted(self, guest: str, seat: int | None) -> Seat | Answer:
        """Returns the seat that a call is for, or why it is not answered."""
        seats = self._seats[guest]
        if not self._door.counted(guest, seats):
            return Answer.no(
                429, "too_many_calls", f"a round has at most {MOST_CALLS * seats} calls; wait for the next"
            )
        # A token of a guest that a fork has left without seats.
        if not seats:
            return Answer.no(404, "no_seat", "this run has no seat of yours")
        if seat is None and seats > 1:
            return Answer.no(422, "which_seat", f"you have {seats} seats; say which: seat, from 0 to {seats - 1}")
        if not 0 <= (number := seat or 0) < seats:
            return Answer.no(404, "no_seat", f"your seats are 0 to {seats - 1}")
        self._door.called.add((guest, number))
        return guest, number

    def _ended(self, seat: Seat) -> Answer:
        if self._door.ended == "finished":
            self._door.told.add(seat)
            return Answer.no(410, "run_over", "the run has come to its end", through=self._statements.through)
        return Answer.no(503, "run_stopped", "the run was stopped; it may be resumed at this address")

    def _wake(self) -> None:
        self._opened.set()
        self._opened = asyncio.Event()
