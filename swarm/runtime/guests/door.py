"""The door to guests: the round loop opens and closes rounds at it, and a server's handlers look in and decide.

The two sides are different threads; one lock lies around the book. It knows nothing of HTTP.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from threading import Condition
from time import monotonic
from typing import Any, Literal

from swarm.agents.guest import Seat, Sent, Shown
from swarm.agents.guest_book import GuestBook, Verdict
from swarm.runtime.guests.log import DecisionLog
from swarm.simulation.loop import Interrupted

POLL_S = 0.2
"""How often somebody who waits for guests looks whether the run was told to stop."""

MOST_CALLS = 60
"""Most calls of a guest in a round, for each of its seats."""

Ended = Literal["finished", "stopped"]

REFUSED: Mapping[Verdict, tuple[int, str]] = {
    Verdict.OTHER: (409, "this decision_id was used for another decision; the first one holds"),
    Verdict.DECIDED: (409, "this seat has decided in this round, under another decision_id; the first one holds"),
    Verdict.NOT_ASKED: (409, "this seat is not asked in this round"),
    Verdict.EARLY: (409, "this round is not open yet; wait for its observation"),
    Verdict.PAST: (410, "this round is over; look at the next observation"),
}


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a call: a status as HTTP has it, and plain values."""

    status: int
    body: dict[str, Any]

    @classmethod
    def no(cls, status: int, error: str, detail: str, **more: Any) -> "Answer":
        """Returns an answer that says what is wrong, by name and in words."""
        return cls(status, {"error": error, "detail": detail, **more})


class SeatDoor:
    """The door of one run; `waits_s` has for each guest how many seconds its decision is waited for."""

    def __init__(
        self,
        waits_s: Mapping[str, float],
        log: DecisionLog,
        should_stop: Callable[[], bool],
        clock: Callable[[], float] = monotonic,
        barred: Callable[[], Collection[str]] = frozenset,
    ) -> None:
        """`barred` says which guests nobody can be any more, so that their seats are not waited for."""
        self.waits_s, self._log, self._should_stop, self._clock = waits_s, log, should_stop, clock
        self._barred = barred
        self._book = GuestBook()
        self._changed = Condition()
        self._shown: Shown | None = None
        self._opened_s = 0.0
        self._calls: Counter[str] = Counter()
        self._wake: Callable[[], None] = lambda: None
        self.ended: Ended | None = None
        # Seats that were called for since the last round opened, and those that were told of the run's end.
        self.called: set[Seat] = set()
        self.told: set[Seat] = set()

    def begin(self, kept: Iterable[tuple[Seat, Sent]]) -> None:
        """Takes over what an earlier process of this run has accepted."""
        for seat, sent in kept:
            self._book.keep(seat, sent)

    def woken_by(self, wake: Callable[[], None]) -> None:
        """Has `wake` called when a round opens and when the run is over."""
        self._wake = wake

    # What the round loop's thread calls.

    def open(self, shown: Shown) -> None:
        """Shows a round to its guests."""
        with self._changed:
            self._book.open(shown.round, shown.rows)
            self._shown, self._opened_s = shown, self._clock()
            self._calls.clear()
            self.called.clear()
        self._wake()

    def close(self) -> Mapping[Seat, str]:
        """Waits until all have decided or their time is over, and returns what was sent."""
        with self._changed:
            # In short waits, so that Ctrl-C is heard while guests think.
            while (left := self._left_s()) > 0:
                if self._should_stop():
                    raise Interrupted
                self._changed.wait(min(left, POLL_S))
            self._shown = None
            return self._book.close()

    def abandon(self) -> None:
        """Takes an open round back."""
        with self._changed:
            self._shown = None
            self._book.abandon()

    def passed(self, round_: int) -> None:
        """Takes note of a round that is settled."""
        with self._changed:
            self._book.passed(round_)

    def end(self, how: Ended) -> None:
        """Says that there will be no more rounds."""
        self.ended = how
        self._wake()

    # What handlers of a server call.

    def counted(self, guest: str, seats: int) -> bool:
        """Counts a call of a guest, and returns whether it has that many in this round."""
        self._calls[guest] += 1
        return self._calls[guest] <= MOST_CALLS * seats

    def view(self, seat: Seat, from_round: int) -> dict[str, Any] | None:
        """Returns what a seat is shown in the open round, if that is `from_round` or later and it is asked; or None."""
        # Rendered outside of the lock: what is shown does not change, and a prompt takes longer than all else.
        with self._changed:
            shown = self._shown
            if shown is None or shown.round < from_round or seat not in shown.rows:
                return None
            decided = seat not in self._book.undecided
            left = self._opened_s + self.waits_s[seat[0]] - self._clock()
        return {**shown.view(seat), "decided": decided, "seconds_left": round(max(left, 0.0), 3)}

    async def decide(self, seat: Seat, sent: Sent) -> Answer:
        """Returns what a decision is told; one that is accepted is durable by then."""
        accepted = Answer(200, {"status": "accepted", "round": sent.round, "decision_id": sent.decision_id})
        with self._changed:
            verdict = self._book.judge(seat, sent)
            if verdict is Verdict.NEW:
                problem = self._shown.problem(seat, sent.text) if self._shown else None
                if problem is not None:
                    error, words = problem
                    return Answer.no(422, str(error), f"{words}; nothing was accepted: mend it and send it again")
                # Written before it is kept: what the book knows, a process that comes after this one knows, too.
                try:
                    self._log.append(seat, sent)
                except OSError as error:
                    return Answer.no(503, "not_kept", f"nothing was accepted ({error.strerror}); send it again")
                self._book.keep(seat, sent)
                if not self._book.undecided:
                    self._changed.notify_all()
        if verdict in REFUSED:
            status, detail = REFUSED[verdict]
            return Answer.no(status, str(verdict), detail)
        # Who asks again is told no sooner than the first was.
        await self._log.synced()
        return accepted

    def _left_s(self) -> float:
        """Returns for how long somebody who has not decided is still waited for; 0 where nobody is."""
        undecided = {guest for guest, _ in self._book.undecided}.difference(self._barred())
        now = self._clock()
        return max((self._opened_s + self.waits_s[guest] - now for guest in undecided), default=0.0)
