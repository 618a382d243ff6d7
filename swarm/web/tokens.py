"""Makes the tokens of those who may do more than look, and tells whose one is that a request brings."""

import hashlib
import hmac
import secrets
from collections.abc import Mapping

MAX_TOKEN_CHARS = 512
TOKEN_BYTES = 32


def new_token() -> str:
    """Returns a token of 256 bits that nobody can guess."""
    return secrets.token_urlsafe(TOKEN_BYTES)


def bearer(authorization: str) -> str:
    """Returns the token that a header `Authorization: Bearer TOKEN` brings; empty where it brings none."""
    # Cut off, since whoever asks may send megabytes.
    scheme, _, token = authorization[:MAX_TOKEN_CHARS].partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


class Tokens:
    """The tokens of those who may do more than look, by name; only their digests are kept."""

    def __init__(self, tokens: Mapping[str, str]) -> None:
        self._digests = {name: _digest(token) for name, token in tokens.items()}

    def whose(self, authorization: str) -> str | None:
        """Returns whose token a header `Authorization: Bearer TOKEN` brings; None where it is nobody's.

        All are compared, each in a time that does not tell how much of it was right.
        """
        given = _digest(bearer(authorization))
        # No early end: the time says neither how many tokens there are nor which of them was nearest.
        found = [name for name, digest in self._digests.items() if hmac.compare_digest(given, digest)]
        return found[0] if found else None


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode(errors="surrogateescape")).digest()
