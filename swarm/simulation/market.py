"""The market of a run: one exchange and the journal before it. A Ray actor and a single process host the same class."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from swarm.errors import JournalError, SwarmError
from swarm.market.commands import Command, from_record, to_record
from swarm.market.config import MarketConfig, Mechanism
from swarm.market.events import Event
from swarm.market.exchange import Exchange
from swarm.scenarios.protocol import Int64, MarketState
from swarm.simulation.journal import (
    MAGIC,
    DiskFile,
    JournalReader,
    JournalStats,
    JournalWriter,
    OpenFile,
    packed,
)


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

    def end_round(self, round_: int) -> JournalStats:
        """Journal the state's hash as the end of a round, make everything durable, and say what that has taken."""
        ...

    def close(self) -> MarketClosing:
        """Close the journal."""
        ...


def new_exchange(plan: MarketPlan) -> Exchange:
    """An exchange as it is before the first command."""
    opening = np.array(plan.opening_reference_ticks)
    return Exchange(plan.config, plan.traders, opening, plan.named_accounts, plan.mechanisms)


class OutOfStep(SwarmError):
    """A message to a market that is not the next one: it was overtaken, or one before it was lost."""

    exit_status = 70


class Market:
    """A `MarketPort` in this process, which starts and recovers in one way: from what its journal holds.

    Each record has a place in the journal, counted from 0. What is asked for at a place that the journal holds already
    must be what stands there, and is applied again without being written again. So the same messages lead to the same
    state and the same journal, whether they come for the first time, after a restart, or twice. `recorded` is how many
    records the journal held when it was opened.
    """

    def __init__(self, plan: MarketPlan, journal_path: Path | None, open_file: OpenFile = DiskFile) -> None:
        self.plan = plan
        self.exchange = new_exchange(plan)
        self._reader: JournalReader | None = None
        self._recorded: list[tuple[int, bytes]] = []
        if journal_path is not None and journal_path.exists():
            if journal_path.stat().st_size < len(MAGIC):
                # It was killed before it had a single record.
                journal_path.unlink()
            else:
                self._reader = JournalReader(journal_path)
                self._recorded = list(self._reader.payloads())
        self.recorded = len(self._recorded)
        self.journal = JournalWriter(journal_path, self._reader, open_file)
        self._next = 0
        self._answered: tuple[int, int, MarketAnswer] | None = None

    def execute(self, entries: Sequence[Command | Note], at: int | None = None) -> MarketAnswer:
        """Journal all entries from the place `at` on, then apply the commands among them.

        Without `at` they come next. Asked again, the last answer is given again.
        """
        at = self._next if at is None else at
        if at < self._next:
            return self._answer_again(at, len(entries))
        self.catch_up(at)
        self.journal.check()
        for place, entry in enumerate(entries, start=at):
            self._keep(place, [entry.kind, entry.body] if isinstance(entry, Note) else to_record(entry))
        self.journal.flush()
        events: list[Event] = []
        for entry in entries:
            if not isinstance(entry, Note):
                events.append(self.exchange.handle(entry))
            elif entry.kind == "fork":
                self._fork(entry.body)
        self._next = at + len(entries)
        ledger, assets = self.exchange.ledger, self.exchange.goods + 1
        answer = MarketAnswer(
            tuple(events),
            # What is owed is the exchange's own affair, and stands behind what is owned.
            MarketState(ledger.balances[: ledger.traders, :assets].copy(), self.exchange.reference_ticks.copy()),
            ledger.balances[ledger.traders :, :assets].copy(),
        )
        self._answered = at, len(entries), answer
        return answer

    def end_round(self, round_: int, at: int | None = None) -> JournalStats:
        """Journal the state's hash as the end of a round, make everything durable, and say what that has taken."""
        at = self._next if at is None else at
        if at < self._next:
            self.journal.check()
            return replace(self.journal.stats)
        self.catch_up(at)
        if self._keep(at, ["round", [round_, self.exchange.state_hash()]]):
            self.journal.sync()
        self._next = at + 1
        return replace(self.journal.stats)

    def close(self) -> MarketClosing:
        """Close the journal."""
        self.journal.close()
        return MarketClosing(self.journal.sha256, self.journal.stats)

    def _keep(self, place: int, record: list[Any]) -> bool:
        """Append a record, unless it is there already, and say whether it was new; JournalError if another is there."""
        payload = packed(record)
        if place >= self.recorded:
            # What was held for comparing is as long as the journal, and is not needed any more.
            self._recorded, self._reader = [], None
            self.journal.append_payload(payload)
            return True
        offset, recorded = self._recorded[place]
        if recorded != payload:
            found = self._unpacked(place)[0]
            raise JournalError(
                f"journal: at byte {offset} record {place} is a {found!r} and this run comes to another {record[0]!r}; "
                "it was made from another config, or by another version of swarm"
            )
        return False

    def catch_up(self, place: int) -> None:
        """Apply what the journal holds before `place`, as after a restart; OutOfStep if it does not reach so far."""
        if place > max(self.recorded, self._next):
            raise OutOfStep(f"market: a message for record {place} came, the next one is {self._next}")
        while self._next < place:
            record = self._unpacked(self._next)
            match record[0]:
                case "run" | "decisions":
                    pass
                case "fork":
                    self._fork(record[1])
                case "round":
                    if record[1][1] != self.exchange.state_hash():
                        raise JournalError(
                            f"journal: at byte {self._recorded[self._next][0]} the end of round {record[1][0]} has "
                            "another state than the records before it lead to"
                        )
                case _:
                    self.exchange.handle(from_record(record))
            self._next += 1
            self._answered = None

    def _answer_again(self, at: int, entries: int) -> MarketAnswer:
        if self._answered is None or self._answered[:2] != (at, entries):
            raise OutOfStep(f"market: a message for record {at} came again, the next one is {self._next}")
        return self._answered[2]

    def _fork(self, body: list[Any]) -> None:
        """Go on under the market's section of the fork's config."""
        config = MarketConfig.model_validate_json(json.dumps(body[4]["market"]))
        past = self.exchange.snapshot()
        self.plan = replace(self.plan, config=config, mechanisms=tuple(body[5]))
        self.exchange = new_exchange(self.plan)
        self.exchange.restore(past)

    def _unpacked(self, place: int) -> list[Any]:
        offset, payload = self._recorded[place]
        if self._reader is None:
            raise OutOfStep(f"market: record {place} is not in the journal")
        record: list[Any] = self._reader.unpacked(offset, payload)
        return record
