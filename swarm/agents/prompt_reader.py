"""Reads the text of a prompt back: the one reader of what `prompt` and the forms of a market write.

Scripted policies decide by it, and so see what a language model would see and nothing else. It knows the layout of
orders, that of a menu, and the tables of a desk's tools, which are the same. What follows from them, it does not know.
"""

import re
from dataclasses import dataclass, field

_MARKET_ROW = re.compile(r"^(\w+) (\d+) ([+-]?\d+) (\d+) (\d+) (\d+)$")
_PURSE = re.compile(r"^PURSE (\d+)\b")
_MAKES = re.compile(r"^MAKES (\w+)$")
_MOOD = re.compile(r"^MOOD (\d+) of 100$")
_YOU = re.compile(r"^YOU make (\S+), purse (\d+), mood (\d+)")
_MENU_ROW = re.compile(r"^([A-P]) (-?\d+) (-?\d+) (-?\d+) (-?\d+) (\d+) (\d+) (\d+) ")
_TABLES = frozenset({"MARKET", "SAY", "STOCK", "HEARD", "MENU"})
_WORDS = frozenset({"NEWS", "PURSE", "MAKES", "MOOD", "YOU", "PERSONA", "REGARD"})


@dataclass(slots=True)
class GoodRead:
    """One good: its row of the market's table, and of the trader's own where there is one."""

    name: str
    price: int
    change: int
    unmet_bids: int
    unmet_asks: int
    have: int = 0
    need: int = 0
    spare: int = 0
    worth: int = 1


@dataclass(frozen=True, slots=True)
class Choice:
    """One row of a menu, by the prompt's own columns."""

    letter: str
    gain: int
    expect: int
    trend: int
    edge: int
    needs: int
    buys: int
    sells: int


@dataclass(slots=True)
class PromptRead:
    """The figures of a prompt; `purse`, `makes` and `mood` are None where it says nothing of them.

    `sayings` are the lines that may be said, by letter; `news` and `heard` are whole lines.
    """

    goods: dict[str, GoodRead] = field(default_factory=dict)
    choices: list[Choice] = field(default_factory=list)
    sayings: dict[str, str] = field(default_factory=dict)
    news: list[str] = field(default_factory=list)
    heard: list[str] = field(default_factory=list)
    purse: int | None = None
    makes: str | None = None
    mood: int | None = None


def read_prompt(text: str) -> PromptRead:
    """Returns what stands in a prompt; of what it says twice of a trader, the first."""
    read, section = PromptRead(), ""
    for line in text.split("\n"):
        first, _, rest = line.partition(" ")
        # A heading opens a table, some words begin a line of their own, and all else is a row of the last table.
        if first in _TABLES:
            section = first
        elif first in _WORDS:
            _read_line(read, first, line)
        elif section == "MENU":
            if row := _MENU_ROW.match(line):
                letter, *figures = row.groups()
                read.choices.append(Choice(letter, *map(int, figures)))
        elif section == "MARKET":
            if row := _MARKET_ROW.match(line):
                name, price, change, _, bids, asks = row.groups()
                read.goods[name] = GoodRead(name, int(price), int(change), int(bids), int(asks))
        elif section == "STOCK":
            # The market's table stands first and tells which goods there are.
            good, figures = read.goods.get(first), rest.split(" ")
            if good is not None and len(figures) == 4:
                good.have, good.need, good.spare, good.worth = map(int, figures)
        elif section == "SAY":
            read.sayings[first] = rest
        elif section == "HEARD" and first == "-":
            read.heard.append(line)
    return read


def _read_line(read: PromptRead, word: str, line: str) -> None:
    """Reads a line of its own: news, or what the trader makes, has in its purse, and feels like."""
    match word:
        case "NEWS":
            read.news.append(line)
        case "PURSE" if found := _PURSE.match(line):
            read.purse = int(found[1]) if read.purse is None else read.purse
        case "MAKES" if found := _MAKES.match(line):
            read.makes = found[1] if read.makes is None else read.makes
        case "MOOD" if found := _MOOD.match(line):
            read.mood = int(found[1]) if read.mood is None else read.mood
        case "YOU" if found := _YOU.match(line):
            read.makes, read.purse, read.mood = found[1], int(found[2]), int(found[3])
