"""Finds the clauses of a contract that are about a topic, by weights of words; numpy alone.

A text is cut into pieces of a few sentences. A piece is judged by its own words, by those of its neighbours, and by
where in the contract it stands; the likeliest pieces are what is quoted, trimmed where a topic is a name or a date.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from swarm.scenarios.contract.clauses import sentences
from swarm.scenarios.contract.grams import Grams, Vector
from swarm.scenarios.contract.quotation import Span
from swarm.scenarios.contract.trimming import Trimmer

Float64 = npt.NDArray[np.float64]

PIECE, JOINED = 220, 440
"""Characters from which on a piece of text ends with its sentence, and up to which short ones are joined."""

SHORT = 60
NEIGHBOUR, PLACED = 0.4, 0.5
"""What a neighbour's words count, and where a piece stands, beside its own words."""

_CUT = re.compile(r"(?<=[.;:!?])[\"\u201d\u2019)]*\s+(?=[A-Z(\"\u201c\d])")
_PLACES = 5


@dataclass(frozen=True, slots=True)
class Quoting:
    """How a topic is quoted: how likely its best piece must be, what share of that others, and what trims it."""

    least: float
    share: float
    trimmer: Trimmer | None = None


@dataclass(frozen=True, eq=False)
class Finder:
    """Topics, the words that tell them, and when a contract counts as having one.

    `weights` is [features, topics]: a piece's own words, those before it, those behind it, and where it stands; `near`
    is None where neighbours and standing don't count. `present` is [topics], the chance of its best piece from which on
    a contract has a topic, and `calibration` turns how far that is from it into how sure one may be.
    """

    topics: tuple[str, ...]
    own: Grams
    near: Grams | None
    weights: npt.NDArray[np.float32]
    bias: Float64
    present: Float64 = field(default_factory=lambda: np.zeros(0))
    calibration: tuple[float, float] = (1.0, 0.0)
    quoting: tuple[Quoting, ...] = ()

    def pieces(self, text: str) -> list[Span]:
        """Returns what it judges: pieces of a few sentences where neighbours count, else sentences."""
        if self.near is not None:
            return pieces_of(text)
        lines = re.finditer(r"[^\n]*\S[^\n]*", text)
        return [span for line in lines for span in sentences(text, line.start(), line.end())]

    def chances(self, pieces: Sequence[str]) -> Float64:
        """Returns [pieces, topics] how likely each is about each."""
        # Piece by piece: a vector has few entries, and a matrix of all would be mostly zeros.
        found = np.zeros((len(pieces), len(self.topics)))
        for row, (indices, values) in enumerate(vectors(self.own, self.near, pieces)):
            found[row] = values @ self.weights[indices] + self.bias
        return 1 / (1 + np.exp(-np.clip(found, -30, 30)))

    def read(self, text: str) -> Iterator[tuple[str, float, tuple[Span, ...]]]:
        """Yields each topic, how sure one may be of what is said, and the quotations; none where it is not there."""
        spans = self.pieces(text)
        chances = self.chances([text[s:e] for s, e in spans])
        best = chances.max(axis=0, initial=0.0)
        for topic, name in enumerate(self.topics):
            there = bool(best[topic] >= self.present[topic])
            sure = self.sure(best[topic], topic)
            found = quoted(text, spans, chances[:, topic], self.quoting[topic]) if there else []
            # What a contract has is quoted at its best piece, even where the whole of it is in doubt.
            if there and not found:
                found = [spans[int(chances[:, topic].argmax())]]
            yield name, sure if there else 1 - sure, tuple(found)

    def sure(self, best: float, topic: int) -> float:
        """Returns the chance that a contract has a topic, by its best piece's."""
        slope, shift = self.calibration
        return float(1 / (1 + np.exp(-(slope * (logit(best) - logit(self.present[topic])) + shift))))

    def packed(self, arrays: dict[str, Any], name: str) -> dict[str, Any]:
        """Returns it as plain values, its numbers put into `arrays`."""
        # Half precision halves the file.
        arrays |= {f"{name}.weights": self.weights.astype(np.float16), f"{name}.bias": self.bias}
        arrays |= {f"{name}.present": self.present}
        return {
            "topics": self.topics,
            "own": self.own.packed(arrays, f"{name}.own"),
            "near": self.near.packed(arrays, f"{name}.near") if self.near is not None else None,
            "calibration": self.calibration,
            "quoting": [
                {
                    "least": one.least,
                    "share": one.share,
                    "trimmer": one.trimmer.packed() if one.trimmer else None,
                }
                for one in self.quoting
            ],
        }

    @classmethod
    def unpacked(cls, told: Mapping[str, Any], arrays: Mapping[str, Any], name: str) -> "Finder":
        """Returns the finder that `packed` has told."""
        quoting = [
            Quoting(one["least"], one["share"], Trimmer(**one["trimmer"]) if one["trimmer"] else None)
            for one in told["quoting"]
        ]
        return cls(
            tuple(told["topics"]),
            Grams.unpacked(told["own"], arrays, f"{name}.own"),
            Grams.unpacked(told["near"], arrays, f"{name}.near") if told["near"] else None,
            arrays[f"{name}.weights"].astype(np.float32),
            arrays[f"{name}.bias"],
            arrays[f"{name}.present"],
            tuple(told["calibration"]),
            tuple(quoting),
        )


