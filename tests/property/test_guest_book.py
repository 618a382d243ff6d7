"""The book of guests' decisions: one a seat and round, whatever a network drops, doubles and puts out of order."""

from dataclasses import dataclass, field, replace
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swarm.agents.guest import Seat, Sent
from swarm.agents.guest_book import KEPT_ROUNDS, GuestBook, Verdict

SEATS: list[Seat] = [("alice", 0), ("bob", 0), ("bob", 1)]


def sent(round_: int, key: str = "k", text: str = "{}") -> Sent:
    return Sent(round_, key, text)


def told(book: GuestBook, seat: Seat, one: Sent) -> Verdict:
    """What a decision is told, kept where it is new, as the door does."""
    verdict = book.judge(seat, one)
    if verdict is Verdict.NEW:
        book.keep(seat, one)
    return verdict


def test_each_row_of_the_table_of_the_module() -> None:
    book, alice, bob = GuestBook(), ("alice", 0), ("bob", 0)
    assert told(book, alice, sent(1)) is Verdict.EARLY
    book.open(1, [alice])
    assert told(book, bob, sent(1)) is Verdict.NOT_ASKED
    assert told(book, alice, sent(2)) is Verdict.EARLY
    assert book.undecided == {alice}
    assert told(book, alice, sent(1)) is Verdict.NEW
    assert book.undecided == frozenset()
    assert told(book, alice, sent(1)) is Verdict.SAME
    assert told(book, alice, sent(1, text="[]")) is Verdict.OTHER
    assert told(book, alice, sent(1, key="another")) is Verdict.DECIDED
    assert book.close() == {alice: "{}"}
    # What was told once is told again, and nothing else of a round that is past.
    assert told(book, alice, sent(1)) is Verdict.SAME
    assert told(book, alice, sent(1, text="[]")) is Verdict.OTHER
    assert told(book, alice, sent(1, key="another")) is Verdict.PAST
    assert told(book, bob, sent(1)) is Verdict.PAST
    book.passed(4)
    assert told(book, bob, sent(4)) is Verdict.PAST
    book.open(7, [bob])
    assert told(book, alice, sent(6)) is Verdict.PAST


def test_a_round_that_is_taken_back_is_as_if_it_had_not_been_opened_but_for_what_was_decided() -> None:
    book, alice = GuestBook(), ("alice", 0)
    book.open(1, [alice])
    told(book, alice, sent(1))
    book.abandon()
    assert told(book, alice, sent(1)) is Verdict.SAME
    assert told(book, alice, sent(1, key="another")) is Verdict.EARLY
    book.open(1, [alice])
    assert book.close() == {alice: "{}"}


def test_rounds_are_opened_in_order_and_one_at_a_time() -> None:
    book = GuestBook()
    with pytest.raises(ValueError, match="no round"):
        book.close()
    book.open(2, SEATS)
    with pytest.raises(ValueError, match="round 3"):
        book.open(3, SEATS)
    book.close()
    with pytest.raises(ValueError, match="round 2"):
        book.open(2, SEATS)


def test_what_is_long_past_is_forgotten() -> None:
    book, alice = GuestBook(), ("alice", 0)
    for round_ in range(1, KEPT_ROUNDS + 2):
        book.open(round_, [alice])
        told(book, alice, sent(round_))
        book.close()
    assert told(book, alice, sent(1)) is Verdict.PAST
    assert told(book, alice, sent(2)) is Verdict.SAME


@dataclass
class Network:
    """Loses, doubles and delays what is sent, each with a chance of 30%, as a seed draws it."""

    book: GuestBook
    random: Random
    share: float = 0.3
    under_way: list[tuple[Seat, Sent]] = field(default_factory=list)

    def ask(self, seat: Seat, one: Sent) -> Verdict | None:
        """Sends a decision; None where no answer comes."""
        self._deliver_some()
        if self.random.random() < self.share:
            return None
        if self.random.random() < self.share:
            # A copy stays under way and comes when it comes, perhaps rounds later.
            self.under_way.append((seat, one))
        if self.random.random() < self.share:
            self.under_way.append((seat, one))
            return None
        verdict = told(self.book, seat, one)
        return None if self.random.random() < self.share else verdict

    def _deliver_some(self) -> None:
        while self.under_way and self.random.random() < self.share:
            told(self.book, *self.under_way.pop(self.random.randrange(len(self.under_way))))


@given(st.integers(0, 2**32), st.floats(0.0, 0.6))
@settings(max_examples=150, deadline=None)
def test_drops_duplicates_and_reorderings_settle_as_none_do(seed: int, share: float) -> None:
    book = GuestBook()
    network = Network(book, Random(seed), share)
    for round_ in range(1, 12):
        book.open(round_, SEATS)
        wanted = {seat: sent(round_, f"{seat}", f"{seat} in {round_}") for seat in SEATS}
        waiting = list(SEATS)
        while waiting:
            seat = network.random.choice(waiting)
            verdict = network.ask(seat, wanted[seat])
            # Whoever hears nothing sends the same again; all that it is ever told is that it was accepted.
            assert verdict in (None, Verdict.NEW, Verdict.SAME)
            if verdict is not None:
                waiting.remove(seat)
        assert book.close() == {seat: one.text for seat, one in wanted.items()}


actions = st.lists(
    st.one_of(
        st.tuples(st.just("open"), st.integers(1, 3)),
        st.tuples(
            st.just("send"), st.sampled_from(SEATS), st.integers(0, 8), st.sampled_from("ab"), st.sampled_from("xy")
        ),
        st.tuples(st.just("close")),
        st.tuples(st.just("abandon")),
    ),
    max_size=60,
)


@given(actions)
def test_a_seat_settles_at_most_its_first_decision_in_each_round(steps: list[tuple[object, ...]]) -> None:
    book, round_, first = GuestBook(), 0, dict[tuple[int, Seat], Sent]()
    for step in steps:
        match step:
            case ("open", int(ahead)) if book.open_round is None:
                round_ += ahead
                book.open(round_, SEATS[:2])
            case ("send", tuple(seat), int(number), str(key), str(text)):
                one = sent(number, key, text)
                verdict = told(book, seat, one)
                if verdict is Verdict.NEW:
                    assert number == book.open_round
                    assert (number, seat) not in first
                    first[number, seat] = one
                if verdict is Verdict.SAME:
                    assert first[number, seat] == one
            case ("close",) if book.open_round is not None:
                assert book.close() == {s: one.text for (n, s), one in sorted(first.items()) if n == round_}
            case ("abandon",) if book.open_round is not None:
                book.abandon()
                round_ -= 1


def test_what_an_earlier_process_kept_holds_when_its_round_opens() -> None:
    before, after, alice = GuestBook(), GuestBook(), ("alice", 0)
    before.open(3, [alice])
    told(before, alice, sent(3))
    after.keep(alice, sent(3))
    after.keep(alice, replace(sent(3), text="a second one"))
    after.open(3, [alice])
    assert after.undecided == frozenset()
    assert told(after, alice, sent(3)) is Verdict.SAME
    assert after.close() == {alice: "{}"}
