"""The journal: an append-only, hash-chained file that a run can be rebuilt from, and nothing else is needed.

A file begins with MAGIC. Then come frames: the length of the payload (little-endian uint32), the chain hash (32 bytes),
the CRC-32 of these two (little-endian uint32) and the payload, one msgpack value. The chain hash of a frame is SHA-256
over the hash before it and the payload, so the last one stands for the whole history. A frame that the file ends within
is a torn tail of a crash and is not part of the history; any other damage is an error that names its offset. The CRC
tells the two apart: without it, a damaged length that points beyond the end of the file would pass for a torn tail.
"""

import hashlib
import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from types import TracebackType
from typing import Any, BinaryIO, Self

import msgpack

from swarm.errors import JournalError, OutputError

MAGIC = b"SWARMJ01"
GENESIS = hashlib.sha256(MAGIC).digest()
MAX_PAYLOAD_BYTES = 1 << 30

_HEAD = struct.Struct("<I32s")
_HEAD_CRC = struct.Struct("<I")
_HEAD_BYTES = _HEAD.size + _HEAD_CRC.size


@dataclass(slots=True)
class JournalStats:
    """What keeping the journal took."""

    frames: int = 0
    bytes: int = 0
    syncs: int = 0
    sync_s: float = 0.0


class JournalWriter:
    """Appends records; `sync` makes all that was appended durable. With no path it only keeps the hash."""

    def __init__(self, path: Path | None) -> None:
        self._head = GENESIS
        self.stats = JournalStats()
        self._file: BinaryIO | None = None
        if path is not None:
            try:
                # Exclusive creation: a journal is never written over.
                self._file = path.open("xb")
                self._file.write(MAGIC)
            except OSError as error:
                raise OutputError(f"{path}: the journal cannot be created ({error.strerror})") from error

    @property
    def sha256(self) -> str:
        """The chain hash of all that was appended."""
        return self._head.hex()

    def append(self, record: Any) -> None:
        """Add one record, not yet durable; JournalError if it is longer than a reader would take."""
        payload: bytes = msgpack.packb(record)
        if len(payload) > MAX_PAYLOAD_BYTES:
            raise JournalError(f"journal: a record of {len(payload)} bytes; the most is {MAX_PAYLOAD_BYTES}")
        self._head = hashlib.sha256(self._head + payload).digest()
        if self._file is not None:
            head = _HEAD.pack(len(payload), self._head)
            self._file.write(head + _HEAD_CRC.pack(zlib.crc32(head)))
            self._file.write(payload)
        self.stats.frames += 1
        self.stats.bytes += _HEAD_BYTES + len(payload)

    def sync(self) -> None:
        """Return only when all appended records are on the disk."""
        if self._file is None:
            return
        started = perf_counter()
        self._file.flush()
        os.fsync(self._file.fileno())
        self.stats.syncs += 1
        self.stats.sync_s += perf_counter() - started

    def close(self) -> None:
        """Sync and close; appending after this is an error."""
        if self._file is not None:
            self.sync()
            self._file.close()
            self._file = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class JournalReader:
    """Iterates over a journal's records and checks every frame; afterwards `torn_bytes` tells of a torn tail."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.torn_bytes = 0
        self._head = GENESIS
        try:
            self._data = path.read_bytes()
        except OSError as error:
            raise JournalError(f"{path}: no journal can be read here ({error.strerror})") from error
        if not self._data.startswith(MAGIC):
            raise JournalError(f"{path}: this is no journal that this version of swarm can read")

    @property
    def sha256(self) -> str:
        """The chain hash up to the last record that was read."""
        return self._head.hex()

    def __iter__(self) -> Iterator[Any]:
        self._head = GENESIS
        offset = len(MAGIC)
        end = len(self._data)
        while offset < end:
            start = offset + _HEAD_BYTES
            if start > end:
                break
            head = self._data[offset : offset + _HEAD.size]
            (crc,) = _HEAD_CRC.unpack_from(self._data, offset + _HEAD.size)
            if zlib.crc32(head) != crc:
                raise self._damage(offset, "the head of a record differs from its checksum")
            length, chain = _HEAD.unpack(head)
            if length > MAX_PAYLOAD_BYTES:
                raise self._damage(offset, "an impossible length")
            payload = self._data[start : start + length]
            if len(payload) < length:
                break
            if hashlib.sha256(self._head + payload).digest() != chain:
                raise self._damage(offset, "a record that does not continue the chain")
            try:
                record = msgpack.unpackb(payload)
            except ValueError as error:
                raise self._damage(offset, "a record that is not msgpack") from error
            self._head = chain
            offset = start + length
            yield record
        self.torn_bytes = end - offset

    def _damage(self, offset: int, what: str) -> JournalError:
        return JournalError(f"{self.path}: damaged at byte {offset}: {what}; restore the file from a copy")
