"""One turn at a desk: what it may still spend, how it asks its model, and what came of its steps.

It knows no agent framework. An agent runs in a thread of its own, and its model's calls go back to the event loop.
"""

import asyncio
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Any

from swarm.agents.decision import DecisionError
from swarm.agents.desk_trace import DeskStep, Trace
from swarm.agents.form import Repair
from swarm.agents.forms.calls import CallsRead, read_calls
from swarm.agents.prompt_digest import prompt_digest
from swarm.agents.turns import Call, kept_text
from swarm.llm.asking import asked_of
from swarm.llm.marks import unmarked
from swarm.llm.protocol import FinishReason, Message, ModelClient, ModelReply, ModelRequest, TokenUsage
from swarm.llm.tokens import (
    MESSAGE_OVERHEAD,
    TokenSize,
    count_tokens,
    count_tokens_cached,
    further_digits,
    further_digits_cached,
)

MIN_COMPLETION_TOKENS = 16
"""Fewer tokens than this hold no tool call, so a desk that has no more left is over its budget."""

GRACE_S = 1.0
"""What a client may take beyond its deadline before it is given up."""


@dataclass(frozen=True, slots=True)
class DeskTurn:
    """A trader's turn at a desk: the text of its trace, and what it took."""

    text: str
    finish_reason: FinishReason
    usage: TokenUsage
    pruned_messages: int
    calls: tuple[Call, ...]


@dataclass(frozen=True, slots=True)
class Terms:
    """The terms on which all turns of a desk ask: a model, a schema, and the tokens of a turn and of a reply."""

    client: ModelClient
    model: str
    schema: dict[str, Any]
    turn_tokens: int
    completion_tokens: int


class Stopped(Exception):
    """The turn ends here, without a decision."""


class TurnUnderWay:
    """One turn's way to the model; its steps end with a final answer, or with what `ended` or the last reply says."""

    def __init__(self, terms: Terms, loop: asyncio.AbstractEventLoop, until: float, seed: int, size: TokenSize) -> None:
        self.terms = terms
        self.loop = loop
        self.until = until
        self.seed = seed
        self.size = size
        self.spent = TokenUsage(0, 0)
        self.steps: list[DeskStep] = []
        self.calls: list[Call] = []
        self.read: CallsRead | DecisionError = DecisionError.NOT_JSON
        self.finish_reason: FinishReason = "stop"
        self.ended = ""
        self.finished = False

    def ask(self, messages: tuple[Message, ...]) -> ModelReply:
        """Returns the model's next reply; Stopped where there is none, no time or no budget for one."""
        left_s = self.until - perf_counter()
        # The system prompt is the same in each step and for each trader, so its count is kept.
        estimate = sum(
            (count_tokens_cached if m.role == "system" else count_tokens)(m.content) + MESSAGE_OVERHEAD
            for m in messages
        )
        digits = sum((further_digits_cached if m.role == "system" else further_digits)(m.content) for m in messages)
        # Each step sends the talk so far anew, and all of it counts against the budget of the turn.
        room = self.terms.turn_tokens - self.spent.total - self.size.of(estimate, digits)
        if room < MIN_COMPLETION_TOKENS:
            self.ended = DecisionError.OVER_BUDGET
            raise Stopped
        request = ModelRequest(messages, self.terms.schema, min(self.terms.completion_tokens, room), self.seed)
        reply = self._complete(request, left_s) if left_s > 0 else _failed("deadline")
        self.calls.append(Call(self.terms.model, prompt_digest(messages), reply))
        self.spent = TokenUsage(
            self.spent.prompt + reply.usage.prompt,
            self.spent.completion + reply.usage.completion,
            self.spent.cached_prompt + reply.usage.cached_prompt,
        )
        # What a step's prompt took in the engine's tokens says what the next one will.
        self.size = self.size.learned(reply.usage.prompt, estimate, digits)
        # A failed call is no step: no text of it was read, and what was asked before it stays in the trace.
        if reply.failed:
            self.finish_reason = reply.finish_reason
            raise Stopped
        text = kept_text(reply.text)
        self.steps.append(DeskStep(text, reply.usage.prompt, reply.usage.completion))
        self.read = read_calls(text, reply.finish_reason == "length")
        return reply

    def _complete(self, request: ModelRequest, left_s: float) -> ModelReply:
        future = asyncio.run_coroutine_threadsafe(asked_of(self.terms.client, [request], left_s), self.loop)
        try:
            (reply,) = future.result(left_s + GRACE_S)
        except TimeoutError:
            future.cancel()
            return _failed("deadline")
        except Exception as error:
            # The event loop has ended, which costs this turn alone.
            return _failed("error", type(error).__name__)
        return reply

    @property
    def told_back(self) -> str:
        """What the model is shown of its last reply: as it wrote it, or its calls in the form that was asked for."""
        reply = self.steps[-1].reply
        if isinstance(self.read, CallsRead) and (Repair.NATIVE_CALL in self.read.repairs or unmarked(reply) != reply):
            # A model's own marks are broken in a message, and must not teach it to write broken ones.
            return "\n".join(kept_text(one.to_text()) for one in self.read.calls)
        return reply

    def note(self, **changes: Any) -> None:
        """Says what the last reply came to."""
        self.steps[-1] = replace(self.steps[-1], **changes)

    def returned(self, result: str, fault: str) -> None:
        """Adds what one call of the last reply came to; of its faults the first is counted."""
        last = self.steps[-1]
        self.note(result=f"{last.result}\n{result}" if last.result else result, fault=last.fault or fault)

    def done(self, decision: dict[str, Any], pruned_messages: int) -> DeskTurn:
        """Returns what the turn came to; `decision` counts only where it has finished."""
        if not self.finished and not self.ended and self.finish_reason == "stop":
            # Out of steps without an answer: the last fault says most about why.
            self.ended = (self.steps[-1].fault if self.steps else "") or DecisionError.UNFINISHED
        trace = Trace(tuple(self.steps), str(self.ended), decision if self.finished else {})
        return DeskTurn(trace.to_text(), self.finish_reason, self.spent, pruned_messages, tuple(self.calls))


def _failed(reason: FinishReason, text: str = "") -> ModelReply:
    return ModelReply(text, TokenUsage(0, 0), reason, 0.0)
