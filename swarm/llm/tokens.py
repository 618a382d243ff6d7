"""An estimate of how many tokens a text takes, for engines that have no tokenizer of their own."""

import re
from functools import lru_cache

_PIECE = re.compile(r"[A-Za-z]{1,5}|[0-9]{1,3}|[^\sA-Za-z0-9]|\n")

MESSAGE_OVERHEAD = 4
"""Tokens that a chat template spends on each message's role and borders."""


def count_tokens(text: str) -> int:
    """Pieces of up to five letters, up to three digits, one sign or one line break."""
    return len(_PIECE.findall(text))


def pieces(text: str) -> list[str]:
    """The pieces that `count_tokens` counts."""
    return _PIECE.findall(text)


@lru_cache(maxsize=256)
def count_tokens_cached(text: str) -> int:
    """`count_tokens` for texts that many prompts share."""
    return count_tokens(text)