def pieces_of(text: str) -> list[Span]:
    """Returns a text in pieces of whole sentences, short ones joined to the one before."""
    # Lines first, since contracts break them at clauses; then sentences.
    cut: list[Span] = []
    for line in re.finditer(r"[^\n]*\S[^\n]*", text):
        start = line.start()
        for end in (found.end() for found in _CUT.finditer(text, line.start(), line.end())):
            if end - start >= PIECE:
                cut.append((start, end))
                start = end
        cut.append((start, line.end()))
    joined: list[Span] = []
    for start, end in cut:
        short = joined and (end - start < SHORT or joined[-1][1] - joined[-1][0] < SHORT)
        if short and end - joined[-1][0] <= JOINED:
            joined[-1] = (joined[-1][0], end)
        elif end > start:
            joined.append((start, end))
    return joined


def vectors(own: Grams, near: Grams | None, pieces: Sequence[str]) -> list[Vector]:
    """Returns the vectors of one contract's pieces: their words, their neighbours', and where they stand."""
    words = [own.vector(piece) for piece in pieces]
    if near is None:
        return words
    beside = [near.vector(piece) for piece in pieces]
    nothing: Vector = (np.zeros(0, dtype=np.int64), np.zeros(0))
    found = []
    # [own | before | behind | place] one after another in one vector.
    for at, (indices, values) in enumerate(words):
        before = beside[at - 1] if at else nothing
        behind = beside[at + 1] if at + 1 < len(pieces) else nothing
        share = at / max(len(pieces) - 1, 1)
        place = np.flatnonzero([at < 3, at < 8, share < 0.05, share > 0.9, share > 0.97])
        shifts = len(own), len(own) + len(near), len(own) + 2 * len(near)
        found.append(
            (
                np.concatenate([indices, before[0] + shifts[0], behind[0] + shifts[1], place + shifts[2]]),
                np.concatenate([values, NEIGHBOUR * before[1], NEIGHBOUR * behind[1], np.full(len(place), PLACED)]),
            )
        )
    return found


def features(own: Grams, near: Grams | None) -> int:
    """Returns how many entries such vectors have."""
    return len(own) + (2 * len(near) + _PLACES if near is not None else 0)


def quoted(text: str, spans: Sequence[Span], chances: Float64, by: Quoting) -> list[Span]:
    """Returns the quotations of a topic, in their order; none where no piece is likely enough."""
    hits = chosen(chances, by.least, by.share)
    found = [spans[hit] for hit in hits]
    # Only names and dates are trimmed; a clause is quoted in whole sentences.
    if by.trimmer is None:
        return found
    return [trimmed for start, end in found for trimmed in by.trimmer.trim(text, start, end)]


def chosen(chances: Float64, least: float, share: float) -> list[int]:
    """Returns the pieces that are quoted: those that are likely enough, and what lies between two of them."""
    best = float(chances.max(initial=0.0))
    if best < least or not len(chances):
        return []
    hits = set(np.flatnonzero(chances >= min(least * share, best)).tolist())
    return sorted(hits | {hit + 1 for hit in hits if hit + 2 in hits})


def logit(chance: Any) -> Any:
    """Returns the logarithm of the odds."""
    held = np.clip(chance, 1e-6, 1 - 1e-6)
    return np.log(held / (1 - held))
