"""Keeps what may be looked back on in a round: the last rounds' prices, and what everybody had a round ago."""

from dataclasses import replace

from swarm.agents.observation import MAX_HISTORY, Observation, PastRound, PrivateViews
from swarm.market.events import RoundCleared
from swarm.market.orders import Int64


class LookBack:
    """The past that desks may look back on: the last rounds' prices, and what everybody had a round ago."""

    def __init__(self) -> None:
        self._rounds: list[PastRound] = []
        self._private: PrivateViews | None = None

    def shown(self, seen: Observation) -> Observation:
        """Returns the observation with what lies behind it."""
        before, self._private = self._private, seen.private
        private = seen.private
        if before is not None:
            private = replace(private, before_cash_cents=before.cash_cents, before_have=before.have)
        return Observation(replace(seen.public, history=tuple(self._rounds)), private)

    def keep(self, round_: int, reference_ticks: Int64, cleared: RoundCleared) -> None:
        """Adds a round and forgets the oldest."""
        columns = (reference_ticks, cleared.clearing_ticks, cleared.volume_lots)
        reference, clearing, volume = (tuple(column.tolist()) for column in columns)
        self._rounds = [*self._rounds, PastRound(round_, reference, clearing, volume)][-MAX_HISTORY:]
