"""Keeps what guests have sent until the journal has it: a line for each decision, durable before it is answered.

A run that is killed in the middle of a round finds here what it has already accepted for that round, and what it has
answered to whom.
"""

import asyncio
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from swarm.agents.guest import Seat, Sent
from swarm.errors import OutputError
from swarm.simulation.folder import GUESTS

_, FILE = GUESTS


class DecisionLog:
    """The decisions of a run's guests, in the order in which they were accepted."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: BinaryIO | None = None
        self._written = self._synced = 0
        self._syncing = asyncio.Lock()

    def open(self) -> Iterator[tuple[Seat, Sent]]:
        """Opens the log and yields what it has; a torn last line, whose sender was never answered, is cut off."""
        try:
            self._file = self.path.open("a+b")
            self._file.seek(0)
            # Whole lines end with a line break; text of guests has none, since JSON escapes it.
            lines = self._file.read().splitlines(keepends=True)
            if lines and not lines[-1].endswith(b"\n"):
                self._file.truncate(sum(map(len, lines[:-1])))
                lines.pop()
        except OSError as error:
            raise OutputError(f"{self.path}: this file cannot be used ({error.strerror})") from error
        for number, line in enumerate(lines, 1):
            yield self._decision(number, line)

    def append(self, seat: Seat, sent: Sent) -> None:
        """Writes one decision; OSError where it cannot be."""
        if self._file is None:
            raise RuntimeError("the log of guests' decisions is not open")
        line = json.dumps([*seat, sent.round, sent.decision_id, sent.text]) + "\n"
        self._file.write(line.encode())
        self._file.flush()
        self._written += 1

    async def synced(self) -> None:
        """Waits until all that was written is durable; who comes meanwhile shares the next sync."""
        mine = self._written
        # One sync at a time; each makes all durable that was written before it began.
        async with self._syncing:
            if self._file is not None and self._synced < mine:
                written = self._written
                await asyncio.to_thread(os.fsync, self._file.fileno())
                self._synced = written

    def close(self) -> None:
        """Closes the log."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _decision(self, number: int, line: bytes) -> tuple[Seat, Sent]:
        try:
            guest, seat, round_, decision_id, text = json.loads(line)
            return (str(guest), int(seat)), Sent(int(round_), str(decision_id), str(text))
        except (ValueError, TypeError, RecursionError) as error:
            raise OutputError(
                f"{self.path}: line {number} is no guest's decision; put the file back from a copy, or remove it, "
                "which loses what guests have sent for the round that was not ended"
            ) from error
