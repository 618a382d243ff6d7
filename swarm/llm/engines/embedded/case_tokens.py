"""The tokens of a fraud desk's case for the tiny model of cases: a row for each payment, each finder and the chance.

Accounts become slots in the order in which they appear, so that who pays whom is seen and no name is known. The memo is
left out: it is a stranger's text, and what is never read gives no orders.
"""

import re
from collections.abc import Sequence

from swarm.llm.engines.embedded.news_tokens import token_of
from swarm.llm.engines.embedded.tokenizer import GOOD_SLOTS, LETTERS, TOKEN, Lines, number_token

TITLE = "case"
"""The form that the model answers, as its schema is titled."""

_PAYMENT = re.compile(r"^PAYMENT (.+?): ([\d,]+)\.\d\d by (\w+) at (\d\d):\d\d from (.+) to (.+)$")
_ASKED = re.compile(r"^CASE \S+: (.+) is asked about$")
_FOUND = re.compile(r"^FOUND by (.+): one payment in ([\d,]+) looks so$")
_CHANCE = re.compile(r"^CHANCE (\d\.\d+) by")
_ROUND, _YOU, _MENU, _MARKET = (TOKEN[f"<{name}>"] for name in ("ROUND", "YOU", "MENU", "MARKET"))
_THIS, _OTHER = TOKEN[LETTERS[0]], TOKEN[LETTERS[1]]
_BEYOND = ("cash", "outside")


def encode(text: str) -> tuple[Lines, Lines]:
    """Returns the row of the day, which says nothing, and those of the case; no rows where the text has none."""
    # A reader without a case is asked as well, and has one letter to answer.
    if none_asked(text):
        return Lines(((_ROUND,),), "ROUND"), Lines(((_MARKET, number_token(0)),), "MENU")
    asked, slots, rows = "", dict[str, int](), list[tuple[int, ...]]()
    for line in text.split("\n"):
        if found := _ASKED.match(line):
            asked = found[1]
        elif found := _PAYMENT.match(line):
            amount = number_token(int(found[2].replace(",", "")))
            sides = [_slot(side, slots) for side in found.group(5, 6)]
            this = _THIS if found[1] == asked else _OTHER
            rows.append((_YOU, this, amount, token_of(found[3]), number_token(int(found[4])), *sides))
        elif found := _FOUND.match(line):
            rows.append((_MENU, token_of(found[1]), number_token(int(found[2].replace(",", "")))))
        elif found := _CHANCE.match(line):
            rows.append((_MARKET, number_token(round(100 * float(found[1])))))
    return Lines(((_ROUND,),), "ROUND"), Lines(tuple(rows) if asked else (), "MENU")


def none_asked(text: str) -> bool:
    """Tells whether a prompt says that there is no case today."""
    return text.endswith("\nCASE none")


def _slot(account: str, slots: dict[str, int]) -> int:
    """Returns the token of an account: its slot, or the word for what lies beyond the bank."""
    if account in _BEYOND:
        return token_of(account)
    number = slots.setdefault(account, len(slots))
    return TOKEN[f"<good {min(number, GOOD_SLOTS - 1)}>"]


def answer(letters: str, options: Sequence[str]) -> str:
    """Returns the option that two letters stand for: that of the first, with as many kinds before it as the second."""
    behind = [option for option in options if option.startswith(f"{letters[0]} ")]
    return behind[LETTERS.index(letters[1])] if behind else letters[0]


def kinds(options: Sequence[str]) -> int:
    """Returns how many kinds the options tell apart."""
    return max(sum(option.startswith(f"{letter} ") for option in options) for letter in LETTERS)
