"""The market of a run: one exchange and the journal before it. A Ray actor and a single process host the same class."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from swarm.market.commands import Command, to_record
from swarm.market.config import MarketConfig, Mechanism
from swarm.market.events import Event
from swarm.market.exchange import Exchange
from swarm.scenarios.protocol import Int64, MarketState
from swarm.simulation.journal import JournalStats, JournalWriter


@dataclass(frozen=True, slots=True)
class MarketPlan:
    """What a market is made from; `mechanisms` has one entry per good, or none where all are matched alike."""

    config: MarketConfig
    traders: int
    opening_reference_ticks: tuple[int, ...]
    named_accounts: tuple[str, ...]
    mechanisms: tuple[Mechanism, ...] = ()


@dataclass(frozen=True, slots=True)
class Note:
    """A record of the journal that changes nothing in the market, such as the run's config or a round's replies."""

    kind: str
    body: Any


@dataclass(frozen=True, slots=True, eq=False)
class MarketAnswer:
    """The events of the commands, in order, and the market after them; `named` has the named accounts' balances."""

    events: tuple[Event, ...]
    state: MarketState
    named: Int64


@dataclass(frozen=True, slots=True)
class MarketClosing:
    """What a market says when it closes its journal."""

    journal_sha256: str
    journal: JournalStats


class MarketPort(Protocol):
    """The market as the round loop sees it."""

    def execute(self, entries: Sequence[Command | Note]) -> MarketAnswer:
        """Journal all entries, then apply the commands among them."""
        ...

    def end_round(self, round_: int) -> None:
        """Journal the state's hash as the end of a round and make everything durable."""
        ...

    def close(self) -> MarketClosing:
        """Close the journal."""
        ...


def new_exchange(plan: MarketPlan) -> Exchange:
    """An exchange as it is before the first command."""
    opening = np.array(plan.opening_reference_ticks)
    return Exchange(plan.config, plan.traders, opening, plan.named_accounts, plan.mechanisms)


class Market:
    """A `MarketPort` in this process."""

    def __init__(self, plan: MarketPlan, journal_path: Path | None) -> None:
        self.exchange = new_exchange(plan)
        self.journal = JournalWriter(journal_path)

    def execute(self, entries: Sequence[Command | Note]) -> MarketAnswer:
        """Journal all entries, then apply the commands among them."""
        for entry in entries:
            self.journal.append([entry.kind, entry.body] if isinstance(entry, Note) else to_record(entry))
        events = tuple(self.exchange.handle(e) for e in entries if not isinstance(e, Note))
        ledger = self.exchange.ledger
        return MarketAnswer(
            events,
            MarketState(ledger.balances[: ledger.traders].copy(), self.exchange.reference_ticks.copy()),
            ledger.balances[ledger.traders :].copy(),
        )

    def end_round(self, round_: int) -> None:
        """Journal the state's hash as the end of a round and make everything durable."""
        self.journal.append(["round", [round_, self.exchange.state_hash()]])
        self.journal.sync()

    def close(self) -> MarketClosing:
        """Close the journal."""
        self.journal.close()
        return MarketClosing(self.journal.sha256, self.journal.stats)
