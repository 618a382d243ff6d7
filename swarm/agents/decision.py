"""A trader's decision: the closed schema of a reply, its one reading, and the kinds of errors a reply can have."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Generic, Literal, TypeVar

from pydantic import Field, ValidationError

from swarm.agents.form import MalformedReplyError, Repair, after_object, find_object
from swarm.llm.protocol import MAX_REPLY_CHARS
from swarm.llm.runaway import runaway
from swarm.schema import StrictModel

D = TypeVar("D")
"""What a form reads: orders, a letter of a menu, a number."""

FOREIGN_KEYS = {"account", "agent", "agent_id", "id", "player", "player_id", "trader", "trader_id"}
"""What a reply would name somebody by; nobody decides for anybody else."""

MAX_WAKE_PERMILLE = 10_000
"""Largest move of a price that a trader can wait for, in 1/1000."""

_TOOL_KEYS = {"function", "function_call", "tool", "tool_call", "tool_calls", "tool_name"}
_AMOUNTS = ("price", "quantity")
_UNICODE_NUMBER = re.compile(r":\s*[-+]?\d*(?![0-9])\d")
"""An amount with a digit that is no ASCII digit, which no JSON has."""


class DecisionError(StrEnum):
    """Why a trader passed though it should have decided; each is counted, none stops a run.

    Those that begin with "engine" say why there was no reply, and are named for the engine's failures.
    """

    ENGINE = "engine"
    ENGINE_RATE_LIMITED = "engine_rate_limited"
    ENGINE_SERVER_ERROR = "engine_server_error"
    ENGINE_TIMEOUT = "engine_timeout"
    ENGINE_CONNECTION = "engine_connection"
    ENGINE_PROTOCOL = "engine_protocol"
    ENGINE_TOO_LARGE = "engine_too_large"
    ENGINE_CIRCUIT_OPEN = "engine_circuit_open"
    ENGINE_UNAUTHORIZED = "engine_unauthorized"
    ENGINE_MODEL_NOT_FOUND = "engine_model_not_found"
    ENGINE_QUOTA = "engine_quota"
    ENGINE_ONLY_REASONING = "engine_only_reasoning"
    ENGINE_REFUSED = "engine_refused"
    ENGINE_CONTENT_FILTER = "engine_content_filter"
    ENGINE_EMPTY = "engine_empty"
    ENGINE_NO_SCORES = "engine_no_scores"
    ENGINE_DEADLINE = "engine_deadline"
    TRUNCATED = "truncated"
    TOO_LONG = "too_long"
    LOOP = "loop"
    ENDLESS_WHITESPACE = "endless_whitespace"
    ENDLESS_DIGITS = "endless_digits"
    NOT_JSON = "not_json"
    WRONG_LANGUAGE = "wrong_language"
    SEVERAL_ANSWERS = "several_answers"
    DUPLICATE_KEY = "duplicate_key"
    WRONG_SHAPE = "wrong_shape"
    TOOL_CALL = "tool_call"
    UNKNOWN_TOOL = "unknown_tool"
    TOOL_ARGUMENTS = "tool_arguments"
    UNFINISHED = "unfinished"
    FOREIGN_ID = "foreign_id"
    UNKNOWN_GOOD = "unknown_good"
    BAD_NUMBER = "bad_number"
    TOO_MANY_ORDERS = "too_many_orders"
    OWN_GOOD = "own_good"
    BAD_CHOICE = "bad_choice"
    OVER_BUDGET = "over_budget"
    LATE = "late"


_KINDS = {str(error): error for error in DecisionError}


def errors_among(texts: Iterable[str]) -> tuple[DecisionError, ...]:
    """Returns the errors that some texts name, in their order; what is no name of one is left out."""
    return tuple(_KINDS[text] for text in texts if text in _KINDS)


def engine_failure(finish_reason: str) -> DecisionError:
    """Returns the error that a failure of the engine is counted as."""
    return DecisionError.ENGINE if finish_reason == "error" else DecisionError(f"engine_{finish_reason}")


class OrderWish(StrictModel):
    """One order as a model writes it; the market checks everything again."""

    side: Literal["buy", "sell"]
    good: str
    price: int
    quantity: int


class WakeWish(StrictModel):
    """The events that are to wake a trader, as a model writes them; what it does not name does not wake it."""

    price: int = 0
    fill: bool = False
    message: bool = False
    need: bool = False


class Decision(StrictModel):
    """A whole reply. No orders is a decision too; without `wake`, the config says what wakes."""

    thought: str = Field(default="", max_length=400)
    orders: tuple[OrderWish, ...] = ()
    gossip: str = Field(default="", max_length=400)
    stand: int = 0
    wake: WakeWish | None = None


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules a decision is checked against; with `max_stand_rounds` above 0 it may say for how long it stands.

    `lends` says whether orders may be put in on credit.
    """

    goods: tuple[str, ...]
    max_orders: int
    max_price_ticks: int
    max_quantity_lots: int
    max_stand_rounds: int = 0
    lends: bool = False

    def schema(self) -> dict[str, Any]:
        """Returns the JSON schema of a reply: closed, finite and short, as constrained decoding wants it."""
        order = {
            "type": "object",
            "properties": {
                "side": {"type": "string", "enum": ["buy", "sell"]},
                "good": {"type": "string", "enum": list(self.goods)},
                "price": {"type": "integer", "minimum": 1, "maximum": self.max_price_ticks},
                "quantity": {"type": "integer", "minimum": 1, "maximum": self.max_quantity_lots},
            },
            "required": ["side", "good", "price", "quantity"],
            "additionalProperties": False,
        }
        # Offered only where decisions may stand: a key that means nothing invites a small model to fill it.
        standing = {
            "stand": {"type": "integer", "minimum": 0, "maximum": self.max_stand_rounds},
            "wake": {
                "type": "object",
                "properties": {
                    "price": {"type": "integer", "minimum": 0, "maximum": MAX_WAKE_PERMILLE},
                    "fill": {"type": "boolean"},
                    "message": {"type": "boolean"},
                    "need": {"type": "boolean"},
                },
                "additionalProperties": False,
            },
        }
        return {
            "type": "object",
            "properties": {
                "thought": {"type": "string", "maxLength": 120},
                "orders": {"type": "array", "items": order, "maxItems": self.max_orders},
                "gossip": {"type": "string", "maxLength": 80},
                **(standing if self.max_stand_rounds else {}),
            },
            "required": ["thought", "orders", "gossip"],
            "additionalProperties": False,
        }


