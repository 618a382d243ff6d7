"""Which replica of a model gets a batch: the one whose engine has the prompts' beginning in its cache, if it can."""

from typing import Any
from zlib import crc32

from ray.serve.request_router import FIFOMixin, PendingRequest, RequestRouter, RunningReplica

PREFIX_CHARS = 200
"""How much of the message behind the rules counts: enough for a round's number and its first news."""

MAX_LEAD = 2
"""Batches that the favoured replica may have more of than the least busy one; with more, the others come first."""


def prefix_of(batch: Any) -> bytes:
    """What a batch's prompts begin with; empty for anything that is no batch."""
    try:
        rules, *others = batch[0].messages
        return f"{rules.content}\n{''.join(m.content[:PREFIX_CHARS] for m in others[:1])}".encode()
    except (TypeError, LookupError, AttributeError, ValueError):
        return b""


class PrefixRouter(FIFOMixin, RequestRouter):
    """Ranks the replicas by a hash of the prefix and their names, so that every caller comes to the same order."""

    async def choose_replicas(
        self, candidate_replicas: list[RunningReplica], pending_request: PendingRequest | None = None
    ) -> list[list[RunningReplica]]:
        """The favoured replica first, then the others; the others first where it is much busier than they are."""
        prefix = prefix_of(pending_request.args[0]) if pending_request and pending_request.args else b""
        ranked = sorted(
            candidate_replicas, key=lambda r: (crc32(prefix + str(r.replica_id).encode()), str(r.replica_id))
        )
        favoured, others = ranked[:1], ranked[1:]
        if not others:
            return [favoured]
        known = {r: self.replica_queue_len_cache.get(r.replica_id) or 0 for r in ranked}
        if known[favoured[0]] > min(known[r] for r in others) + MAX_LEAD:
            return [others, favoured]
        return [favoured, others]
