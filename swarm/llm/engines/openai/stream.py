"""Reads replies as server-sent events while they are written, to the end or to where the text has run away.

It takes bytes and knows no connection. Line ends of all three kinds, comments, events of several data lines and events
without an empty line between them are read; what is no object is no chunk and is passed over.
"""

from collections.abc import Iterator
from typing import Any

from swarm.llm.engines.openai.called import Called
from swarm.llm.engines.openai.failures import Failure, error_in, refusal
from swarm.llm.engines.openai.reading import Said, parsed
from swarm.llm.protocol import MAX_REPLY_CHARS
from swarm.llm.runaway import LOOP_WINDOW, runaway

_CHECK_CHARS = 256
_SHOWN = 200


class Events:
    """Parts bytes into the data of server-sent events."""

    def __init__(self) -> None:
        self._rest = b""
        self._data: list[str] = []

    def feed(self, chunk: bytes) -> Iterator[str]:
        """Yields the data of every event that has ended."""
        buffer = self._rest + chunk
        # A carriage return at the end may be half of a line end.
        complete, self._rest = (buffer[:-1], b"\r") if buffer.endswith(b"\r") else (buffer, b"")
        *lines, last = complete.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        self._rest = last + self._rest
        for line in lines:
            yield from self._take(line)

    def end(self) -> Iterator[str]:
        """Yields the data of an event that the stream's end ends."""
        yield from self._take(self._rest.rstrip(b"\r"))
        yield from self._take(b"")

    def _take(self, line: bytes) -> Iterator[str]:
        if not line:
            # An empty line ends an event.
            data, self._data = self._data, []
            yield from _events(data)
            return
        # A byte order mark may stand before the first line.
        name, _, value = line.lstrip(b"\xef\xbb\xbf").partition(b":")
        if name == b"data":
            self._data.append(value.decode("utf-8", "replace").strip())


def _events(lines: list[str]) -> Iterator[str]:
    """Yields one event of all data lines, or one of each where they are whole in themselves."""
    lines = [line for line in lines if line]
    if len(lines) < 2 or all((line.startswith("{") and line.endswith("}")) or line == "[DONE]" for line in lines):
        yield from lines
    else:
        yield "\n".join(lines)


class StreamedReply:
    """Gathers the pieces of one reply."""

    def __init__(self) -> None:
        self.said = Said()
        self._called = Called()
        self.usage: Any = None
        self.done = False
        self.given_up = False
        self.has_begun = False
        self._events = Events()
        self._pieces: list[str] = []
        self._chars = 0
        self._unchecked = 0

    @property
    def has_ended(self) -> bool:
        """Tells whether the completion came to its end."""
        return self.done or self.said.finish is not None

    def feed(self, chunk: bytes) -> Failure | None:
        """Takes the next bytes; returns why the reply is lost, where it is."""
        for data in self._events.feed(chunk):
            if (failure := self._take(data)) is not None:
                return failure
        if self._chars > MAX_REPLY_CHARS:
            return Failure("too_large", f"a reply of more than {MAX_REPLY_CHARS} characters")
        # Looked for runaway text now and then, since each look reads the end of the text again.
        if self._unchecked >= _CHECK_CHARS:
            self._unchecked = 0
            self.given_up = runaway("".join(self._pieces), LOOP_WINDOW * 3 // 4) is not None
        return None

    def end(self) -> Failure | None:
        """Takes what the stream's end ends, and puts the text together."""
        for data in self._events.end():
            if (failure := self._take(data)) is not None:
                return failure
        self.said.text = self._called.said_by("".join(self._pieces))
        return None

    def _take(self, data: str) -> Failure | None:
        if data == "[DONE]":
            self.done = True
            return None
        try:
            value = parsed(data)
            if (error := error_in(value)) is not None:
                return refusal(200, {}, error, f"an error within the stream: {data[:_SHOWN]}")
            if not isinstance(value, dict):
                return None
            self.usage = value.get("usage") or self.usage
            # One reply is asked for in a stream, so a server that sends more choices is read by its first.
            for choice in (value.get("choices") or [])[:1]:
                if (error := error_in(choice)) is not None:
                    return refusal(200, {}, error, f"an error within the stream: {data[:_SHOWN]}")
                self._add(choice)
        except (ValueError, RecursionError, KeyError, TypeError, AttributeError):
            return Failure("protocol", f"not a chunk of a completion: {data[:_SHOWN]!r}")
        return None

    def _add(self, choice: dict[str, Any]) -> None:
        self.said.finish = choice.get("finish_reason") or self.said.finish
        self.said.add_likelihoods(choice)
        delta = choice.get("delta")
        if delta is None:
            # Some servers stream whole messages.
            delta = choice.get("message") or {}
        piece = Said()
        piece.add(delta)
        self._called.add(delta)
        self.said.reasoning += piece.reasoning
        self.said.refusal += piece.refusal
        if piece.text:
            self.has_begun = True
            self._pieces.append(piece.text)
            self._chars += len(piece.text)
            self._unchecked += len(piece.text)
