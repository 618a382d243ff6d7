"""The record of a cascade's turn: who answered what, how sure the small model was, and why the large one was asked.

Pure; it asks nobody. Whose decision holds follows from the record alone, so a replay reads it again.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from swarm.agents.asking import Asked
from swarm.agents.decision import DecisionError, Reading, engine_failure
from swarm.agents.forms.protocol import Form
from swarm.agents.observation import Observation
from swarm.agents.turns import Turns, kept_text

TRACE_VERSION = 1

_MOST = 2**53
_ERRORS = frozenset(map(str, DecisionError))


class Reason(StrEnum):
    """Why a turn was brought to the large model, or that it was not."""

    NONE = "none"
    """The small model's decision was good enough for the price."""
    STAKE = "stake"
    """What being wrong was likely to cost was more than the call."""
    FAILED = "failed"
    """The small model gave no decision, and the best action was worth more than the call."""
    LOAN = "loan"
    SHORT = "short"
    SUSPICION = "suspicion"


_REASONS = {str(reason): reason for reason in Reason}

FORCED = frozenset({Reason.LOAN, Reason.SHORT, Reason.SUSPICION})
"""Reasons for which the price does not count."""


# Made once, since a writer with separators of its own costs as much as what it writes.
_to_json = json.JSONEncoder(separators=(",", ":")).encode


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer: how it ended, "stop" or "length", and its text; or the kind of error that it is, without a text."""

    ended: str
    text: str = ""

    @property
    def error(self) -> DecisionError | None:
        """What went wrong, where there is no text."""
        return DecisionError(self.ended) if self.ended in _ERRORS else None

    @classmethod
    def of(cls, asked: Asked, i: int, tokens: int) -> "Answer":
        """Returns one of the answers that were asked for; what took more than its tokens is none."""
        reply = asked.replies[i]
        if reply is None or reply.usage.total > tokens:
            return cls(str(DecisionError.OVER_BUDGET))
        if reply.failed:
            return cls(str(engine_failure(reply.finish_reason)))
        return cls(reply.finish_reason, kept_text(reply.text))

    def to_json(self) -> tuple[str, str]:
        """Returns it as a record has it."""
        return self.ended, self.text

    def read(self, form: Form[Any], seen: Observation, row: int) -> Reading[Any]:
        """Returns what a form reads in it, or the error that it is."""
        if self.error is not None:
            return Reading(self.error)
        return form.read(self.text, self.ended == "length", seen, row)


@dataclass(frozen=True, slots=True)
class Weighed:
    """The figures that were weighed in a turn.

    `margin_permille` is None where nobody could tell it. `stake_ticks` is what the best action is expected to bring
    beyond the second, and `price_milliticks` what the call was taken to cost. `bounded` says that the turn would have
    been brought to the large model whatever it costs, had this trader not had its turn at that.
    """

    margin_permille: int | None
    wrong_permille: int
    stake_ticks: int
    price_milliticks: int
    bounded: bool = False

    @property
    def pays(self) -> bool:
        """Whether what being wrong is likely to cost is more than the call."""
        # 1/1000 times ticks on one side, 1/1000 of a tick on the other.
        return self.wrong_permille * self.stake_ticks > self.price_milliticks


@dataclass(frozen=True, slots=True)
class CascadeTurn:
    """One turn of a cascade: the small model's answers, the large one's where it was asked, and why it was."""

    reason: Reason
    weighed: Weighed
    small: tuple[Answer, ...]
    large: Answer | None = None

    def to_text(self) -> str:
        """Returns the record as it stands in the journal."""
        w = self.weighed
        weighed = [w.margin_permille, w.wrong_permille, w.stake_ticks, w.price_milliticks, w.bounded]
        # By hand, since a general way to take a record apart costs more than all else here.
        small = [answer.to_json() for answer in self.small]
        large = None if self.large is None else self.large.to_json()
        values = [TRACE_VERSION, str(self.reason), weighed, small, large]
        return _to_json(values)

    @classmethod
    def from_text(cls, text: str) -> "CascadeTurn":
        """Returns what `to_text` wrote; ValueError where it is no turn of a cascade."""
        values: Any = json.loads(text)
        match values:
            case [1, str(reason), [margin, int(wrong), int(stake), int(price), bool(bounded)], [_, *_] as small, large]:
                pass
            case _:
                raise ValueError("expected the reason, the weights and the answers of a cascade's turn")
        if margin is not None and (type(margin) is not int or abs(margin) > 1_000):
            raise ValueError("expected a margin from -1000 to 1000")
        if {type(wrong), type(stake), type(price)} != {int}:
            raise ValueError("expected whole numbers")
        if not (0 <= wrong <= 1_000 and 0 <= stake <= _MOST and 0 <= price <= _MOST):
            raise ValueError("expected numbers from 0")
        if reason not in _REASONS:
            raise ValueError("expected a reason")
        weighed = Weighed(margin, wrong, stake, price, bounded)
        answers = tuple([answer_of(one) for one in small])
        return cls(_REASONS[reason], weighed, answers, None if large is None else answer_of(large))


def answer_of(value: Any) -> Answer:
    """Returns the answer that `Answer.to_json` made this of; ValueError where it is none."""
    match value:
        case [str(ended), str(text)] if ended in ("stop", "length") or (ended in _ERRORS and not text):
            return Answer(ended, text)
    raise ValueError("expected how an answer ended, and its text")


def turns_of(turns: Turns, cascades: set[str]) -> Iterator[tuple[str, int, CascadeTurn | None]]:
    """Yields the mind, the trader and the record of each turn of these cascades; None for one that was lost."""
    for name, trader, text in zip(turns.mind_names, turns.trader.tolist(), turns.text, strict=True):
        if name not in cascades:
            continue
        try:
            yield name, trader, CascadeTurn.from_text(text)
        except (ValueError, RecursionError):
            yield name, trader, None
