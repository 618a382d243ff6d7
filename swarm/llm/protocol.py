"""The one protocol of all engines: what each is asked and what it answers, whoever runs it and wherever."""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from operator import attrgetter
from typing import Any, Literal, Protocol, TypeVar, get_args, runtime_checkable

from swarm.llm.marks import unmarked

Role = Literal["system", "user", "assistant"]
EngineFailure = Literal[
    "error",
    "rate_limited",
    "server_error",
    "timeout",
    "connection",
    "protocol",
    "too_large",
    "circuit_open",
    "unauthorized",
    "model_not_found",
    "quota",
    "only_reasoning",
    "refused",
    "content_filter",
    "empty",
    "no_scores",
    "deadline",
]
"""Why an engine has no completion for a request: "error" says no more than that, "timeout" is one attempt's, and
"deadline" is the whole call's. "quota": it is used up. The four that follow cost tokens and brought no answer: the
model only reasoned, refused, was cut off by a filter, or said nothing. "no_scores": branches were to be scored, and it
did not tell how likely yes and no are."""

FinishReason = Literal["stop", "length"] | EngineFailure

ENGINE_FAILURES: frozenset[str] = frozenset(get_args(EngineFailure))
SCORES = "scores"
"""The ability of an engine to score branches; see `ModelRequest.branches`."""

MARGINS = "margins"
"""The ability of an engine to say how sure a choice was; see `ModelRequest.margin`."""

TOOLS = "tools"
"""The ability of an engine's models to call the tools of a desk."""

LETTERS, PROSE = "letters", "prose"
"""What a party may ask of a model: a letter of a menu that it shows, or words."""

MAX_REPLY_CHARS = 20_000
"""Longest text of a reply, in characters; an engine cuts nothing, it reports a longer one as "too_large"."""


_T = TypeVar("_T")


def _sent_by_fields(kind: type[_T]) -> type[_T]:
    """Has pickle take a dataclass's fields in their order and make it of them again.

    What dataclasses of their own do, when they are frozen and have slots, costs three times as much, and every turn
    sends four of these.
    """
    values = attrgetter(*(one.name for one in fields(kind)))  # type: ignore[arg-type]  # a dataclass, which types cannot say
    kind.__reduce__ = lambda self: (kind, values(self))  # type: ignore[method-assign]
    return kind


@_sent_by_fields
@dataclass(frozen=True, slots=True)
class Message:
    """One message of a chat; its content holds no control token of any chat template, whoever wrote it."""

    role: Role
    content: str

    def __post_init__(self) -> None:
        # Every prompt passes here, so no form, desk or guest can forget it.
        if (content := unmarked(self.content)) is not self.content:
            object.__setattr__(self, "content", content)


@_sent_by_fields
@dataclass(frozen=True, slots=True)
class ModelRequest:
    """One request; `max_tokens` bounds the completion and `seed` fixes the sampling where the engine can do that.

    An empty `schema` asks for text of any form, and a `temperature` of None is that of the model's config. With
    `more_seeds` the same prompt is to be answered once more for each of them, and computed once where the engine can do
    that; an engine that draws all samples from one seed draws them from `seed`. With `margin` the reply is to say how
    sure its choice was, where the schema is a list of choices and the engine has MARGINS among its abilities.

    With `branches` nothing is to be written: each of them stands directly behind the prompt's last message, and the
    text of the reply is a JSON list of numbers, for each branch the log-odds of yes over no. Its usage counts the
    prompt once and all branches. Only engines that have SCORES among their abilities are asked so.
    """

    messages: tuple[Message, ...]
    schema: dict[str, Any] = field(hash=False)
    max_tokens: int
    seed: int
    temperature: float | None = None
    more_seeds: tuple[int, ...] = ()
    branches: tuple[str, ...] = ()
    margin: bool = False

    @property
    def samples(self) -> int:
        """How many replies are asked for."""
        return 1 + len(self.more_seeds)

    def singly(self) -> "list[ModelRequest]":
        """Returns one request for each of its samples."""
        if not self.more_seeds:
            return [self]
        return [replace(self, seed=seed, more_seeds=()) for seed in (self.seed, *self.more_seeds)]


@_sent_by_fields
@dataclass(frozen=True, slots=True)
class TokenUsage:
    """Tokens of one reply as its engine counts them.

    `prompt` are those of the whole prompt; of them, `cached_prompt` were not computed again. `shared_prompt` are all of
    them in the later samples of one request, whose first sample has them as its own.
    """

    prompt: int
    completion: int
    cached_prompt: int = 0
    shared_prompt: int = 0

    @property
    def total(self) -> int:
        """Prompt and completion together, which is what a turn's budget bounds."""
        return self.prompt + self.completion


@_sent_by_fields
@dataclass(frozen=True, slots=True)
class ModelReply:
    """One reply; where `finish_reason` is an engine's failure the text says what went wrong and is no completion.

    `first_token_s` is the part of the latency until the first token, where the engine tells. `margin` is the likelihood
    of the choice less that of the likeliest other, from -1 to 1; None where it was not asked for or nobody can tell.
    """

    text: str
    usage: TokenUsage
    finish_reason: FinishReason
    latency_s: float
    first_token_s: float | None = None
    margin: float | None = None

    def shared(self) -> "ModelReply":
        """Returns this reply as a later sample of its request, whose prompt was computed for the first."""
        # A shared prompt counts as shared alone, and not as cached as well.
        return replace(self, usage=replace(self.usage, cached_prompt=0, shared_prompt=self.usage.prompt))

    @property
    def failed(self) -> bool:
        """Tells whether there is no completion."""
        return self.finish_reason in ENGINE_FAILURES


def folded(messages: Sequence[Message]) -> tuple[Message, ...]:
    """Returns the messages for a model without a system role: its rules head the user's first message."""
    # With no user's message behind it, there is nothing for the rules to head.
    if len(messages) < 2 or messages[0].role != "system":
        return tuple(messages)
    rules, first, *others = messages
    return (Message(first.role, f"{rules.content}\n\n{first.content}"), *others)


class ModelClient(Protocol):
    """One model, reached in process or over the network.

    Requests travel in batches, since one message per shard and round is what the network can bear; an engine is free
    to work on all of a batch at once. Replies come in the order of the requests, one for each sample of each, and an
    engine that fails answers with the failure as `finish_reason` and does not raise.
    """

    async def complete(self, requests: Sequence[ModelRequest], deadline_s: float) -> list[ModelReply]:
        """Answers every request within `deadline_s` seconds; what is not done by then comes back as an error."""
        ...


@runtime_checkable
class Mortal(Protocol):
    """A client whose engine is a process that can die."""

    async def check_health(self) -> None:
        """Raises if the engine is dead."""
        ...


@runtime_checkable
class Connected(Protocol):
    """A client that keeps connections: whoever owns it opens it and closes it.

    Both belong to one event loop, that in which `complete` is then awaited. A client that was not opened still answers,
    with connections that it makes for one batch and closes after it.
    """

    async def open(self) -> None:
        """Gets ready to keep connections; opening twice is opening once."""
        ...

    async def close(self) -> None:
        """Closes all connections; closing what is not open does nothing."""
        ...
