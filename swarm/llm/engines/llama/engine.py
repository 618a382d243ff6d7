"""The engine of models in GGUF files: llama.cpp in this process, behind the protocol of all models.

What is written goes to as many threads as the model has slots, since a call of llama.cpp blocks until its reply is
there; it computes what its slots need together. What is scored goes to one thread and one slot, in an order in which
each line shares as much as it can with the one before: a slot keeps what it has computed, and only what differs is
computed anew. With one thread that is as fast as many slots would be, which would each compute the shared part.

The same request in the same state of the cache gives the same bytes. What is computed together changes logits, by as
much as a tenth where weights have few bits; so with several slots or shards, what is close can come out otherwise.
"""

import asyncio
import json
import math
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Event
from time import perf_counter
from typing import Any

from swarm.llm.engines.llama.config import LlamaModel
from swarm.llm.engines.llama.server import Answer, LlamaServer
from swarm.llm.margins import ALTERNATIVES, Token, margin_in
from swarm.llm.protocol import MAX_REPLY_CHARS, EngineFailure, Message, ModelReply, ModelRequest, TokenUsage, folded
from swarm.llm.scores import MOST, NO, YES, scored

RAISED = 100.0
"""What is added to the logits of both before the two likeliest tokens are looked at, which are then these."""

SCORING_SLOT = 0

ABORT_S = 0.5
"""Seconds that llama.cpp gets to let go of what is late."""

_PROBE = "Rules: be brief."


