"""Hosts the market of a run: one exchange and the journal before it, in a Ray actor or a single process."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from swarm.errors import JournalError, LedgerError, SwarmError
from swarm.market import wire
from swarm.market.config import MarketConfig, Mechanism
from swarm.market.events import Event
from swarm.market.exchange import Exchange
from swarm.market.orders import Orders
from swarm.market.records import RecordError
from swarm.scenarios.protocol import Int64, MarketState
from swarm.simulation.entries import Acted, Decided, Entry, Forked, RoundEnded, RunBegan, from_record, to_record
from swarm.simulation.journal import JournalReader, JournalStats, JournalWriter, unbegun, unpacked
from swarm.simulation.journal_disk import Committed, DiskFile, OpenFile
from swarm.simulation.journal_integers import packed
from swarm.simulation.snapshot import Snapshot, SnapshotFolder, SnapshotStats


@dataclass(frozen=True, slots=True)
class MarketPlan:
    """The plan that a market is made from; `mechanisms` has one entry per good, or none where all are matched alike.

    After every `snapshot_rounds` rounds a snapshot is written beside the journal, or never where that is 0. `seed` is
    what priorities are drawn from, where that is known.
    """

    config: MarketConfig
    traders: int
    opening_reference_ticks: tuple[int, ...]
    named_accounts: tuple[str, ...]
    mechanisms: tuple[Mechanism, ...] = ()
    snapshot_rounds: int = 0
    seed: int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class MarketAnswer:
    """The events of the commands, in order, and the market after them; `named` has the named accounts' balances.

    `resting` are the orders that rest in continuous books; None where none do.
    """

    events: tuple[Event, ...]
    state: MarketState
    named: Int64
    resting: Orders | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickles what traders own by its columns, each as narrow as it may be: most have few lots of most goods."""
        state = self.state
        tables = [None if t is None else wire.packed_table(t) for t in (state.balances, state.owed, state.held)]
        others = state.reference_ticks, state.previous_ticks, state.frozen_through_round
        return _answer_from_message, (self.events, tables, others, self.named, self.resting)


def _answer_from_message(
    events: tuple[Event, ...],
    tables: list[wire.Packed | None],
    others: tuple[Int64, Int64 | None, Int64 | None],
    named: Int64,
    resting: Orders | None,
) -> MarketAnswer:
    balances, owed, held = (None if table is None else wire.unpacked_table(table) for table in tables)
    reference_ticks, previous_ticks, frozen_through_round = others
    if balances is None:
        raise ValueError("an answer of the market without balances")
    state = MarketState(balances, reference_ticks, owed, previous_ticks, held, frozen_through_round)
    return MarketAnswer(events, state, named, resting)


@dataclass(frozen=True, slots=True)
class MarketClosing:
    """The last words of a market, when it closes its journal."""

    journal_sha256: str
    journal: JournalStats
    snapshots: SnapshotStats


class MarketPort(Protocol):
    """The market as the round loop sees it."""

    def execute(self, entries: Sequence[Entry]) -> MarketAnswer:
        """Journals all entries, then apply the commands among them."""
        ...

    def end_round(self, round_: int) -> JournalStats:
        """Journals the state's hash as the end of a round, make everything durable, and say what that has taken."""
        ...

    def close(self) -> MarketClosing:
        """Closes the journal."""
        ...


_UNFIT = (LookupError, TypeError, ValueError, ArithmeticError, LedgerError)
"""What comes of an entry or a snapshot whose form is right and which is of another market."""


def new_exchange(plan: MarketPlan) -> Exchange:
    """Returns an exchange as it is before the first command."""
    opening = np.array(plan.opening_reference_ticks)
    return Exchange(plan.config, plan.traders, opening, plan.named_accounts, plan.mechanisms)


class OutOfStep(SwarmError):
    """A message to a market that is not the next one: it was overtaken, or one before it was lost."""

    exit_status = 70