@dataclass(frozen=True, slots=True)
class Reading(Generic[D]):
    """The outcome of a turn, and what of its form was repaired on the way; a reply that fails was not repaired.

    `steps` counts the model's replies, and `faults` are what went wrong in single steps of a desk, mended or not.
    """

    outcome: D | DecisionError
    repairs: tuple[Repair, ...] = ()
    steps: int = 1
    faults: tuple[DecisionError, ...] = ()


def read_reply(text: str, cut: bool, rules: Rules, makes: int) -> Reading[Decision]:
    """Returns the decision that `text` holds, or what is wrong with it; `cut` if it ended at its limit of tokens.

    Never raises, never repairs an amount, and depends on nothing but its arguments, so a replay reads the same.
    """
    found = find_value(text, cut)
    if isinstance(found, DecisionError):
        return Reading(found)
    data, repairs = found
    outcome = check_decision(data, rules, makes)
    return Reading(outcome, () if isinstance(outcome, DecisionError) else repairs)


def find_value(text: str, cut: bool) -> tuple[Any, tuple[Repair, ...]] | DecisionError:
    """Returns the one JSON value of a reply and what was repaired to find it, or what is wrong with its form."""
    # Before anything else, so that no search runs over an endless text.
    if len(text) > MAX_REPLY_CHARS:
        return DecisionError.TOO_LONG
    try:
        data, repairs = find_object(text)
    except MalformedReplyError as malformed:
        return _diagnose(text, DecisionError(malformed.fault), cut)
    # An object was found, but something had begun behind it, and what that was nobody knows.
    if cut and after_object(text).strip():
        return _diagnose(text, DecisionError.TRUNCATED, cut)
    return data, repairs


