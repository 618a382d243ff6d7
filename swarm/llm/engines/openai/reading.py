"""Reads what an endpoint's reply says, whatever its shape: from bytes to completions, or to why there is none.

Servers differ: content in parts, reasoning apart, refusals, errors under a status of 200, compression that nobody asked
for. What is there is read; nothing in a body can raise. It knows no connection, no retry and no decision.
"""

import codecs
import json
import zlib
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import accumulate, pairwise
from typing import Any, TypeGuard

from swarm.llm.engines.openai.called import Called
from swarm.llm.engines.openai.failures import Failure, error_in, refusal
from swarm.llm.engines.openai.scoring import NO_SCORES, log_odds
from swarm.llm.margins import Token, margin_in
from swarm.llm.protocol import MAX_REPLY_CHARS, FinishReason, ModelRequest, TokenUsage
from swarm.llm.tokens import MESSAGE_OVERHEAD, count_tokens, count_tokens_cached

MAX_BODY_BYTES = 1_000_000
"""Most bytes of a reply that are read; a decision has a few hundred."""

_MAX_TOKENS = 10_000_000
_GZIP, _ANY_ZLIB, _RAW_DEFLATE = b"\x1f\x8b", 47, -15
_REASONING_KEYS = ("reasoning_content", "reasoning", "thinking")
_MOST_PARTS = 10_000
# Not strict: some servers write line breaks into strings as they are.
_DECODER = json.JSONDecoder(strict=False)


@dataclass(frozen=True, slots=True)
class Sample:
    """One reply; where the reason is a failure's the text says what is wrong, and the tokens were used all the same."""

    text: str
    finish_reason: FinishReason
    usage: TokenUsage
    margin: float | None = None


@dataclass(frozen=True, slots=True)
class Completion:
    """The reply to one request: a sample, or several of the same prompt."""

    samples: tuple[Sample, ...]
    first_token_at: float | None = None


@dataclass(slots=True)
class Said:
    """The parts of what a choice says: text, reasoning, refusal, and how it ended."""

    text: str = ""
    reasoning: str = ""
    refusal: str = ""
    finish: Any = None
    tokens: list[Token] = field(default_factory=list)

    def add_likelihoods(self, choice: Any) -> None:
        """Adds how likely the tokens of a choice, or of its next piece, were; what is no such list tells nothing."""
        told = choice.get("logprobs")
        for token in (told.get("content") or ())[:_MOST_PARTS] if isinstance(told, dict) else ():
            with suppress(ValueError, KeyError, TypeError, AttributeError):
                others = [(str(other["token"]), float(other["logprob"])) for other in token["top_logprobs"]]
                self.tokens.append((str(token["token"]), others))

    def add(self, message: Any) -> None:
        """Adds a message, or the next piece of one; TypeError where it is none."""
        if not isinstance(message, dict):
            raise TypeError("message")
        if (content := message.get("content")) is not None:
            self._add_content(content)
        for key in _REASONING_KEYS:
            # Some gateways send the same reasoning under two names.
            if isinstance(thought := message.get(key), str) and thought:
                self.reasoning += thought
                break
        if isinstance(refused := message.get("refusal"), str):
            self.refusal += refused

    def _add_content(self, content: Any) -> None:
        if isinstance(content, str):
            self.text += content
            return
        if isinstance(content, dict):
            # A server that has parsed the answer gives it back as an object.
            if "type" not in content and "text" not in content:
                self.text += json.dumps(content)
                return
            content = [content]
        if not isinstance(content, list):
            raise TypeError("content")
        for part in content[:_MOST_PARTS]:
            self._add_part(part)

    def _add_part(self, part: Any) -> None:
        if isinstance(part, str):
            self.text += part
        elif isinstance(part, dict):
            kind = str(part.get("type", "text"))
            if kind == "refusal" and isinstance(part.get("refusal"), str):
                self.refusal += part["refusal"]
            elif kind in ("thinking", "reasoning", "reasoning_content"):
                self.reasoning += json.dumps(part)
            elif isinstance(text := part.get("text"), dict):
                # The older shape of assistants: {"text": {"value": ...}}.
                self.text += text["value"] if isinstance(text.get("value"), str) else ""
            elif isinstance(text, str):
                self.text += text


