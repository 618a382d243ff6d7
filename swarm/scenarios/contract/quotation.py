"""Finds a quotation in a text and says at which offsets it stands, or why it is none.

A quotation is one contiguous piece of the text: exact, or the same but for white space and for how quotes, dashes and
dots are drawn. An ellipsis between two parts is refused, since what is left out may turn the meaning.
"""

import re
from dataclasses import dataclass
from functools import lru_cache

Span = tuple[int, int]
"""Where a piece of text begins, and where it ends, in characters."""

ELLIPSIS, ABSENT, CUT_WORD, EMPTY = "ellipsis", "not in the text", "cuts a word", "empty"
REASONS = (ELLIPSIS, ABSENT, CUT_WORD, EMPTY)
"""Why a quotation is void."""

_SAME = str.maketrans(
    {
        **dict.fromkeys("\u2018\u2019\u201a\u201b\u2032\u00b4\u0060", "'"),
        **dict.fromkeys("\u201c\u201d\u201e\u201f\u2033\u00ab\u00bb", '"'),
        **dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212", "-"),
    }
)
_DOTS = re.compile(r"\.\s?\.\s?\.|\u2026")


@dataclass(frozen=True, slots=True)
class Found:
    """The outcome of a search: the span of a quotation, or why it is void."""

    span: Span | None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Plain:
    """A text with white space and characters made alike; `offset[i]` is where its character i stands in the text."""

    text: str
    offset: tuple[int, ...]


@lru_cache(maxsize=64)
def plain(text: str) -> Plain:
    """Returns a text in which runs of white space are one space, and quotes and dashes are those of a keyboard."""
    pieces: list[str] = []
    offset: list[int] = []
    in_space = True
    for index, character in enumerate(text):
        # Zero-width marks stand for nothing; every other character stands for itself or for its like.
        if character in "\u200b\u200c\u200d\ufeff\u00ad":
            continue
        if character.isspace():
            if not in_space:
                pieces.append(" ")
                offset.append(index)
            in_space = True
            continue
        in_space = False
        for one in "..." if character == "\u2026" else character.translate(_SAME):
            pieces.append(one)
            offset.append(index)
    return Plain("".join(pieces), (*offset, len(text)))


def find(text: str, quote: str) -> Found:
    """Returns where a quotation stands in a text; the exact piece first, else the first that is alike."""
    wanted = quote.strip()
    if not any(character.isalnum() for character in wanted):
        return Found(None, EMPTY)
    start = text.find(wanted)
    if start >= 0:
        return _whole_words(text, (start, start + len(wanted)))
    # Looked for among characters made alike, and told by the offsets of the true ones.
    within, sought = plain(text), plain(wanted).text.strip()
    at = within.text.find(sought)
    if at < 0:
        return Found(None, ELLIPSIS if _DOTS.search(wanted) else ABSENT)
    last = within.offset[at + len(sought) - 1]
    return _whole_words(text, (within.offset[at], last + 1))


def _whole_words(text: str, span: Span) -> Found:
    """Returns the span, unless it cuts a word: `can` of `cannot` would say the opposite."""
    start, end = span
    # A letter or digit on both sides of an edge.
    before = start > 0 and text[start - 1].isalnum() and text[start].isalnum()
    after = end < len(text) and text[end - 1].isalnum() and text[end].isalnum()
    return Found(None, CUT_WORD) if before or after else Found(span)


def alike(one: str, other: str) -> bool:
    """Tells whether two texts differ in nothing but white space and how characters are drawn."""
    return plain(one).text.strip() == plain(other).text.strip()
