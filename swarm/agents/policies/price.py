"""Answers a list of prices as a scripted policy: with the letter of what the list says earns most."""

import re
from collections.abc import Sequence
from typing import Any

from swarm.llm.engines.scripted.policy import Policy
from swarm.llm.protocol import Message
from swarm.llm.temperament import Temperament

_ROW = re.compile(r"^([A-Z]) (\d+) (-?\d+)$", re.MULTILINE)


def _reply(temperament: Temperament, messages: Sequence[Message], seed: int, schema: dict[str, Any]) -> str:
    """A hoarder asks one price more, and a panicking seller one less; the first of prices that earn alike counts."""
    rows = _ROW.findall(messages[-1].content)
    best = max(range(len(rows)), key=lambda i: (int(rows[i][2]), -i))
    moved = best + {"hoarder": 1, "panic": -1}.get(temperament, 0)
    letter: str = rows[min(max(moved, 0), len(rows) - 1)][0]
    return letter


POLICY = Policy("price", lambda schema: schema.get("title") == "price", _reply, {})
