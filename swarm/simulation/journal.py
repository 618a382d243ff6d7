"""Writes and reads the journal: an append-only, hash-chained file from which alone a run can be rebuilt.

A file begins with MAGIC. Then come frames: the length of the payload (little-endian uint32), the chain hash (32
bytes), the CRC-32 of these two (little-endian uint32) and the payload, one msgpack value. Where the highest bit of
the length is set the payload is stored packed (`journal_columns`), and the length is that of its packed form. The
chain hash of a frame is SHA-256 over the hash before it and the payload as it is unpacked, so the last one stands for
all the history. A frame that the file ends within is a torn tail of a crash and is not part of the history; any other
damage is an error that names its offset. The CRC tells the two apart: without it, a damaged length that points beyond
the end of the file would pass for a torn tail.

A loss of power may also leave a file that is longer than what reached the disk. What is missing then reads as zeros,
from the end of a frame or from the border of a disk's block to the end of the file. That is a torn tail, too.

What was durable when, its head says (`journal_disk`): a journal that has lost records which its head counts is refused.
A snapshot is synced, and vouches for the journal up to its place just as the head does.
"""

import hashlib
import os
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from threading import Lock
from time import perf_counter
from types import TracebackType
from typing import Any, BinaryIO, Self

import msgpack

from swarm.errors import JournalError, OutputError
from swarm.simulation import journal_disk
from swarm.simulation.journal_columns import Columns
from swarm.simulation.journal_disk import Committed, DiskFile, JournalFile, OpenFile
from swarm.simulation.journal_integers import packed

MAGIC = b"SWARMJ01"
GENESIS = hashlib.sha256(MAGIC).digest()
MAX_PAYLOAD_BYTES = 1 << 30
BLOCK_BYTES = 512
"""What disks write at once, at the least."""
CHUNK_BYTES = 1 << 20

_HEAD = struct.Struct("<I32s")
_HEAD_CRC = struct.Struct("<I")
_HEAD_BYTES = _HEAD.size + _HEAD_CRC.size
_PACKED = 1 << 31
"""The bit of a frame's length that says that its payload is packed."""


@dataclass(slots=True)
class JournalStats:
    """The cost of keeping a journal; `frames` and `bytes` count what a resumed journal held before, too."""

    frames: int = 0
    bytes: int = 0
    syncs: int = 0
    sync_s: float = 0.0

    @classmethod
    def together(cls, parts: Sequence[Self]) -> Self:
        """Returns what keeping several journals took."""
        return cls(**{f.name: sum(getattr(part, f.name) for part in parts) for f in fields(cls)})