def check_decision(data: Any, rules: Rules, makes: int) -> Decision | DecisionError:
    """Returns the decision that plain values hold, or the first rule that it breaks."""
    # Only a reply that has orders is one that leaves something else out.
    given = without_nulls(data, Decision) if isinstance(data, dict) and "orders" in data else data
    # Strict in Python mode would refuse a list where a tuple stands; a list of orders is what JSON has.
    if isinstance(given, dict) and isinstance(given.get("orders"), list):
        given["orders"] = tuple(given["orders"])
    if isinstance(given, dict) and isinstance(given.get("wake"), dict):
        given["wake"] = without_nulls(given["wake"], WakeWish)
    try:
        decision = Decision.model_validate(given)
    except ValidationError as error:
        return _shape_error(data, error)
    # From here on the shape is right; what breaks a rule is refused as it stands, since amounts are never mended.
    if len(decision.orders) > rules.max_orders:
        return DecisionError.TOO_MANY_ORDERS
    for order in decision.orders:
        if order.good not in rules.goods:
            return DecisionError.UNKNOWN_GOOD
        if not 1 <= order.price <= rules.max_price_ticks or not 1 <= order.quantity <= rules.max_quantity_lots:
            return DecisionError.BAD_NUMBER
        if order.side == "buy" and rules.goods.index(order.good) == makes:
            return DecisionError.OWN_GOOD
    # Where nothing can stand, saying so is a key too many, as any other.
    if not rules.max_stand_rounds and decision.model_fields_set & {"stand", "wake"}:
        return DecisionError.WRONG_SHAPE
    if not 0 <= decision.stand <= rules.max_stand_rounds:
        return DecisionError.BAD_NUMBER
    if decision.wake and not 0 <= decision.wake.price <= MAX_WAKE_PERMILLE:
        return DecisionError.BAD_NUMBER
    return decision


def meaning(fault: DecisionError, rules: Rules) -> str:
    """Returns what an order must be that is refused for this, in words for whoever can send another."""
    match fault:
        case DecisionError.UNKNOWN_GOOD:
            return f"there is no such good; the goods are {', '.join(rules.goods)}"
        case DecisionError.BAD_NUMBER:
            return (
                f"price must be a whole number from 1 to {rules.max_price_ticks}, quantity one from 1 to "
                f"{rules.max_quantity_lots}"
            )
        case DecisionError.OWN_GOOD:
            return "you make this good: sell it, never bid for it"
        case DecisionError.TOO_MANY_ORDERS:
            return f"there may be {rules.max_orders} orders at most"
        case DecisionError.FOREIGN_ID:
            return "you order for yourself alone and name no trader"
        case _:
            return "the arguments are side (buy or sell), good, price and quantity"


def without_nulls(data: dict[str, Any], model: type[StrictModel]) -> dict[str, Any]:
    """Returns `data` without nulls for what may be left out, which a strict schema cannot say otherwise."""
    if None not in data.values():
        return data
    # Null orders are no decision to send none.
    may_lack = {name for name, key in model.model_fields.items() if not key.is_required()} - {"orders"}
    return {key: value for key, value in data.items() if value is not None or key not in may_lack}


def _shape_error(data: Any, error: ValidationError) -> DecisionError:
    """Returns a closer word for a value that is no decision, where there is one."""
    # What says most about the model comes first: a call of a tool, an amount, somebody else's name.
    first = data[0] if isinstance(data, list) and data else data
    if isinstance(first, dict) and (
        _TOOL_KEYS & first.keys() or ("name" in first and {"arguments", "parameters"} & first.keys())
    ):
        return DecisionError.TOOL_CALL
    complaints = error.errors(include_url=False, include_input=False, include_context=False)
    if any(c["loc"][-1:] and c["loc"][-1] in _AMOUNTS and c["type"] != "missing" for c in complaints):
        return DecisionError.BAD_NUMBER
    if any(c["type"] == "extra_forbidden" and c["loc"][-1] in FOREIGN_KEYS for c in complaints):
        return DecisionError.FOREIGN_ID
    return DecisionError.WRONG_SHAPE


def _diagnose(text: str, fault: DecisionError, cut: bool) -> DecisionError:
    """Returns a closer word for a text in which no object was found, where there is one."""
    if fault in (DecisionError.DUPLICATE_KEY, DecisionError.BAD_NUMBER):
        return fault
    # A text that never ended for a reason of its own is counted by that reason, not as merely cut.
    match runaway(text):
        case "loop":
            return DecisionError.LOOP
        case "whitespace":
            return DecisionError.ENDLESS_WHITESPACE
        case "digits":
            return DecisionError.ENDLESS_DIGITS
    # Being cut explains any fault but that there were several answers already.
    if cut and fault is not DecisionError.SEVERAL_ANSWERS:
        return DecisionError.TRUNCATED
    if _UNICODE_NUMBER.search(text):
        return DecisionError.BAD_NUMBER
    if fault is DecisionError.NOT_JSON and _is_foreign(text):
        return DecisionError.WRONG_LANGUAGE
    return fault


def _is_foreign(text: str) -> bool:
    """Tells whether a third or more of the letters are of no Latin script."""
    letters = [c for c in text if c.isalpha()]
    # The letters up to U+024F are those of Latin Extended-B.
    return 3 * sum(c > "\u024f" for c in letters) >= len(letters) > 0