class LlamaEngine:
    """A `ModelClient` that keeps a model from `open` to `close`; without `open`, the first batch loads it."""

    def __init__(self, config: LlamaModel) -> None:
        self.config = config
        self._opening = asyncio.Lock()
        self._server: LlamaServer | None = None
        self._writers: ThreadPoolExecutor | None = None
        self._scorer: ThreadPoolExecutor | None = None
        self._folds = False

    async def open(self) -> None:
        """Loads the model and learns whether its template has a system role; takes a second to minutes."""
        async with self._opening:
            if self._server is not None:
                return
            server = await asyncio.to_thread(LlamaServer, self.config)
            self._folds = await asyncio.to_thread(_has_no_system_role, server)
            name = f"llama-{self.config.name}"
            self._writers = ThreadPoolExecutor(self.config.slots, thread_name_prefix=name)
            self._scorer = ThreadPoolExecutor(1, thread_name_prefix=f"{name}-scores")
            self._server = server

    async def close(self) -> None:
        """Lets go of the model when what is under way has ended."""
        async with self._opening:
            server, self._server = self._server, None
            for pool in (self._writers, self._scorer):
                if pool is not None:
                    await asyncio.to_thread(pool.shutdown, cancel_futures=True)
            if server is not None:
                await asyncio.to_thread(server.close)

    async def complete(self, requests: Sequence[ModelRequest], deadline_s: float) -> list[ModelReply]:
        """Works on all requests at once; what is not done by the deadline is given up and comes back as an error."""
        started = perf_counter()
        if self._server is None:
            await self.open()
        batch = _Batch(started, started + deadline_s)
        loop = asyncio.get_running_loop()
        to_score = [i for i, request in enumerate(requests) if request.branches]
        # One future for each sample that is written, and one for all that is scored, by the index of its request.
        writing = [
            [loop.run_in_executor(self._writers, self._write, sample, batch) for sample in request.singly()]
            if not request.branches
            else []
            for request in requests
        ]
        scoring = loop.run_in_executor(self._scorer, self._score_all, [requests[i] for i in to_score], batch)
        futures: list[asyncio.Future[Any]] = [scoring, *(future for own in writing for future in own)]
        _, late = await asyncio.wait(futures, timeout=max(0.0, batch.end - perf_counter()))
        # Threads cannot be ended from outside: they see this and break off by themselves.
        batch.is_over.set()
        if late:
            await asyncio.wait(late, timeout=ABORT_S)
        missed = batch.failed("the deadline came before the reply", "deadline")
        # What is late has no result yet, and all of the scored requests are lost with it.
        scores = dict(zip(to_score, scoring.result() if scoring.done() else [], strict=False))
        replies: list[ModelReply] = []
        for i, request in enumerate(requests):
            if request.branches:
                replies += scores.get(i, [missed] * request.samples)
            for number, future in enumerate(writing[i]):
                reply = future.result() if future.done() and not future.cancelled() else missed
                replies.append(reply.shared() if number and not reply.failed else reply)
        return replies

    @property
    def _running(self) -> LlamaServer:
        if self._server is None:
            raise RuntimeError("the engine is closed")
        return self._server

    def _write(self, request: ModelRequest, batch: "_Batch") -> ModelReply:
        """Returns the reply to one request, read as it is written so that it can be broken off."""
        if batch.is_late:
            return batch.failed("not begun by the deadline", "deadline")
        if kept := self._running.kept_layers:
            return batch.failed(f"its adapter leaves it {kept} layers, which judge and cannot write", "error")
        config, heard = self.config, _Heard(batch)
        body = {
            "messages": self._messages(request),
            "max_tokens": request.max_tokens,
            "temperature": config.temperature if request.temperature is None else request.temperature,
            # llama.cpp takes 32 bits, and its highest value means a random seed.
            "seed": request.seed & 0x7FFFFFFF,
            **_grammar(request.schema),
            **({"logprobs": True, "top_logprobs": ALTERNATIVES} if request.margin else {}),
            **self._adapted(with_scores=False),
        }
        self._running.stream_chat(body, heard.hear)
        return heard.reply(batch, request.max_tokens)

    def _messages(self, request: ModelRequest) -> list[dict[str, str]]:
        messages = folded(request.messages) if self._folds else request.messages
        return [{"role": m.role, "content": m.content} for m in messages]

    def _adapted(self, with_scores: bool) -> dict[str, Any]:
        """Returns keys that turn the adapter off where what is written is not in the form that the adapter is for."""
        without = self.config.adapter is not None and self.config.form == "judge" and not with_scores
        return {"lora": [{"id": 0, "scale": 0.0}]} if without else {}

    def _score_all(self, requests: Sequence[ModelRequest], batch: "_Batch") -> list[list[ModelReply]]:
        """Replies to all requests that score, those with the same beginning one after the other."""
        found: dict[int, list[ModelReply]] = {}
        known: dict[str, _Scored] = {}
        for i in sorted(range(len(requests)), key=lambda i: [m.content for m in requests[i].messages]):
            found[i] = self._score(requests[i], known, batch)
        return [found[i] for i in range(len(requests))]

    def _score(self, request: ModelRequest, known: dict[str, "_Scored"], batch: "_Batch") -> list[ModelReply]:
        """Returns one reply for each sample; `known` has what this batch has scored, by its whole text."""
        if batch.is_late:
            return [batch.failed("not begun by the deadline", "deadline")] * request.samples
        extra = {**self._adapted(with_scores=True), "max_tokens": 1, "id_slot": SCORING_SLOT}
        prompt = self._running.chat({"messages": self._messages(request), "temperature": 0, **extra})
        if "error" in prompt:
            return [_refused(prompt, batch)] * request.samples
        # The prompt as the template made it, behind which each branch is put as it is.
        text, usage = prompt["__verbose"]["prompt"], prompt["usage"]["prompt_tokens"]
        computed, behind = _computed(prompt), 0
        values: dict[str, float] = {}
        # In order of their letters, so that each shares its beginning with the one before.
        for branch in sorted(set(request.branches)):
            if batch.is_late:
                return [batch.failed("the deadline came before all was scored", "deadline")] * request.samples
            if (one := known.get(text + branch)) is None:
                answer = self._running.complete({"prompt": text + branch, **_BOTH, **extra})
                if "error" in answer:
                    return [_refused(answer, batch)] * request.samples
                if (log_odds := _log_odds(answer)) is None:
                    told = f"its vocabulary has no single token for {YES!r} and {NO!r}"
                    return [batch.failed(told, "error")] * request.samples
                known[text + branch] = one = _Scored(log_odds, answer["usage"]["prompt_tokens"])
                computed += _computed(answer)
            values[branch] = one.log_odds
            behind += (one.tokens - usage) * request.branches.count(branch)
        # All branches count as if each were asked alone; what was not computed anew counts as cached.
        total = usage + max(behind, 0)
        spent = TokenUsage(total, 0, max(total - computed, 0))
        heat = self.config.temperature if request.temperature is None else request.temperature
        replies = []
        for number, seed in enumerate((request.seed, *request.more_seeds)):
            taken = scored([values[branch] for branch in request.branches], heat, seed)
            margin = taken.margin if request.margin else None
            reply = ModelReply(taken.to_text(heat > 0), spent, "stop", batch.passed_s, margin=margin)
            replies.append(reply.shared() if number else reply)
        return replies


@dataclass(frozen=True, slots=True)
class _Scored:
    """The score of a text: the log-odds of yes over no behind it, and its tokens."""

    log_odds: float
    tokens: int


@dataclass(slots=True)
class _Batch:
    """The clock of one batch, in seconds of `perf_counter`; `is_over` is set when nobody waits for it any more."""

    started: float
    end: float
    is_over: Event = field(default_factory=Event)

    @property
    def is_late(self) -> bool:
        return self.is_over.is_set() or perf_counter() >= self.end

    @property
    def passed_s(self) -> float:
        return perf_counter() - self.started

    def failed(self, reason: str, kind: EngineFailure) -> ModelReply:
        """Returns a reply without a completion."""
        return ModelReply(reason, TokenUsage(0, 0), kind, self.passed_s)