class JournalWriter:
    """A writer that appends records; `sync` makes all of them durable. With no path it only keeps the hash.

    After a failed write or sync nothing more is written: what the disk then holds is not known until it is read again.
    """

    def __init__(
        self,
        path: Path | None,
        continued: "JournalReader | None" = None,
        open_file: OpenFile = DiskFile,
        seed: int | None = None,
    ) -> None:
        """Makes a new journal, or goes on behind the last complete record of `continued`, which was read to its end.

        `seed` is what the run draws priorities from: knowing it makes a journal shorter and changes nothing else.
        """
        self._head = continued.head if continued else GENESIS
        self._columns = continued.columns if continued else Columns()
        self._columns.seed = seed
        self.stats = JournalStats()
        self._path = path
        self._file: JournalFile | None = None
        self._pending = bytearray()
        # A sync may run beside the thread that appends, so that records gather meanwhile.
        self._lock = Lock()
        self._failed = ""
        self._commits = 0
        if continued is not None:
            self.stats.frames, self.stats.bytes = continued.records, continued.end - len(MAGIC)
        if path is None:
            return
        try:
            if continued is None:
                # The head comes first, so that a journal without one is never a journal that lost it in a crash.
                journal_disk.begin_head(path)
            self._file = open_file(path, None if continued is None else continued.end)
            if continued is None:
                self._file.write(MAGIC)
        except OSError as error:
            what = "created" if continued is None else "continued"
            raise OutputError(f"{path}: the journal cannot be {what} ({error.strerror})") from error
        if continued is not None:
            self._commit(Committed(continued.records, continued.end, continued.head))

    @property
    def sha256(self) -> str:
        """The chain hash of all that was appended."""
        return self._head.hex()

    def append(self, record: Any) -> None:
        """Adds one record, not yet durable; JournalError if it is longer than a reader would take."""
        self.append_payload(packed(record), record)

    def append_payload(self, payload: bytes, record: Any = None) -> None:
        """Adds one record by its bytes; `record` is its value, where that is at hand."""
        self.check()
        if len(payload) > MAX_PAYLOAD_BYTES:
            raise JournalError(f"journal: a record of {len(payload)} bytes; the most is {MAX_PAYLOAD_BYTES}")
        # Without a file, too, so that a replay tells the length that the journal had.
        packed_form = self._columns.pack(payload, record)
        stored, flag = (payload, 0) if packed_form is None else (packed_form, _PACKED)
        with self._lock:
            # Each hash covers the one before it, so that the last one stands for everything.
            self._head = hashlib.sha256(self._head + payload).digest()
            if self._file is not None:
                head = _HEAD.pack(len(stored) | flag, self._head)
                self._pending += head + _HEAD_CRC.pack(zlib.crc32(head)) + stored
            self.stats.frames += 1
            self.stats.bytes += _HEAD_BYTES + len(stored)

    def check(self) -> None:
        """Raises OutputError if a write or a sync has failed."""
        if self._failed:
            raise OutputError(self._failed)

    def flush(self) -> None:
        """Hands what was appended to the system: from then on it outlives this process, though not a loss of power."""
        with self._lock:
            self._write()

    def sync(self) -> Committed | None:
        """Returns only when all appended records are on the disk, with what that comes to; None without a file."""
        if self._file is None:
            return None
        with self._lock:
            self._write()
            # What is durable once the sync returns, taken while nobody can append.
            written = Committed(self.stats.frames, self.stats.bytes + len(MAGIC), self._head)
        started = perf_counter()
        with self._failing("synced"):
            self._file.sync()
        self.stats.syncs += 1
        self.stats.sync_s += perf_counter() - started
        self._commit(written)
        return written

    def close(self) -> None:
        """Syncs and closes; appending after this is an error. After a failure nothing more is written."""
        if self._file is None:
            return
        try:
            if not self._failed:
                self.sync()
        finally:
            # Closed once, also where the sync before it failed.
            file, self._file = self._file, None
            file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _failing(self, what: str) -> "_Failing":
        return _Failing(self, what)

    def fail(self, what: str, error: OSError) -> OutputError:
        """Takes note that the file can no longer be trusted; returns the error that says so."""
        self._failed = f"{self._path}: the journal cannot be {what} ({error.strerror}); nothing more is written to it"
        return OutputError(self._failed)

    def _write(self) -> None:
        """Hands what was appended to the system; the lock is held."""
        if self._file is None or not self._pending:
            return
        data, self._pending = bytes(self._pending), bytearray()
        with self._failing("written"):
            self._file.write(data)

    def _commit(self, durable: Committed) -> None:
        """Writes down, outside the journal, what is durable now."""
        if self._path is None:
            return
        self._commits += 1
        with self._failing("counted in its head"):
            journal_disk.write_head(self._path, durable, self._commits)


@dataclass(frozen=True, slots=True)
class _Failing:
    """A guard that turns an OSError within the block into the writer's last one."""

    writer: JournalWriter
    what: str

    def __enter__(self) -> None:
        return

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, OSError):
            raise self.writer.fail(self.what, error) from error


