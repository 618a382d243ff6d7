"""Requests as a shard makes them, and what becomes of each fault of the fake endpoint."""

from swarm.agents.decision import DecisionError, Rules
from swarm.agents.form import Repair
from swarm.llm.protocol import FinishReason, Message, ModelRequest

RULES = Rules(("acorns", "berries"), max_orders=3, max_price_ticks=1_000, max_quantity_lots=50)

_TEXT = """ROUND 1 of 60, autumn
MARKET good PRICE CHANGE TRADED UNMET_BIDS UNMET_ASKS
acorns 20 +1 5 0 0
berries 24 -1 5 3 0
YOU are a squirrel
MAKES acorns
PURSE {purse}
MOOD 50 of 100
STOCK good HAVE NEED SPARE WORTH
acorns 6 0 5 12
berries 0 2 0 30
SHORT OF berries"""


def request(number: int) -> ModelRequest:
    """One request; each number makes another."""
    messages = (Message("system", "You trade."), Message("user", _TEXT.format(purse=300 + number)))
    return ModelRequest(messages, RULES.schema(), 200, number)


FINISH: dict[str, FinishReason] = {
    "rate_limited": "rate_limited",
    "rate_limited_for_1_s": "rate_limited",
    "error_500": "server_error",
    "error_502": "server_error",
    "error_503": "server_error",
    "reset": "connection",
    "silent": "timeout",
    "drip": "timeout",
    "late": "timeout",
    "huge": "too_large",
    "html": "protocol",
    "whitespace": "length",
    "digits": "length",
    "loop": "length",
    "truncated": "length",
}
"""How a request ends that meets a fault; those not named here end with a stop."""

ERRORS = {
    "rate_limited": DecisionError.ENGINE_RATE_LIMITED,
    "rate_limited_for_1_s": DecisionError.ENGINE_RATE_LIMITED,
    "error_500": DecisionError.ENGINE_SERVER_ERROR,
    "error_502": DecisionError.ENGINE_SERVER_ERROR,
    "error_503": DecisionError.ENGINE_SERVER_ERROR,
    "reset": DecisionError.ENGINE_CONNECTION,
    "silent": DecisionError.ENGINE_TIMEOUT,
    "drip": DecisionError.ENGINE_TIMEOUT,
    "late": DecisionError.ENGINE_TIMEOUT,
    "huge": DecisionError.ENGINE_TOO_LARGE,
    "html": DecisionError.ENGINE_PROTOCOL,
    "digits": DecisionError.ENDLESS_DIGITS,
    "loop": DecisionError.LOOP,
    "truncated": DecisionError.TRUNCATED,
    "duplicate_key": DecisionError.DUPLICATE_KEY,
    "nan": DecisionError.BAD_NUMBER,
    "infinity": DecisionError.BAD_NUMBER,
    "overflow": DecisionError.BAD_NUMBER,
    "negative_zero": DecisionError.BAD_NUMBER,
    "huge_integer": DecisionError.BAD_NUMBER,
    "unicode_digits": DecisionError.BAD_NUMBER,
    "negative_price": DecisionError.BAD_NUMBER,
    "wrong_language": DecisionError.WRONG_LANGUAGE,
    "invented_tool": DecisionError.TOOL_CALL,
    "foreign_id": DecisionError.FOREIGN_ID,
}
"""What a fault is counted as; those not named here cost no decision."""

REPAIRS = {
    "whitespace": {Repair.ENDLESS_WHITESPACE},
    "fenced": {Repair.CODE_FENCE, Repair.SURROUNDING_TEXT},
}
"""Faults that are repaired, and the repairs they are counted as."""
