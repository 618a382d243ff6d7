"""Makes a watcher from a paragraph of English: thresholds over the figures of a payment, by words that it knows.

It is a plain reader and no language model: each pattern stands for one condition, and numbers in the text take the
place of the pattern's own. What it understood is told in the report, so that nobody has to guess.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from swarm.figures import figure as told
from swarm.scenarios.fraud.features import COLUMN

Float64 = npt.NDArray[np.float64]

_AMOUNT = r"(\d\S*+(?: (?:thousand|million|billion)\b)?)"
_PLAIN = re.compile(r"(?:\d{1,3}(?:,\d{3})+|\d{1,13})(?:\.\d{1,2})?")
_COUNTED = (
    r"(?! (?:(?:different|other|new|more) )*"
    r"(?:payees|receivers|beneficiaries|senders|payers|people|payments within|times|minutes|hours|days|weeks)\b)"
)
"""Refuses a number that is no amount of money, by the words behind it."""

MOST_DIGITS = 4
"""Of a count."""

_WORDS = {"two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10}
_COUNT = r"(?<![\d.,])\b(\d+|two|three|four|five|six|seven|eight|nine|ten|several|many)"


@dataclass(frozen=True, slots=True)
class Condition:
    """A figure that must be at least `low` and at most `high`."""

    figure: str
    low: float
    high: float

    def holds(self, figures: Float64) -> npt.NDArray[np.bool_]:
        """Returns [payments] where it holds."""
        column = figures[:, COLUMN[self.figure]]
        held: npt.NDArray[np.bool_] = (column >= self.low) & (column <= self.high)
        return held

    def __str__(self) -> str:
        low = "" if self.low == -np.inf else f"{told(self.low)} <= "
        high = "" if self.high == np.inf else f" <= {told(self.high)}"
        return f"{low}{self.figure}{high}"


def at_least(figure: str, low: float) -> Condition:
    """Returns the condition that a figure is at least `low`."""
    return Condition(figure, low, np.inf)


def at_most(figure: str, high: float) -> Condition:
    """Returns the condition that a figure is at most `high`."""
    return Condition(figure, -np.inf, high)


class NotUnderstood(ValueError):
    """A paragraph in which no pattern, or only one about the channel, was found, or that would be misread."""


def _count(text: str) -> float:
    if not text.isdigit():
        return float(_WORDS.get(text, 3))
    if not 1 <= len(text.lstrip("0")) <= MOST_DIGITS:
        raise NotUnderstood(f"expected a count of 1 to {10**MOST_DIGITS - 1:,}, got {text[:20]!r}")
    return float(text)


def _amount(text: str) -> float:
    """Returns the logarithm of the cents of an amount in whole units, such as 9,000 or 12.50."""
    plain = text.rstrip(".,;:!?)'\"")
    if not _PLAIN.fullmatch(plain):
        raise NotUnderstood(f"an amount is written {text[:20]!r}; write it in plain digits such as 9,000 or 12.50")
    return float(np.log(max(float(plain.replace(",", "")) * 100, 1.0)))


Match = re.Match[str]
Made = Callable[[Match], Condition]

PATTERNS: tuple[tuple[str, str, Made], ...] = (
    (r"by card|card payments?", "paid by card", lambda m: Condition("channel", 0, 0)),
    (r"transfers?\b|transferred|wires?\b", "a transfer", lambda m: Condition("channel", 1, 1)),
    (r"\bcash\b", "cash", lambda m: Condition("channel", 2, 2)),
    (
        rf"(?:over|above|more than|at least) {_AMOUNT}{_COUNTED}",
        "an amount above",
        lambda m: at_least("log_cents", _amount(m[1])),
    ),
    (
        rf"(?:under|below|less than|at most) {_AMOUNT}{_COUNTED}",
        "an amount below",
        lambda m: at_most("log_cents", _amount(m[1])),
    ),
    (
        r"just (?:below|under) the (?:reporting )?(?:limit|threshold)",
        "near the limit",
        lambda m: at_least("near_limit", 1),
    ),
    (r"at night|overnight|early hours", "before 7 in the morning", lambda m: at_most("hour", 7)),
    (
        r"new (?:payee|receiver|account|beneficiar)|first[- ]time|never paid",
        "a new payee",
        lambda m: at_least("new_payee", 1),
    ),
    (
        rf"{_COUNT} (?:different |other |new )*(?:payees|receivers|beneficiaries)",
        "new payees in a day",
        lambda m: at_least("new_payees_24h", _count(m[1])),
    ),
    (
        rf"(?:from )?{_COUNT} (?:different |other )*(?:senders|payers|people pay)",
        "payers in two days",
        lambda m: at_least("payers_48h", _count(m[1])),
    ),
    (
        rf"{_COUNT} (?:very )?(?:small|tiny) (?:card )?(?:payments|purchases|amounts)",
        "tiny card payments in an hour",
        lambda m: at_least("tiny_1h", _count(m[1])),
    ),
    (
        rf"{_COUNT} payments within (?:an|one) hour",
        "payments in an hour",
        lambda m: at_least("sent_1h", _count(m[1])),
    ),
    (
        r"passe[sd] (?:it )?on|moves? (?:it )?on|forward(?:s|ed)|leaves? again",
        "passed on within a day",
        lambda m: Condition("passed_on", 0.8, 1.05),
    ),
    (r"idle|dormant|unused|asleep", "an idle receiver", lambda m: at_least("receiver_idle_days", 25)),
    (r"in a (?:ring|circle)|comes? back|returns? to", "closes a ring", lambda m: at_least("closes_ring", 1)),
    (
        r"same amount as|usual (?:bill|invoice)|known (?:bill|invoice)",
        "a bill as of old",
        lambda m: at_least("bill_twin", 0.7),
    ),
    (
        rf"{_COUNT} times (?:the|its|their) usual",
        "times the usual amount",
        lambda m: at_least("times_usual", _count(m[1])),
    ),
    (r"unusual(?:ly)?|unlike", "unlike the payer", lambda m: at_least("unlike_sender", 2.5)),
    (r"leaves? the bank|abroad|other bank|outside", "leaves the bank", lambda m: at_least("leaves_bank", 1)),
    (
        r"(?:opened|account) recently|newly opened|young account",
        "a young account",
        lambda m: at_most("sender_age_days", 7),
    ),
)
"""What is understood: a pattern, what it stands for, and the condition that it makes."""

_TURNED = re.compile(
    r"\b(?:not|no|never|without|except|neither|nor|at most|up to|under|below|(?:less|fewer|no more) than)"
    r"(?: (?:by|in|at|to|from|on|a|an|the|any|is|was|made|paid|more than|less than))*$"
)
"""Words right before a condition that say that it must not hold, or turn a least count into a most."""

SUSPECT = tuple(COLUMN[name] for name in ("unlike_sender", "new_payees_24h", "payers_48h", "tiny_1h"))
"""Figures by which payments that fit alike are put in order."""


@dataclass(frozen=True, slots=True)
class Described:
    """A watcher from words: all conditions must hold."""

    conditions: tuple[Condition, ...]

    def scores(self, figures: Float64) -> Float64:
        """Returns [payments] scores: 0 unless all conditions hold, else more the further figures go."""
        # All of them, or the payment is none of this watcher's.
        fits = np.ones(len(figures), dtype=np.bool_)
        for condition in self.conditions:
            fits &= condition.holds(figures)
        further = np.clip(figures[:, SUSPECT], 0, 20).sum(axis=1) / 10 + figures[:, COLUMN["log_cents"]] / 100
        return np.where(fits, 1.0 + further, 0.0)


def read(paragraph: str) -> Described:
    """Returns the watcher that a paragraph describes; NotUnderstood where it names too little to watch for."""
    text = " ".join(paragraph.lower().split())
    # In the order of the patterns, so that the same words make the same watcher.
    conditions: list[Condition] = []
    for pattern, _, made in PATTERNS:
        places = list(re.finditer(pattern, text))
        for place in places:
            if turned := _TURNED.search(text[: place.start()].rstrip()):
                words = text[turned.start() : place.end()]
                raise NotUnderstood(f"{words[:60]!r} says what must not hold, which is not read; say what holds")
        if places:
            condition = made(places[0])
            # The first pattern that speaks of a figure is the one that holds.
            if condition.figure not in {one.figure for one in conditions} or condition.figure == "log_cents":
                conditions.append(condition)
    amounts = [one for one in conditions if one.figure == "log_cents"]
    if max((one.low for one in amounts), default=-np.inf) > min((one.high for one in amounts), default=np.inf):
        raise NotUnderstood(f"no amount is both above and below what {paragraph[:60]!r} says; swap them")
    if not any(one.figure not in ("channel", "hour") for one in conditions):
        known = "; ".join(what for _, what, _ in PATTERNS)
        raise NotUnderstood(f"nothing to watch for was found in {paragraph[:60]!r}; understood are: {known}")
    return Described(tuple(conditions))
