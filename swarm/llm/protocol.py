"""What every engine is asked and what it answers, whoever runs it and wherever."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

Role = Literal["system", "user", "assistant"]
FinishReason = Literal["stop", "length", "error"]


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a chat."""

    role: Role
    content: str


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """One request; `max_tokens` bounds the completion and `seed` fixes the sampling where the engine can do that."""

    messages: tuple[Message, ...]
    schema: dict[str, Any] = field(hash=False)
    max_tokens: int
    seed: int


@dataclass(frozen=True, slots=True)
class TokenUsage:
    """Tokens of one request as its engine counts them."""

    prompt: int
    completion: int

    @property
    def total(self) -> int:
        """Prompt and completion together, which is what a turn's budget bounds."""
        return self.prompt + self.completion


@dataclass(frozen=True, slots=True)
class ModelReply:
    """One reply; with `finish_reason` "error" the text says what went wrong and is no completion."""

    text: str
    usage: TokenUsage
    finish_reason: FinishReason
    latency_s: float


class ModelClient(Protocol):
    """One model, reached in process or over the network.

    Requests travel in batches, since one message per shard and round is what the network can bear; an engine is free
    to work on all of a batch at once. Replies come in the order of the requests, one for each, and an engine that
    fails answers with `finish_reason` "error" and does not raise.
    """

    async def complete(self, requests: Sequence[ModelRequest], deadline_s: float) -> list[ModelReply]:
        """Answer every request within `deadline_s` seconds; what is not done by then comes back as an error."""
        ...
