"""Leaves out those processes of a Ray head that nobody asks anything of in a run without Ray's dashboard.

Each takes half a second of CPU to start, and Ray waits for one of them before it starts its own node.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ray._private import node, ray_constants


class _Head(node.Node):
    """A head without them. Where another Ray starts them by methods of other names, they are there as ever."""

    def start_monitor(self) -> None:
        """Starts no autoscaler, which adds no machine to a cluster of one and tells the dashboard alone of it."""

    def start_log_monitor(self) -> None:
        """Starts nothing that sends the workers' logs to a driver: a run asks Ray not to print them."""

    def start_api_server(self, **_: Any) -> None:
        """Starts no dashboard, of which Ray would start an empty one that listens nowhere.

        The node's agent asks each second for the dashboard's address until it has one, so it is given the address that
        the empty one would give, at which nobody answers either.
        """
        gcs: Any = self.get_gcs_client()  # type: ignore[no-untyped-call]
        gcs.internal_kv_put(
            ray_constants.DASHBOARD_ADDRESS.encode(),
            f"127.0.0.1:{ray_constants.DEFAULT_DASHBOARD_PORT}".encode(),
            True,
            ray_constants.KV_NAMESPACE_DASHBOARD,
        )


@contextmanager
def without_dashboard() -> Iterator[None]:
    """Has a head that Ray starts in this block be one without these processes."""
    before = node.Node
    node.Node = _Head  # type: ignore[misc]  # mypy takes it for the class alone
    try:
        yield
    finally:
        node.Node = before  # type: ignore[misc]
