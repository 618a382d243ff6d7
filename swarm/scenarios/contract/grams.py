"""Texts as weighted words and runs of words, by which a trained screener sees them; numpy alone, no learning.

A word counts by how often it stands there, on a logarithm, and by how few texts of the training have it; a vector's
length is 1. What the training never saw counts for nothing.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import log
from typing import Any

import numpy as np
import numpy.typing as npt

Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]
Vector = tuple[Int64, Float64]
"""Which entries are not 0, and what they are."""

_WORD = re.compile(r"\w\w+")
_SCOPED = re.compile(r"\w\w+|[.;:]")
_TURNS = frozenset(
    ["not", "no", "nor", "neither", "never", "without", "except", "unless", "cannot", "nothing", "none", "other"]
)
_SCOPE = 8
"""So many words behind one that turns a meaning are marked."""


def words(text: str) -> list[str]:
    """Returns the words of a text in small letters."""
    return _WORD.findall(text.lower())


def turned(text: str) -> list[str]:
    """Returns the words of a text, those behind a `not`, `except` or their like a second time with a mark."""
    found: list[str] = []
    left = 0
    for word in _SCOPED.findall(text.lower()):
        # The end of a clause ends what a `not` governs.
        if word in ".;:":
            left = 0
            continue
        found.append(word)
        if left:
            found.append(f"N_{word}")
            left -= 1
        if word in _TURNS:
            left = _SCOPE
    return found


WORDS: dict[str, Callable[[str], list[str]]] = {"words": words, "turned": turned}


@dataclass(eq=False)
class Grams:
    """The runs of up to `longest` words that a training has seen, and how much each weighs."""

    reads: str
    longest: int
    known: tuple[str, ...]
    rarity: Float64

    def __len__(self) -> int:
        return len(self.known)

    @classmethod
    def seen_in(cls, texts: Sequence[str], reads: str, longest: int, fewest: int, most: int = 0) -> "Grams":
        """Returns the runs that at least `fewest` of the texts have, of these the `most` commonest."""
        # In how many texts, and how often in all, each run stands.
        texts_with: Counter[str] = Counter()
        times: Counter[str] = Counter()
        for text in texts:
            runs = list(_runs(WORDS[reads](text), longest))
            texts_with.update(set(runs))
            times.update(runs)
        kept = [run for run, count in texts_with.items() if count >= fewest]
        if most and len(kept) > most:
            kept = sorted(kept, key=lambda run: (-times[run], run))[:most]
        known = tuple(sorted(kept))
        rarity = [log((1 + len(texts)) / (1 + texts_with[run])) + 1 for run in known]
        return cls(reads, longest, known, np.array(rarity))

    @cached_property
    def _index(self) -> dict[str, int]:
        return {run: index for index, run in enumerate(self.known)}

    def vector(self, text: str) -> Vector:
        """Returns a text's vector."""
        runs = _runs(WORDS[self.reads](text), self.longest)
        times = Counter(self._index[run] for run in runs if run in self._index)
        indices = np.array(sorted(times), dtype=np.int64)
        values = (1 + np.log([times[index] for index in indices.tolist()])) * self.rarity[indices]
        return indices, values / max(float(np.sqrt((values**2).sum())), 1e-12)

    def packed(self, arrays: dict[str, Any], name: str) -> dict[str, Any]:
        """Returns it as plain values, its numbers and words put into `arrays`."""
        arrays[f"{name}.known"] = np.frombuffer("\n".join(self.known).encode("utf-8"), dtype=np.uint8)
        arrays[f"{name}.rarity"] = self.rarity.astype(np.float32)
        return {"reads": self.reads, "longest": self.longest}

    @classmethod
    def unpacked(cls, told: Mapping[str, Any], arrays: Mapping[str, Any], name: str) -> "Grams":
        """Returns the runs that `packed` has told."""
        known = arrays[f"{name}.known"].tobytes().decode("utf-8").splitlines()
        return cls(told["reads"], told["longest"], tuple(known), arrays[f"{name}.rarity"].astype(np.float64))


def _runs(found: list[str], longest: int) -> Iterable[str]:
    for length in range(1, longest + 1):
        for start in range(len(found) - length + 1):
            yield " ".join(found[start : start + length])
