"""Reads YAML that anybody may have written into plain values, within bounds that hold before anything is built.

It knows nothing of configs. What comes out is JSON's kind of values, no two of which are one object: dates stay text,
tags are refused, and a key that stands twice is an error.
"""

import os
import stat
from pathlib import Path
from typing import Any

import yaml

MAX_BYTES = 512 * 1024
MAX_DEPTH = 24
MAX_VALUES = 50_000
"""Most keys and values of one text, each alias counted as all that it stands for."""

MAX_KEY_CHARACTERS = 200
MAX_NUMBER_CHARACTERS = 40

_NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
_DATE = "tag:yaml.org,2002:timestamp"
_Loader: type[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Unreadable(ValueError):
    """A text that is not taken: why, and in which line, counted from 1, where that is known."""

    def __init__(self, why: str, line: int | None = None) -> None:
        self.line = line
        super().__init__(why)


def read_text(path: Path) -> str:
    """Returns the text of a file; Unreadable where it is no regular file, is too long, or is not UTF-8."""
    # Opening a pipe that nobody writes to would wait for ever.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode):
            raise Unreadable("a folder" if stat.S_ISDIR(mode) else "no regular file")
        content = bytearray()
        while len(content) <= MAX_BYTES and (more := os.read(descriptor, MAX_BYTES)):
            content += more
    finally:
        os.close(descriptor)
    _bound(len(content))
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Unreadable("not UTF-8 text") from error


def parse(text: str) -> Any:
    """Returns the plain value of a text; Unreadable where it is not YAML or goes beyond the bounds."""
    _bound(len(text))
    try:
        _check_events(text)
        loader = _PlainLoader(text)
        try:
            return loader.get_single_data()
        finally:
            loader.dispose()
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        raise Unreadable(_reason(error), mark.line + 1 if mark else None) from error


def _bound(size: int) -> None:
    if size > MAX_BYTES:
        raise Unreadable(f"longer than {MAX_BYTES // 1024} KiB")


def _reason(error: yaml.YAMLError) -> str:
    character = getattr(error, "character", None)
    if isinstance(character, int):
        return f"it holds the character U+{character:04X}, which no YAML may"
    return str(getattr(error, "problem", None) or "unreadable")


def _check_events(text: str) -> None:
    """Raises where a text would come to too much; events are read one by one, so nothing grows meanwhile."""
    sizes: dict[str, int | None] = {}  # by anchor, how many values it stands for; None while it is open
    opened: list[tuple[str | None, int]] = []  # of each collection that is open, its anchor and the count before it
    values = 0
    for event in yaml.parse(text, Loader=_Loader):
        line = event.start_mark.line + 1 if event.start_mark else None
        if getattr(event, "tag", None) not in (None, "!"):
            raise Unreadable("tags such as !!int are not read here", line)
        if isinstance(event, yaml.AliasEvent):
            size = sizes.get(event.anchor or "", 1)
            if size is None:
                raise Unreadable(f"*{event.anchor} stands within what it names", line)
            values += size
        elif isinstance(event, yaml.ScalarEvent):
            values += 1
            if event.anchor:
                sizes[event.anchor] = 1
        elif isinstance(event, yaml.CollectionStartEvent):
            opened.append((event.anchor, values))
            values += 1
            if event.anchor:
                sizes[event.anchor] = None
            if len(opened) > MAX_DEPTH:
                raise Unreadable(f"more than {MAX_DEPTH} levels deep", line)
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, before = opened.pop()
            if anchor:
                sizes[anchor] = values - before
        if values > MAX_VALUES:
            raise Unreadable(f"more than {MAX_VALUES:,} values", line)


class _PlainLoader(_Loader):  # type: ignore[misc]
    """Builds JSON's kind of values alone."""

    def construct_object(self, node: Any, deep: bool = False) -> Any:
        """Returns the value of a node, built anew also where it stands for one that is built already."""
        if isinstance(node, yaml.MappingNode):
            return self._table(node)
        if isinstance(node, yaml.SequenceNode):
            return [self.construct_object(item) for item in node.value]
        if node.tag in _NUMBERS and len(node.value) > MAX_NUMBER_CHARACTERS:
            raise Unreadable(f"a number of {len(node.value)} characters", node.start_mark.line + 1)
        try:
            return node.value if node.tag == _DATE else super().construct_object(node, deep)
        except ValueError:  # What looks like a number to YAML and is none, as `0x` or `1__:`.
            return node.value

    def _table(self, node: Any) -> dict[str, Any]:
        table: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if key_node.tag == "tag:yaml.org,2002:merge":
                for part in value_node.value if isinstance(value_node, yaml.SequenceNode) else [value_node]:
                    if not isinstance(part, yaml.MappingNode):
                        raise Unreadable("expected a table, or a list of tables, behind <<", line)
                    merged = self._table(part) | merged
                continue
            if not isinstance(key_node, yaml.ScalarNode):
                raise Unreadable("a key is a list or a table", line)
            key = key_node.value
            if len(key) > MAX_KEY_CHARACTERS:
                raise Unreadable(f"a key of {len(key)} characters", line)
            if key in table:
                raise Unreadable(f"the key {key!r} stands twice in one table", line)
            table[key] = self.construct_object(value_node)
        return merged | table
