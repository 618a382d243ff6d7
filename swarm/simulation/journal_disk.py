"""Opens, locks, syncs and renames the files of a journal on a disk, with the head that lies beside each.

The head (`journal.head`) says how many records were durable when, and their hash. It is written after each sync, in
two slots in turn, so that one of them is whole at any time. The head itself is not synced: after a loss of power it may
lag behind, and then it vouches for less, but it never says more than the disk held. What the records are, this module
does not know.
"""

import errno
import fcntl
import os
import stat
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep
from typing import BinaryIO, Protocol

from swarm.errors import JournalError

LOCK_PATIENCE_S = 10.0
"""How long the end of another writer is waited for; one that was killed lets go as soon as the system has noticed."""

_COMMIT = struct.Struct("<QQ32s")
_CRC = struct.Struct("<I")
_SLOT_BYTES = 64
_MAX_HEAD_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Committed:
    """The number of records, and of bytes of the file, that were durable at a sync, and the chain hash up to there."""

    records: int
    file_bytes: int
    sha256: bytes


class JournalFile(Protocol):
    """The file under a writer, open for appending and locked against other writers."""

    def write(self, data: bytes) -> None:
        """Hands all of `data` to the system."""
        ...

    def sync(self) -> None:
        """Returns only when what was written is on the disk."""
        ...

    def close(self) -> None:
        """Lets go of the file."""
        ...


OpenFile = Callable[[Path, int | None], JournalFile]


class DiskFile:
    """A `JournalFile` on a disk: made anew where `keep_bytes` is None, else cut to so many bytes and continued."""

    def __init__(self, path: Path, keep_bytes: int | None) -> None:
        # Exclusive creation: a journal is never written over.
        flags = os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT | os.O_EXCL if keep_bytes is None else 0)
        self._descriptor = os.open(path, flags, 0o644)
        try:
            _lock(self._descriptor, path)
            if keep_bytes is not None:
                os.ftruncate(self._descriptor, keep_bytes)
                os.lseek(self._descriptor, 0, os.SEEK_END)
                os.fsync(self._descriptor)
            # The name must be durable, too, or a journal whose bytes are safe could be gone.
            sync_folder(path.parent)
        except BaseException:
            os.close(self._descriptor)
            raise

    def write(self, data: bytes) -> None:
        """Hands all of `data` to the system."""
        left = memoryview(data)
        while left:
            # A write may take less than it was given.
            left = left[os.write(self._descriptor, left) :]

    def sync(self) -> None:
        """Returns only when what was written is on the disk."""
        os.fsync(self._descriptor)

    def close(self) -> None:
        """Lets go of the file and of its lock."""
        os.close(self._descriptor)


def open_regular(path: Path, flags: int = os.O_RDONLY) -> int:
    """Returns a descriptor of a regular file; OSError for a folder, a pipe or a device, which might never end."""
    _must_be_regular(path.stat().st_mode)
    descriptor = os.open(path, flags | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        # What the name stands for may have changed since it was looked at.
        _must_be_regular(os.fstat(descriptor).st_mode)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def read_regular(path: Path, limit_bytes: int) -> bytes:
    """Returns what a regular file holds; OSError for anything else, and for one that is longer than the limit."""
    with opened(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > limit_bytes:
            raise OSError(errno.EFBIG, f"it is longer than {limit_bytes} bytes")
        return file.read(size)


def opened(path: Path) -> BinaryIO:
    """Returns a regular file, open for reading; OSError for anything else."""
    return os.fdopen(open_regular(path), "rb")


def _must_be_regular(mode: int) -> None:
    kinds = {stat.S_ISDIR: "a folder", stat.S_ISFIFO: "a pipe", stat.S_ISCHR: "a device", stat.S_ISBLK: "a device"}
    if not stat.S_ISREG(mode):
        kind = next((name for is_one, name in kinds.items() if is_one(mode)), "no regular file")
        raise OSError(errno.EINVAL, f"expected a file, found {kind}")


def sync_folder(path: Path) -> None:
    """Makes the names in a folder durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def rename(path: Path, to: Path) -> None:
    """Gives a closed journal another name, and its head with it, durably."""
    # The head goes first, so that no journal is found under its new name without one.
    head_path(path).rename(head_path(to))
    path.rename(to)
    sync_folder(to.parent)


def wait_for_writer(path: Path) -> None:
    """Returns when nobody writes this journal; JournalError if somebody goes on."""
    if not path.exists():
        return
    try:
        descriptor = open_regular(path, os.O_RDWR)
    except OSError as error:
        raise JournalError(f"{path}: no journal can be read here ({error.strerror})") from error
    try:
        _lock(descriptor, path)
    finally:
        os.close(descriptor)


def _lock(descriptor: int, path: Path) -> None:
    """Keeps other writers out until `descriptor` is closed; a market whose cluster has died may live on for seconds."""
    deadline = monotonic() + LOCK_PATIENCE_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError as error:
            if monotonic() > deadline:
                raise JournalError(
                    f"{path}: another process is still writing this journal; wait for it or end it"
                ) from error
            sleep(0.05)


def head_path(path: Path) -> Path:
    """Returns where the head of a journal lies."""
    return path.with_name(path.name.removesuffix(".swarm") + ".head")


def begin_head(path: Path) -> None:
    """Writes a head that vouches for nothing yet."""
    _write_at(head_path(path), bytes(2 * _SLOT_BYTES), 0, os.O_TRUNC)


def write_head(path: Path, durable: Committed, number: int) -> None:
    """Writes down what is durable of a journal at its commit of this number."""
    commit = _COMMIT.pack(durable.records, durable.file_bytes, durable.sha256)
    _write_at(head_path(path), commit + _CRC.pack(zlib.crc32(commit)), number % 2 * _SLOT_BYTES)


def _write_at(head: Path, content: bytes, offset: int, flags: int = 0) -> None:
    if head.exists():
        _must_be_regular(head.stat().st_mode)
    descriptor = os.open(head, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | flags, 0o644)
    try:
        os.pwrite(descriptor, content, offset)
    finally:
        os.close(descriptor)


def read_committed(path: Path) -> Committed | None:
    """Returns what a journal's head vouches for; None where there is no head or nothing was durable yet."""
    head = head_path(path)
    try:
        content = read_regular(head, _MAX_HEAD_BYTES)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise JournalError(
            f"{head}: cannot be read ({error.strerror}); remove it to take the journal as it is"
        ) from error
    found: list[Committed] = []
    damaged = 0
    for start in (0, _SLOT_BYTES):
        commit = content[start : start + _COMMIT.size]
        crc = content[start + _COMMIT.size : start + _COMMIT.size + _CRC.size]
        # Zeros: nothing was durable yet when this slot was made.
        if not any(commit + crc):
            continue
        if crc == _CRC.pack(zlib.crc32(commit)):
            found.append(Committed(*_COMMIT.unpack(commit)))
        else:
            damaged += 1
    # One slot may be torn by a crash; that both are is no crash.
    if damaged and not found:
        raise JournalError(f"{head}: damaged; remove it to take the journal as it is")
    return max(found, key=lambda c: c.records, default=None)
