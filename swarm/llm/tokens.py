"""Estimates how many tokens a text takes, and holds an engine's own count of prompts against the estimate."""

import re
from dataclasses import dataclass
from functools import lru_cache

_PIECE = re.compile(r"[A-Za-z]{1,5}|[0-9]{1,3}|[^\sA-Za-z0-9]|\n")
_DIGITS = re.compile(r"[0-9]{2,3}")

MESSAGE_OVERHEAD = 4
"""Tokens that a chat template spends on each message's role and borders."""

MARGIN_PERMILLE = 1_010
"""What a prompt may take beyond what those before it say, since no two are alike."""


def count_tokens(text: str) -> int:
    """Returns the number of pieces: up to five letters, up to three digits, one sign or one line break."""
    return len(_PIECE.findall(text))


def count_tokens_by_line(text: str) -> int:
    """Returns `count_tokens` of a text whose lines stand in many others, such as a trader's own part of its prompt."""
    # A line break is a token of its own, and no other piece reaches across one.
    return sum(map(_count_line, text.split("\n"))) + text.count("\n")


@lru_cache(maxsize=8_192)
def _count_line(line: str) -> int:
    return count_tokens(line)


def pieces(text: str) -> list[str]:
    """Returns the pieces that `count_tokens` counts."""
    return _PIECE.findall(text)


@lru_cache(maxsize=256)
def count_tokens_cached(text: str) -> int:
    """Returns `count_tokens` of a text that many prompts share."""
    return count_tokens(text)


def further_digits(text: str) -> int:
    """Returns how many digits stand behind the first of their piece, each a token where numbers are split."""
    return sum(len(digits) - 1 for digits in _DIGITS.findall(text))


@lru_cache(maxsize=256)
def further_digits_cached(text: str) -> int:
    """Returns `further_digits` of a text that many prompts share."""
    return further_digits(text)


@dataclass(frozen=True, slots=True)
class TokenSize:
    """The size that an engine gives prompts, in 1/1000 of the estimate; it only grows by what it learns.

    An engine may count more for words or for digits, and its sums do not tell which. So both are kept: `ratio` puts all
    of it on every piece, `digit` as much as can be on digits and `piece` the rest on every piece. The larger is right.
    """

    ratio: int = 1_000
    piece: int = 1_000
    digit: int = 0

    @property
    def as_estimated(self) -> bool:
        """Tells whether the engine has counted no more than was estimated."""
        return self.ratio <= 1_000

    def of(self, estimate: int, digits: int) -> int:
        """Returns the most tokens that a prompt of this estimate and so many further digits may take."""
        if self.as_estimated:
            return estimate
        most = max(self.ratio * estimate, self.piece * estimate + self.digit * digits)
        return -(-most * MARGIN_PERMILLE // 1_000_000)

    def learned(self, prompt_tokens: int, estimate: int, digits: int) -> "TokenSize":
        """Returns the size after a prompt of this estimate has taken so many tokens."""
        # In thousandths of a token, rounded up, so that integers alone decide.
        surplus = 1_000 * (prompt_tokens - estimate)
        if surplus <= 0 or estimate <= 0:
            return self
        # A digit is one token at most.
        digit = min(-(-surplus // digits), 1_000) if digits else 0
        piece = -(-(1_000 * prompt_tokens - digit * digits) // estimate)
        ratio = -(-1_000 * prompt_tokens // estimate)
        return TokenSize(max(self.ratio, ratio), max(self.piece, piece), max(self.digit, digit))


ESTIMATED = TokenSize()
"""An engine that counts no more than the estimate."""