class Decompressor:
    """A decoder of gzip and deflate, whether or not they were asked for; nothing grows beyond the cap of a reply."""

    def __init__(self, encoding: str) -> None:
        self._encodings = [e for e in (p.strip().lower() for p in encoding.split(",")) if e not in ("", "identity")]
        self._undo: Any = None
        self._begun = False
        self._size = 0

    def refused(self) -> Failure | None:
        """Returns why the reply cannot be read; None where it can."""
        known = ("gzip", "x-gzip", "deflate")
        if len(self._encodings) > 1 or any(e not in known for e in self._encodings):
            shown = ", ".join(self._encodings)[:60]
            return Failure("protocol", f"the reply is compressed by {shown!r}, which was not asked for")
        return None

    def feed(self, chunk: bytes) -> bytes | Failure:
        """Returns what the next bytes mean."""
        if not self._begun and chunk:
            self._begun = True
            # Some gateways compress without saying so; gzip shows in its first two bytes.
            if self._encodings or chunk[:2] == _GZIP:
                self._undo = zlib.decompressobj(_ANY_ZLIB)
        if self._undo is None:
            self._size += len(chunk)
            return _too_many(self._size) or chunk
        try:
            told = self._decompressed(chunk)
        except zlib.error as error:
            return Failure("protocol", f"the reply's compression is broken ({error})")
        self._size += len(told)
        return _too_many(self._size) or told

    def is_cut(self) -> bool:
        """Returns whether the compressed reply ended before its end."""
        return self._undo is not None and not self._undo.eof

    def _decompressed(self, chunk: bytes) -> bytes:
        # One byte beyond the cap is enough to see that it is passed.
        most = MAX_BODY_BYTES + 1
        try:
            told: bytes = self._undo.decompress(chunk, most)
        except zlib.error:
            if self._size or "deflate" not in self._encodings:
                raise
            # Some servers mean the bare stream by "deflate".
            self._undo = zlib.decompressobj(_RAW_DEFLATE)
            told = self._undo.decompress(chunk, most)
        return told


def _too_many(size: int) -> Failure | None:
    if size <= MAX_BODY_BYTES:
        return None
    return Failure("too_large", f"a reply of more than {MAX_BODY_BYTES} bytes")


def decoded(raw: bytes, content_type: str) -> str:
    """Returns the text of a body: by its byte order mark or as UTF-8, else as its type says, else what can be read."""
    try:
        return raw.decode(json.detect_encoding(raw) if raw[:4].count(0) or raw[:1] >= b"\xef" else "utf-8")
    except UnicodeDecodeError:
        pass
    charset = content_type.partition("charset=")[2].partition(";")[0].strip(" \"'")
    try:
        return raw.decode(codecs.lookup(charset).name if charset else "utf-8", "replace")
    except (LookupError, ValueError, UnicodeError, AttributeError):
        return raw.decode("utf-8", "replace")


