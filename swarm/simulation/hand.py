"""The hand of somebody who looks on: a party that does, between two rounds, the deeds that it was asked to do.

Deeds may be asked for from any thread. What it has lent it knows from the journal alone: a run that is gone on with
collects the loans of its past.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from threading import Lock

import numpy as np

from swarm.errors import ConfigError
from swarm.market.ledger import CASH
from swarm.market.orders import Int64
from swarm.scenarios.protocol import MarketState
from swarm.simulation.deeds import CENTS, Deed, Doer, Ground, Loan, loan_acts, posting
from swarm.simulation.loop import RoundOutcome
from swarm.simulation.party import Act, Move, RoundView, Say
from swarm.simulation.plan import RunPlan

MAX_WAITING = 64
"""The most deeds that wait for the end of a round."""

_LENT = re.compile(r"loan (\d{1,9}): (\d{1,18}) cents due after round (\d{1,9})")
_REPAID = re.compile(r"repayment of loan (\d{1,9})")


class NoRoundFollows(ConfigError):
    """A deed was asked for too late to be done."""

    def __init__(self) -> None:
        super().__init__("deed", "no round follows in which it could be done")


@dataclass(frozen=True, slots=True)
class Lent:
    """A loan that is not paid back in full: who owes how much of it, and after which round it is due."""

    number: int
    market: int
    seat: int
    left_cents: int
    due_round: int


class Hand:
    """A party by the name of whoever it acts for, and a watcher that learns what became of its acts."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._doer = Doer(name)
        self._ground: Ground | None = None
        self._lock = Lock()
        self._waiting: list[Deed] = []
        self._closed = False
        self._loans: dict[int, Lent] = {}
        self._lent = 0

    @property
    def loans(self) -> tuple[Lent, ...]:
        """What is owed to it, oldest first."""
        return tuple(self._loans.values())

    @property
    def waiting(self) -> tuple[Deed, ...]:
        """What it was asked to do and has not done yet."""
        return tuple(self._waiting)

    def ask(self, deed: Deed) -> None:
        """Lets a deed be done at the end of the round; ConfigError where the run has no such good, region or shock.

        NoRoundFollows where this hand has acted for the last time.
        """
        if self._ground is None:
            raise ConfigError("deed", "expected a run that has begun", "wait for its first round")
        if not isinstance(deed, Loan):
            deed.acts(self._doer, self._ground)
        with self._lock:
            if self._closed:
                raise NoRoundFollows
            if len(self._waiting) >= MAX_WAITING:
                raise ConfigError(
                    "deed", f"expected at most {MAX_WAITING} deeds between two rounds", "wait for the next"
                )
            self._waiting.append(deed)

    def close(self) -> int:
        """Takes no more deeds, and returns how many wait in vain: the run was stopped before they could be done."""
        with self._lock:
            self._closed = True
            return len(self._waiting)

    def started(self, plan: RunPlan, opening: MarketState, named: Int64) -> None:
        """Takes note of what there is in the run."""
        self._ground = Ground.of(plan.last)

    def round_done(self, outcome: RoundOutcome) -> None:
        """Learns which of its loans were made and what was paid back."""
        # By market, since an act is journalled where it was done.
        for market, own in enumerate(outcome.of or (outcome,)):
            for acted in own.acted:
                refused = {index for index, _ in acted.refused}
                for index, act in enumerate(acted.acts):
                    if acted.party == self.name and isinstance(act, Move) and index not in refused:
                        self._learn(act, market)

    def act(self, view: RoundView) -> Sequence[Act]:
        """Returns what is collected of loans that are due, then what it was asked to do."""
        # What comes from now on waits for the next round.
        with self._lock:
            waiting, self._waiting = self._waiting, []
            self._closed = view.is_last
        acts = self._collected(view)
        for deed in waiting:
            # It was asked for once the run had begun, so there is a ground.
            if self._ground is None:
                continue
            if isinstance(deed, Loan):
                self._lent += 1
                acts += loan_acts(deed, self._lent, view.round, self._doer, self._ground)
            else:
                acts += deed.acts(self._doer, self._ground)
        return acts

    def _collected(self, view: RoundView) -> list[Act]:
        """Returns the postings of what debtors can pay, and a word on each; what they lack stays due."""
        acts: list[Act] = []
        # By debtor, in cents.
        taken: dict[tuple[int, int], int] = {}
        for loan in self._loans.values():
            market = view.markets[loan.market]
            if loan.due_round > view.round or not market.staying[loan.seat]:
                continue
            seat = loan.market, loan.seat
            # Of two loans of one debtor, the older one has the first call on its purse.
            spare = int(market.movable_cents[loan.seat]) - taken.get(seat, 0)
            if (cents := min(loan.left_cents, spare)) <= 0:
                continue
            taken[seat] = taken.get(seat, 0) + cents
            debtor = np.array([loan.seat])
            acts.append(
                posting(f"repayment of loan {loan.number}", debtor, self._doer.account, CASH, cents, loan.market)
            )
            told = f"I take back {cents / CENTS:g} of the {loan.left_cents / CENTS:g} pebbles that you owe me"
            acts.append(Say(self.name, debtor, told, True, loan.market))
        return acts

    def _learn(self, move: Move, market: int) -> None:
        """Takes in a posting that was made."""
        if (found := _LENT.fullmatch(move.cause)) and not isinstance(move.target, str) and len(move.target):
            number, owed, due = map(int, found.groups())
            self._loans[number] = Lent(number, market, int(move.target[0]), owed, due)
            self._lent = max(self._lent, number)
        elif (found := _REPAID.fullmatch(move.cause)) and (loan := self._loans.get(int(found[1]))):
            left = loan.left_cents - int(np.sum(move.amount))
            self._loans[loan.number] = replace(loan, left_cents=left)
            if left <= 0:
                del self._loans[loan.number]
