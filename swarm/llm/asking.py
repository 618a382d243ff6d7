"""Asks a client so that whatever it does costs turns and never the run.

Which engine answers, and what a reply means, this module does not know.
"""

from collections.abc import Sequence

from swarm.llm.protocol import ModelClient, ModelReply, ModelRequest, TokenUsage


async def asked_of(client: ModelClient, requests: Sequence[ModelRequest], deadline_s: float) -> list[ModelReply]:
    """Returns one reply for each sample of each request, whatever the client does.

    A client that raises or does not give one reply for each sample has broken its protocol: nobody can tell whose its
    replies are, so all of the batch have failed.
    """
    samples = sum(r.samples for r in requests)
    try:
        replies = list(await client.complete(requests, deadline_s))
    except Exception as error:
        return [ModelReply(type(error).__name__, TokenUsage(0, 0), "error", 0.0)] * samples
    if len(replies) != samples or not all(isinstance(reply, ModelReply) for reply in replies):
        told = f"{len(replies)} replies to {samples} requests"
        return [ModelReply(told, TokenUsage(0, 0), "protocol", 0.0)] * samples
    return replies
