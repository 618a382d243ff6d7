"""The head of a run's own cluster: Ray's, without what nobody asks anything of, and beside any other on its machine."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module
from time import monotonic, sleep
from typing import Any

from ray._private import node, ray_constants
from ray._private.parameter import RayParams
from ray.exceptions import RayError

LOOK_EVERY_S = 0.02
LOOK_FOR_S = 30.0
"""How often, and for how long at most, the head looks whether its node is up; from then on Ray does."""


class _Head(node.Node):
    """A head whose agent takes a free port, and that leaves out three processes where no dashboard is asked for.

    Each of these takes half a second of CPU to start, and Ray waits for one of them before it starts its own node.
    Where another Ray starts them by methods of other names, they are there as ever.
    """

    imports: Sequence[str] = ()
    """Modules that are imported while the node comes up, when there is nothing else to do."""

    def __init__(self, ray_params: RayParams, **options: Any) -> None:
        # At a port that the agent of another cluster has, it tries again and again, and the head waits for seconds.
        ray_params.dashboard_agent_listen_port = 0
        self._whole = bool(ray_params.include_dashboard)
        super().__init__(ray_params, **options)

    def start_monitor(self) -> None:
        """Starts the autoscaler, which adds no machine to a cluster of one and tells the dashboard alone of it."""
        if self._whole:
            super().start_monitor()  # type: ignore[no-untyped-call]

    def start_log_monitor(self) -> None:
        """Starts what sends the workers' logs to drivers, though a run asks Ray not to print them."""
        if self._whole:
            super().start_log_monitor()  # type: ignore[no-untyped-call]

    def start_api_server(self, **options: Any) -> None:
        """Starts the dashboard; Ray would start an empty one where none is asked for, which listens nowhere.

        The node's agent asks each second for the dashboard's address until it has one, so it is given the address that
        the empty one would give, at which nobody answers either.
        """
        if self._whole:
            super().start_api_server(**options)
            return
        gcs: Any = self.get_gcs_client()  # type: ignore[no-untyped-call]
        gcs.internal_kv_put(
            ray_constants.DASHBOARD_ADDRESS.encode(),
            f"127.0.0.1:{ray_constants.DEFAULT_DASHBOARD_PORT}".encode(),
            True,
            ray_constants.KV_NAMESPACE_DASHBOARD,
        )

    def start_ray_processes(self) -> None:
        """Starts the node, and returns as soon as the cluster has it: Ray itself looks once a second."""
        super().start_ray_processes()  # type: ignore[no-untyped-call]
        gcs: Any = self.get_gcs_client()  # type: ignore[no-untyped-call]
        for module in self.imports:
            import_module(module)
        [raylet] = self.all_processes[ray_constants.PROCESS_TYPE_RAYLET]
        until = monotonic() + LOOK_FOR_S
        # Of a node that does not come up Ray says what it has to say.
        with suppress(RayError):
            while raylet.process.poll() is None and monotonic() < until and not gcs.get_all_node_info(LOOK_FOR_S):
                sleep(LOOK_EVERY_S)


@contextmanager
def own_head(imports: Sequence[str] = ()) -> Iterator[None]:
    """Has a head that Ray starts in this block be one of these, and imports these modules while its node comes up."""
    before = node.Node
    _Head.imports = imports
    node.Node = _Head  # type: ignore[assignment, misc]
    try:
        yield
    finally:
        node.Node = before  # type: ignore[misc]
