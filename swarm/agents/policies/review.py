"""How a scripted model answers the form of a contract desk: it counts a rule's words in the lines that it is shown.

It sees the text of the prompt and nothing else, and is no language model. A panicking one finds fault with everything,
and momentum draws its answer by lot; all others read.
"""

import re
from collections.abc import Sequence
from typing import Any

from swarm.llm.engines.scripted.policy import Policy
from swarm.llm.protocol import Message
from swarm.llm.temperament import Temperament

ENOUGH, ENOUGH_BARRED = 0.6, 0.75
_KIND = re.compile(r"^MUST (NOT )?BE THERE(?: \([^)]*\))?: (.*)$", re.MULTILINE)
_LINE = re.compile(r"^([1-8])\| (.*)$", re.MULTILINE)
_TAKES_BACK = re.compile(
    r"\bno (?:obligation|duty|right|compensation)|\bnot (?:be )?(?:obliged|required|entitled|liable|responsible)\b"
    r"|\bwithout notice\b|\bunlimited\b|\bany reason\b|\bwhether or not\b|\banywhere\b|\bneed not\b",
    re.IGNORECASE,
)
_LEAVES = re.compile(
    r"\b(?:set (?:out|forth)|described|specified|stated|listed|defined)\b.{0,20}"
    r"\b(?:Annex|Exhibit|Schedule|Appendix|Attachment|\w+ Policy|Cover Page)",
    re.IGNORECASE,
)


_MATTERLESS = frozenset(["no", "witho"])
"""Stems of words that say nothing of what a clause is about, though a rule names them."""


def answer(text: str) -> str:
    """Returns the letter and the number of the line that has most of the rule's words."""
    kind = _KIND.search(text)
    if kind is None:
        return "E"
    barred, wanted = bool(kind[1]), {_stem(word) for word in kind[2].lower().split()} - _MATTERLESS
    best, share = ("", ""), 0.0
    for number, line in _LINE.findall(text):
        words = {_stem(word) for word in re.findall(r"[a-z0-9-]+", line.lower())}
        if (has := len(wanted & words) / max(len(wanted), 1)) > share:
            best, share = (number, line), has
    if share < (ENOUGH_BARRED if barred else ENOUGH):
        return "A" if barred else "B"
    number, line = best
    if barred or _TAKES_BACK.search(line):
        return f"C{number}"
    return f"D{number}" if _LEAVES.search(line) else f"A{number}"


def _stem(word: str) -> str:
    return word.replace("-", "").rstrip("s")[:5]


def _reply(temperament: Temperament, messages: Sequence[Message], seed: int, schema: dict[str, Any]) -> str:
    text = messages[-1].content
    match temperament:
        case "panic":
            return "C1" if "\n1| " in text else "B"
        case "momentum":
            return str(schema["enum"][seed % len(schema["enum"])])
        case _:
            return answer(text)


POLICY = Policy("review", lambda schema: schema.get("title") == "review", _reply, {})