class JournalReader:
    """A reader that yields a journal's records and checks every frame; afterwards `torn_bytes` tells of a torn tail.

    Reading to the end also holds the journal against its head: JournalError if records are missing that were durable.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.torn_bytes = 0
        self.columns = Columns()
        self.head = GENESIS
        self.records = 0
        self.end = len(MAGIC)
        with self._opened() as file:
            begins_with = file.read(len(MAGIC))
        if begins_with != MAGIC:
            raise JournalError(f"{path}: this is no journal that this version of swarm can read")

    @property
    def sha256(self) -> str:
        """The chain hash up to the last record that was read."""
        return self.head.hex()

    def __iter__(self) -> Iterator[Any]:
        for offset, payload in self.payloads():
            yield self.unpacked(offset, payload)

    def payloads(self) -> Iterator[tuple[int, bytes]]:
        """Yields the offset and the packed value of each record; what is appended meanwhile is left out."""
        committed = journal_disk.read_committed(self.path)
        self.head, self.records, self.end, self.columns = GENESIS, 0, len(MAGIC), Columns()
        offset = len(MAGIC)
        with self._opened() as file:
            # The length at the start: a run may go on writing while this is read.
            end = os.fstat(file.fileno()).st_size
            file.seek(offset)
            while offset + _HEAD_BYTES <= end:
                head = file.read(_HEAD_BYTES)
                if not _is_head(head) and _zeros_from(file, offset, offset + _HEAD_BYTES):
                    break
                length, is_packed, chain = self._frame_head(offset, head)
                # A frame that the file ends within is the torn tail of a crash.
                if offset + _HEAD_BYTES + length > end:
                    break
                payload, columns = self._unpacked(file.read(length), is_packed)
                if payload is None or hashlib.sha256(self.head + payload).digest() != chain:
                    if _zeros_from(file, offset, offset + _HEAD_BYTES + length):
                        break
                    raise self._damage(offset, "a record that does not continue the chain")
                self.head, self.columns = chain, columns
                self.records += 1
                self.end = offset + _HEAD_BYTES + length
                # The head lies outside the journal, so that a file which was replaced as a whole shows.
                if committed and committed.records == self.records and committed.sha256 != chain:
                    raise self._damage(offset, "another history than the one that was durable")
                yield offset, payload
                offset = self.end
        self.torn_bytes = end - offset
        # A torn tail may be lost, but never what was said to be durable.
        if committed and committed.records > self.records:
            raise self._damage(offset, f"{self.records} records are left of {committed.records} that were durable")

    def _opened(self) -> BinaryIO:
        try:
            return journal_disk.opened(self.path)
        except OSError as error:
            raise JournalError(f"{self.path}: no journal can be read here ({error.strerror})") from error

    def _unpacked(self, stored: bytes, is_packed: bool) -> tuple[bytes | None, Columns]:
        """Returns a frame's payload, None where it cannot be unpacked, and the packing of the frames behind it."""
        try:
            return self.columns.unpack(stored) if is_packed else (stored, self.columns)
        except ValueError:
            return None, self.columns

    def _frame_head(self, offset: int, head: bytes) -> tuple[int, bool, bytes]:
        """Returns the length that a frame begins with, whether its payload is packed, and the chain hash."""
        if not _is_head(head):
            raise self._damage(offset, "the head of a record differs from its checksum")
        told, chain = _HEAD.unpack(head[: _HEAD.size])
        length, is_packed = told & ~_PACKED, bool(told & _PACKED)
        if length > MAX_PAYLOAD_BYTES:
            raise self._damage(offset, "an impossible length")
        return length, is_packed, chain

    def unpacked(self, offset: int, payload: bytes) -> Any:
        """Returns the record that `payloads` gave at `offset`."""
        return unpacked(self.path, offset, payload)

    def _damage(self, offset: int, what: str) -> JournalError:
        return damage(self.path, offset, what)


def unbegun(path: Path) -> bool:
    """Returns whether a file is what a crash leaves of a journal without a record: too short, or zeros alone."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return len(file.read(len(MAGIC))) < len(MAGIC) or _zeros_from(file, 0, 1)


def _is_head(head: bytes) -> bool:
    """Whether these bytes are the head of a frame, by their checksum."""
    return _HEAD_CRC.pack(zlib.crc32(head[: _HEAD.size])) == head[_HEAD.size :]


def _zeros_from(file: BinaryIO, begin: int, end: int) -> bool:
    """Whether the file is zeros to its end from where a frame begins, or from a block's border before it ends."""
    border = begin + -begin % BLOCK_BYTES
    places = [begin, *range(border, end, BLOCK_BYTES)]
    # Zeros to the end begin before the last border within the frame, if they begin at any of them.
    file.seek(places[-1])
    while chunk := file.read(CHUNK_BYTES):
        if any(chunk):
            return False
    return True


def damage(path: Path, offset: int, what: str) -> JournalError:
    """Returns the error that says where a journal is damaged."""
    return JournalError(f"{path}: damaged at byte {offset}: {what}; restore the file from a copy")


def unpacked(path: Path, offset: int, payload: bytes) -> Any:
    """Returns the record whose packed value lies at `offset` of a journal."""
    try:
        return msgpack.unpackb(payload)
    except ValueError as error:
        raise damage(path, offset, "a record that is not msgpack") from error
