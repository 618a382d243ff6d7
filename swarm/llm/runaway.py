"""Runaway text: what a model writes when it does not find an end. It judges text alone and knows no reply's meaning."""

import re
from typing import Literal

from swarm.llm.tokens import pieces

Runaway = Literal["whitespace", "digits", "loop"]

MAX_WHITESPACE = 64
"""White space at a text's end, in characters, from which on nothing else is expected any more."""

MAX_DIGITS = 40
"""Digits in a row that no amount has."""

LOOP_WINDOW = 200
LOOP_PERIODS = range(2, 51)
LOOP_REPEATS = 3
MIN_LOOP_PIECES = 24
"""A loop is a pattern of 2 to 50 tokens that stands at least three times in a row within the last 200, and together
takes at least this many: three equal words are no loop."""

_DIGITS = re.compile(rf"\d{{{MAX_DIGITS},}}\Z")
_TAIL_CHARS = 2_000


def runaway(text: str, min_loop_pieces: int = MIN_LOOP_PIECES) -> Runaway | None:
    """Returns how the end of `text` has run away, or None.

    More pieces are to be asked for where a false alarm would cost a good reply.
    """
    # The end alone is searched, so that a long reply costs no more than a short one.
    tail = text[-_TAIL_CHARS:]
    if len(tail) - len(tail.rstrip()) >= MAX_WHITESPACE:
        return "whitespace"
    if _DIGITS.search(tail):
        return "digits"
    window = pieces(tail)[-LOOP_WINDOW:]
    return "loop" if any(_repeats(window, period, min_loop_pieces) for period in LOOP_PERIODS) else None


def _repeats(window: list[str], period: int, min_pieces: int) -> bool:
    # A loop of three repeats shows as two periods of pieces that equal the ones a period before.
    needed = max(LOOP_REPEATS * period, min_pieces) - period
    run = 0
    for here, before in zip(window[period:], window, strict=False):
        run = run + 1 if here == before else 0
        if run >= needed:
            return True
    return False
