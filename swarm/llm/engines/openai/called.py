"""Puts calls of tools, which the API tells beside a reply's text, whole or piece by piece, into the text.

A reply is one text for whoever reads it. What is no call is left out; what a call means, this module does not know.
"""

import json
from typing import Any

from swarm.llm.protocol import MAX_REPLY_CHARS

_MOST_CALLS = 64


class Called:
    """Gathers the calls of one reply by their index."""

    def __init__(self) -> None:
        self._calls: dict[int, dict[str, str]] = {}

    def add(self, message: Any) -> None:
        """Adds the calls of a message, or the next piece of each."""
        if not isinstance(message, dict):
            return
        calls = message.get("tool_calls")
        for position, call in enumerate(calls[:_MOST_CALLS] if isinstance(calls, list) else []):
            if isinstance(call, dict):
                index = call.get("index")
                self._add(index if type(index) is int else position, call.get("function", call))
        # What calls were named before there could be several.
        self._add(0, message.get("function_call"))

    def _add(self, index: int, function: Any) -> None:
        if not isinstance(function, dict) or (index not in self._calls and len(self._calls) >= _MOST_CALLS):
            return
        known = self._calls.setdefault(index, {"name": "", "arguments": ""})
        for key in known:
            value = function.get(key)
            if value is not None and len(known[key]) <= MAX_REPLY_CHARS:
                known[key] += value if isinstance(value, str) else json.dumps(value)

    def said_by(self, text: str) -> str:
        """Returns the reply's text; where it has no answer of its own, the calls as JSON."""
        named = [{"function": call} for _, call in sorted(self._calls.items()) if call["name"]]
        return json.dumps({"tool_calls": named}) if named and "{" not in text else text
