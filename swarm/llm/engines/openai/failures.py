"""Tells what an endpoint's refusals mean: statuses, what bodies say is wrong, how long it wants to be left alone.

It reads what others wrote and believes none of it: whatever stands in a header or a body, a kind and a bounded wait
come out. It knows no connection.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from swarm.llm.protocol import EngineFailure

MAX_WAIT_S = 86_400.0
"""Longest wait that an endpoint can ask for; who has less time does not wait at all."""

_RETRIED = frozenset({"rate_limited", "server_error", "connection"})
_SIGNS_OF_AN_OUTAGE = frozenset(
    {"server_error", "timeout", "deadline", "connection", "protocol", "unauthorized", "model_not_found"}
)
_PASSING_STATUSES = frozenset({408, 409, 423, 424, 425, 449, 499})
"""Statuses below 500 of what another attempt may not meet."""

_STATUS_OF_CODE = {
    "rate_limit_exceeded": 429,
    "rate_limit_error": 429,
    "rate_limited": 429,
    "too_many_requests": 429,
    "resource_exhausted": 429,
    "invalid_api_key": 401,
    "authentication_error": 401,
    "unauthorized": 401,
    "unauthenticated": 401,
    "permission_error": 403,
    "permission_denied": 403,
    "model_not_found": 404,
    "not_found_error": 404,
    "invalid_request_error": 400,
    "invalid_argument": 400,
}
_QUOTA_CODES = frozenset(
    {"insufficient_quota", "billing_hard_limit_reached", "billing_not_active", "insufficient_balance", "credit_limit"}
)
_QUOTA_WORDS = re.compile(r"credit balance is too low|insufficient (?:balance|credits?|funds)|out of credits", re.I)
_FILTER_CODES = frozenset({"content_filter", "content_policy_violation", "responsibleaipolicyviolation"})
_TOO_LARGE_CODES = frozenset({"context_length_exceeded", "string_above_max_length", "request_too_large"})
_PASSING_CODES = frozenset({"json_validate_failed", "failed_generation"})


@dataclass(frozen=True, slots=True)
class Failure:
    """The reason why an attempt brought no completion; `passing` says that another one may."""

    kind: EngineFailure
    text: str
    retry_after_s: float | None = None
    passing: bool | None = None

    @property
    def is_retried(self) -> bool:
        """Tells whether another attempt is worth it."""
        return self.kind in _RETRIED if self.passing is None else self.passing

    @property
    def is_sign_of_an_outage(self) -> bool:
        """Tells whether many of this kind in a row close the endpoint; one reply that failed a schema does not."""
        return self.kind in _SIGNS_OF_AN_OUTAGE and not self.passing


def error_in(value: Any) -> Mapping[str, Any] | None:
    """Returns the error that a JSON value tells of, as an object; None where it tells of none."""
    # Some servers wrap their error in a list.
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if not isinstance(value, dict):
        return None
    error = value.get("error")
    if isinstance(error, dict) and error:
        return error
    if isinstance(error, str) and error:
        return {"message": error, **{k: value[k] for k in ("code", "status", "type") if k in value}}
    if value.get("object") == "error" or value.get("type") == "error":
        return value
    return None


def refusal(status: int, headers: Mapping[str, str], error: Mapping[str, Any] | None, told: str) -> Failure:
    """Returns what a status other than 200 means, or an error that came with a status of 200.

    `told` is what the endpoint said, fit to be shown.
    """
    # Words before statuses, since servers agree on the former more than on the latter.
    codes = _codes(error)
    if status == 200:
        status = _status_of(error, codes)
    message = str(error.get("message", "")) if error else ""
    # Before 429, which many send for a used-up quota, too: waiting does not help there.
    if status == 402 or codes & _QUOTA_CODES or (400 <= status < 500 and _QUOTA_WORDS.search(message)):
        return Failure("quota", told)
    if codes & _FILTER_CODES:
        return Failure("content_filter", told)
    if codes & _TOO_LARGE_CODES or status == 413:
        return Failure("too_large", told)
    if status == 429:
        return Failure("rate_limited", told, retry_after_s(headers))
    if codes & _PASSING_CODES:
        return Failure("protocol", told, passing=True)
    if status in _PASSING_STATUSES or status >= 500:
        return Failure("server_error", told, retry_after_s(headers))
    if status in (401, 403):
        return Failure("unauthorized", told)
    if status == 404:
        return Failure("model_not_found", told)
    return Failure("protocol", told)


def _codes(error: Mapping[str, Any] | None) -> set[str]:
    """Returns the words of an error that programs read, in lower case."""
    if error is None:
        return set()
    inner = error.get("innererror")
    more = inner.get("code") if isinstance(inner, dict) else None
    said = (error.get("code"), error.get("type"), error.get("status"), more)
    return {value.strip().lower() for value in said if isinstance(value, str)}


def _status_of(error: Mapping[str, Any] | None, codes: set[str]) -> int:
    """Returns the status that an error within a reply of status 200 stands for; 500 where it does not say."""
    if error is not None:
        for value in (error.get("code"), error.get("status"), error.get("status_code")):
            told = value.strip()[:4] if isinstance(value, str) else value
            # A status may stand there as a number or as text, say "429".
            status = int(told) if isinstance(told, str) and told.isascii() and told.isdigit() else told
            if type(status) is int and 300 <= status <= 599:
                return status
    return next((_STATUS_OF_CODE[code] for code in sorted(codes) if code in _STATUS_OF_CODE), 500)


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Returns the seconds for which the endpoint wants to be left alone, at most a day; None where it does not say."""
    # OpenAI's own header is the finer one; the standard's may be seconds or a date.
    if (in_ms := _number(headers.get("Retry-After-Ms"))) is not None:
        return _bounded(in_ms / 1_000)
    header = headers.get("Retry-After")
    if (seconds := _number(header)) is not None:
        return _bounded(seconds)
    if header is None:
        return None
    try:
        date = parsedate_to_datetime(header)
        # A date whose zone is "-0000" comes without one, and is in UTC.
        date = date.replace(tzinfo=UTC) if date.tzinfo is None else date
        return _bounded((date - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError, OverflowError, IndexError, AttributeError):
        return None


def _number(header: str | None) -> float | None:
    try:
        number = float(header) if header is not None else math.nan
    except ValueError:
        return None
    return None if math.isnan(number) else number


def _bounded(seconds: float) -> float:
    return min(max(seconds, 0.0), MAX_WAIT_S)
