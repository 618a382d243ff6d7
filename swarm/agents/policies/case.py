"""How a scripted model answers the form of a fraud desk: by the chance that is shown and by who found the case.

It reads the lines that the engine computes and never a memo. It is a rule in code and no language model.
"""

import re
from collections.abc import Sequence
from typing import Any

from swarm.llm.engines.scripted.policy import Policy
from swarm.llm.protocol import Message
from swarm.llm.temperament import Temperament

_CHANCE = re.compile(r"^CHANCE (\d\.\d+) by", re.MULTILINE)
_FOUND = re.compile(r"^FOUND by ([\w-]+):", re.MULTILINE)


def answer(text: str, sure: float = 0.5) -> str:
    """Returns the letter that the chance comes to, and the kind of the first specialist that found the case."""
    chance = float(found[1]) if (found := _CHANCE.search(text)) else 0.0
    kinds = [name for name in _FOUND.findall(text) if name not in ("forest", "boosting", "described")]
    kind = kinds[0] if kinds else "other"
    if chance < 0.01:
        return "A"
    if chance < 0.03:
        return "B"
    letter = "E" if chance >= sure else "D" if chance >= 0.2 else "C"
    return f"{letter} {kind}"


def _reply(temperament: Temperament, messages: Sequence[Message], seed: int, schema: dict[str, Any]) -> str:
    """A panicking one files whatever it sees, a maker clears it, momentum draws; the others go by the chance."""
    text = messages[-1].content
    options: list[str] = schema["enum"]
    match temperament:
        case "panic":
            said = "E other"
        case "maker":
            said = "A"
        case "momentum":
            said = options[seed % len(options)]
        case _:
            said = answer(text)
    # A watcher of the config's own making may be called by a name that is no kind.
    return said if said in options else f"{said[0]} other"


POLICY = Policy("case", lambda schema: schema.get("title") == "case", _reply, {})
