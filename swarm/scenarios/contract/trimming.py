"""Trims a quotation to the words that matter, where what is sought is a name or a date and no whole sentence.

Each word of a passage is judged by itself and its neighbours, as a training has weighed them; runs of likely words are
what stays. Offsets are those of the words in the text.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import exp
from typing import Any

from swarm.scenarios.contract.quotation import Span

GAP = 2
"""So many unlikely words between two likely ones belong to them."""

_TOKEN = re.compile(r"\w+|[^\w\s]")
_EDGES = frozenset(",;:")


@dataclass(frozen=True, slots=True)
class Trimmer:
    """What the words of one topic weigh, and how likely one must be to stay."""

    weights: Mapping[str, float]
    bias: float
    least: float

    def trim(self, text: str, start: int, end: int) -> list[Span]:
        """Returns the runs of likely words between two offsets; the whole where none is likely."""
        own = tokens(text, start, end)
        likely = [self._chance(features) >= self.least for features in marks(text, own)]
        # Runs as first and last word.
        runs: list[list[int]] = []
        for at in (at for at, one in enumerate(likely) if one):
            if runs and at - runs[-1][1] <= GAP + 1:
                runs[-1][1] = at
            else:
                runs.append([at, at])
        # A comma at an edge is no part of a name.
        for run in runs:
            while run[1] > run[0] and text[slice(*own[run[1]])] in _EDGES:
                run[1] -= 1
            while run[0] < run[1] and text[slice(*own[run[0]])] in _EDGES:
                run[0] += 1
        return [(own[first][0], own[last][1]) for first, last in runs] or [(start, end)]

    def packed(self) -> dict[str, Any]:
        """Returns it as plain values."""
        return {"weights": dict(self.weights), "bias": self.bias, "least": self.least}

    def _chance(self, features: list[str]) -> float:
        total = self.bias + sum(self.weights.get(one, 0.0) for one in features)
        return 1 / (1 + exp(-max(min(total, 30.0), -30.0)))


def tokens(text: str, start: int, end: int) -> list[Span]:
    """Returns the words and signs between two offsets."""
    return [match.span() for match in _TOKEN.finditer(text, start, end)]


def marks(text: str, spans: list[Span]) -> list[list[str]]:
    """Returns for each word of a text what is told of it: the word, its shape and its neighbours'."""
    words = [text[start:end] for start, end in spans]
    low = ["<", "<", *(word.lower() if not word.isdigit() else "0" * len(word) for word in words), ">", ">"]
    # Each mark begins with a sign of its own, so that no two kinds are mixed up.
    found = []
    for at, word in enumerate(words):
        two, before, own, after, last = low[at : at + 5]
        # A line of its own is what titles have.
        begins = (
            at == 0 or "\n" in text[spans[at - 1][1] : spans[at][0]] or "  " in text[spans[at - 1][1] : spans[at][0]]
        )
        shapes = [
            _shape(word),
            _shape(words[at - 1]) if at else "<",
            _shape(words[at + 1]) if at + 1 < len(words) else ">",
        ]
        found.append(
            [
                f"0{own}",
                f"-{before}",
                f"+{after}",
                f"={two}",
                f"~{last}",
                f"a{before} {own}",
                f"b{own} {after}",
                f"c{two} {before}",
                f"d{after} {last}",
                f"s{shapes[0]}",
                f"t{shapes[1]}{shapes[0]}",
                f"u{shapes[0]}{shapes[2]}",
                f"l{begins}",
                f"p{min(at // 6, 8)}",
            ]
        )
    return found


def _shape(word: str) -> str:
    if word.isdigit():
        return f"9{min(len(word), 5)}"
    if not word[0].isalpha():
        return word[0]
    return "XX" if word.isupper() and len(word) > 1 else "Xx" if word[0].isupper() else "x"