class Market:
    """A `MarketPort` in this process, which starts and recovers in one way: from what its journal holds.

    Each record has an index in the journal, from 0. What is asked for at an index that the journal holds already must
    be what stands there, and is applied again without being written again. So the same messages lead to the same state
    and the same journal, whether they come for the first time, after a restart, or twice. `recorded` is how many
    records the journal held when it was opened.

    All of the journal is read and checked at the start, but what lies before a snapshot need not be applied. Which
    snapshot that is shows with the first message: the newest one that does not lie behind the message's index. So a
    market that is lost in the middle of a run goes on from its last snapshot, while a run that is resumed, whose loop
    goes through all its rounds again from the first and needs their answers, begins without one.
    """

    def __init__(
        self,
        plan: MarketPlan,
        journal_path: Path | None,
        open_file: OpenFile = DiskFile,
        snapshots_in_background: bool = True,
    ) -> None:
        self.plan = plan
        self.exchange = new_exchange(plan)
        self._path = journal_path
        # Offset and packed value of the journal's records from index `_first` on, for comparing and for catching up.
        self._recorded: list[tuple[int, bytes]] = []
        self._first = 0
        self._snapshots = SnapshotFolder(journal_path, snapshots_in_background) if journal_path else None
        self._usable: list[Snapshot] = []
        reader: JournalReader | None = None
        if journal_path is not None and journal_path.exists():
            if unbegun(journal_path):
                # It was killed before it had a single record.
                journal_path.unlink()
            else:
                reader = JournalReader(journal_path)
                self._read(reader)
        self.recorded = len(self._recorded)
        self.journal = JournalWriter(journal_path, reader, open_file, plan.seed)
        # The index that the next entry has, and the last message with its answer, should it come again.
        self._next = 0
        self._answered: tuple[int, int, MarketAnswer] | None = None

    def execute(self, entries: Sequence[Entry], at: int | None = None) -> MarketAnswer:
        """Journals all entries from index `at` on, then apply the commands among them.

        Without `at` they come next. Asked again, the last answer is given again.
        """
        at = self._next if at is None else at
        if at < self._next:
            return self._answer_again(at, len(entries))
        self.catch_up(at)
        self.journal.check()
        for index, entry in enumerate(entries, start=at):
            # As arrays, which are packed several times as fast as lists.
            self._keep(index, to_record(entry, as_arrays=True))
        # Handed to the system before anything is applied: a process that dies now is brought back to the same state.
        self.journal.flush()
        events: list[Event] = []
        for entry in entries:
            match entry:
                case Forked():
                    self._fork(entry)
                case RunBegan() | Decided() | Acted() | RoundEnded():
                    pass
                case _:
                    events.append(self.exchange.handle(entry))
        self._next = at + len(entries)
        ledger, assets = self.exchange.ledger, self.exchange.goods + 1
        frozen = self.exchange.restrictions.frozen_through_round
        answer = MarketAnswer(
            tuple(events),
            # In the ledger, what is owed stands behind what is owned.
            MarketState(
                ledger.balances[: ledger.traders, :assets].copy(),
                self.exchange.reference_ticks.copy(),
                ledger.balances[: ledger.traders, assets:].copy() if self.exchange.margin else None,
                held=ledger.held[: ledger.traders, :assets].copy() if ledger.held.any() else None,
                frozen_through_round=frozen.copy() if frozen.any() else None,
            ),
            ledger.balances[ledger.traders :, :assets].copy(),
            # Never changed in place, so that it needs no copy.
            self.exchange.resting if len(self.exchange.resting) else None,
        )
        self._answered = at, len(entries), answer
        return answer

    def end_round(self, round_: int, at: int | None = None) -> JournalStats:
        """Journals the state's hash as the end of a round, make everything durable, and say what that has taken."""
        at = self._next if at is None else at
        if at < self._next:
            self.journal.check()
            return replace(self.journal.stats)
        self.catch_up(at)
        if self._keep(at, to_record(RoundEnded(round_, self.exchange.state_hash()))):
            durable = self.journal.sync()
            every = self.plan.snapshot_rounds
            # Only what is durable may be vouched for.
            if durable and self._snapshots and every and round_ % every == 0:
                self._snapshots.write(self._snapshot(round_, durable))
        self._next = at + 1
        return replace(self.journal.stats)

    def close(self) -> MarketClosing:
        """Closes the journal."""
        self.journal.close()
        if self._snapshots:
            self._snapshots.wait()
        return MarketClosing(self.journal.sha256, self.journal.stats, self.snapshot_stats)

    @property
    def snapshot_stats(self) -> SnapshotStats:
        """What became of snapshots so far."""
        return self._snapshots.stats if self._snapshots else SnapshotStats()

    def _read(self, reader: JournalReader) -> None:
        """Takes in all records, and the snapshots that stand for an index among them.

        A snapshot is written when the journal is durable up to its index, so one of another history, or of a longer
        one, shows that the journal lost something: JournalError, as where its head shows that.
        """
        found = self._snapshots.read() if self._snapshots else []
        chain = {snapshot.committed.records: (b"", 0) for snapshot in found}
        for record in reader.payloads():
            self._recorded.append(record)
            if reader.records in chain:
                chain[reader.records] = reader.head, reader.end
        for snapshot in found:
            sha256, end = chain[snapshot.committed.records]
            if sha256 != snapshot.committed.sha256:
                path = self._snapshots.path(snapshot.round) if self._snapshots else reader.path
                raise JournalError(
                    f"{reader.path}: this is not the history that was durable at the end of round {snapshot.round}, as "
                    f"{path.name} has it; restore the journal from a copy, or remove that file to take it as it is"
                )
            if end == snapshot.committed.file_bytes:
                self._usable.append(snapshot)
            elif self._snapshots:
                self._snapshots.pass_over(self._snapshots.path(snapshot.round), "its index is none of the journal's")

    def _snapshot(self, round_: int, durable: Committed) -> Snapshot:
        config, mechanisms = self.plan.config.model_dump(mode="json"), tuple(self.plan.mechanisms)
        return Snapshot(round_, durable, config, mechanisms, self.exchange.snapshot())

    def _begin(self, index: int) -> None:
        """Goes, before the first message, which is for `index`, to the newest snapshot before it that holds."""
        usable, self._usable = self._usable, []
        for snapshot in usable:
            # One that lies behind the message would skip rounds that are asked for again.
            records = snapshot.committed.records
            if records > index:
                continue
            try:
                plan, exchange = self._restored(snapshot)
            except _UNFIT as error:
                why = f"it does not fit this market ({_one_line(error)})"
            else:
                if self._entry(records - 1) == RoundEnded(snapshot.round, exchange.state_hash()):
                    self.plan, self.exchange = plan, exchange
                    # What lies before will not be asked for again, and a journal may be long.
                    del self._recorded[:records]
                    self._first = self._next = records
                    self.snapshot_stats.began_after_round = snapshot.round
                    return
                why = "it has another state than the journal has there"
            if self._snapshots:
                self._snapshots.pass_over(self._snapshots.path(snapshot.round), why)

    def _restored(self, snapshot: Snapshot) -> tuple[MarketPlan, Exchange]:
        """Returns the plan and the exchange of a snapshot."""
        config = MarketConfig.model_validate_json(json.dumps(snapshot.config))
        plan = replace(self.plan, config=config, mechanisms=tuple(snapshot.mechanisms))
        exchange = new_exchange(plan)
        exchange.restore(snapshot.exchange)
        return plan, exchange

    def _keep(self, index: int, record: list[Any]) -> bool:
        """Appends a record unless it is there, and returns whether it was new; JournalError if another is there."""
        payload = packed(record)
        if index >= self.recorded:
            # What was held for comparing is as long as the journal, and is not needed any more.
            self._recorded = []
            self.journal.append_payload(payload, record)
            return True
        offset, recorded = self._recorded[index - self._first]
        if recorded != payload:
            found = type(self._entry(index)).__name__
            raise JournalError(
                f"journal: at byte {offset} record {index} is a {found!r} and this run comes to another {record[0]!r}; "
                "it was made from another config, or by another version of swarm"
            )
        return False

    def catch_up(self, index: int) -> None:
        """Applies what the journal holds before `index`, as after a restart; OutOfStep if it does not reach so far."""
        if index > max(self.recorded, self._next):
            raise OutOfStep(f"market: a message for record {index} came, the next one is {self._next}")
        if self._usable:
            self._begin(index)
        while self._next < index:
            self._apply(self._next, self._entry(self._next))
            self._next += 1
            self._answered = None

    def _apply(self, index: int, entry: Entry) -> None:
        """Does what an entry of the journal says; JournalError where it cannot be done."""
        match entry:
            case RunBegan() | Decided() | Acted():
                return
            case RoundEnded():
                if entry.state_sha256 != self.exchange.state_hash():
                    offset, _ = self._recorded[index - self._first]
                    raise JournalError(
                        f"journal: at byte {offset} the end of round {entry.round} has another state than the "
                        "records before it lead to"
                    )
                return
        try:
            if isinstance(entry, Forked):
                self._fork(entry)
            else:
                self.exchange.handle(entry)
        except _UNFIT as error:
            raise self._refused(index, f"{type(entry).__name__}: {_one_line(error)}") from error

    def _answer_again(self, at: int, entries: int) -> MarketAnswer:
        if self._answered is None or self._answered[:2] != (at, entries):
            raise OutOfStep(f"market: a message for record {at} came again, the next one is {self._next}")
        return self._answered[2]

    def _fork(self, fork: Forked) -> None:
        """Goes on under the market's section of the fork's config."""
        config = MarketConfig.model_validate_json(json.dumps(fork.config["market"]))
        if len(fork.mechanisms) not in (0, self.exchange.goods):
            raise ValueError(f"mechanisms: expected one of each good, got {len(fork.mechanisms)}")
        # Balances, debts and resting orders go on; rules and mechanisms are the new ones.
        past = self.exchange.snapshot()
        self.plan = replace(self.plan, config=config, mechanisms=fork.mechanisms)
        self.exchange = new_exchange(self.plan)
        self.exchange.restore(past)

    def _entry(self, index: int) -> Entry:
        """Returns the entry that the journal has at an index; JournalError where it has none that can be read."""
        if self._path is None:
            raise OutOfStep(f"market: record {index} is not in the journal")
        try:
            return from_record(unpacked(self._path, *self._recorded[index - self._first]))
        except RecordError as error:
            raise self._refused(index, str(error)) from None

    def _refused(self, index: int, why: str) -> JournalError:
        return JournalError(f"{self._path}: record {index}: {why}; restore the journal from a copy")


def _one_line(error: Exception) -> str:
    # What a damaged journal makes a library say may be long, and may hold anything.
    text = " ".join(str(error).split())[:200]
    return text if text.isprintable() else repr(text)