def parsed(text: str) -> Any:
    """Returns the JSON value of a text, also with raw line breaks in its strings; ValueError where it is none."""
    try:
        return _DECODER.decode(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def read_completion(data: Any, request: ModelRequest, told: Callable[[], str]) -> Completion | Failure:
    """Returns what a whole reply says; `told` returns its beginning, fit to be shown."""
    if (error := error_in(data)) is not None and not (isinstance(data, dict) and data.get("choices")):
        return refusal(200, {}, error, told())
    try:
        choices = data["choices"]
        said = []
        for choice in choices[: request.samples]:
            if (error := error_in(choice)) is not None and not _has_text(choice):
                return refusal(200, {}, error, told())
            said.append(_said_by(choice))
        if not said:
            raise IndexError("choices")
        usage = data.get("usage")
    except (ValueError, RecursionError, KeyError, IndexError, TypeError, AttributeError):
        return Failure("protocol", f"not a chat completion: {told()}")
    return completion(said, usage, request)


def _has_text(choice: Any) -> bool:
    message = choice.get("message")
    return isinstance(message, dict) and bool(message.get("content"))


def _said_by(choice: Any) -> Said:
    said = Said(finish=choice.get("finish_reason"))
    said.add_likelihoods(choice)
    message = choice["message"]
    said.add(message)
    called = Called()
    called.add(message)
    said.text = called.said_by(said.text)
    return said


def completion(
    said: Sequence[Said], told: Any, request: ModelRequest, first_token_at: float | None = None
) -> Completion | Failure:
    """Returns the samples that choices come to, with the tokens of each; later ones share the first one's prompt."""
    longest = max(len(one.text) for one in said)
    if longest > MAX_REPLY_CHARS:
        return Failure("too_large", f"a reply of {longest} characters")
    # The endpoint counts all samples together; each gets its share, and the first one the prompt.
    total = usage_of(told, request, "".join(one.text or one.reasoning for one in said))
    samples = [_scored(one, total) if request.branches else _sample(one, told, total) for one in said]
    if len(said) == 1:
        return Completion((samples[0],), first_token_at)
    for number, tokens in enumerate(_shares(total.completion, [one.text for one in said])):
        usage = replace(total, completion=tokens)
        usage = replace(usage, cached_prompt=0, shared_prompt=total.prompt) if number else usage
        samples[number] = replace(samples[number], usage=usage)
    return Completion(tuple(samples), first_token_at)


def _scored(said: Said, usage: TokenUsage) -> Sample:
    """Returns the score of the branch that a request was for, or that the endpoint tells none."""
    if (odds := log_odds(said.tokens)) is None:
        return Sample(NO_SCORES, "no_scores", usage)
    return Sample(repr(odds), "stop", usage)


def _sample(said: Said, told: Any, usage: TokenUsage) -> Sample:
    """Returns one choice as a reply, or as the reason why it is none."""
    if said.finish == "content_filter":
        return Sample("the endpoint's content filter cut the reply off", "content_filter", usage)
    cut = said.finish in ("length", "max_tokens", "MAX_TOKENS")
    # Text is an answer whatever else came with it; without any, the reason for that is looked for.
    if said.text and (cut or not said.text.isspace()):
        return Sample(encodable(said.text), "length" if cut else "stop", usage, margin_in(said.tokens, said.text))
    if said.refusal or said.finish == "refusal":
        return Sample(encodable(f"the model refused: {said.refusal[:200]}"), "refused", usage)
    if said.reasoning or _reasoned(told):
        where = "was cut off while it reasoned" if cut else "reasoned and gave no answer"
        return Sample(f"the model {where}; see docs/models.md, reasoning models", "only_reasoning", usage)
    return Sample("the reply is empty", "empty", usage)


def _reasoned(told: Any) -> bool:
    """Tells whether tokens went into reasoning that is not shown."""
    details = told.get("completion_tokens_details") if isinstance(told, dict) else None
    tokens = details.get("reasoning_tokens") if isinstance(details, dict) else None
    return is_count(tokens) and tokens > 0


def usage_of(told: Any, request: ModelRequest, text: str) -> TokenUsage:
    """Returns the endpoint's count where it is one, else an estimate."""
    if isinstance(told, dict):
        prompt, written = told.get("prompt_tokens"), told.get("completion_tokens")
        if is_count(prompt) and is_count(written):
            details = told.get("prompt_tokens_details")
            cached = details.get("cached_tokens") if isinstance(details, dict) else None
            return TokenUsage(prompt, written, min(cached, prompt) if is_count(cached) else 0)
    prompt = sum(
        (count_tokens_cached if m.role == "system" else count_tokens)(m.content) + MESSAGE_OVERHEAD
        for m in request.messages
    )
    return TokenUsage(prompt, min(count_tokens(text), request.max_tokens * request.samples))


def _shares(total: int, texts: Iterable[str]) -> list[int]:
    """Returns each choice's completion tokens, of which an endpoint tells the sum, in proportion to their estimates."""
    estimates = [count_tokens(text) + 1 for text in texts]
    ends = [total * end // sum(estimates) for end in accumulate(estimates)]
    return [end - start for start, end in pairwise([0, *ends])]


def is_count(value: Any) -> TypeGuard[int]:
    """Returns whether a value may be a number of tokens."""
    return type(value) is int and 0 <= value <= _MAX_TOKENS


def encodable(text: str) -> str:
    """Returns text without lone surrogates, which JSON can name and no journal can write."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()
