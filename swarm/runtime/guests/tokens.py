"""Keeps who may take a guest's seats: hashes of tokens in a run's folder, never a token.

A hash is of the run's own id and the token, so that what lies in one folder says nothing of another. The file is read
again when it has changed, so that a token can be revoked or made anew while the run goes on.
"""

import hashlib
import json
import logging
import re
import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from swarm.agents.config import GuestConfig
from swarm.errors import ConfigError, OutputError
from swarm.simulation.folder import GUESTS, RunFolder, write_text
from swarm.web.tokens import new_token

log = logging.getLogger(__name__)

FILE, _ = GUESTS
TOKEN = re.compile(r"[0-9A-Fa-f]{64,128}|[A-Za-z0-9_-]{43,128}=?")
"""A token of 256 bits or more, as hex digits or URL-safe base64."""

FEWEST_CHARACTERS = 10
"""A drawn token has at least so many different characters; a typed one may have fewer."""


def tokens_of(guests: Sequence[GuestConfig], environment: Mapping[str, str]) -> dict[str, str]:
    """Returns the token of each guest; ConfigError where an environment variable has none, or two have the same."""
    found: dict[str, str] = {}
    for number, guest in enumerate(guests):
        key, token = f"traders.guests.{number}.token_env", environment.get(guest.token_env, "")
        if not token:
            make = f'export {guest.token_env}="$(swarm guests --new)"'
            raise ConfigError(key, f"the environment variable {guest.token_env} is not set", f"set it: {make}")
        if not TOKEN.fullmatch(token) or len(set(token)) < FEWEST_CHARACTERS:
            raise ConfigError(
                key, f"{guest.token_env} holds no token of 256 bits", "draw one with `swarm guests --new`"
            )
        if token in found.values():
            raise ConfigError(key, f"{guest.token_env} holds another guest's token", "give each guest its own")
        found[guest.name] = token
    return found


class TokenFile:
    """The hashes of a run's tokens, and where its guests are heard."""

    def __init__(self, folder: RunFolder) -> None:
        self.path = folder.path / FILE
        self._read: tuple[int, int] | None = None
        self._record: dict[str, Any] = {}
        self._guests: dict[str, str] = {}

    def begin(self, tokens: Mapping[str, str]) -> list[str]:
        """Lets these tokens in, one for each guest, and returns the guests whose token was revoked before."""
        if self.path.exists():
            self._reload()
        record = self._record or {"run": secrets.token_hex(16), "port": 0, "tokens": []}
        known = {one["sha256"]: one for one in record["tokens"]}
        revoked = []
        # A token that is known stays as it is, revoked or not; a new one takes the place of all of its guest.
        for guest, token in tokens.items():
            digest = _digest(record["run"], token)
            if digest in known:
                revoked += [guest] if known[digest]["revoked"] else []
                continue
            _add(record, guest, digest)
        self._write(record)
        return revoked

    def renew(self, guest: str) -> str:
        """Revokes a guest's token and returns a new one; OutputError where there is no such guest."""
        self.revoke(guest)
        token = new_token()
        _add(self._record, guest, _digest(self._record["run"], token))
        self._write(self._record)
        return token

    def revoke(self, guest: str) -> None:
        """Takes a guest's token back; OutputError where there is no such guest."""
        self._must_be_there()
        names = self.guests()
        if guest not in names:
            raise OutputError(f"{self.path}: there is no guest {guest!r}; known: {', '.join(names)}")
        for one in self._record["tokens"]:
            one["revoked"] = one["revoked"] or one["guest"] == guest
        self._write(self._record)

    def guests(self) -> dict[str, bool]:
        """Returns for each guest whether it has a token that lets it in."""
        self._must_be_there()
        found: dict[str, bool] = {}
        for one in self._record["tokens"]:
            found[one["guest"]] = not one["revoked"] or found.get(one["guest"], False)
        return found

    @property
    def port(self) -> int:
        """The port on which guests were heard last; 0 where they were not."""
        return int(self._record.get("port", 0))

    @property
    def address(self) -> str:
        """Where guests are heard, or were."""
        return str(self._record.get("address", ""))

    def heard_at(self, address: str, port: int) -> None:
        """Keeps where guests are heard."""
        self._write({**self._record, "address": address, "port": port})

    def guest_of(self, token: str) -> str | None:
        """Returns whose token this is; None where it is nobody's, or was revoked."""
        try:
            self._reload()
        except OutputError as error:
            log.warning("%s; until then nobody is let in", error)
            return None
        # Whoever guesses cannot choose a digest, so the look-up's time tells nothing of the tokens.
        return self._guests.get(_digest(self._record["run"], token))

    def _must_be_there(self) -> None:
        if not self.path.exists():
            raise OutputError(f"{self.path}: there is no such file, so this run has no guests")
        self._reload()

    def _reload(self) -> None:
        try:
            found = self.path.stat()
            if self._read == (stamp := (found.st_mtime_ns, found.st_ino)):
                return
            record = json.loads(self.path.read_text(encoding="utf-8"))
            tokens = record["tokens"]
            self._guests = {str(one["sha256"]): str(one["guest"]) for one in tokens if not one["revoked"]}
            self._record, self._read = record, stamp
        except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
            # With a file that cannot be read nobody is let in, rather than somebody who was revoked.
            self._guests = {}
            raise OutputError(f"{self.path}: this file cannot be read; put it back from a copy") from error

    def _write(self, record: dict[str, Any]) -> None:
        write_text(self.path, json.dumps(record, indent=2) + "\n")
        self.path.chmod(0o600)
        self._read = None
        self._reload()


def _add(record: dict[str, Any], guest: str, digest: str) -> None:
    """Lets one more token in, in the place of those that its guest had."""
    for one in record["tokens"]:
        one["revoked"] = one["revoked"] or one["guest"] == guest
    record["tokens"].append({"guest": guest, "sha256": digest, "revoked": False})


def _digest(run: str, token: str) -> str:
    return hashlib.sha256(f"{run}\0{token}".encode(errors="replace")).hexdigest()
