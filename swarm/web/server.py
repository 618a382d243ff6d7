"""Serves an ASGI app over HTTP from a thread of this process, until the block that it serves ends."""

import logging
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Thread
from time import sleep

import uvicorn
from starlette.types import ASGIApp

from swarm.errors import ConfigError

STARTED_POLL_S = 0.005
END_GRACE_S = 1
"""How long answers that are under way have to end once the server is to end."""

MAX_CONNECTIONS = 512
"""More are answered with 503: each has a socket, and open files are bounded."""


def in_brackets(host: str) -> str:
    """Returns a host as addresses and headers name it: IPv6 in brackets, or its colons would read as a port."""
    return f"[{host}]" if ":" in host else host


@dataclass(frozen=True, slots=True)
class Bound:
    """The address that a server listens at."""

    host: str
    port: int

    @property
    def url(self) -> str:
        """The address as a browser takes it."""
        return f"http://{in_brackets(self.host)}:{self.port}"


@contextmanager
def served(
    app: ASGIApp, host: str, port: int, key: str, most: int = MAX_CONNECTIONS, or_any: bool = False
) -> Iterator[Bound]:
    """Serves the app while the block runs, and yields where; port 0 is any that is free.

    ConfigError, which names the setting `key`, where the address cannot be used; with `or_any` another port will do.
    """
    try:
        listening = _listening(host, port, key)
    except ConfigError:
        if not or_any:
            raise
        listening = _listening(host, 0, key)
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        # What strangers send that is no HTTP is no news for whoever runs this.
        log_level="error",
        server_header=False,
        ws="none",
        limit_concurrency=most,
        timeout_graceful_shutdown=END_GRACE_S,
    )
    server = uvicorn.Server(config)
    # A thread of its own, with a loop of its own: whoever serves goes on with its work.
    thread = Thread(target=server.run, kwargs={"sockets": [listening]}, name="http", daemon=True)
    thread.start()
    try:
        while thread.is_alive() and not server.started:
            sleep(STARTED_POLL_S)
        if not server.started:
            raise RuntimeError(f"the server at port {port} of {host} has ended before it began")
        yield Bound(host, listening.getsockname()[1])
    finally:
        server.should_exit = True
        # Answers that do not end by themselves are cut off, which is no error to be told of.
        log = logging.getLogger("uvicorn.error")
        level = log.level
        log.setLevel(logging.CRITICAL)
        thread.join()
        log.setLevel(level)
        listening.close()


def _listening(host: str, port: int, key: str) -> socket.socket:
    """Returns a socket that listens at an address; ConfigError where that cannot be."""
    try:
        # IPv4 or IPv6, whichever the host is.
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    except (socket.gaierror, OverflowError, UnicodeError) as error:
        raise ConfigError(key, f"{host!r} with port {port} is no address of this machine", "try 127.0.0.1") from error
    found = socket.socket(family, socket.SOCK_STREAM)
    try:
        # A server that was just ended leaves connections behind, for which the next one must not have to wait.
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind(address)
        found.listen(MAX_CONNECTIONS)
    except OSError as error:
        found.close()
        raise ConfigError(
            key, f"port {port} of {host} cannot be used ({error.strerror})", "choose another, or 0 for any that is free"
        ) from error
    return found
