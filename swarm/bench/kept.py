"""Figures of markets that are kept in a file as they are played, so that a long measurement goes on where it ended."""

import hashlib
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from swarm.errors import OutputError
from swarm.version import __version__

BEGINS = '{"key": "'
"""What every kept line begins with, half of one, too."""


def lines_of(file: Path, option: str, begins: str) -> list[str]:
    """Returns the lines of a file that `option` names, all of which must begin so; half of the last may be missing.

    OutputError where it cannot be read or has lines of another kind: it may be a file that somebody needs.
    """
    try:
        lines = file.read_bytes().decode("utf-8", errors="replace").split("\n")
    except OSError as error:
        raise OutputError(f"{option} {file}: this file cannot be read ({error.strerror}); name another one") from error
    for number, line in enumerate(lines, 1):
        # Of a line that was cut off there may be less than its beginning.
        if not line.startswith(begins) and not begins.startswith(line):
            why = f"line {number} is nothing that this benchmark keeps"
            raise OutputError(f"{option} {file}: {why}; name another file, or delete the line")
    return lines


class Kept:
    """Values by their keys, each a line of JSON; without a file nothing is kept. OutputError where it is another's.

    A key is whatever JSON holds, and says all that its value depends on but the version of this code, which is added.
    """

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._found: dict[str, Any] = {}
        if file is None or not file.exists():
            return
        for line in lines_of(file, "--keep", BEGINS):
            try:
                entry = json.loads(line)
                self._found[entry["key"]] = entry["value"]
            except (ValueError, KeyError, TypeError):
                # Whoever is stopped while it writes leaves half a line, and plays that market again.
                continue

    def get(self, key: Any) -> Any:
        """Returns the value of a key; None where it is not kept yet."""
        return self._found.get(_text(key))

    def put(self, key: Any, value: Any) -> None:
        """Keeps a value at once; OutputError where the file cannot be written."""
        self._found[_text(key)] = value
        if self._file is None:
            return
        try:
            with self._file.open("a", encoding="utf-8") as file:
                # A line of its own even behind half of one.
                file.write("\n" + json.dumps({"key": _text(key), "value": value}) + "\n")
        except OSError as error:
            raise OutputError(f"--keep {self._file}: this file cannot be written ({error.strerror})") from error


def digests(entry: Mapping[str, Any]) -> list[str]:
    """Returns what tells the files that a model's entry names from others, for a key; a name may get another file."""
    named = [Path(str(entry[key])).expanduser() for key in ("path", "adapter") if entry.get(key)]
    files = [file for path in named for file in (sorted(path.glob("*.onnx")) if path.is_dir() else [path])]
    # What is named by a package or by heart is of one version.
    return [_digest(file, file.stat().st_mtime_ns) for file in files if file.is_file()]


@cache
def _digest(file: Path, _: int) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _text(key: Any) -> str:
    return json.dumps([__version__, key], sort_keys=True)
