"""Lets somebody who looks on hold a run between two rounds, let it go one round on, slow it down, or stop it.

It is a watcher that waits once a round is settled and before parties act, so what is done while a run is held holds for
the very next round. Nothing of it reaches the history.
"""

from collections.abc import Callable
from threading import Condition
from time import monotonic

from swarm.market.orders import Int64
from swarm.scenarios.protocol import MarketState
from swarm.simulation.loop import RoundOutcome
from swarm.simulation.plan import RunPlan

POLL_S = 0.2
"""How often a run that is held looks whether it was told to stop from elsewhere."""

MAX_LEAST_S = 60.0


class Control:
    """The hold on a run. `least_s` is how long a round takes at the least; `stopped` is asked while it is held."""

    def __init__(self, least_s: float = 0.0, stopped: Callable[[], bool] = lambda: False) -> None:
        self.least_s = least_s
        self.paused = False
        self.stopping = False
        self._stopped = stopped
        self._steps = 0
        self._changed = Condition()
        self._last_s = monotonic()
        self.on_change: Callable[[], None] = lambda: None

    def __call__(self) -> bool:
        """Tells whether the run is to stop before its next round."""
        return self.stopping or self._stopped()

    def pause(self) -> None:
        """Holds the run after the round that it is in."""
        self._set(paused=True, steps=0)

    def go(self) -> None:
        """Lets the run go on."""
        self._set(paused=False, steps=0)

    def step(self) -> None:
        """Lets a run that is held go on for one round."""
        self._set(paused=True, steps=self._steps + 1)

    def stop(self) -> None:
        """Ends the run after the round that it is in."""
        self.stopping = True
        self._set(paused=self.paused, steps=self._steps)

    def slow(self, least_s: float) -> None:
        """Has a round take at least so many seconds."""
        self.least_s = min(max(least_s, 0.0), MAX_LEAST_S)
        self._set(paused=self.paused, steps=self._steps)

    def started(self, plan: RunPlan, opening: MarketState, named: Int64) -> None:
        """Begins to count time."""
        self._last_s = monotonic()

    def round_settled(self, outcome: RoundOutcome) -> None:
        """Waits for as long as the run is held, or its round would be too short; recorded rounds wait for nobody."""
        if outcome.gathered.recorded or outcome.round >= outcome.plan.last.rounds:
            return
        with self._changed:
            while not self():
                left = self._last_s + self.least_s - monotonic()
                if not (self.paused and not self._steps) and left <= 0:
                    break
                # Whoever stops the process sets a flag and wakes nobody.
                self._changed.wait(POLL_S if self.paused and not self._steps else min(max(left, 0.0), POLL_S))
            # One of the rounds that it was to go on for.
            self._steps = max(self._steps - 1, 0)
            self._last_s = monotonic()

    def round_done(self, outcome: RoundOutcome) -> None:
        """Takes no note of it."""

    def _set(self, *, paused: bool, steps: int) -> None:
        with self._changed:
            self.paused, self._steps = paused, steps
            self._changed.notify_all()
        self.on_change()
