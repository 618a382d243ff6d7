"""The commands of docs/operations.md: those that tests run as they are written, and those marked as not run."""

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "operations.md"
MARK = re.compile(r"^Not run here: (?P<reason>.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Command:
    """One command, its continued lines joined, and why no test runs it, if none does."""

    text: str
    not_run: str | None


@cache
def commands() -> tuple[Command, ...]:
    """All of the page, in their order. A paragraph `Not run here: ...` stands for the block right below it."""
    found = []
    for before, block in _blocks(PAGE.read_text(encoding="utf-8")):
        mark = MARK.search(before)
        joined = re.sub(r" *\\\n *", " ", block)
        for line in joined.splitlines():
            text = re.sub(r"\s+#( .*)?$", "", line).strip()
            if text and not text.startswith("#"):
                found.append(Command(text, mark["reason"] if mark else None))
    return tuple(found)


def _blocks(page: str) -> list[tuple[str, str]]:
    """Each block of four spaces with the paragraph above it."""
    found = []
    pieces = re.split(r"\n{2,}", page)
    for before, piece in zip(["", *pieces], pieces, strict=False):
        if all(line.startswith("    ") for line in piece.rstrip("\n").split("\n")):
            found.append((before, piece))
    return found


def documented(beginning: str) -> str:
    """The one command of the page that begins so and is not marked."""
    found = [c.text for c in commands() if c.text.startswith(beginning) and not c.not_run]
    if len(found) != 1:
        raise LookupError(f"{PAGE.name} has {len(found)} commands that begin with {beginning!r} and are run, not one")
    return found[0]
