"""A trader's decision: the closed schema of a reply, its strict reading, and the kinds of errors a reply can have."""

import json
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal

from pydantic import Field, ValidationError

from swarm.schema import StrictModel

MAX_REPLY_CHARS = 20_000


class DecisionError(StrEnum):
    """Why a trader passed though it should have decided; each is counted, none stops a run."""

    ENGINE = "engine"
    TRUNCATED = "truncated"
    NOT_JSON = "not_json"
    WRONG_SHAPE = "wrong_shape"
    UNKNOWN_GOOD = "unknown_good"
    BAD_NUMBER = "bad_number"
    TOO_MANY_ORDERS = "too_many_orders"
    OWN_GOOD = "own_good"
    BAD_CHOICE = "bad_choice"
    OVER_BUDGET = "over_budget"
    LATE = "late"


class OrderWish(StrictModel):
    """One order as a model writes it; the market checks everything again."""

    side: Literal["buy", "sell"]
    good: str
    price: int
    quantity: int


class Decision(StrictModel):
    """A whole reply. No orders is a decision too."""

    thought: str = Field(default="", max_length=400)
    orders: tuple[OrderWish, ...] = ()
    gossip: str = Field(default="", max_length=400)


@dataclass(frozen=True, slots=True)
class Rules:
    """What a decision is checked against."""

    goods: tuple[str, ...]
    max_orders: int
    max_price_ticks: int
    max_quantity_lots: int

    def schema(self) -> dict[str, Any]:
        """The JSON schema of a reply: closed, finite and short, as constrained decoding wants it."""
        order = {
            "type": "object",
            "properties": {
                "side": {"enum": ["buy", "sell"]},
                "good": {"enum": list(self.goods)},
                "price": {"type": "integer", "minimum": 1, "maximum": self.max_price_ticks},
                "quantity": {"type": "integer", "minimum": 1, "maximum": self.max_quantity_lots},
            },
            "required": ["side", "good", "price", "quantity"],
            "additionalProperties": False,
        }
        return {
            "type": "object",
            "properties": {
                "thought": {"type": "string", "maxLength": 120},
                "orders": {"type": "array", "items": order, "maxItems": self.max_orders},
                "gossip": {"type": "string", "maxLength": 80},
            },
            "required": ["thought", "orders", "gossip"],
            "additionalProperties": False,
        }


def read_decision(text: str, rules: Rules, makes: int) -> Decision | DecisionError:
    """The decision that `text` holds, or what is wrong with it; never raises, and never repairs an amount."""
    if len(text) > MAX_REPLY_CHARS:
        return DecisionError.TRUNCATED
    try:
        data = json.loads(text, object_pairs_hook=_unique_keys, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return DecisionError.NOT_JSON
    try:
        # Strict in Python mode would refuse a list where a tuple stands; a list of orders is what JSON has.
        if isinstance(data, dict) and isinstance(data.get("orders"), list):
            data["orders"] = tuple(data["orders"])
        decision = Decision.model_validate(data)
    except ValidationError:
        return DecisionError.WRONG_SHAPE
    if len(decision.orders) > rules.max_orders:
        return DecisionError.TOO_MANY_ORDERS
    for order in decision.orders:
        if order.good not in rules.goods:
            return DecisionError.UNKNOWN_GOOD
        if not 1 <= order.price <= rules.max_price_ticks or not 1 <= order.quantity <= rules.max_quantity_lots:
            return DecisionError.BAD_NUMBER
        if order.side == "buy" and rules.goods.index(order.good) == makes:
            return DecisionError.OWN_GOOD
    return decision


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = dict(pairs)
    if len(keys) != len(pairs):
        raise ValueError("a key stands twice")
    return keys


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")
