"""The scripted engine: it hands each request to the policy that fits it, and counts tokens by the estimate."""

import asyncio
from collections.abc import Sequence
from time import perf_counter

from swarm.llm.engines.scripted.config import ScriptedModel
from swarm.llm.engines.scripted.policy import all_policies, reply_to
from swarm.llm.protocol import ModelReply, ModelRequest, TokenUsage
from swarm.llm.tokens import MESSAGE_OVERHEAD, count_tokens, count_tokens_cached


def _garble(text: str, seed: int) -> str:
    """Returns the text spoilt in one of the ways in which small models do it."""
    return (
        text[: len(text) * 2 // 3],
        "I would rather wait and see.",
        text.replace('"price": ', '"price": -'),
        text.replace('"orders"', '"trades"'),
        text.replace('"good": "', '"good": "golden '),
    )[seed % 5]


class ScriptedEngine:
    """A `ModelClient` that answers in process, at once."""

    def __init__(self, config: ScriptedModel) -> None:
        self.config = config
        self._policies = all_policies()

    async def complete(self, requests: Sequence[ModelRequest], deadline_s: float) -> list[ModelReply]:
        """Answers every request; the deadline cannot be missed by much, since nothing is waited for but `latency_s`."""
        started = perf_counter()
        if self.config.latency_s:
            await asyncio.sleep(min(self.config.latency_s, deadline_s))
        replies: list[ModelReply] = []
        for request in requests:
            for number, sample in enumerate(request.singly()):
                reply = self._reply(sample, perf_counter() - started < deadline_s)
                replies.append(reply.shared() if number else reply)
        return replies

    def _reply(self, request: ModelRequest, in_time: bool) -> ModelReply:
        started = perf_counter()
        prompt = sum(
            (count_tokens_cached if m.role == "system" else count_tokens)(m.content) + MESSAGE_OVERHEAD
            for m in request.messages
        )
        if not in_time:
            return ModelReply("no reply by the deadline", TokenUsage(prompt, 0), "deadline", perf_counter() - started)
        # Other bits of the seed than those below, so that lies and faults do not go together.
        lies = (request.seed >> 8 & 0xFFFFF) < self.config.lies * 0x100000
        asked = request.messages, request.seed, request.schema
        text = reply_to(self._policies, self.config.temperament, *asked, lies)
        # Twenty bits of the seed that no policy looks at decide whether a reply is garbled, and how.
        if (seed_share := request.seed >> 32 & 0xFFFFF) < self.config.fault_rate * 0x100000:
            text = _garble(text, seed_share)
        completion = count_tokens(text)
        if completion <= request.max_tokens:
            return ModelReply(text, TokenUsage(prompt, completion), "stop", perf_counter() - started)
        # The estimate has no exact inverse, so the text is cut where the share of tokens says.
        text = text[: len(text) * request.max_tokens // completion]
        return ModelReply(text, TokenUsage(prompt, request.max_tokens), "length", perf_counter() - started)
