"""Lets a person end what goes on: the first Ctrl-C asks, the second ends."""

import signal
from types import FrameType

INTERRUPTED_STATUS = 130


class StopFlag:
    """A flag that the first Ctrl-C or SIGTERM sets; the second Ctrl-C ends the process as Python would."""

    def __init__(self) -> None:
        self._set = False

    def __call__(self) -> bool:
        return self._set

    def __enter__(self) -> "StopFlag":
        self._before = {s: signal.signal(s, self._stop) for s in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        # SIGTERM may come twice, from systems that repeat it, and must not cut a round off.
        if self._set and number == signal.SIGINT:
            raise KeyboardInterrupt
        self._set = True
