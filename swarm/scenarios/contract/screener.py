"""Reads a contract with a trained screener: which topics it has, what it says of them, and where; numpy alone.

A screener is one file of numbers and words, which `swarm train-screener` makes of the user's own labelled contracts. It
holds no code, and learns nothing here.
"""

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from swarm.scenarios.contract.finder import Finder
from swarm.scenarios.contract.index import Index
from swarm.scenarios.contract.quotation import Span
from swarm.scenarios.contract.stances import AGAINST, Stances

FORMAT = "swarm-screener-1"
MOST_BYTES = 200 << 20


class ScreenerError(ValueError):
    """A file that is no screener, and what to do about it."""


@dataclass(frozen=True, slots=True)
class Told:
    """What a screener says of a topic: whether it is there or turned, how sure it is, and what it quotes."""

    there: bool
    against: bool
    sure: float
    spans: tuple[Span, ...]


@dataclass(frozen=True, eq=False)
class Screener:
    """The parts of a screener: finders of clauses, and readers of what clauses say."""

    finders: tuple[Finder, ...]
    stances: Stances | None
    told: Mapping[str, Any]

    @property
    def topics(self) -> frozenset[str]:
        """The topics that it knows."""
        known = [topic for one in self.finders for topic in one.topics]
        return frozenset([*known, *(self.stances.topics if self.stances else ())])

    def read(self, index: Index) -> dict[str, Told]:
        """Returns by topic what a contract has; sentences that give orders to the reader are not read."""
        found: dict[str, Told] = {}
        text = _without(index.structure.text, index.structure.instructions)
        for finder in self.finders:
            for topic, sure, spans in finder.read(text):
                found[topic] = Told(bool(spans), False, sure, spans)
        if self.stances is not None:
            for topic, label, sure, sentence in self.stances.read([index.text(one) for one in range(len(index))]):
                spans = (index.spans[sentence],) if sentence >= 0 else ()
                found[topic] = Told(bool(spans), label == AGAINST, sure, spans)
        return found


def _without(text: str, spans: Sequence[Span]) -> str:
    """Returns a text of the same length with these spans blank, so that offsets stay right."""
    pieces, at = [], 0
    for start, end in sorted(spans):
        pieces += [text[at:start], " " * (end - start)]
        at = end
    return "".join(pieces) + text[at:]


def digest(path: Path) -> str:
    """Returns the sha256 of a screener's file; ScreenerError where there is none, or one too long to be one."""
    # Opening a pipe that nobody writes to would wait for ever.
    if path.exists() and not path.is_file():
        raise ScreenerError(f"{path}: this is no regular file; name a file of `swarm train-screener`")
    try:
        if path.stat().st_size > MOST_BYTES:
            raise ScreenerError(f"{path}: longer than {MOST_BYTES >> 20} MiB; name a file of `swarm train-screener`")
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise ScreenerError(
            f"{path}: it cannot be read ({error.strerror}); `swarm train-screener` makes one"
        ) from error


@lru_cache(maxsize=2)
def load(path: Path, sha256: str) -> Screener:
    """Returns the screener of a file with this digest; ScreenerError where it is another, or none."""
    if digest(path) != sha256:
        raise ScreenerError(f"{path}: it is not the screener that this run began with; put the same file back")
    try:
        # From memory: numpy leaves a file open that is no archive.
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as kept:
            arrays = {name: kept[name] for name in kept.files}
        told: dict[str, Any] = json.loads(arrays.pop("told").tobytes())
        if told["format"] != FORMAT:
            raise ScreenerError(
                f"{path}: expected the format {FORMAT}, got {str(told['format'])[:40]!r}; train it anew"
            )
        finders = tuple(Finder.unpacked(one, arrays, f"finder{n}") for n, one in enumerate(told["finders"]))
        stances = Stances.unpacked(told["stances"], arrays, "stances") if told["stances"] else None
    except ScreenerError:
        raise
    except Exception as error:
        raise ScreenerError(
            f"{path}: this is no screener ({type(error).__name__}); `swarm train-screener` makes one"
        ) from error
    return Screener(finders, stances, told["trained_on"])


def save(path: Path, screener: Screener) -> None:
    """Writes a screener as one file; the same screener gives the same bytes."""
    arrays: dict[str, Any] = {}
    told = {
        "format": FORMAT,
        "trained_on": dict(screener.told),
        "finders": [one.packed(arrays, f"finder{number}") for number, one in enumerate(screener.finders)],
        "stances": screener.stances.packed(arrays, "stances") if screener.stances else None,
    }
    arrays["told"] = np.frombuffer(json.dumps(told).encode("utf-8"), dtype=np.uint8)
    # Written beside it first, so that a file of this name is whole; with no time of day, which numpy's own would carry.
    part = path.with_name(f"{path.name}.part")
    with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as file:
        for name, values in arrays.items():
            content = io.BytesIO()
            np.save(content, values, allow_pickle=False)
            file.writestr(
                zipfile.ZipInfo(f"{name}.npy", (1980, 1, 1, 0, 0, 0)), content.getvalue(), zipfile.ZIP_DEFLATED
            )
    part.replace(path)
