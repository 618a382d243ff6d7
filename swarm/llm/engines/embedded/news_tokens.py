"""The tokens of a supply chain's prompt for the tiny reader of news: the news word by word, the rest by lines.

What a line of news says may stand anywhere in it, so each word becomes a row with its neighbours. Words that no table
has share buckets by a checksum, so that a wording nobody thought of is still more than unknown words. The name of the
node's own region becomes a slot, as goods do elsewhere: the reader knows no region by name.
"""

from functools import lru_cache
from itertools import pairwise
from zlib import crc32

from swarm.llm.engines.embedded.tokenizer import LETTERS, PAD, TOKEN, VOCABULARY, Lines, number_token

BUCKETS = 1_024
OWN, HERE, ELSEWHERE = (len(VOCABULARY) + i for i in range(3))
"""The name of the node's own region, and whether a line has it."""

FIRST_BUCKET = len(VOCABULARY) + 3
SIZE = FIRST_BUCKET + BUCKETS
"""How many tokens there are: those of menus, then the reader's own."""

AROUND = 2
"""Words on either side that stand in a word's row."""

MOST_NEWS_ROWS, PRIVATE_ROWS = 64, 16
TITLE = "replenish"
"""The form that the reader answers, as its schema is titled."""

_STRIPPED = "!?.:;,()'\"%+"
_NEWS, _YOU, _MENU = (TOKEN[f"<{name}>"] for name in ("NEWS", "YOU", "MENU"))
_UNREAD = ("PERSONA", "REGARD", "HEARD", "- ", "PRICE", "ROAD")


@lru_cache(maxsize=65_536)
def token_of(word: str) -> int:
    """Returns the token of a word: a number's, a known word's, else that of its bucket."""
    bare = word.strip(_STRIPPED).lower()
    try:
        return number_token(round(float(bare)))
    except (ValueError, OverflowError):
        return FIRST_BUCKET + crc32(bare.encode()) % BUCKETS


def encode(text: str) -> tuple[Lines, Lines]:
    """Returns the rows of the news and those of the node, its plan and its menu."""
    public, you, private = text.partition("\nYOU ")
    if not you:
        return Lines((), "ROUND"), Lines((), "ROUND")
    own = private.partition("\n")[0].rpartition(",")[2].strip()
    news = [line.removeprefix("NEWS ") for line in public.split("\n") if line.startswith("NEWS ")]
    rows = [row for number, line in enumerate(news) for row in _news_rows(line, number, own)]
    return Lines(tuple(rows[:MOST_NEWS_ROWS]), "NEWS"), Lines(tuple(_own_rows(private))[:PRIVATE_ROWS], "MENU")


def _news_rows(line: str, number: int, own: str) -> list[tuple[int, ...]]:
    """Returns a row for each word: whether its line speaks of here, which line it is, and the word among others."""
    words = line.split()
    tokens = [OWN if word.strip(_STRIPPED) == own else token_of(word) for word in words]
    about = HERE if OWN in tokens else ELSEWHERE
    # Beyond the ends of a line there is nothing.
    padded = [PAD] * AROUND + tokens + [PAD] * AROUND
    letter = TOKEN[LETTERS[number % len(LETTERS)]]
    return [(_NEWS, about, letter, *padded[i : i + 2 * AROUND + 1]) for i in range(len(tokens))]


def _own_rows(private: str) -> list[tuple[int, ...]]:
    """Returns a row for each line of the node, and of its menu the letter and the change in percent of each."""
    rows: list[tuple[int, ...]] = []
    in_menu = False
    # The name of a node says nothing, and its region is known from the news.
    for line in private.split("\n")[1:]:
        words = line.split()
        if not words or line.startswith(_UNREAD):
            continue
        if in_menu:
            # "B +1 deviations: expects 6.6 (+32 percent), ...": the figure before the first "percent".
            change = next((number_token(int(a.strip("("))) for a, b in pairwise(words) if b == "percent),"), PAD)
            change = change or next((number_token(int(a.strip("("))) for a, b in pairwise(words) if b == "percent)"), 0)
            rows.append((_MENU, TOKEN.get(words[0], PAD), change))
        elif line == "MENU":
            in_menu = True
        else:
            rows.append((_YOU, *(token_of(word) for word in words[: len(LETTERS) + 4])))
    return rows
