"""The hand of somebody who looks on: a party that does, between two rounds, the deeds that it was asked to do.

Deeds may be asked for from any thread. What it has lent, sold short or promised it knows from the journal alone: a run
that is gone on with settles the dealings of its past. In a run with a patron it plays from the patron's purse.
"""

from collections.abc import Sequence
from threading import Lock

from swarm.errors import ConfigError
from swarm.market.orders import Int64
from swarm.scenarios.protocol import MarketState
from swarm.simulation.dealings import PURSE, Dealings
from swarm.simulation.dealt import Lent
from swarm.simulation.deeds import Deed, Doer, Ground, Tip
from swarm.simulation.loop import RoundOutcome
from swarm.simulation.party import Act, RoundView
from swarm.simulation.plan import RunPlan

MAX_WAITING = 64
"""The most deeds that wait for the end of a round."""


class NoRoundFollows(ConfigError):
    """A deed was asked for too late to be done."""

    def __init__(self) -> None:
        super().__init__("deed", "no round follows in which it could be done")


class Hand:
    """A party by the name of whoever it acts for, and a watcher that learns what became of its acts."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._dealings: Dealings | None = None
        self._lock = Lock()
        self._waiting: list[Deed] = []
        self._closed = False
        self._tips: list[Tip] = []

    @property
    def tips(self) -> tuple[Tip, ...]:
        """What it was asked to tip, and whether that was made up: its own ledger, which nobody else has."""
        return tuple(self._tips)

    @property
    def loans(self) -> tuple[Lent, ...]:
        """What is owed to it, oldest first."""
        return tuple(self._dealings.loans.values()) if self._dealings else ()

    @property
    def waiting(self) -> tuple[Deed, ...]:
        """What it was asked to do and has not done yet."""
        return tuple(self._waiting)

    def ask(self, deed: Deed) -> None:
        """Lets a deed be done at the end of the round; ConfigError where the run has no such good, region or shock.

        NoRoundFollows where this hand has acted for the last time.
        """
        if (dealings := self._dealings) is None:
            raise ConfigError("deed", "expected a run that has begun", "wait for its first round")
        dealings.check(deed)
        with self._lock:
            if self._closed:
                raise NoRoundFollows
            if len(self._waiting) >= MAX_WAITING:
                raise ConfigError(
                    "deed", f"expected at most {MAX_WAITING} deeds between two rounds", "wait for the next"
                )
            self._waiting.append(deed)
            if isinstance(deed, Tip):
                self._tips.append(deed)

    def close(self) -> int:
        """Takes no more deeds, and returns how many wait in vain: the run was stopped before they could be done."""
        with self._lock:
            self._closed = True
            return len(self._waiting)

    def started(self, plan: RunPlan, opening: MarketState, named: Int64) -> None:
        """Takes note of what there is in the run."""
        ground = Ground.of(plan.last)
        by = Doer(self.name, PURSE) if PURSE in ground.accounts else Doer(self.name)
        self._dealings = Dealings(by, ground)

    def round_done(self, outcome: RoundOutcome) -> None:
        """Learns which of its dealings hold and what became of them."""
        if self._dealings is None:
            return
        # By market, since an act is journalled where it was done.
        for market, own in enumerate(outcome.of or (outcome,)):
            for acted in own.acted:
                refused = dict(acted.refused)
                for index, act in enumerate(acted.acts):
                    if acted.party == self.name:
                        self._dealings.learn(act, market, refused.get(index, ""))

    def act(self, view: RoundView) -> Sequence[Act]:
        """Returns what follows from its dealings, then what it was asked to do."""
        # What comes from now on waits for the next round.
        with self._lock:
            waiting, self._waiting = self._waiting, []
            self._closed = view.is_last
        # It was asked once the run had begun, so there are dealings.
        if (dealings := self._dealings) is None:
            return []
        acts = dealings.due(view)
        for deed in waiting:
            acts += dealings.acts(deed, view)
        return acts
