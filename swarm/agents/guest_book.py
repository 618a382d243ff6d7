"""The book of what guests have decided: a state machine of plain values. It knows no clock, thread, file or network.

What a decision for (seat, round, decision_id) is told, by what the book has for the seat and the round:

    the book has      the round is         told
    this id, same     any that is kept     SAME: the first answer again
    this id, another  any that is kept     OTHER
    another id        open                 DECIDED
    another id        past                 PAST
    nothing           open, seat is asked  NEW: may be kept
    nothing           open, seat is not    NOT_ASKED
    nothing           past                 PAST
    nothing           not open yet         EARLY

A round is past once it has been closed, and a later one is open or was. One that is abandoned counts as not open yet.
"""

from collections.abc import Iterable, Mapping
from enum import StrEnum

from swarm.agents.guest import Seat, Sent

KEPT_ROUNDS = 100
"""For how many rounds the book knows what was decided in them; what is older is past, whatever it was."""


class Verdict(StrEnum):
    """What becomes of a decision that was sent."""

    NEW = "new"
    SAME = "same"
    OTHER = "other_body"
    DECIDED = "already_decided"
    NOT_ASKED = "not_asked"
    EARLY = "not_open_yet"
    PAST = "past_round"


class GuestBook:
    """The decisions of guests by seat and round, one each, and the round that is open."""

    def __init__(self) -> None:
        self._open: int | None = None
        self._closed = 0
        self._asked: frozenset[Seat] = frozenset()
        self._by_round: dict[int, dict[Seat, Sent]] = {}

    @property
    def open_round(self) -> int | None:
        """The round that is open; None between two."""
        return self._open

    @property
    def undecided(self) -> frozenset[Seat]:
        """The seats that are asked in the open round and have not decided."""
        if self._open is None:
            return frozenset()
        return self._asked - self._by_round.get(self._open, {}).keys()

    def open(self, round_: int, asked: Iterable[Seat]) -> None:
        """Opens a round to these seats. What was kept for it before, in a run that was killed, holds."""
        if self._open is not None or round_ <= self._closed:
            raise ValueError(f"round {round_} cannot be opened after round {self._open or self._closed}")
        self._open, self._asked = round_, frozenset(asked)
        # Whoever sends something again does so soon; a run of many rounds must not grow by all that was sent.
        for old in [kept for kept in self._by_round if kept <= round_ - KEPT_ROUNDS]:
            del self._by_round[old]

    def judge(self, seat: Seat, sent: Sent) -> Verdict:
        """Returns what becomes of a decision; nothing changes."""
        # What is kept comes first: an answer that was given once is given again, whatever the round is by now.
        kept = self._by_round.get(sent.round, {}).get(seat)
        if kept is not None and kept.decision_id == sent.decision_id:
            return Verdict.SAME if kept.text == sent.text else Verdict.OTHER
        if sent.round == self._open:
            if kept is not None:
                return Verdict.DECIDED
            return Verdict.NEW if seat in self._asked else Verdict.NOT_ASKED
        # Rounds in which no guest was asked were never opened, and are past with those that were.
        past = sent.round <= self._closed or (self._open is not None and sent.round < self._open)
        return Verdict.PAST if past else Verdict.EARLY

    def keep(self, seat: Seat, sent: Sent) -> None:
        """Keeps a decision: a new one, or one that an earlier process has kept; a second one of a round is dropped."""
        self._by_round.setdefault(sent.round, {}).setdefault(seat, sent)

    def passed(self, round_: int) -> None:
        """Takes note that a round is over which was not opened here: nobody was asked, or it was recorded before."""
        self._closed = max(self._closed, round_)

    def close(self) -> Mapping[Seat, str]:
        """Closes the open round and returns the texts of those who were asked and have decided."""
        if self._open is None:
            raise ValueError("no round is open")
        round_ = self._closed = self._open
        self._open = None
        kept = self._by_round.get(round_, {})
        # In the order of seats, not of arrival.
        return {seat: kept[seat].text for seat in sorted(self._asked) if seat in kept}

    def abandon(self) -> None:
        """Takes the open round back, as if it had not been opened; what was decided in it is kept for when it is."""
        self._open, self._asked = None, frozenset()
