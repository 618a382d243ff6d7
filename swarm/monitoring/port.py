"""Serves a run's metrics over HTTP; it knows nothing of what they mean."""

from collections.abc import Iterator
from contextlib import contextmanager
from socket import AI_PASSIVE, SOCK_STREAM, gaierror, getaddrinfo
from threading import Thread
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.exposition import ThreadingWSGIServer
from prometheus_client.registry import Collector

from swarm.errors import ConfigError

END_POLL_S = 0.05
"""How often the server looks whether it is to end."""


@contextmanager
def exported(hub: Collector, host: str, port: int) -> Iterator[str]:
    """Serves the hub's metrics over HTTP while the block runs, and yields their address.

    A port that cannot be used is a ConfigError.
    """
    # A registry of its own: the client's default one adds series of the process, and stays between runs.
    registry = CollectorRegistry()
    registry.register(hub)
    try:
        server = _listening(host, port, registry)
    except gaierror as error:
        raise ConfigError(
            "runtime.metrics_host", f"{host!r} is no address of this machine ({error.strerror})", "try 127.0.0.1"
        ) from error
    except (OSError, OverflowError) as error:
        raise ConfigError(
            "runtime.metrics_port",
            f"port {port} of {host} cannot be used ({getattr(error, 'strerror', None) or error})",
            "choose another, 0 for any that is free, or null for no metrics",
        ) from error
    # The client's own server looks only twice a second whether it is to end, which each run would wait for.
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": END_POLL_S}, daemon=True)
    thread.start()
    # An IPv6 address stands in brackets, or its colons would read as a port.
    shown = f"[{host}]" if ":" in host else host
    try:
        yield f"http://{shown}:{server.server_port}/metrics"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(WSGIRequestHandler):
    """Answers without a line on the terminal for each scrape."""

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""


def _listening(host: str, port: int, registry: CollectorRegistry) -> WSGIServer:
    """Returns a server of the registry, bound to its port; OSError if that cannot be."""
    # IPv4 or IPv6, whichever the host is; the server's class has it as an attribute.
    family = getaddrinfo(host, port, type=SOCK_STREAM, flags=AI_PASSIVE)[0][0]
    server = type("Server", (ThreadingWSGIServer,), {"address_family": family})
    return make_server(host, port, make_wsgi_app(registry), server_class=server, handler_class=_Handler)
