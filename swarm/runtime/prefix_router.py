"""Chooses a replica for a batch: the one that answered what the batch goes on from, if it is not too busy.

What all traders share, every replica has in its cache after the first batch. What only one replica has is the course of
a chat: an agent that calls tools sends all that was said so far with every step. So a chat's later steps go where its
first one went, and whatever has not been seen before goes to the less busy of two replicas.
"""

import random
from collections import OrderedDict
from typing import Any
from zlib import crc32

from ray.serve.request_router import PendingRequest, ReplicaID, RequestRouter, RunningReplica

MAX_LEAD = 2
"""Batches that the replica of a chat may have more of than the least busy one; with more, it has to do without it."""

MAX_CHATS = 50_000
"""Chats that one caller remembers the replicas of."""


def chat_of(batch: Any) -> int | None:
    """Returns a digest of how the chat of a batch's first request begins; None for anything that is no batch."""
    # The rules and the first question stay as they are through all steps of a chat.
    try:
        return crc32("\n".join(m.content for m in batch[0].messages[:2]).encode())
    except (TypeError, LookupError, AttributeError, ValueError):
        return None


class PrefixRouter(RequestRouter):
    """A router that balances what is new and is faithful to what is not; each caller has one with its own chats."""

    def initialize_state(self, **_: Any) -> None:
        """Begins with no chats; Serve calls this once."""
        self._homes: OrderedDict[int, ReplicaID] = OrderedDict()

    async def choose_replicas(
        self, candidate_replicas: list[RunningReplica], pending_request: PendingRequest | None = None
    ) -> list[list[RunningReplica]]:
        """Returns the chat's replica, then two of chance; those alone where the chat is new or its replica too busy.

        Two choices balance almost as well as all: Mitzenmacher 2001, "The power of two choices in randomized load
        balancing".
        """
        two = random.sample(candidate_replicas, min(2, len(candidate_replicas)))
        home = self._homes.get(_chat(pending_request) or -1)
        at_home = [r for r in candidate_replicas if r.replica_id == home]
        if not at_home:
            return [two]
        # Queues as they were last heard of; a replica that nothing is known of counts as idle.
        lengths = [self.replica_queue_len_cache.get(r.replica_id) or 0 for r in candidate_replicas]
        lead = (self.replica_queue_len_cache.get(at_home[0].replica_id) or 0) - min(lengths)
        return [two] if lead > MAX_LEAD else [at_home, two]

    def on_request_routed(self, pending_request: PendingRequest, replica_id: ReplicaID, result: Any) -> None:
        """Remembers where a chat has gone."""
        chat = _chat(pending_request)
        if chat is None:
            return
        self._homes[chat] = replica_id
        self._homes.move_to_end(chat)
        # The chat that has been silent longest is forgotten first.
        if len(self._homes) > MAX_CHATS:
            self._homes.popitem(last=False)


def _chat(request: PendingRequest | None) -> int | None:
    return chat_of(request.args[0]) if request and request.args else None
