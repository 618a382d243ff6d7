"""Keeps snapshots of a market, which spare one that starts again most of its journal.

A snapshot lies beside its journal as `<journal>-<round>.snapshot`: MAGIC, the SHA-256 of the rest, and one msgpack
value with what the exchange holds and how much of the journal it stands for (records, bytes, chain hash). It is
written under another name, synced and renamed, so that it is whole or absent; one that is damaged all the same is
passed over and counted. A snapshot is never the truth: the journal is read and its chain checked as without one, only
that the records that a snapshot stands for are not applied, and the state must have the hash that the journal has
there.
"""

import hashlib
import logging
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, fields
from math import prod
from pathlib import Path
from threading import Thread
from typing import Any

import msgpack
import numpy as np

from swarm.market import records
from swarm.market.config import Mechanism
from swarm.market.records import RecordError
from swarm.simulation.journal_disk import Committed, read_regular, sync_folder

MAGIC = b"SWARMS01"
KEPT = 2
"""How many snapshots of a journal are kept: where the last one is damaged, or too late, there is one before it."""

MAX_BYTES = 1 << 34
"""The longest file that is read as a snapshot."""

_DIGEST_BYTES = 32
_INTEGER_BYTES = 8
_COLUMN = "column"

log = logging.getLogger(__name__)


@dataclass(slots=True)
class SnapshotStats:
    """The counts of snapshots: written, failed to be written, and passed over.

    `began_after_round` is the round of the snapshot that the market went on from, 0 where it read all of its journal.
    """

    written: int = 0
    failed: int = 0
    passed_over: int = 0
    began_after_round: int = 0

    @classmethod
    def together(cls, parts: "Sequence[SnapshotStats]") -> "SnapshotStats":
        """Returns what became of several markets' snapshots; of those they went on from, the round of the oldest."""
        sums: dict[str, Any] = {f.name: sum(getattr(part, f.name) for part in parts) for f in fields(cls)}
        return cls(**sums | {"began_after_round": min(part.began_after_round for part in parts)})

    def losses(self) -> dict[str, int]:
        """Returns what was lost, by kind; empty where nothing was."""
        counts = {"snapshots_not_written": self.failed, "snapshots_passed_over": self.passed_over}
        return {kind: count for kind, count in counts.items() if count}


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """A market at the end of a round, when the journal came to what `committed` says.

    `config` and `mechanisms` are what the market goes by there, which a fork may have changed; `exchange` is what
    `Exchange.snapshot` gave.
    """

    round: int
    committed: Committed
    config: dict[str, Any]
    mechanisms: tuple[Mechanism, ...]
    exchange: dict[str, Any]

    def packed(self) -> bytes:
        """Returns the content of a snapshot's file."""
        columns = {name: _packed(value) for name, value in self.exchange.items()}
        committed = [self.committed.records, self.committed.file_bytes, self.committed.sha256]
        payload: bytes = msgpack.packb([self.round, committed, self.config, list(self.mechanisms), columns])
        return MAGIC + hashlib.sha256(payload).digest() + payload

    @classmethod
    def unpacked(cls, content: bytes) -> "Snapshot | None":
        """Returns the snapshot that a file holds; None where it is damaged, RecordError where it is of another form."""
        start = len(MAGIC) + _DIGEST_BYTES
        payload = content[start:]
        # Whether a file is whole is known before anything in it is read.
        if content[:start] != MAGIC + hashlib.sha256(payload).digest():
            return None
        try:
            value = msgpack.unpackb(payload)
        except ValueError:
            raise RecordError("the snapshot: expected msgpack") from None
        round_, committed, config, mechanisms, columns = records.listed(value, "the snapshot", 5)
        if type(columns) is not dict:
            raise records.expected("exchange", "a map", columns)
        return cls(
            records.round_number(round_, "round"),
            _committed(committed),
            records.plain_map(config, "config"),
            tuple(records.mechanism(one, "mechanisms") for one in records.listed(mechanisms, "mechanisms")),
            {name: _unpacked(column, f"exchange.{name}"[:80]) for name, column in columns.items()},
        )


