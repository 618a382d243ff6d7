"""Digests of prompts, by which a record says what a model was shown without keeping the text."""

import hashlib
from collections.abc import Sequence

from swarm.llm.protocol import Message


class PromptDigest:
    """Digests prompts that begin alike: the shared beginning is hashed once."""

    def __init__(self, system: str, public: str) -> None:
        self._public = public
        self._system = hashlib.blake2b(system.encode(errors="replace") + b"\0", digest_size=8)
        self._shared = self._system.copy()
        self._shared.update(public.encode(errors="replace"))

    def of(self, content: str) -> int:
        """Returns the digest of the prompt that says `content` after the system text, as a signed 64-bit integer."""
        # The common beginning is hashed already; a form that begins otherwise comes to the same digest.
        if content.startswith(self._public):
            digest, rest = self._shared.copy(), content[len(self._public) :]
        else:
            digest, rest = self._system.copy(), content
        digest.update(rest.encode(errors="replace"))
        return int.from_bytes(digest.digest(), "big", signed=True)


def prompt_digest(messages: Sequence[Message]) -> int:
    """Returns 64 bits of BLAKE2b of all messages' texts, with a zero byte between two of them."""
    content = "\0".join(m.content for m in messages).encode(errors="replace")
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "big", signed=True)
