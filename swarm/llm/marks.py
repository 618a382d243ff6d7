"""Marks: the control tokens of chat templates, and how text that is shown to a model is kept free of them.

A tokenizer reads `<|im_end|>`, `[INST]` or `<start_of_turn>` as one token with a power of its own, wherever it stands
in a message. Gossip, news, names, what tools return and what a guest sends are text alone, so a space parts the opening
bracket from what it encloses. Whatever a template calls its tokens, they stand in brackets and hold no space.

This costs no token of the project's estimate and is done once, on the whole text of a message: no mark can be put
together from two fields, and what is cut off later has none either. This module knows no model and no prompt.
"""

import re
from collections.abc import Iterable
from functools import lru_cache

# Compatible forms of the brackets count, too, since some tokenizers normalise before they look for their tokens.
_LESS = "<\N{FULLWIDTH LESS-THAN SIGN}\N{SMALL LESS-THAN SIGN}"
_GREATER = ">\N{FULLWIDTH GREATER-THAN SIGN}\N{SMALL GREATER-THAN SIGN}"
_LEFT = "\\[\N{FULLWIDTH LEFT SQUARE BRACKET}\N{PRESENTATION FORM FOR VERTICAL LEFT SQUARE BRACKET}"
_RIGHT = "\\]\N{FULLWIDTH RIGHT SQUARE BRACKET}\N{PRESENTATION FORM FOR VERTICAL RIGHT SQUARE BRACKET}"
_OPENING = re.compile(
    rf"[{_LESS}](?=[^ \n{_LESS}{_GREATER}]+[{_GREATER}])"
    rf"|[{_LEFT}](?=[^ \n{_LEFT}{_RIGHT}{{}}\"'0-9.,:+-][^ \n{_LEFT}]*[{_RIGHT}])"
)
"""A bracket that encloses something without a space, unless it is one that begins a list of JSON."""


def unmarked(text: str) -> str:
    """Returns `text` with every possible control token broken, or `text` itself where there is none."""
    # Nearly all texts are ASCII without a bracket, which takes no search to see.
    if text.isascii() and "<" not in text and "[" not in text:
        return text
    return _kept(text) if len(text) <= _KEPT_CHARS else _broken(text)


def _broken(text: str) -> str:
    return _OPENING.sub(r"\g<0> ", text)


_KEPT_CHARS = 8_192
_kept = lru_cache(maxsize=256)(_broken)
"""The rules of a run hold brackets and stand in every prompt, so what became of them is kept."""


def broken(text: str, tokens: Iterable[str]) -> str:
    """Returns `text` with each of a tokenizer's own control tokens broken behind its first sign.

    It is for tokens that begin with no bracket; one of a single sign cannot be broken and stays.
    """
    found = [token for token in tokens if len(token) > 1 and token.strip() and token in text]
    if not found:
        return text
    longest_first = sorted(found, key=len, reverse=True)
    return re.sub("|".join(map(re.escape, longest_first)), lambda match: f"{match[0][0]} {match[0][1:]}", text)
