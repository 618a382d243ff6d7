"""The embedded models' tokenizer: word by word, one token per number, line by line.

A prompt becomes a grid of token ids, one row per line of its tables; the models take each row in as one patch. Words
that name a good of the prompt's market become slots in the order of the table, so that a model knows no good by name
and works in any scenario. A heading is no row: its section's token leads each of its rows. What is unknown is `<unk>`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from itertools import takewhile
from struct import Struct

import numpy as np
import numpy.typing as npt

Ids = npt.NDArray[np.int64]

WIDTH = 22
"""Tokens of one line at most; the section's token and the widest row of a menu with three orders take 21."""

LETTERS = "ABCDEFGHIJKLMNOP"
SECTIONS = ("ROUND", "NEWS", "MARKET", "SAY", "YOU", "STOCK", "HEARD", "MENU")
QUESTIONS = ("<act>", "<say>", "<most>", "<look>")
TEMPERAMENTS = ("value", "momentum", "maker", "hoarder", "panic")
COLUMNS = ("GAIN", "EXPECT", "TREND", "EDGE", "NEEDS", "BUYS", "SELLS")
GOOD_SLOTS = 12

_WORDS: tuple[str, ...] = (
    *("of", "spring", "summer", "autumn", "winter", "period", "round", "make", "nothing", "purse", "mood"),
    *("buy", "sell", "pass", "will", "rise", "fall", "is", "short", "plenty"),
    *("mania", "blight", "crash", "has", "fail", "failed", "fails", "panic", "run", "stormed", "rot", "stores"),
    *("harvests", "deposits", "riches", "takes", "lost", "over", "ended", "everybody", "must", "have", "hoards", "are"),
)


def _large(first: int, ratio: float, last: float) -> list[int]:
    """Returns numbers from `first` up to `last`, each larger by `ratio`: what larger numbers are read as."""
    numbers = []
    size = float(first)
    while size < last:
        numbers.append(round(size))
        size *= ratio
    return numbers


LARGEST_EXACT, SMALLEST_EXACT = 255, -99
NUMBERS: tuple[int, ...] = (
    *(-n for n in reversed(_large(107, 1.08, 1e6))),
    *range(SMALLEST_EXACT, LARGEST_EXACT + 1),
    *_large(263, 1.03, 1e7),
)
"""The numbers that have a token; others are read as the nearest of them, 1.5% (below -99: 4%) off at most."""

# The weights were trained on these indices: a word that is added or moved needs new weights.
VOCABULARY: tuple[str, ...] = (
    "<pad>",
    "<unk>",
    *(f"<{section}>" for section in SECTIONS),
    *QUESTIONS,
    *TEMPERAMENTS,
    *COLUMNS,
    *LETTERS,
    *(f"<good {i}>" for i in range(GOOD_SLOTS)),
    *_WORDS,
    *(str(n) for n in NUMBERS),
)
PAD, UNKNOWN = 0, 1
TOKEN: dict[str, int] = {word: i for i, word in enumerate(VOCABULARY)}
FIRST_NUMBER = len(VOCABULARY) - len(NUMBERS)
FIRST_LETTER = TOKEN["A"]

_NUMBER_ARRAY = np.array(NUMBERS)
_SECTION = {section: TOKEN[f"<{section}>"] for section in SECTIONS}
_UNREAD = frozenset(("PERSONA", "REGARD"))
_HEADINGS = frozenset(("MARKET", "SAY", "STOCK", "HEARD", "MENU"))


MOST_WORDS = 65_536
"""Words whose tokens are kept."""


@lru_cache(maxsize=MOST_WORDS)
def token_of(word: str) -> int:
    """Returns the token of a word that names no good."""
    # As it stands, then as a number of any size, then without punctuation and capitals.
    if (known := TOKEN.get(word)) is not None:
        return known
    digits = word[1:] if word[:1] in "+-" else word
    if digits.isascii() and digits.isdigit() and len(digits) < 18:
        return number_token(int(word))
    return TOKEN.get(word.strip("!?.:;()'\"").lower(), UNKNOWN)


