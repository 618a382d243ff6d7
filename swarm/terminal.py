"""The terminal: everything that is said to a person goes through here, and nothing of it can act on the screen.

It knows nothing of runs. A stream that cannot be written to becomes an error in one line, once.
"""

import errno
import json
import logging
import math
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from decimal import Decimal
from typing import Any, TextIO

from rich.console import Console
from rich.markup import escape
from rich.text import Text

from swarm.errors import OutputError, printable

KEPT = "\n\t"


class Stream:
    """Standard output or error, looked up at each write; OutputError where the system takes nothing more."""

    def __init__(self, name: str) -> None:
        self.name = name

    def write(self, text: str) -> int:
        """Hands text to the stream."""
        try:
            return self._stream().write(text)
        except OSError as error:
            raise unwritable(self.name, error) from error

    def flush(self) -> None:
        """Returns when the system has taken all that was written."""
        try:
            self._stream().flush()
        except OSError as error:
            raise unwritable(self.name, error) from error

    def isatty(self) -> bool:
        """Returns whether a person looks at it."""
        stream = getattr(sys, self.name)
        return stream is not None and bool(stream.isatty())

    def fileno(self) -> int:
        """Returns the descriptor under it."""
        return self._stream().fileno()

    @property
    def encoding(self) -> str:
        """What text is written in."""
        return str(getattr(getattr(sys, self.name), "encoding", None) or "utf-8")

    def _stream(self) -> TextIO:
        stream: TextIO | None = getattr(sys, self.name)
        if stream is None:
            # Closed before the process began, as `>&-` does.
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        # While a live table is drawn, rich stands in for the stream and would have the console write to itself.
        proxied: TextIO = getattr(stream, "rich_proxied_file", stream)
        return proxied


def unwritable(name: str, cause: OSError) -> "Unwritable":
    """Returns the error of a stream that takes nothing more; what is still in its buffer goes nowhere from now on."""
    # Python would try, and complain, again at its end.
    if (stream := getattr(sys, name)) is not None:
        with open(os.devnull, "w") as nowhere:  # noqa: PTH123 - a device
            os.dup2(nowhere.fileno(), stream.fileno())
    what = "nobody reads it any more" if cause.errno == errno.EPIPE else cause.strerror or str(cause)
    return Unwritable(f"{name}: this output cannot be written ({what}); nothing more is said", cause)


class Unwritable(OutputError):
    """Standard output or error takes nothing more."""

    def __init__(self, message: str, cause: OSError) -> None:
        super().__init__(message)
        # As programs end whose reader has gone.
        self.exit_status = 1 if cause.errno == errno.EPIPE else 2


class Terminal(Console):
    """A console that shows control characters, of whomever they come, as escapes."""

    def __init__(self, name: str, **options: Any) -> None:
        super().__init__(file=Stream(name), soft_wrap=True, highlight=False, **options)  # type: ignore[arg-type]

    def render_str(self, text: str, **options: Any) -> Text:
        """Returns text with its markup applied and with nothing in it that a terminal would act on."""
        return super().render_str(printable(text, KEPT), **options)

    def say(self, text: str) -> None:
        """Prints text as it is, without markup."""
        self.print(escape(text))

    def say_json(self, value: Any) -> None:
        """Prints a result as JSON, whose own escapes keep a terminal from acting on it."""
        self.say(json.dumps(_plain(value), indent=2))


def _plain(value: Any) -> Any:
    """Returns a value as JSON can have it: infinities and NaN as null, and what else it lacks as text."""
    match value:
        case Mapping():
            return {str(key): _plain(one) for key, one in value.items()}
        case list() | tuple():
            return [_plain(one) for one in value]
        case None | bool() | int() | str():
            return value
        case float() | Decimal():
            # A number with a point in SQL is a decimal.
            return float(value) if math.isfinite(value) else None
        case _:
            return str(value)


out = Terminal("stdout")
err = Terminal("stderr", stderr=True)


def complain(text: str) -> None:
    """Says what went wrong, where there is still somebody to say it to."""
    try:
        err.print(f"[red]error[/red] {escape(text)}")
    except OutputError:
        return


def log_to_terminal() -> None:
    """Warnings of all modules come out on standard error, each as a line."""
    # Only this project's own warnings: libraries have theirs about what a user cannot change.
    ours = logging.getLogger("swarm")
    # A process may call many commands, and each warning is one line.
    if not any(isinstance(handler, _Warnings) for handler in ours.handlers):
        ours.addHandler(_Warnings(logging.WARNING))


class _Warnings(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        # Where nobody can be warned, the run goes on.
        with suppress(OutputError):
            err.print(f"[yellow]{record.levelname.lower()}[/yellow] {escape(printable(record.getMessage()))}")
