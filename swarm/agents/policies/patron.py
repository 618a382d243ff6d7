"""Answers a patron's menu as a scripted policy: with any deed, by the request's seed; whoever panics does nothing."""

from collections.abc import Sequence
from typing import Any

from swarm.llm.engines.scripted.policy import Policy
from swarm.llm.protocol import Message
from swarm.llm.temperament import Temperament


def _reply(temperament: Temperament, messages: Sequence[Message], seed: int, schema: dict[str, Any]) -> str:
    """Returns a letter of the menu."""
    letters: list[str] = schema["enum"]
    return letters[0] if temperament == "panic" else letters[seed % len(letters)]


POLICY = Policy("patron", lambda schema: schema.get("title") == "patron", _reply, {})