class _Heard:
    """One reply as its parts come in."""

    def __init__(self, batch: _Batch) -> None:
        self._batch = batch
        self._parts: list[str] = []
        self._likely: list[Token] = []
        self._reasoned = False
        self._error: Answer | None = None
        self._usage: Mapping[str, Any] = {}
        self._ended: str | None = None
        self._first_token_s: float | None = None
        self._broken_off = False

    def hear(self, part: Answer) -> bool:
        """Takes one part; True where nobody waits for the rest."""
        if "error" in part:
            self._error = part
            return True
        self._usage = part.get("usage") or self._usage
        for choice in part.get("choices", ()):
            delta = choice.get("delta", {})
            if said := delta.get("content"):
                self._parts.append(said)
            # A reply that was all reasoning is told apart from one that was empty.
            self._reasoned |= bool(delta.get("reasoning_content"))
            self._likely += map(_token, (choice.get("logprobs") or {}).get("content") or ())
            if self._first_token_s is None and (said or self._reasoned):
                self._first_token_s = self._batch.passed_s
            self._ended = choice.get("finish_reason") or self._ended
        self._broken_off = self._batch.is_late and self._ended is None
        return self._broken_off

    def reply(self, batch: _Batch, max_tokens: int) -> ModelReply:
        """Returns what has come in as a reply, or as the failure that it is."""
        if self._error is not None:
            return _refused(self._error, batch)
        if self._broken_off:
            return batch.failed("the deadline came before the reply", "deadline")
        text = "".join(self._parts)
        cached = (self._usage.get("prompt_tokens_details") or {}).get("cached_tokens", 0)
        usage = TokenUsage(self._usage.get("prompt_tokens", 0), self._usage.get("completion_tokens", 0), cached)
        if len(text) > MAX_REPLY_CHARS:
            return ModelReply(f"a reply of {len(text)} characters", usage, "too_large", batch.passed_s)
        if not text:
            kind: EngineFailure = "only_reasoning" if self._reasoned else "empty"
            return ModelReply("it wrote nothing that is an answer", usage, kind, batch.passed_s)
        is_cut = self._ended == "length" or (usage.completion >= max_tokens > 0 and self._ended != "stop")
        margin = margin_in(self._likely, text) if self._likely else None
        return ModelReply(
            text, usage, "length" if is_cut else "stop", batch.passed_s, self._first_token_s, margin=margin
        )


_BOTH: dict[str, Any] = {
    "logit_bias": [[YES, RAISED], [NO, RAISED]],
    "samplers": ["top_k"],
    "top_k": 2,
    "temperature": 1.0,
    "n_probs": 2,
    "post_sampling_probs": True,
}
"""Asks for the odds of the two tokens: raised alike they are the likeliest two, and their odds stay what they were."""


def _log_odds(answer: Answer) -> float | None:
    """Returns the logit of yes less that of no; None where the answer has not both."""
    content = answer["choices"][0].get("logprobs", {}).get("content") or [{}]
    shares = {one["token"]: float(one["prob"]) for one in content[0].get("top_probs", ())}
    if shares.keys() != {YES, NO}:
        return None
    # A share that was rounded to 0 has no logarithm, and is as sure as a score can be.
    if not shares[NO] or not shares[YES]:
        return MOST if shares[YES] else -MOST
    return math.log(shares[YES]) - math.log(shares[NO])


def _token(told: Answer) -> Token:
    """A token of a reply and the likely ones beside it."""
    return told["token"], [(other["token"], float(other["logprob"])) for other in told.get("top_logprobs", ())]


def _grammar(schema: Mapping[str, Any]) -> dict[str, str]:
    """Returns the schema as a grammar that leaves no room for white space, in which some models write to no end."""
    if not schema:
        return {}
    told = json.dumps({**schema, "x-guidance": {"whitespace_flexible": False}})
    return {"grammar": f"%llguidance {{}}\nstart: %json {told}"}


def _computed(answer: Answer) -> int:
    """Tokens of a prompt that were not in a slot's cache."""
    return int(answer.get("timings", {}).get("prompt_n", 0))


def _refused(answer: Answer, batch: _Batch) -> ModelReply:
    error = answer["error"]
    told = str(error.get("message", error))[:200] if isinstance(error, dict) else str(error)[:200]
    is_large = isinstance(error, dict) and error.get("type") == "exceed_context_size_error"
    return batch.failed(told, "too_large" if is_large else "error")


def _has_no_system_role(server: LlamaServer) -> bool:
    """Tells whether the model's template refuses or drops what the system says."""
    messages = [Message("system", _PROBE), Message("user", "Are you ready?")]
    answer = server.chat({"messages": [{"role": m.role, "content": m.content} for m in messages], "max_tokens": 1})
    return "error" in answer or _PROBE not in answer["__verbose"]["prompt"]
