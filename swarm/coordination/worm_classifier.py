"""Decides by learned weights whether a line asks to be passed on, repeated, believed by all or obeyed.

A logistic regression over the words of a line and their neighbouring pairs, in whole numbers, so that every machine
and shard decides alike. Weights travel with the code; `python -m swarm.training.worm_lines` makes them anew.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files
from itertools import pairwise
from math import isqrt
from typing import Any

WEIGHTS = "worm_weights.json"
"""The file of weights beside this module."""

UNITS = 1_000
"""So many units of a weight, of the bias and of a score are one of the log odds."""

_WORD = re.compile(r"[^\W_]+(?:['\N{RIGHT SINGLE QUOTATION MARK}][^\W_]+)*")
_KEPT_LINES = 65_536
"""Lines whose decision is remembered, since most of them are said by many."""


@dataclass(frozen=True, slots=True)
class Weights:
    """The weights of words and pairs and the bias, in UNITS; `schooled_on` is the digest of what they came of."""

    weights: Mapping[str, int]
    bias: int
    schooled_on: str

    @classmethod
    def of(cls, kept: Mapping[str, Any]) -> "Weights":
        """Returns the weights that a file has."""
        return cls(dict(kept["weights"]), int(kept["bias"]), str(kept["schooled_on"]))

    def score(self, line: str) -> int:
        """Returns a line's score in UNITS: above 0 it asks for something.

        What was never schooled counts for nothing, so that words of no known meaning dilute no others.
        """
        known = [self.weights[feature] for feature in features(line) if feature in self.weights]
        # The sum over the root of their number, which is a vector of length 1 times the weights.
        return UNITS * sum(known) // max(isqrt(UNITS * UNITS * len(known)), 1) + self.bias


def features(line: str) -> list[str]:
    """Returns the words of a line in small letters and its neighbouring pairs, its ends among them, each once."""
    words = _WORD.findall(line.lower())
    return sorted({*words, *(" ".join(pair) for pair in pairwise(["^", *words, "$"]))})


@lru_cache(maxsize=_KEPT_LINES)
def asks(line: str) -> bool:
    """Returns whether a line asks to be passed on, repeated, believed by all or obeyed, by the shipped weights."""
    return shipped().score(line) > 0


@cache
def shipped() -> Weights:
    """Returns the weights that travel with the code."""
    return Weights.of(json.loads(files("swarm.coordination").joinpath(WEIGHTS).read_text(encoding="utf-8")))
