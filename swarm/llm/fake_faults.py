"""The faults of the fake endpoint: their names, their rates as a user writes them, and replies as they leave them."""

import json
import math
from typing import Any

from swarm.errors import ConfigError
from swarm.llm.reply_shapes import is_call, order_bounds

FAULTS: dict[str, str] = {
    "rate_limited": "429 without Retry-After",
    "rate_limited_for_1_s": "429 with a Retry-After of one second, each time",
    "busy_once": "429 with a Retry-After of 0, then a good reply: nothing to count",
    "error_500": "500",
    "error_502": "502",
    "error_503": "503 with a Retry-After that no round can wait for",
    "reset": "the connection is reset in the middle of the body",
    "silent": "the request is accepted and never answered",
    "drip": "one byte per second",
    "late": "a good reply, but too late",
    "huge": "a reply of 50 MB",
    "html": "200 and a web page",
    "whitespace": "valid JSON, then white space until the limit",
    "digits": "an amount that never ends",
    "loop": "the same words until the limit",
    "truncated": "JSON that is cut off",
    "duplicate_key": "two prices in one order",
    "nan": "a price of NaN",
    "infinity": "a price of Infinity",
    "overflow": "a price of 1e400",
    "negative_zero": "a price of -0",
    "huge_integer": "a price of thirty digits",
    "unicode_digits": "a price in digits of another script",
    "negative_price": "a price below 0",
    "beyond_holdings": "an order for more than anybody has, which only the market can know",
    "wrong_language": "an answer in another script",
    "fenced": "prose around a fenced, good answer",
    "invented_tool": "a call of a tool that nobody offered",
    "foreign_id": "an order in somebody else's name",
}
"""Every fault by name, and what it is."""

_PRICES = {
    "nan": "NaN",
    "infinity": "Infinity",
    "overflow": "1e400",
    "negative_zero": "-0",
    "huge_integer": "9" * 30,
    "unicode_digits": "\u0662\u0660",
    "negative_price": "-20",
}
_FOREIGN_ANSWER = (
    "\u6211\u60f3\u5148\u89c2\u5bdf\u5e02\u573a\uff0c\u8fd9\u4e00\u8f6e\u4e0d\u505a\u4efb\u4f55\u4e70\u5356\u3002"
)


def parse_faults(text: str) -> dict[str, float]:
    """Returns rates from `reset=0.05,late=0.1` or `all=0.3`, which all faults that are not named share evenly."""
    rates: dict[str, float] = {}
    for part in filter(None, (p.strip() for p in text.split(","))):
        name, _, value = part.partition("=")
        try:
            rate = float(value)
        except ValueError:
            rate = math.nan
        if name != "all" and name not in FAULTS:
            raise ConfigError(f"--faults {part}", f"there is no such fault; known: all, {', '.join(FAULTS)}")
        if not 0 <= rate <= 1:
            raise ConfigError(f"--faults {part}", "expected a rate from 0 to 1, for example reset=0.05")
        rates[name] = rate
    # What a user names keeps its rate; `all` fills up the rest.
    if "all" in rates:
        share = rates.pop("all")
        others = [name for name in FAULTS if name not in rates]
        rates |= {name: share / len(others) for name in others}
    # A hair above 1 is rounding.
    if sum(rates.values()) > 1 + 1e-9:
        raise ConfigError(f"--faults {text}", "the rates add up to more than 1")
    return rates


def spoilt(text: str, fault: str | None, schema: dict[str, Any], limit: int) -> tuple[str, str]:
    """Returns a good answer as the fault leaves it, and its finish reason."""
    bounds = order_bounds(schema)
    order = {"side": "sell", "good": bounds["good"]["enum"][0], "price": 20, "quantity": 1}

    def ordering(order: dict[str, Any]) -> str:
        """Returns the answer with this one order in it, or at a desk the call that places it."""
        call = {"name": "place_order", "arguments": order}
        return json.dumps(call if is_call(schema) else json.loads(text) | {"orders": [order]})

    # The beginning of an order, up to its price, for amounts that never end.
    head = '{"thought": "I sell", "orders": [{"side": "sell", "good": "' + order["good"] + '", "price": '
    # Each fault was seen of a real server or model; what runs on ends at the limit of tokens.
    match fault:
        case "whitespace":
            return text + "\n" * limit, "length"
        case "digits":
            return head + "7" * (3 * limit), "length"
        case "loop":
            words = "the price will rise and then "
            return '{"thought": "' + words * (limit // 7 + 1), "length"
        case "truncated":
            return text[: len(text) * 2 // 3], "length"
        case "duplicate_key":
            return ordering(order).replace('"price": 20', '"price": 20, "price": 2'), "stop"
        case "beyond_holdings":
            return ordering(order | {"quantity": bounds["quantity"]["maximum"]}), "stop"
        case "wrong_language":
            return _FOREIGN_ANSWER, "stop"
        case "fenced":
            return f"Sure, here is my decision:\n\n```json\n{text}\n```\n\nGood luck!", "stop"
        case "foreign_id":
            return ordering(order | {"trader": 7}), "stop"
        case str() if fault in _PRICES:
            return ordering(order).replace('"price": 20', f'"price": {_PRICES[fault]}'), "stop"
    return text, "stop"
