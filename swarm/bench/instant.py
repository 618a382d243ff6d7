"""Runs an OpenAI-compatible endpoint in a process of its own that answers with fixed replies, at once or later."""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

_SERVE = """
import json, sys
from swarm.llm.fake_model import serve_forever
replies, latency_s = json.loads(sys.argv[1]), float(sys.argv[2])
serve_forever(port=0, fixed_replies=replies, latency_s=latency_s, ready=lambda url: print(url, flush=True))
"""


@contextmanager
def served(replies: Mapping[str, str], latency_s: float = 0.0) -> Iterator[tuple[str, int]]:
    """Yields its base URL and its pid; it ends with the block. `replies` are by a text that a request has in it."""
    # In a process of its own, so that its work does not count as the caller's.
    command = [sys.executable, "-c", _SERVE, json.dumps(replies), str(latency_s)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)  # noqa: S603  # our own code
    try:
        yield (process.stdout.readline().strip() if process.stdout else ""), process.pid
    finally:
        process.terminate()
        process.wait(timeout=10)
