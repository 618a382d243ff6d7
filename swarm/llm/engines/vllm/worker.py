"""Makes vLLM's worker not outlive the process that started it.

vLLM ends its processes when it is shut down. When a replica's process is killed together with its Ray, nobody does,
and a model would stay on the GPU for good. This module imports neither vLLM nor Ray.
"""

import multiprocessing
import os
import signal
import threading


class EndsWithItsParent:
    """An extension of the worker's class without anything in it: that its module is imported is what counts."""


def _watch() -> None:
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def end() -> None:
        parent.join()
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=end, name="ends-with-its-parent", daemon=True).start()


_watch()
