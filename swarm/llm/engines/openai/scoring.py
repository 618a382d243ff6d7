"""Scores branches over an API that only writes: each branch is a request for one token, whose likelihoods are read.

An endpoint tells the likeliest tokens at a position. Those that say yes and those that say no are added up, in any
spelling; where one of the two is not among what is told, it is taken to be as likely as the least likely that is.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

from swarm.llm.margins import Token
from swarm.llm.protocol import Message, ModelReply, ModelRequest, TokenUsage
from swarm.llm.scores import MOST, scored
from swarm.llm.tokens import count_tokens

ALTERNATIVES = 20
"""How many likely tokens are asked for, the most that the API allows."""

NO_SCORES = "the endpoint tells no likelihoods of yes and no"


def singly(request: ModelRequest) -> list[ModelRequest]:
    """Returns one request for each different branch, by which one score is asked for."""
    alone = replace(request, schema={}, max_tokens=1, more_seeds=(), margin=False)
    return [replace(alone, branches=(branch,)) for branch in dict.fromkeys(request.branches)]


def shown(messages: Sequence[Message], branch: str) -> list[Message]:
    """Returns the messages with a branch behind the last of them, on a line of its own."""
    *before, last = messages
    return [*before, Message(last.role, f"{last.content}\n{branch}")]


def log_odds(tokens: Sequence[Token]) -> float | None:
    """Returns the log-odds of yes over no at the first position; None where neither is among what is told."""
    if not tokens or not (likely := tokens[0][1]):
        return None
    # Tokenizers write a word with a mark for the space before it, and models with a capital or without.
    told = {"yes": 0.0, "no": 0.0}
    for token, log_likelihood in likely:
        if (word := token.strip("\u2581\u0120 \n\t\"'.").lower()) in told:
            told[word] += math.exp(min(log_likelihood, 0.0))
    if not any(told.values()):
        return None
    least = math.exp(max(min(log_likelihood for _, log_likelihood in likely), -MOST))
    return math.log(told["yes"] or least) - math.log(told["no"] or least)


def put_together(request: ModelRequest, replies: Sequence[ModelReply], heat: float) -> list[ModelReply]:
    """Returns one reply for each sample of a request from those of `singly`; the first failure is that of all.

    The prompt counts once, as in engines that score by themselves, though an endpoint is sent it with each branch.
    """
    if failed := next((reply for reply in replies if reply.failed), None):
        return [failed] * request.samples
    different = list(dict.fromkeys(request.branches))
    values = {branch: float(reply.text) for branch, reply in zip(different, replies, strict=True)}
    used = {branch: reply.usage for branch, reply in zip(different, replies, strict=True)}
    # What a branch takes by our estimate tells from its count how long the prompt is that all share.
    prompt = max(min(used[branch].prompt - count_tokens(branch) for branch in different), 0)
    total = prompt + sum(used[branch].prompt - prompt for branch in request.branches)
    computed = sum(usage.prompt - usage.cached_prompt for usage in used.values())
    spent = TokenUsage(total, sum(usage.completion for usage in used.values()), max(total - computed, 0))
    latency_s = max(reply.latency_s for reply in replies)
    # Samples differ by what is drawn alone, since the scores are those of the prompt.
    found: list[ModelReply] = []
    for seed in (request.seed, *request.more_seeds):
        taken = scored([values[branch] for branch in request.branches], heat, seed)
        margin = taken.margin if request.margin else None
        reply = ModelReply(taken.to_text(heat > 0), spent, "stop", latency_s, margin=margin)
        found.append(reply.shared() if found else reply)
    return found