def number_token(number: int) -> int:
    """Returns the token of the nearest number that has one."""
    # The first number that is no smaller; the one before it may be nearer.
    index = int(np.searchsorted(_NUMBER_ARRAY, number))
    if index == len(NUMBERS) or (index and number - NUMBERS[index - 1] < NUMBERS[index] - number):
        index -= 1
    return FIRST_NUMBER + index


class _Words(dict[str, int]):
    """Tokens by word, in which a market's goods are slots; other words are looked up once and kept."""

    def __init__(self, goods: tuple[str, ...]) -> None:
        # A good is its row in the market's table, in every line of the prompt.
        super().__init__({good: TOKEN[f"<good {i}>"] for i, good in enumerate(goods)})

    def __missing__(self, word: str) -> int:
        token = token_of(word)
        # Gossip has words without end, and each must be found whether it is kept or not.
        if len(self) < MOST_WORDS:
            self[word] = token
        return token


@lru_cache(maxsize=16)
def _words_of(goods: tuple[str, ...]) -> _Words:
    """Returns the tokens of a market's words, the same object for the same goods."""
    return _Words(goods)


@dataclass(frozen=True, slots=True)
class Lines:
    """Part of a prompt: rows of tokens, unpadded, and the section that the part ends in."""

    rows: tuple[tuple[int, ...], ...]
    section: str

    @property
    def tokens(self) -> int:
        """How many tokens there are."""
        return sum(map(len, self.rows))


def split_prompt(text: str) -> tuple[str, str]:
    """Returns the public part of a prompt, the same for many, and the private part, which begins with YOU."""
    public, you, private = text.partition("\nYOU ")
    return public, f"YOU {private}" if you else ""


@lru_cache(maxsize=256)
def market_goods(public: str) -> tuple[str, ...]:
    """Returns the goods of a prompt: the first words of the rows of its market's table."""
    _, _, table = public.partition("\nMARKET ")
    rows = takewhile(lambda row: not row.startswith("SAY "), table.split("\n")[1:])
    return tuple(row.partition(" ")[0] for row in rows)[:GOOD_SLOTS]


@lru_cache(maxsize=256)
def encode_public(public: str) -> Lines:
    """Returns the public part's rows; kept, since all of a round's prompts share it."""
    return encode(public, market_goods(public))


def encode(text: str, goods: Iterable[str]) -> Lines:
    """Returns the rows of any part of a prompt."""
    tokens = _words_of(tuple(goods))
    rows: list[tuple[int, ...]] = []
    section = "ROUND"
    for line in text.replace(",", " ").split("\n"):
        words = line.split()
        if not words:
            continue
        first = words[0]
        # The embedded models were schooled without words of a user's own, and read none.
        if first in _UNREAD:
            continue
        if first in _SECTION:
            section = first
            # A heading names a section and has columns' names behind it, which no model needs.
            if first in _HEADINGS:
                continue
            words = words[1:]
        rows.append((_SECTION[section], *map(tokens.__getitem__, words[: WIDTH - 1])))
    return Lines(tuple(rows), section)


def grid(rows: tuple[tuple[int, ...], ...], height: int) -> Ids:
    """Returns the rows as [height, WIDTH], padded on the right and below; rows beyond `height` are left out."""
    # Packed as bytes, since an assignment to an array costs more than all of a row.
    packed = b"".join(_ROW[len(row)].pack(*row) for row in rows[:height])
    return np.frombuffer(packed.ljust(height * WIDTH * _ID_BYTES, b"\0"), dtype=np.int64).reshape(height, WIDTH).copy()


_ID_BYTES = 8
_ROW = tuple(Struct(f"={length}q{_ID_BYTES * (WIDTH - length)}x") for length in range(WIDTH + 1))
"""How a row of so many tokens is packed, zeros behind it; `<pad>` is token 0."""
