"""How a scripted model answers the form of a supply chain: it reads the news for a change in percent and picks a line.

The temperaments value and hoarder read. They see the text of the prompt and nothing else, and are no language models.
They know the wordings of our own news by
heart, in figures and in words; what is worded otherwise they do not understand, and then they follow the plan.
"""

import re
from collections.abc import Sequence
from typing import Any

from swarm.llm.engines.scripted.policy import Policy
from swarm.llm.protocol import Message
from swarm.llm.temperament import Temperament

_PERCENT = re.compile(r"(\d+(?:\.\d+)?) percent")
_OWN_REGION = re.compile(r"^YOU .*, (.+)$", re.MULTILINE)
_CONCERNED = re.compile(r"^NEWS concerns (\d+) percent of your demand$", re.MULTILINE)
_LINE = re.compile(r"^([A-E]) .*\(([+-]\d+) percent\)")
_WORDS = {
    "a tenth": 10,
    "a fifth": 20,
    "a quarter": 25,
    "three tenths": 30,
    "two fifths": 40,
    "three fifths": 60,
    "three quarters": 75,
    "four fifths": 80,
    "half": 50,
}
_MORE, _LESS = ("more", " up ", "closes", "opens on"), ("fewer", " less", " down", "lose ", "discount")


def change_told(line: str) -> float:
    """Returns the change of demand in percent that a line of news tells of; 0 where it tells of none."""
    found = _PERCENT.search(line)
    size = float(found[1]) if found else next((n for words, n in _WORDS.items() if words in line), 0)
    falls = any(word in line for word in _LESS)
    return -size if falls else size if any(word in line for word in _MORE) else 0.0


def answer(text: str) -> str:
    """Returns the letter of the line whose change fits best what the news says of the node's demand."""
    # A node's own facts come last, whatever the news is worded like.
    concerned = _CONCERNED.findall(text)
    share = int(concerned[-1]) / 100 if concerned else 0.0
    region = found[1] if (found := _OWN_REGION.search(text)) else ""
    lines = [line for line in text.split("\n") if line.startswith("NEWS ") and not line.startswith("NEWS concerns")]
    changes = [(line, change_told(line)) for line in lines]
    # Whose customers are all in one region looks for its name; others take all news by the share that it concerns.
    own = re.compile(rf"(?<![\w-]){re.escape(region)}(?![\w-])")
    if share == 1.0 and any(own.search(line) for line, _ in changes):
        wanted = sum(change for line, change in changes if own.search(line))
    else:
        told = [change for _, change in changes if change]
        wanted = share * sum(told) / max(len(told), 1)
    menu = {found[1]: int(found[2]) for line in text.split("\n") if (found := _LINE.match(line))}
    return min(menu, key=lambda letter: (abs(menu[letter] - wanted), letter)) if wanted and menu else "A"


def _reply(temperament: Temperament, messages: Sequence[Message], seed: int, schema: dict[str, Any]) -> str:
    """A maker never departs from its plan, a panicking one stocks up at any news, momentum draws a letter by lot."""
    text = messages[-1].content
    match temperament:
        case "maker":
            return "A"
        case "panic":
            return "A" if "NEWS none" in text else "C"
        case "momentum":
            return "ABCDE"[seed % 5]
        case _:
            return answer(text)


POLICY = Policy("replenish", lambda schema: schema.get("title") == "replenish", _reply, {})
