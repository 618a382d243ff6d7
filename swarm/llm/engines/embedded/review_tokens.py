"""The tokens of a case of a contract desk for the tiny reviewer: the rule by lines, the contract's lines word by word.

Each word stands in a row with its neighbours and says whether the rule has it, too; what share of the rule's words a
line has stands in a row of its own. Words are cut to stems and share buckets by a checksum.
"""

import re
from functools import lru_cache
from zlib import crc32

from swarm.llm.engines.embedded.tokenizer import LETTERS, PAD, TOKEN, VOCABULARY, WIDTH, Lines, number_token

BUCKETS = 4_096
BARRED, WANTED, HAS, LACKS = (len(VOCABULARY) + i for i in range(4))
"""What kind of rule it is, and whether a rule has a word."""

FIRST_BUCKET = len(VOCABULARY) + 4
SIZE = FIRST_BUCKET + BUCKETS
"""How many tokens there are: those of menus, then the reviewer's own."""

STEM, AROUND = 6, 2
"""Letters of a word that count, and words on either side that stand in its row."""

PUBLIC_ROWS, PRIVATE_ROWS = 8, 120
TITLE = "review"
"""The form that the reviewer answers, as its schema is titled."""

VERDICTS, MOST_LINES = 5, 8
NUMBERED = "ACD"
"""The verdicts that name a line."""

_CASE = re.compile(r"^RULE (?P<rule>.*)\nMUST (?P<barred>NOT )?BE THERE(?: \([^)]*\))?: (?P<words>.*)$", re.MULTILINE)
_LINE = re.compile(r"^([1-8])\| (.*)$", re.MULTILINE)
_WORD = re.compile(r"[a-z]+|\d+|[.;:]")
_RULE, _ASKS, _SHARE, _SAYS = (TOKEN[f"<{name}>"] for name in ("MARKET", "YOU", "MENU", "NEWS"))
_FULL = 100


@lru_cache(maxsize=65_536)
def token_of(word: str) -> int:
    """Returns the token of a word: a number's, or that of its stem's bucket."""
    return number_token(int(word)) if word.isdecimal() and len(word) < 8 else _bucket(word[:STEM])


def _bucket(stem: str) -> int:
    return FIRST_BUCKET + crc32(stem.encode()) % BUCKETS


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower().replace("-", ""))


def encode(text: str) -> tuple[Lines, Lines]:
    """Returns a row that is the same for all, and the rows of a rule and of the lines; none where there is no case."""
    found = _CASE.search(text)
    if found is None:
        return Lines((), "ROUND"), Lines((), "ROUND")
    kind = BARRED if found["barred"] else WANTED
    wanted = dict.fromkeys(token_of(word) for word in _words(found["words"]))
    rows = [
        (_RULE, kind, *(token_of(word) for word in _words(found["rule"])))[:WIDTH],
        (_ASKS, kind, *wanted)[:WIDTH],
    ]
    # The share of its words comes first of each line, so that a long prompt loses none of the shares.
    lines = [(number, [token_of(word) for word in _words(line)]) for number, line in _LINE.findall(text)]
    for number, tokens in lines:
        share = _FULL * len(wanted.keys() & set(tokens)) // max(len(wanted), 1)
        rows.append((_SHARE, _letter(number), kind, number_token(share), number_token(len(tokens))))
    for number, tokens in lines:
        # Beyond the ends of a line there is nothing.
        padded = [PAD] * AROUND + tokens + [PAD] * AROUND
        for at, token in enumerate(tokens):
            rows.append((_SAYS, _letter(number), HAS if token in wanted else LACKS, *padded[at : at + 2 * AROUND + 1]))
    return Lines(((_RULE, kind),), "MARKET"), Lines(tuple(rows[:PRIVATE_ROWS]), "NEWS")


def _letter(number: str) -> int:
    return TOKEN[LETTERS[int(number) - 1]]


def answer(letters: str) -> str:
    """Returns the answer that two letters stand for: a verdict, and the line that shows it where one can."""
    verdict, line = letters[0], letters[1:]
    return f"{verdict}{LETTERS.index(line) + 1}" if line and verdict in NUMBERED else verdict