class SnapshotFolder:
    """The snapshots of one journal. They are written one at a time, on a thread unless `in_background` is False."""

    def __init__(self, journal: Path, in_background: bool = True) -> None:
        self._journal = journal
        self._in_background = in_background
        self._writing: Thread | None = None
        self._known: list[Path] = []
        self.stats = SnapshotStats()

    def path(self, round_: int) -> Path:
        """Returns where the snapshot of a round lies."""
        return self._journal.with_name(f"{self._journal.stem}-{round_:07}.snapshot")

    def files(self, suffix: str = "snapshot") -> list[Path]:
        """Returns the files of this journal's snapshots, oldest first, whole or not; `suffix` is a pattern."""
        name = re.compile(rf"{re.escape(self._journal.stem)}-[0-9]+\.({suffix})")
        return sorted(path for path in self._journal.parent.iterdir() if name.fullmatch(path.name))

    def read(self) -> list[Snapshot]:
        """Returns the whole snapshots, newest first."""
        found: list[tuple[Path, Snapshot]] = []
        for path in self.files():
            try:
                snapshot = Snapshot.unpacked(read_regular(path, MAX_BYTES))
            except OSError as error:
                self.pass_over(path, f"it cannot be read ({error.strerror})")
                continue
            except RecordError as error:
                self.pass_over(path, f"it holds something else ({error})")
                continue
            if snapshot is None:
                self.pass_over(path, "it is damaged")
            # A renamed file would stand for a round that it is not of.
            elif path != self.path(snapshot.round):
                self.pass_over(path, f"it is of round {snapshot.round}")
            else:
                found.append((path, snapshot))
        found.sort(key=lambda pair: pair[1].round)
        self._known = [path for path, _ in found]
        return [snapshot for _, snapshot in reversed(found)]

    def pass_over(self, path: Path, why: str) -> None:
        """Counts a snapshot that is of no use; an older one or the journal takes its place."""
        self.stats.passed_over += 1
        log.warning("%s: this snapshot is passed over: %s", path, why)

    def write(self, snapshot: Snapshot) -> None:
        """Has a snapshot written; the one before it is waited for, so that no more than one is held in memory."""
        # A market that ends its rounds faster than the disk writes is slowed down here.
        self.wait()
        if not self._in_background:
            self._write(snapshot)
            return
        self._writing = Thread(target=self._write, args=(snapshot,), name="snapshot")
        self._writing.start()

    def wait(self) -> None:
        """Returns when nothing is being written."""
        if self._writing is not None:
            self._writing.join()
            self._writing = None

    def _write(self, snapshot: Snapshot) -> None:
        path = self.path(snapshot.round)
        unfinished = path.with_suffix(".part")
        try:
            with unfinished.open("wb") as file:
                file.write(snapshot.packed())
                file.flush()
                os.fsync(file.fileno())
            # Written whole under another name, then renamed; older ones go last.
            unfinished.rename(path)
            sync_folder(path.parent)
            self._known = [*(known for known in self._known if known != path), path][-KEPT:]
            for old in self.files("snapshot|part"):
                if old not in self._known:
                    old.unlink(missing_ok=True)
            self.stats.written += 1
        except OSError as error:
            # Without it a restart takes longer, and nothing else is lost.
            self.stats.failed += 1
            log.warning("%s: this snapshot cannot be written (%s)", path, error.strerror)
            unfinished.unlink(missing_ok=True)


def _packed(value: Any) -> Any:
    if not isinstance(value, np.ndarray):
        return value
    # Little-endian on every machine, so that a snapshot may travel.
    return [_COLUMN, list(value.shape), value.astype("<i8").tobytes()]


def _unpacked(value: Any, name: str) -> Any:
    match value:
        case [str(kind), list(shape), bytes(column)] if kind == _COLUMN:
            lengths = [records.count(length, f"{name}.shape") for length in shape]
            if prod(lengths) * _INTEGER_BYTES != len(column):
                raise records.expected(name, f"the bytes of {prod(lengths)} integers", column)
            return np.frombuffer(column, dtype="<i8").astype(np.int64).reshape(lengths)
        case _:
            return records.integer(value, name)


def _committed(value: Any) -> Committed:
    """Returns how much of its journal a snapshot stands for; there are some bytes for each of its records."""
    held, file_bytes, sha256 = records.listed(value, "committed", 3)
    held = records.integer(held, "committed.records", 1, records.MAX_COUNT)
    if type(sha256) is not bytes or len(sha256) != _DIGEST_BYTES:
        raise records.expected("committed.sha256", f"{_DIGEST_BYTES} bytes", sha256)
    return Committed(held, records.integer(file_bytes, "committed.file_bytes", held, records.MAX_COUNT), sha256)
