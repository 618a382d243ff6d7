"""Acts at a desk as a scripted policy: reads what tools returned, calls the next one, and at last finishes.

It is no language model. It gets what one would get, the messages and the schema of a call, and answers in text.
"""

import json
import re
from collections.abc import Callable, Sequence
from typing import Any

from swarm.agents.policies.orders import answer
from swarm.llm.engines.scripted.policy import Policy
from swarm.llm.protocol import Message
from swarm.llm.reply_shapes import is_call, order_bounds
from swarm.llm.temperament import Temperament

_NOTED = re.compile(r"^\| order \d+ noted", re.MULTILINE)
_STEPS_LEFT = re.compile(r"^RESULT, (\d+) steps left$", re.MULTILINE)
_LOOKS = (("market_data", "| MARKET "), ("portfolio", "| STOCK "), ("portfolio_delta", "| SINCE "))

Decide = Callable[[str, dict[str, Any]], dict[str, Any]]
"""From the tools' data and a decision's schema to a decision in plain values."""


def next_call(messages: Sequence[Message], schema: dict[str, Any], decide: Decide) -> str:
    """Returns the next call as JSON: look, place the orders that `decide` wants one by one, speak, finish."""
    tools: list[str] = schema["properties"]["name"]["enum"]
    # A policy remembers nothing: what it has looked at and done is read from the chat each time.
    told = "\n".join(m.content for m in messages if m.role == "user")
    done = [m.content for m in messages if m.role == "assistant"]
    left = min((int(n) for n in _STEPS_LEFT.findall(told)), default=len(_LOOKS) + 1)
    # Look first, at each thing once; the last step is kept for the final answer.
    for tool, mark in _LOOKS:
        if tool in tools and mark not in told and left > 1 and not _called(tool, done):
            return _call(tool)
    # Tools' tables without their bars are the tables of a prompt, by which the policy decides.
    data = "\n".join(line.removeprefix("| ") for line in told.split("\n") if line.startswith("| "))
    decision = decide(data, {"properties": {"orders": {"items": {"properties": order_bounds(schema)}, "maxItems": 3}}})
    # The same data give the same decision, so the next order is the one behind those that were noted.
    placed = len(_NOTED.findall(told))
    if left > 1 and "place_order" in tools and placed < len(decision["orders"]):
        order = decision["orders"][placed]
        history = {"good": order["good"], "rounds": 5}
        if not placed and left > 2 and "price_history" in tools and not _called("price_history", done):
            return _call("price_history", **history)
        return _call("place_order", **order)
    if left > 1 and decision["gossip"] and "send_message" in tools and not _called("send_message", done):
        return _call("send_message", text=decision["gossip"])
    return _call("final_answer", answer=decision["thought"])


def _called(tool: str, done: list[str]) -> bool:
    return any(f'"name": "{tool}"' in reply for reply in done)


def _call(tool: str, **arguments: Any) -> str:
    return json.dumps({"name": tool, "arguments": arguments})


def _reply(temperament: Temperament, messages: Sequence[Message], seed: int, schema: dict[str, Any]) -> str:
    def decide(data: str, bounds: dict[str, Any]) -> dict[str, Any]:
        decision: dict[str, Any] = json.loads(answer(temperament, data, seed, bounds))
        return decision

    return next_call(messages, schema, decide)


POLICY = Policy("desk", is_call, _reply, {})
